"""What `stakewatch.yaml` comes to, and what is said when it is wrong."""

import os
import random
import time
from pathlib import Path

import pytest

from stakewatch.bundle.configuration import (
    Configuration,
    Keymanager,
    KeySource,
    Role,
    bundle_configuration,
    load_configuration,
    load_configuration_text,
)
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "stakewatch.example.yaml"
FILE = Path("stakewatch.yaml")
PUBLIC_KEY = "0x" + "ab" * 48

FLEET = """\
fleet:
  cluster: one
  region: two
  beacon_nodes:
    - {instance: beacon-1, implementation: lighthouse, url: "http://127.0.0.1:1/"}
  validator_clients:
    - {instance: validators-1, implementation: teku, beacon_nodes: [beacon-1]}
  groups:
    - name: alpha
      validator_client: validators-1
      keys: KEYS
"""


def error_of(text: str) -> str:
    with pytest.raises(InputError) as caught:
        load_configuration_text(text, FILE)
    assert caught.value.exit_code == 2
    return str(caught.value)


def keys_of(text: str, path: Path = FILE) -> tuple[str, ...]:
    return load_configuration_text(FLEET.replace("KEYS", text), path).groups[0].keys


def test_the_example_is_right_and_fills_every_field() -> None:
    configuration = load_configuration(EXAMPLE)
    assert configuration.network == "hoodi"
    assert [node.instance for node in configuration.beacon_nodes] == ["beacon-1", "beacon-2"]
    assert [node.region for node in configuration.execution_nodes] == ["eu-west-1", "eu-central-1"]
    assert configuration.nodes[0].execution_node == "execution-1"
    assert configuration.validator_clients[0].beacon_nodes == ("beacon-1", "beacon-2")
    assert configuration.groups[0].keys[:2] == ("1204", "1205")
    assert configuration.groups[0].labels == {"client": "lighthouse", "team": "blue"}
    assert configuration.groups[1].source == KeySource(signer="signer-1")
    assert configuration.groups[1].signers == ("signer-1",)
    assert configuration.signers[0].role is Role.SIGNER
    assert configuration.validator_clients[0].keymanager == Keymanager(
        "http://127.0.0.1:5062", str(ROOT / "secrets/validators-1.token")
    )
    assert not configuration.groups[2].enabled
    override = configuration.overrides["NodeMemoryHigh"]
    assert (override.threshold, override.duration, override.severity) == (0.9, "10m", "critical")
    assert not configuration.overrides["ExecutionPeersLow"].enabled
    assert configuration.expected_versions == {"geth": "1.17.0", "lighthouse": "v8.1.0"}
    assert configuration.exporter.listen_port == 9120
    assert configuration.exporter.state_file == str(ROOT / "state" / "exporter.json")


@pytest.mark.parametrize("text", ["fleet:\nhealth:\noverrides:\n", "{}"])
def test_an_empty_section_means_the_defaults(text: str) -> None:
    assert load_configuration_text(text, FILE) == Configuration()


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", " \n\n"])
def test_an_empty_file_is_an_error_for_somebody_meant_to_write_it(text: str) -> None:
    assert error_of(text).startswith("stakewatch.yaml:1: the file is empty\n")


def test_a_bundle_without_stakewatch_yaml_has_the_defaults(tmp_path: Path) -> None:
    assert bundle_configuration(Bundle(tmp_path)) == Configuration()
    (tmp_path / "stakewatch.yaml").write_text("network: sepolia\n")
    assert bundle_configuration(Bundle(tmp_path)).network == "sepolia"
    with pytest.raises(InputError, match="no such file"):
        bundle_configuration(Bundle(tmp_path), tmp_path / "other.yaml")


def test_the_fleets_cluster_and_region_hold_for_every_process_and_urls_lose_their_slash() -> None:
    configuration = load_configuration_text(FLEET.replace("KEYS", "[1]"), FILE)
    node = configuration.nodes[0]
    assert (node.role, node.cluster, node.region, node.url) == (
        Role.BEACON,
        "one",
        "two",
        "http://127.0.0.1:1",
    )
    assert configuration.validator_clients[0].cluster == "one"


def test_numbers_have_the_type_of_their_field_however_they_are_written() -> None:
    text = "health: {minimum_beacon_peers: 5.0}\nexporter: {interval_seconds: 6}\n"
    configuration = load_configuration_text(text, FILE)
    assert type(configuration.health.minimum_beacon_peers) is int
    assert type(configuration.exporter.interval_seconds) is float


