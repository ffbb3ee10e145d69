"""The data file of the pipelines: what it says, and what is wrong with others."""

import re
from pathlib import Path

import pytest
import yaml

from stakewatch.errors import InputError
from stakewatch.logs.compilation import stages_of
from stakewatch.logs.pipelines import Pipelines, load_pipelines
from stakewatch.logs.stages import LabelsKept, Match, Stage, StructuredMetadata, Timestamp
from tests.unit.logs import river

ROOT = Path(__file__).parents[3]
SMALL = """
labels: [cluster, instance, level]
levels: {info: [info], warn: [warn]}
fields: {slot: {kind: integer, describes: the slot}}
secrets: {token: 'token=(\\S+)'}
crashes: '^panic: '
error_classes: {disk_full: no space is left}
pipelines:
  prysm:
    roles: [beacon]
    describes: text
    text: {level: '^{value} ', fields: {slot: 'slot={value}'}}
    errors: {disk_full: no space}
  any: {roles: [], describes: the rest}
"""


def load(text: str, folder: Path) -> Pipelines:
    path = folder / "pipelines.yaml"
    path.write_text(text, encoding="utf-8")
    return load_pipelines(path)


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    pipelines = load(SMALL, tmp_path)
    assert pipelines.metadata == ("slot", "error_class")
    assert pipelines.storm is None
    assert [one.implementation for one in pipelines.pipelines] == ["prysm"]
    assert stages_of(pipelines)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("labels: [cluster", "label: [cluster", "unknown key"),
        ("kind: integer", "kind: number", 'is "number"'),
        ("fields: {slot: {kind", "fields: {level: {kind", "taken by a label"),
        ("fields: {slot: {kind", "fields: {stream: {kind", "taken by a label or a stage"),
        ("fields: {slot: {kind", "fields: {Slot: {kind", "may not stand"),
        ("[warn]}", "[info]}", "stands for info already"),
        ("[warn]}", "[WARN]}", "lower case"),
        (r"token=(\S+)", r"token=\S+", "nothing would be masked"),
        (r"token=(\S+)", "token=(.*", "no expression for all shippers"),
        (r"token=(\S+)", "(a*)", "matches every line"),
        ("'^panic: '", "'^(panic): '", "group of its own"),
        ("'^panic: '", "'^(?=panic)'", "no expression for all shippers"),
        ("'^{value} '", "'^ '", "write {value}"),
        ("'slot={value}'", "'slot={value}{value}'", "write {value}"),
        ("'slot={value}'", "'(slot)={value}'", "group of its own"),
        ("fields: {slot: 'slot", "fields: {epoch: 'slot", "is not declared above"),
        ("errors: {disk_full", "errors: {disc_full", "did you mean disk_full"),
        ("roles: [beacon]", "roles: [bacon]", "bacon"),
        ("  any: {", "  other: {", "has no any"),
        ("  prysm:", "  Prysm!:", "may not stand"),
        ("describes: text\n", "describes: text\n    json: {level: 'a[0]'}\n", "KEY"),
        (
            "describes: text\n",
            "describes: text\n    json: {time: {from: t, layout: '01-02|15:04:05'}}\n",
            "never read",
        ),
        ("pipelines:", "storm: {levels: [loud], lines_per_second: 1, burst: 1}\npipelines:", "loud"),
        ("pipelines:", "errors: {disc_full: x}\npipelines:", "disc_full"),
        ("pipelines:", "labels: [level]\npipelines:", "second time"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(old: str, new: str, what: str, tmp_path: Path) -> None:
    assert old in SMALL
    with pytest.raises(InputError) as raised:
        load(SMALL.replace(old, new, 1), tmp_path)
    assert what in str(raised.value)
    assert "pipelines.yaml:" in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "labels: []", "a: &b 1\nc: *b\n", "\x00", "labels: [\n"])
def test_a_file_of_another_kind_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load(text, tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_pipelines(tmp_path / "absent.yaml")


def test_the_bundle_reads_every_program_of_the_issue_and_all_roles(pipelines: Pipelines) -> None:
    known = {one.implementation: one.roles for one in pipelines.pipelines}
    execution = {name for name, roles in known.items() if roles == ("execution",)}
    consensus = {name for name, roles in known.items() if roles == ("beacon", "validator")}
    assert execution == {"geth", "erigon", "nethermind", "besu", "reth"}
    assert consensus == {"lighthouse", "prysm", "teku", "lodestar", "nimbus"}
    assert known.keys() - execution - consensus == {
        *("web3signer", "mev-boost", "haproxy", "kubelet", "kernel", "kubernetes-audit"),
    }


def test_the_labels_of_the_bundle_are_those_of_the_contract(pipelines: Pipelines) -> None:
    contract = ("cluster", "region", "network", "role", "implementation", "instance")
    assert pipelines.labels == (*contract, "level")


def all_stages(stages: tuple[Stage, ...]) -> list[Stage]:
    """Return stages and those inside of them."""
    return [
        each for one in stages for each in (one, *(all_stages(one.stages) if isinstance(one, Match) else ()))
    ]


def test_no_time_without_year_and_zone_is_read(stages: tuple[Stage, ...]) -> None:
    layouts = {one.layout for one in all_stages(stages) if isinstance(one, Timestamp)}
    assert layouts == {"RFC3339Nano", "2006-01-02 15:04:05.000Z07:00"}


def test_labels_are_cut_before_metadata_is_made_so_that_none_is_there_twice(
    stages: tuple[Stage, ...],
) -> None:
    kinds = [type(stage) for stage in stages]
    assert kinds.index(LabelsKept) < kinds.index(StructuredMetadata) == len(kinds) - 1


def test_the_file_is_plain_yaml_for_other_readers_too(pipelines: Pipelines) -> None:
    data = yaml.safe_load((ROOT / "loki" / "pipelines.yaml").read_text(encoding="utf-8"))
    assert list(data["secrets"]) == list(pipelines.secrets)
    assert data["secrets"]["jwt"] == pipelines.secrets["jwt"]
    assert len(data["pipelines"]) == len(pipelines.pipelines) + 1


def test_the_page_names_every_program_field_and_class(pipelines: Pipelines) -> None:
    page = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    for one in pipelines.pipelines:
        roles = ", ".join(one.roles) or "platform"
        assert f"| `{one.implementation}` | {roles} | {one.describes} |" in page
    for field in pipelines.fields:
        assert f"| `{field.name}` | {field.describes} |" in page
    for name, describes in pipelines.error_classes.items():
        assert f"| `{name}` | {describes} |" in page
    for name in (*pipelines.labels, *pipelines.levels, *pipelines.secrets):
        assert f"`{name}`" in page


def test_the_alloy_of_the_page_is_well_formed() -> None:
    page = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```alloy\n(.*?)```", page, re.DOTALL)
    assert [block.name for block in river.read(snippet)] == ["loki.relabel", "loki.source.awsfirehose"]
