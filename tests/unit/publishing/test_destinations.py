"""`publish` in stakewatch.yaml, and the types of targets that it names."""

import sys
from pathlib import Path

import pytest

from stakewatch.bundle.configuration import load_configuration_text
from stakewatch.bundle.destinations import workspace_url
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.validation import schema
from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing.sessions import chosen
from stakewatch.publishing.target import Source, find_type, target_type

ROOT = Path(__file__).parents[3]
AMP = "type: amp, region: eu-west-1, workspace: ws-1"
ID = "ws-0a1b2c3d-0000-1111-2222-333344445555"
ONLY_ID = f"write only its id: {ID}"
TYPES = schema()["properties"]["publish"]["additionalProperties"]["properties"]["type"]["enum"]


def refused(text: str) -> str:
    with pytest.raises(InputError) as error:
        load_configuration_text(text, Path("stakewatch.yaml"))
    return str(error.value)


def test_destinations_keep_their_order_and_know_where_they_stand() -> None:
    text = f"publish:\n  z: {{{AMP}}}\n  a:\n    type: grafana\n    url: https://g\n"
    made = load_configuration_text(text, Path("stakewatch.yaml")).publish
    assert [(one.name, one.type, one.place) for one in made] == [
        ("z", "amp", "stakewatch.yaml:2"),
        ("a", "grafana", "stakewatch.yaml:3"),
    ]
    assert dict(made[0].options) == {"region": "eu-west-1", "workspace": "ws-1"}


def test_files_of_this_machine_are_relative_to_stakewatch_yaml() -> None:
    text = """
publish:
  g: {type: grafana, url: "https://g", token_file: secrets/token, folder: Of mine}
  p: {type: prometheus, config_path: /etc/prometheus, pid_file: run/pid}
"""
    grafana, prometheus = load_configuration_text(text, Path("/etc/here/stakewatch.yaml")).publish
    assert Path(grafana.options["token_file"]) == Path("/etc/here/secrets/token")
    assert grafana.options["folder"] == "Of mine"
    assert prometheus.options["config_path"] == "/etc/prometheus"
    assert prometheus.options["pid_file"] == "/etc/here/run/pid"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{type: apm}", "did you mean amp?"),
        ("{region: eu-west-1}", "has no type"),
        ("{type: amp, region: eu-west-1}", "has no workspace"),
        (f"{{{AMP}, regon: x}}", "did you mean region?"),
        (f"{{{AMP}, token_file: x}}", 'unknown key "token_file"'),
        ("{type: amp, region: Ireland, workspace: ws-1}", "eu-west-1"),
        ("{type: amp, region: eu-west-1, workspace: 'ws/../x'}", "list-workspaces"),
        ("{type: amp, region: eu-west-1, workspace: my-workspace}", "write the id, ws-…, as"),
        (f"{{type: amp, region: eu-west-1, workspace: 'arn:aws:aps:eu-west-1:1:workspace/{ID}'}}", ONLY_ID),
        (f"{{type: amp, region: eu-west-1, workspace: '{workspace_url('eu-west-1', ID)}/api/v1'}}", ONLY_ID),
        (f"{{type: amp, region: eu-west-1, workspace: ' {ID}'}}", ONLY_ID),
        ("{type: amp, region: eu-west-1, workspace: g-0a1b2c3d4e}", "type: amg; here stands one of Prometh"),
        (f"{{type: amg, region: eu-west-1, workspace: {ID}}}", "type: amp; here stands one of Grafana"),
        (
            "{type: amg, region: eu-west-1, workspace: 'https://g-0a1b2c3d4e.grafana-workspace.eu-west-1.x/'}",
            "write only its id: g-0a1b2c3d4e",
        ),
        (
            "{type: amg, region: eu-west-1, workspace: 'arn:aws:grafana:x:1:/workspaces/g-0a1b2c3d4e'}",
            "write only its id: g-0a1b2c3d4e",
        ),
        ("{type: amg, region: eu-west-1, workspace: g-0A1B2C3D4E}", "write the id, g-…, as"),
        ("{type: amg, region: eu-west-1, workspace: 7}", "must be text"),
        (f"{{{AMP}, role_arn: me}}", "arn:aws:iam::ACCOUNT:role/NAME"),
        (f"{{{AMP}, prefix: 'a b'}}", "letters, digits"),
        (f"{{{AMP}, alertmanager: no}}", "true or false"),
        ("{type: grafana, url: 'https://me:hunter2@g'}", "holds a user or password"),
        ("{type: grafana, url: 'https://g', data_source: {url: 'https://u:p@x'}}", "user or password"),
        ("{type: prometheus}", "has no config_path"),
        ("amp", "must be keys with values"),
        ("", "has no value"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_without_secrets(entry: str, said: str) -> None:
    message = refused(f"publish:\n  here: {entry}\n")
    assert said in message
    assert "2 problems" not in message
    assert "stakewatch.yaml:2" in message
    assert "hunter2" not in message


def test_names_of_targets_are_plain_words() -> None:
    assert "may not stand under publish" in refused(f'publish: {{"a b": {{{AMP}}}}}')
    assert "may not stand under publish" in refused(f'publish: {{"-a": {{{AMP}}}}}')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (AMP, f"{AMP}, prefix: mine-, owner: stakewatch"),
        ("type: grafana, url: 'https://g'", "type: grafana, url: 'https://g', folder: Stakewatch"),
        ("type: prometheus, config_path: p", "type: prometheus, config_path: p, url: 'http://p'"),
    ],
)
def test_two_targets_may_not_remove_each_other_s_objects(one: str, other: str) -> None:
    message = refused(f"publish:\n  a: {{{one}}}\n  b: {{{other}}}\n")
    assert "stakewatch.yaml:3" in message
    assert '"b" publishes to where "a" does' in message