def test_listen_takes_an_ipv6_address() -> None:
    settings = load_configuration_text('exporter: {listen: "[::1]:80"}', FILE).exporter
    assert (settings.listen_host, settings.listen_port) == ("::1", 80)


@pytest.mark.parametrize(
    ("text", "line", "what", "mend"),
    [
        ("networks: a\n", 1, 'unknown key "networks"', "did you mean network?"),
        ("\nhealth:\n  minimum_beacon_peers: many\n", 3, "must be a whole number", "write a whole number"),
        ("health: {minimum_beacon_peers: -1}", 1, "is -1", "at least 0"),
        ("health: {minimum_beacon_peers: true}", 1, "must be a whole number, not true", "whole number"),
        ("network: Mainnet", 1, 'is "Mainnet"', "lower-case"),
        ("network:\n", 1, "network has no value", "remove the key"),
        ("network: 5", 1, "must be text, not 5", 'put it in quotes: "5"'),
        ("- a\n", 1, "must be keys with values, not a list", "write keys"),
        ("expected_versions: {geth: 1.10}", 1, "must be text", 'put it in quotes: "1.10"'),
        ("expected_versions: {gteh: v1.10}", 1, '"gteh" may not stand', "did you mean geth?"),
        ("overrides: {NodeMemoryHigh: {for: 10 minutes}}", 1, 'is "10 minutes"', "10m"),
        ('overrides: {NodeMemoryHigh: {for: "10m\\n"}}', 1, "overrides.NodeMemoryHigh.for", "10m"),
        ("overrides: {NodeMemoryHigh: {}}", 1, "is empty", "at least one of"),
        ("overrides: {A: {labels: {severity: x}}}", 1, '"severity" may not stand', "a label is"),
        ("overrides: {A: {severity: page}}", 1, 'is "page"', "critical, warning, info"),
        ("overrides: {A: {labels: {instance: x}}}", 1, '"instance" may not stand', "tells alerts apart"),
        ("exporter: {address: a:99999}", 1, "port 99999 does not exist", "65535"),
        ("exporter: {listen: 9120}", 1, "must be text", "HOST:PORT"),
        ("exporter: {listen: 127.0.0.1:99999}", 1, "port 99999 does not exist", "65535"),
        ("a: [1,\n", 2, "not valid YAML", "brackets"),
        ("fleet:\n\tcluster: a\n", 2, "not valid YAML", "use spaces"),
        ("network: a\nnetwork: b\n", 2, 'the key "network" stands a second time, first on line 1', "remove"),
        ("a: &x 1\nb: *x\n", 1, "anchors and aliases", "write the value out"),
        ("a: !!python/object:os.system x\n", 1, "is not supported", "remove it"),
        ("network: a\n---\nnetwork: b\n", 2, "a second document", "keep one"),
        ("? [a]\n: 1\n", 1, "a key must be a word", "KEY: VALUE"),
        ("a\x00b: 1\n", 1, "may not stand in a text file", "right file"),
        ("[" * 100_000, 1, "nested deeper", "right file"),
        ("{a: " * 100_000, 1, "nested deeper", "right file"),
        ("- " * 100_000, 1, "nested deeper", "right file"),
    ],
)
def test_each_mistake_is_named_with_line_and_mend(text: str, line: int, what: str, mend: str) -> None:
    message = error_of(text)
    assert message.startswith(f"stakewatch.yaml:{line}: ")
    assert what in message
    assert mend in message


def test_all_mistakes_stand_in_one_message_in_the_order_of_their_lines() -> None:
    message = error_of("nonsense: 1\nnetwork: A\nhealth: {minimum_beacon_peers: x}\n")
    lines = message.splitlines()
    assert lines[0] == "stakewatch.yaml: 3 problems"
    assert [line.split(":")[1] for line in lines[1::2]] == ["1", "2", "3"]


def test_beyond_twenty_mistakes_only_their_number_is_said() -> None:
    message = error_of("".join(f"nonsense{number}: 1\n" for number in range(50)))
    assert "and 30 more" in message
    assert len(message.splitlines()) == 1 + 2 * 20 + 1


