"""What is rendered from the pipelines: Promtail's and Alloy's configurations, and DaemonSets for both."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from stakewatch.bundle.configuration import Configuration, load_configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.generated import compare, write
from stakewatch.cli.logs import command
from stakewatch.logs import checks
from stakewatch.logs.collection import Shipping
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.promtail import promtail_configuration
from stakewatch.logs.rendering import rendered
from stakewatch.logs.river import Block as Printed
from stakewatch.logs.river import Reference, Value, print_blocks
from stakewatch.logs.stages import LabelMatcher, LineFilter, Match, Selector, Stage
from stakewatch.logs.targets import build_logs
from tests.unit.logs import river

ROOT = Path(__file__).parents[3]
FLEET = """
network: hoodi
fleet:
  cluster: staking-1
  region: eu-west-1
  beacon_nodes: [{instance: beacon-1, implementation: lighthouse, url: 'http://127.0.0.1:5052'}]
kubernetes: {namespace: watch}
"""
# Alloy's names of arguments, where they are other than Promtail's:
# https://grafana.com/docs/alloy/latest/reference/components/loki/loki.process/
PROMTAIL_NAMES = {"label_keep": "labelallow"}
IN_VALUES = {"labels", "label_keep", "structured_metadata"}


@pytest.fixture(scope="module")
def files(pipelines: Pipelines) -> Mapping[str, str]:
    return rendered(pipelines, Configuration())


@pytest.fixture(scope="module")
def promtail(files: Mapping[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(files["promtail/promtail.yaml"])
    return content


def promtail_stages(blocks: Sequence[river.Block]) -> list[dict[str, Any]]:
    """Return the stages of an Alloy configuration as Promtail would write them."""
    stages: list[dict[str, Any]] = []
    for block in blocks:
        kind, _, name = block.name.partition(".")
        assert kind == "stage"
        assert block.label is None
        content: Any = dict(block.attributes)
        if name in IN_VALUES:
            assert set(content) == {"values"}
            content = content["values"]
        if name == "match":
            content["stages"] = promtail_stages(block.blocks)
        else:
            assert block.blocks == []
        stages.append({PROMTAIL_NAMES.get(name, name): content})
    return stages


def component(blocks: Sequence[river.Block], name: str, label: str | None = None) -> river.Block:
    (found,) = (block for block in blocks if block.name == name and label in (None, block.label))
    return found


def config_map(files: Mapping[str, str], shipper: str, name: str) -> str:
    manifests = yaml.safe_load_all(files[f"kubernetes/{shipper}.yaml"])
    (found,) = (one["data"][name] for one in manifests if one["kind"] == "ConfigMap")
    return str(found)


def test_alloys_configuration_is_well_formed_and_its_stages_are_promtails(
    files: Mapping[str, str], promtail: Mapping[str, Any]
) -> None:
    blocks = river.read(files["alloy/config.alloy"])
    stages = promtail_stages(component(blocks, "loki.process").blocks)
    wanted = promtail["scrape_configs"][0]["pipeline_stages"]
    # An empty stage is `{ }` there and nothing here.
    assert [{name: how or {} for name, how in one.items()} for one in wanted] == stages
    assert len(stages) > 30


def test_selectors_are_written_as_promtails_own_reader_wants_them(stages: tuple[Stage, ...]) -> None:
    # It knows no strings between backticks, which Loki and Alloy do know.
    def selectors(some: tuple[Stage, ...]) -> list[Selector]:
        inside = [one for one in some if isinstance(one, Match)]
        return [each for one in inside for each in (one.selector, *selectors(one.stages))]

    assert len(selectors(stages)) > 100
    assert not any("`" in selector.text() for selector in selectors(stages))
    labels = (LabelMatcher("a", "=~", r"b\d"), LabelMatcher("c", "!=", 'd"'))
    text = Selector(labels, LineFilter("!~", r"^\s")).text()
    assert text == r'{a=~"b\\d", c!="d\""} !~ "^\\s"'


def test_the_stages_of_a_cluster_are_those_of_a_machine(
    files: Mapping[str, str], promtail: Mapping[str, Any]
) -> None:
    wanted = promtail["scrape_configs"][0]["pipeline_stages"]
    of_promtail = yaml.safe_load(config_map(files, "promtail", "promtail.yaml"))
    assert [job["job_name"] for job in of_promtail["scrape_configs"]] == ["pods", "journal", "audit"]
    assert all(job["pipeline_stages"] == wanted for job in of_promtail["scrape_configs"])
    of_alloy = river.read(config_map(files, "alloy", "config.alloy"))
    machine = river.read(files["alloy/config.alloy"])
    assert component(of_alloy, "loki.process") == component(machine, "loki.process")


@pytest.mark.parametrize("place", ["machine", "cluster"])
def test_every_component_that_alloy_is_told_of_is_there(place: str, files: Mapping[str, str]) -> None:
    text = files["alloy/config.alloy"] if place == "machine" else config_map(files, "alloy", "config.alloy")
    blocks = river.read(text)
    there = {f"{block.name}.{block.label}" for block in blocks}
    assert len(there) == len(blocks)

    def references(value: river.Value) -> list[str]:
        if isinstance(value, river.Expression):
            return [value.text]
        if isinstance(value, dict):
            return [each for one in value.values() for each in references(one)]
        return [each for one in value for each in references(one)] if isinstance(value, list) else []

    asked = [
        each
        for block in blocks
        for value in block.attributes.values()
        for each in references(value)
        if not each.startswith("sys.")
    ]
    assert len(asked) >= 6
    assert {each.rpartition(".")[0] for each in asked} <= there


@pytest.mark.parametrize("place", ["machine", "cluster"])
def test_rules_of_relabelling_are_the_same_for_both(place: str, files: Mapping[str, str]) -> None:
    if place == "machine":
        alloy = river.read(files["alloy/config.alloy"])
        jobs = yaml.safe_load(files["promtail/promtail.yaml"])["scrape_configs"]
    else:
        alloy = river.read(config_map(files, "alloy", "config.alloy"))
        jobs = yaml.safe_load(config_map(files, "promtail", "promtail.yaml"))["scrape_configs"]
    of_promtail = {job["job_name"]: job["relabel_configs"] for job in jobs if "relabel_configs" in job}
    of_alloy = {
        block.label: [dict(rule.attributes) for rule in block.blocks]
        for block in alloy
        if block.name in ("loki.relabel", "discovery.relabel")
    }
    assert of_alloy == of_promtail


def test_lines_wait_for_loki_and_are_not_given_up(
    files: Mapping[str, str], promtail: Mapping[str, Any]
) -> None:
    (client,) = promtail["clients"]
    assert client["backoff_config"]["max_retries"] == 0
    endpoint = component(river.read(files["alloy/config.alloy"]), "loki.write").blocks[0]
    assert endpoint.attributes["max_backoff_retries"] == 0
    assert endpoint.attributes["url"] == client["url"] == "http://127.0.0.1:3100/loki/api/v1/push"


def test_a_batch_is_half_of_what_a_shipper_goes_back_by(
    files: Mapping[str, str], promtail: Mapping[str, Any]
) -> None:
    (client,) = promtail["clients"]
    endpoint = component(river.read(files["alloy/config.alloy"]), "loki.write").blocks[0]
    assert endpoint.attributes["batch_size"] == f"{client['batchsize'] // 1024}KiB"
    assert f"bytes=${{REWIND_BYTES:-{2 * client['batchsize']}}}" in files["rewind.sh"]


@pytest.mark.parametrize(
    ("shipper", "configuration", "program"),
    [("alloy", "config.alloy", "/bin/alloy"), ("promtail", "promtail.yaml", "/usr/bin/promtail")],
)
def test_a_daemon_set_goes_back_whenever_its_container_starts(
    shipper: str, configuration: str, program: str, files: Mapping[str, str]
) -> None:
    # Not in an init container: that does not run again when the kernel killed the shipper.
    assert config_map(files, shipper, "rewind.sh") == files["rewind.sh"]
    manifests = {one["kind"]: one for one in yaml.safe_load_all(files[f"kubernetes/{shipper}.yaml"])}
    pod = manifests["DaemonSet"]["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    shell, script, *positions, separator, started = container["command"]
    assert (shell, separator, started) == ("sh", "--", program)
    assert script == f"{mounts['configuration']}/rewind.sh"
    assert all(path.startswith(f"{mounts['positions']}/") for path in positions)
    if shipper == "promtail":
        kept = yaml.safe_load(config_map(files, shipper, configuration))["positions"]["filename"]
        assert positions == [kept]
    else:
        sources = [
            block.label
            for block in river.read(config_map(files, shipper, configuration))
            if block.name == "loki.source.file"
        ]
        names = [Path(path).relative_to(mounts["positions"]).as_posix() for path in positions]
        assert names == [f"loki.source.file.{label}/positions.yml" for label in sources]


def test_the_end_of_promtails_life_is_the_first_thing_that_its_files_say(files: Mapping[str, str]) -> None:
    for name in ("promtail/promtail.yaml", "kubernetes/promtail.yaml"):
        comment = files[name].split("\nserver:", maxsplit=1)[0]
        assert "LIFE ENDED ON 2026-03-02" in comment
        assert "Move to Alloy" in comment


def test_promtail_on_a_machine_listens_on_loopback_only(promtail: Mapping[str, Any]) -> None:
    assert promtail["server"]["http_listen_address"] == "127.0.0.1"
    assert promtail["server"]["grpc_listen_port"] == 0


def test_no_text_of_promtails_file_would_be_taken_for_a_variable(pipelines: Pipelines) -> None:
    text = promtail_configuration(pipelines, Shipping(targets="/x/*.yaml", loki_url="http://loki:1"))
    assert "http://loki:1/loki/api/v1/push" in text
    assert "${" not in text


def test_a_daemon_set_may_see_pods_and_nothing_else(files: Mapping[str, str]) -> None:
    for shipper in ("alloy", "promtail"):
        manifests = {one["kind"]: one for one in yaml.safe_load_all(files[f"kubernetes/{shipper}.yaml"])}
        assert manifests["ClusterRole"]["rules"] == [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
        ]
        assert "namespace" not in manifests["ClusterRole"]["metadata"]
        name = manifests["ServiceAccount"]["metadata"]["name"]
        assert manifests["ClusterRoleBinding"]["subjects"][0]["name"] == name
        pod = manifests["DaemonSet"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["serviceAccountName"] == name
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert writable == {"positions", "temporary"}
        assert {mount["name"] for mount in container["volumeMounts"]} == {
            volume["name"] for volume in pod["volumes"]
        }


def test_the_committed_files_are_what_the_pipelines_make(files: Mapping[str, str]) -> None:
    assert list(compare(files, ROOT / "loki")) == []


def test_rendering_twice_changes_nothing_the_second_time(files: Mapping[str, str], tmp_path: Path) -> None:
    assert len(write(files, tmp_path)) == len(files) == 5
    assert write(files, tmp_path) == ()
    (tmp_path / "alloy" / "config.alloy").write_text("changed", encoding="utf-8")
    assert [path.name for path in write(files, tmp_path)] == ["config.alloy"]
    assert not list(tmp_path.rglob("*.partial"))


def bundle_of(folder: Path) -> Bundle:
    (folder / "rules").mkdir()
    shutil.copytree(ROOT / "loki", folder / "loki")
    return Bundle(folder)


def test_the_check_finds_a_file_that_was_edited_by_hand(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path)
    assert list(checks.generated_files(bundle, Configuration())) == []
    path = tmp_path / "loki" / "promtail" / "promtail.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    (tmp_path / "loki" / "alloy" / "config.alloy").unlink()
    messages = [finding.message for finding in checks.generated_files(bundle, Configuration())]
    assert messages == ["the file is missing", "the file is not what its pipeline makes"]


def test_a_bundle_without_pipelines_has_nothing_to_check_or_to_build(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path)
    assert list(checks.generated_files(bundle, Configuration())) == []
    assert list(checks.retention(bundle, Configuration())) == []
    (tmp_path / "built").mkdir()
    build_logs(bundle, Configuration(), tmp_path / "built")
    assert list((tmp_path / "built").iterdir()) == []


def test_what_is_built_names_the_place_of_the_fleet(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path)
    (tmp_path / "stakewatch.yaml").write_text(FLEET, encoding="utf-8")
    built = tmp_path / "built"
    built.mkdir()
    build_logs(bundle, load_configuration(tmp_path / "stakewatch.yaml"), built)
    jobs = yaml.safe_load((built / "promtail" / "promtail.yaml").read_text(encoding="utf-8"))
    journal = jobs["scrape_configs"][1]["journal"]
    assert journal["labels"] == {
        "job": "journal",
        "cluster": "staking-1",
        "region": "eu-west-1",
        "network": "hoodi",
    }
    manifests = list(yaml.safe_load_all((built / "kubernetes" / "alloy.yaml").read_text(encoding="utf-8")))
    assert {one["metadata"].get("namespace", "watch") for one in manifests} == {"watch"}
    assert (built / "loki.yaml").is_file()
    rules = {path.name for path in (ROOT / "loki" / "rules").glob("*.yaml")}
    assert {path.name for path in (built / "rules" / "fake").iterdir()} == rules


def test_the_command_writes_what_differs_and_says_so(tmp_path: Path) -> None:
    bundle_of(tmp_path)
    path = tmp_path / "loki" / "alloy" / "config.alloy"
    path.write_text("old", encoding="utf-8")
    said = CliRunner().invoke(command, ["render", "--check", "--bundle", str(tmp_path)])
    assert said.exit_code == 1
    assert path.read_text(encoding="utf-8") == "old"
    said = CliRunner().invoke(command, ["render", "--bundle", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert "config.alloy  written" in said.output
    assert CliRunner().invoke(command, ["render", "--check", "--bundle", str(tmp_path)]).exit_code == 0


def test_text_is_printed_so_that_alloy_reads_it_again() -> None:
    values: Mapping[str, Value] = {
        "plain": "a b",
        "quote": 'say "x"',
        "raw": r"\d+\.",
        "both": r"a`b\c",
        "line": "a\nb\tc",
        "other": "é…",
        "number": -3,
        "yes": True,
        "names": ["a", "b"],
        "empty": [],
        "object": {"a-b": "1", "c": "\\"},
        "objects": [{"a": "1", "b": [1]}, {"c": {"d": "e"}}],
        "reference": Reference("loki.write.loki.receiver"),
    }
    (block,) = river.read(print_blocks([Printed("some.block", "label", values)], heading="one\n\ntwo"))
    assert block.name == "some.block"
    assert block.label == "label"
    assert block.attributes == {**values, "reference": river.Expression("loki.write.loki.receiver")}


@pytest.mark.parametrize(
    "text",
    [
        "a {",
        "a { }}",
        "a { b = 1 c = 2\n}",
        "a { }\nb",
        "a = ",
        "a = 1\na = 2\n",
        'a = "x\\d"\n',
        'a = "x\n"\n',
        "a = `x\n",
        "a = [1 2]\n",
        "a = [1\n]\n",
        "a = { b 1 }\n",
        "a = { b = 1, b = 2 }\n",
        'a "not a name" { }\n',
        "a = 1;\n",
        "a.b = 1\n",
    ],
)
def test_the_reader_of_these_tests_refuses_what_alloy_would(text: str) -> None:
    with pytest.raises(river.RiverError):
        river.read(text)