def test_two_owners_share_a_workspace() -> None:
    text = f"publish:\n  a: {{{AMP}}}\n  b: {{{AMP}, owner: me, prefix: me-}}\n"
    assert len(load_configuration_text(text, Path("stakewatch.yaml")).publish) == 2


def test_without_publish_there_is_nothing_to_choose_from() -> None:
    for text in ("network: hoodi", "publish:", "publish: {}"):
        configuration = load_configuration_text(text, Path("stakewatch.yaml"))
        with pytest.raises(InputError, match="names no target"):
            chosen(configuration, ())


def test_targets_are_chosen_by_name_in_the_order_of_the_file() -> None:
    others = (f"{name}: {{{AMP}, owner: {name}}}" for name in "bac")
    text = f"publish: {{{', '.join(others)}}}"
    configuration = load_configuration_text(text, Path("stakewatch.yaml"))
    assert [one.name for one in chosen(configuration, ())] == ["b", "a", "c"]
    assert [one.name for one in chosen(configuration, ("c", "b", "c"))] == ["b", "c"]
    with pytest.raises(InputError, match='no target "d"'):
        chosen(configuration, ("a", "d"))


@pytest.mark.parametrize("name", TYPES)
def test_every_type_that_the_schema_knows_can_be_made_from_the_example(name: str) -> None:
    text = (ROOT / "stakewatch.example.yaml").read_text(encoding="utf-8")
    configuration = load_configuration_text(text, ROOT / "stakewatch.example.yaml")
    (destination,) = (one for one in configuration.publish if one.type == name)
    kind = find_type(name)
    assert kind.builds
    target = kind.make(Source(Bundle(ROOT), configuration, destination))
    assert target.where
    assert target.kinds
    assert target.workers >= 1


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stakewatch.publishing.am")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "stakewatch.publishing.aws", raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(StakewatchError, match="needs the package boto3") as error:
        find_type("amp")
    assert "stakewatch[aws]" in str(error.value.mend)


def test_two_types_of_one_name_are_a_mistake() -> None:
    find_type("amp")
    with pytest.raises(ValueError, match="two types of targets are named amp"):
        target_type("amp", builds=())(find_type("amp").make)


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-1", "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1"),
        ("cn-north-1", "https://aps-workspaces.cn-north-1.amazonaws.com.cn/workspaces/ws-1"),
    ],
)
def test_a_workspace_has_its_address_by_region(region: str, url: str) -> None:
    assert workspace_url(region, "ws-1") == url