@pytest.mark.parametrize(
    ("change", "what", "mend"),
    [
        (("beacon_nodes: [beacon-1]", "beacon_nodes: [beacon-2]"), 'no beacon node "beacon-2"', "beacon-1?"),
        (("beacon_nodes: [beacon-1]", "beacon_nodes: []"), "is empty", "primary"),
        (("beacon_nodes: [beacon-1]", "beacon_nodes: [beacon-1, beacon-1]"), "twice in one list", "once"),
        (("validator_client: validators-1", "validator_client: x"), 'no validator client "x"', "name one of"),
        (("instance: validators-1", "instance: beacon-1"), '"beacon-1" stands a second time', "its own"),
        (('url: "', 'execution_node: e, url: "'), 'no execution node "e"', "add it to fleet.execution_nodes"),
        (("  cluster: one\n", ""), '"beacon-1" has no cluster', "add cluster: NAME under fleet"),
        (("url:", "urll:"), 'unknown key "urll"', "did you mean url?"),
        (("name: alpha", "name: a/b"), "fleet.groups[1].name", "use letters"),
        (("lighthouse", "lighthuse"), 'is "lighthuse"', "did you mean lighthouse?"),
        (("      keys: KEYS\n", ""), "fleet.groups[1] has no keys", "add keys"),
        (("KEYS", "7"), "must be a list or keys with values", "{file: PATH}"),
        (("KEYS", "{files: a}"), 'unknown key "files"', "did you mean file?"),
    ],
)
def test_names_in_the_fleet_must_exist_and_be_unique(change: tuple[str, str], what: str, mend: str) -> None:
    message = error_of(FLEET.replace(*change).replace("KEYS", "[1]"))
    assert what in message
    assert mend in message


def test_two_nodes_at_one_address_are_an_error() -> None:
    node = '    - {instance: beacon-2, implementation: teku, url: "URL"}\n'
    first = "http://127.0.0.1:5052"
    text = "fleet:\n  cluster: a\n  region: b\n  beacon_nodes:\n" + (
        f'    - {{instance: beacon-1, implementation: teku, url: "{first}"}}\n'
        + node.replace("URL", f"{first}/")
    )
    assert '"beacon-2" has the address of "beacon-1"' in error_of(text)


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n"])
def test_a_group_whose_key_file_holds_no_key_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "alpha.keys").write_text(content, encoding="utf-8")
    file = tmp_path / "stakewatch.yaml"
    file.write_text(FLEET.replace("KEYS", "{file: alpha.keys}"), encoding="utf-8")
    with pytest.raises(InputError, match='group "alpha" holds no key'):
        load_configuration(file)


def test_a_group_with_an_empty_list_of_keys_is_an_error() -> None:
    assert "is empty" in error_of(FLEET.replace("KEYS", "[]"))


def test_two_groups_of_one_name_are_an_error() -> None:
    second = "    - {name: alpha, validator_client: validators-1, keys: [2]}\n"
    assert 'name "alpha" stands a second time, first on line 9' in error_of(
        FLEET.replace("KEYS", "[1]") + second
    )


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "host:5052",
        "http://",
        "http://host:0",
        "http://host:99999",
        "http://ho st",
        "http://host/?a=b",
        "http://host/#a",
        "http://[::1",
        "http://host\\n",
        "http://host\\u0085",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    message = error_of(FLEET.replace("http://127.0.0.1:1/", url).replace("KEYS", "[1]"))
    assert message.startswith("stakewatch.yaml:5: ")
    assert "write" in message or "1 to 65535" in message


@pytest.mark.parametrize("path", ["/eth/v1", "/eth/v2/", "/base/eth/v1/node", "/api/v1/eth2/publicKeys"])
def test_an_address_that_goes_on_into_the_api_is_refused(path: str) -> None:
    message = error_of(FLEET.replace("127.0.0.1:1/", f"127.0.0.1:1{path}").replace("KEYS", "[1]"))
    assert "write only what stands before /eth/v1" in message


def test_links_and_bases_that_merely_look_like_the_api_are_kept() -> None:
    content = FLEET.replace("127.0.0.1:1/", "127.0.0.1:1/eth/v1x").replace("KEYS", "[1]")
    content += "urls: {runbooks: https://wiki.example/eth/v1}\n"
    configuration = load_configuration_text(content, FILE)
    assert configuration.urls.runbooks == "https://wiki.example/eth/v1"
    assert configuration.beacon_nodes[0].url == "http://127.0.0.1:1/eth/v1x"


@pytest.mark.parametrize("scheme", ["http", "https", "ftp"])
def test_an_address_with_a_password_is_refused_and_the_password_not_repeated(scheme: str) -> None:
    message = error_of(FLEET.replace("http://", f"{scheme}://user:hunter2@").replace("KEYS", "[1]"))
    assert "hunter2" not in message
    assert message.startswith("stakewatch.yaml:5: ")


def test_what_is_written_in_place_of_a_key_is_not_repeated() -> None:
    secret = "11" * 32
    message = error_of(FLEET.replace("KEYS", f'["0x{secret}"]'))
    assert "not a validator key" in message
    assert secret[:10] not in message


def test_keys_have_one_spelling_whether_quoted_or_not() -> None:
    other = "AB" * 47 + "00"
    assert keys_of(f'[{PUBLIC_KEY.upper().replace("0X", "0x")}, "{other}", 007, "8"]') == (
        PUBLIC_KEY,
        "0x" + other.lower(),
        "7",
        "8",
    )


@pytest.mark.parametrize("keys", ["[5, 5]", "[5, '05']", f"['{PUBLIC_KEY}', '{PUBLIC_KEY[2:].upper()}']"])
def test_a_key_that_stands_twice_in_any_spelling_is_an_error(keys: str) -> None:
    message = error_of(FLEET.replace("KEYS", keys))
    assert 'stands already in group "alpha", at stakewatch.yaml:11' in message


def test_a_key_in_two_groups_is_an_error_that_names_both_files(tmp_path: Path) -> None:
    (tmp_path / "a.keys").write_text(f"# ours\n{PUBLIC_KEY}\n")
    (tmp_path / "b.keys").write_text(f"1\n\n{PUBLIC_KEY[2:]}  # again\n")
    second = "    - {name: beta, validator_client: validators-1, keys: {file: b.keys}}\n"
    text = FLEET.replace("KEYS", "{file: a.keys}") + second
    with pytest.raises(InputError) as caught:
        load_configuration_text(text, tmp_path / "stakewatch.yaml")
    assert caught.value.where == f"{tmp_path}/b.keys:3"
    assert f'stands already in group "alpha", at {tmp_path}/a.keys:2' in str(caught.value)


def test_a_key_file_with_a_bad_line_is_named_with_that_line(tmp_path: Path) -> None:
    (tmp_path / "a.keys").write_bytes(b"1\r\n2\r\nsecret words\r\n")
    with pytest.raises(InputError) as caught:
        keys_of("{file: a.keys}", tmp_path / "stakewatch.yaml")
    assert caught.value.where == f"{tmp_path}/a.keys:3"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.keys", ".", "binary.keys", '"a\\0b"'])
def test_a_key_file_that_cannot_be_read_is_named_where_it_is_configured(tmp_path: Path, name: str) -> None:
    (tmp_path / "binary.keys").write_bytes(b"1\n\xff\xfe")
    with pytest.raises(InputError) as caught:
        keys_of(f"{{file: {name}}}", tmp_path / "stakewatch.yaml")
    assert caught.value.where == f"{tmp_path}/stakewatch.yaml:11"
    assert caught.value.mend


def test_a_hundred_thousand_keys_load_in_two_seconds(tmp_path: Path) -> None:
    (tmp_path / "a.keys").write_text("".join(f"0x{number:096x}\n" for number in range(100_000)))
    started = time.process_time()
    assert len(keys_of("{file: a.keys}", tmp_path / "stakewatch.yaml")) == 100_000
    assert time.process_time() - started < 2


def test_a_missing_file_a_folder_and_a_pipe_are_said_to_be_that(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, what in ((tmp_path / "no", "no such file"), (tmp_path, "folder"), (pipe, "not a regular file")):
        with pytest.raises(InputError, match=what) as caught:
            load_configuration(path)
        assert caught.value.where == str(path)
        assert caught.value.mend


def test_a_file_that_may_not_be_read_is_said_to_be_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "stakewatch.yaml"
    path.write_text("network: a\n")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="may not be read"):
        load_configuration(path)


def test_fifty_megabytes_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stakewatch.yaml"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(InputError, match=r"52,428,800 bytes; at most 10,485,760"):
        load_configuration(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: 1\n" * 200_000, "1001 problems"),
        ("- 1\n" * 300_001, "stakewatch.yaml:300000: holds more than 300,000 values"),
        (FLEET.replace("[beacon-1]", "[" + "beacon-1, " * 100_000 + "]"), "stands twice in one list"),
    ],
    ids=["the same key", "values", "the same beacon node"],
)
def test_hundreds_of_thousands_of_mistakes_are_refused_in_seconds(text: str, what: str) -> None:
    began = time.process_time()
    assert what in error_of(text)
    assert time.process_time() - began < 15


def test_a_key_file_of_mistakes_is_read_no_further_than_they_are_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("not a key\n" * 5_000_000)
    path = tmp_path / "stakewatch.yaml"
    path.write_text(FLEET.replace("KEYS", "{file: keys}"))
    began = time.process_time()
    with pytest.raises(InputError, match="1000 problems"):
        load_configuration(path)
    assert time.process_time() - began < 3


def test_more_than_a_million_keys_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("".join(f"{index}\n" for index in range(11)))
    path = tmp_path / "stakewatch.yaml"
    path.write_text(FLEET.replace("KEYS", "{file: keys}"))
    monkeypatch.setattr("stakewatch.bundle.configuration.MAXIMUM_KEYS", 10)
    with pytest.raises(InputError, match="there are more than 10 keys") as caught:
        load_configuration(path)
    assert caught.value.where == f"{tmp_path / 'keys'}:11"


def test_key_files_of_any_system_are_read_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "stakewatch.yaml"
    path.write_text(FLEET.replace("KEYS", "{file: keys}"))
    (tmp_path / "keys").write_bytes(b"\xef\xbb\xbf1\r\n2\r3\n\n4")
    assert load_configuration(path).groups[0].keys == ("1", "2", "3", "4")
    (tmp_path / "keys").write_bytes(b"1\r\n2\rx\n4")
    with pytest.raises(InputError) as caught:
        load_configuration(path)
    assert caught.value.where == f"{tmp_path / 'keys'}:3"


def test_the_name_of_a_key_file_cannot_steer_a_terminal() -> None:
    message = error_of(FLEET.replace("KEYS", '{file: "no\\e[2J\\0such"}'))
    assert "no\\u001b[2J\\u0000such" in message


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "stakewatch.yaml"
    path.write_bytes(b"network: a\n# \xff\n")
    with pytest.raises(InputError, match="not UTF-8") as caught:
        load_configuration(path)
    assert caught.value.where == f"{path}:2"


def test_what_is_printed_of_a_hostile_file_cannot_steer_a_terminal() -> None:
    message = error_of('"\\e[2J\\u009b": 1\n' + '"' + "x" * 10_000 + '": 1\n')
    assert all(character.isprintable() or character == "\n" for character in message)
    assert max(len(line) for line in message.splitlines()) < 200


def test_cut_off_anywhere_or_garbled_it_gives_a_configuration_or_an_input_error() -> None:
    text = EXAMPLE.read_text()
    chance = random.Random(20)  # noqa: S311 - reproducible, not secret
    attempts = [text[:end] for end in range(0, len(text), 29)]
    for _ in range(200):
        letters = list(text)
        for _ in range(chance.randrange(1, 8)):
            letters[chance.randrange(len(letters))] = chance.choice("\x00\t:-{}[]&*!|>'\"%@`#,? \n\ue000é0")
        attempts.append("".join(letters))
    refused = accepted = 0
    for attempt in attempts:
        try:
            load_configuration_text(attempt, EXAMPLE)
        except InputError as error:
            refused += "stakewatch.example.yaml" in str(error)
        else:
            accepted += 1
    assert refused + accepted == len(attempts)
    assert refused > 0
    assert accepted > 0


def test_yaml_words_are_those_of_version_1_2() -> None:
    fleet = FLEET.replace("KEYS", "[1]").replace("region: two", "region: no").replace("alpha", "on")
    configuration = load_configuration_text(fleet, FILE)
    assert configuration.nodes[0].region == "no"
    assert configuration.groups[0].name == "on"
    assert "write true or false" in error_of(FLEET.replace("KEYS", "[1]\n      enabled: yes"))


CLIENT = "- {instance: validators-1, implementation: teku, beacon_nodes: [beacon-1]}"
MANAGED = CLIENT.replace(
    "[beacon-1]", '[beacon-1], keymanager: {url: "http://127.0.0.1:2/", token_file: token}'
)


def test_keys_from_elsewhere_are_a_source_and_no_keys_yet() -> None:
    text = FLEET.replace(CLIENT, MANAGED).replace("KEYS", "{keymanager: validators-1}")
    (group,) = load_configuration_text(text, FILE).groups
    assert group.keys == ()
    assert group.source == KeySource(keymanager="validators-1")
    address = "0x" + "Ab" * 20
    text = FLEET.replace("KEYS", f'{{withdrawal_credentials: ["{address}", "{address.lower()}"]}}')
    (group,) = load_configuration_text(text, FILE).groups
    assert group.source == KeySource(withdrawal_credentials=(address.lower(),))


def test_a_key_source_that_is_not_there_is_said_with_its_line() -> None:
    told = error_of(FLEET.replace("KEYS", "{keymanager: validators-1}"))
    assert "stakewatch.yaml:11" in told
    assert 'there is no validator client with a keymanager "validators-1"' in told
    assert 'there is no signer "signer-9"' in error_of(FLEET.replace("KEYS", "{signer: signer-9}"))
    told = error_of(FLEET.replace("KEYS", "[1]\n      signers: [signer-9]"))
    assert 'there is no signer "signer-9"' in told


@pytest.mark.parametrize(
    "keys",
    [
        "{}",
        "{file: a, signer: b}",
        "{withdrawal_credentials: []}",
        '{withdrawal_credentials: ["0x12"]}',
        "{withdrawal_credentials: 0x00000000000000000000000000000000000000fd}",
        "{unknown: 1}",
    ],
)
def test_a_key_source_of_another_form_is_refused(keys: str) -> None:
    assert "keys" in error_of(FLEET.replace("KEYS", keys))


def test_the_address_of_a_keymanager_may_hold_no_password() -> None:
    secret = MANAGED.replace("http://127.0.0.1:2/", "http://me:secret@127.0.0.1:2/")
    told = error_of(FLEET.replace(CLIENT, secret).replace("KEYS", "[1]"))
    assert "holds a user or password" in told
    assert "secret" not in told.replace("keep secrets", "")


def test_the_files_that_were_read_are_known(tmp_path: Path) -> None:
    (tmp_path / "alpha.keys").write_text(f"{PUBLIC_KEY}\n")
    path = tmp_path / "stakewatch.yaml"
    path.write_text(FLEET.replace("KEYS", "{file: alpha.keys}"))
    assert load_configuration(path).files == (path, tmp_path / "alpha.keys")


def test_objectives_are_shares_and_remember_where_they_stand() -> None:
    objectives = load_configuration_text("objectives: {attestation_inclusion: 0.995}", FILE).objectives
    assert objectives.attestation_inclusion == pytest.approx(0.995)
    assert objectives.place.endswith("stakewatch.yaml:1")
    assert load_configuration_text("objectives:", FILE).objectives.attestation_inclusion is None


@pytest.mark.parametrize(
    "share", ["99", "1", "0.93", "1.0e+300", "-1", ".nan", ".inf", "yes", "[0.99]", '"0.99"']
)
def test_an_objective_that_is_no_share_that_can_be_missed_is_refused(share: str) -> None:
    assert "attestation_inclusion" in error_of(f"objectives: {{attestation_inclusion: {share}}}")


def test_an_objective_that_nothing_counts_against_is_refused() -> None:
    assert "attestations" in error_of("objectives: {attestations: 0.99}")


REMOTE_WRITE = """\
publish:
  production: {type: amp, region: eu-west-1, workspace: ws-1}
  boards: {type: grafana, url: "https://grafana.example"}
kubernetes:
  staking_namespaces: [staking, staking]
  remote_write: {destination: %s}
"""


def test_the_cluster_names_the_workspace_that_it_sends_to() -> None:
    settings = load_configuration_text(REMOTE_WRITE % "production", Path("stakewatch.yaml")).kubernetes
    assert settings.remote_write is not None
    assert settings.remote_write.destination == "production"
    assert settings.staking_namespaces == ("staking",)
    assert (settings.namespace, settings.release) == ("monitoring", "kube-prometheus-stack")


@pytest.mark.parametrize(
    ("destination", "mend"),
    [("productoin", "did you mean production?"), ("boards", "name one of publish: production")],
)
def test_what_is_no_workspace_cannot_be_sent_to(destination: str, mend: str) -> None:
    with pytest.raises(InputError, match=r"stakewatch.yaml:6: there is no workspace") as raised:
        load_configuration_text(REMOTE_WRITE % destination, Path("stakewatch.yaml"))
    assert mend in str(raised.value)


def test_the_cluster_of_an_empty_section_is_the_default() -> None:
    assert load_configuration_text("kubernetes:\n", Path("x.yaml")).kubernetes == Configuration().kubernetes
