"""Lines of real programs, and what the bundle's pipelines read from them."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.logs import checks
from stakewatch.logs.interpretation import Entry, interpret
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.samples import Sample, load_samples, samples_path
from stakewatch.logs.stages import Stage

FOLDER = Path(__file__).parents[2] / "samples" / "logs"
SAMPLES = load_samples(FOLDER)
REAL = FOLDER / "real"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.path.stem}:{sample.number}")
def test_a_sample_is_read_as_it_says(sample: Sample, stages: tuple[Stage, ...]) -> None:
    assert list(sample.differences(interpret(stages, sample.entry()))) == []


def test_a_sample_says_what_is_other_than_expected(stages: tuple[Stage, ...]) -> None:
    sample = SAMPLES[0]
    found = interpret(stages, sample.entry())
    wrong = Entry("other", {}, 1, {**found.metadata, "slot": "5"})
    differences = "\n".join(sample.differences(wrong))
    assert "slot is 5, expected none" in differences
    assert "level is missing" in differences
    assert "the line is kept as 'other'" in differences
    assert "the time is 1, expected" in differences


def test_every_program_has_samples_in_each_of_its_formats(pipelines: Pipelines) -> None:
    for one in pipelines.pipelines:
        lines = [sample.shown for sample in SAMPLES if sample.labels["implementation"] == one.implementation]
        assert not one.json or any(line.startswith("{") for line in lines), one.implementation
        assert not one.text or any(not line.startswith("{") for line in lines), one.implementation


def test_every_role_of_a_program_has_samples(pipelines: Pipelines) -> None:
    wanted = {(one.implementation, role) for one in pipelines.pipelines for role in one.roles}
    found = {(sample.labels["implementation"], sample.labels.get("role", "")) for sample in SAMPLES}
    assert wanted - found == set()


def test_every_field_and_every_error_class_is_found_in_a_sample(pipelines: Pipelines) -> None:
    found = {name for sample in SAMPLES for name in sample.expected}
    assert set(pipelines.metadata) - found == set()
    classes = {sample.expected.get("error_class") for sample in SAMPLES}
    assert set(pipelines.error_classes) - classes == {"disk_full"}
    assert {sample.expected.get("level", "") for sample in SAMPLES} >= {"", *pipelines.levels} - {"trace"}


def test_every_expression_of_an_error_class_is_found_in_some_line(
    pipelines: Pipelines, read: Callable[..., Entry]
) -> None:
    assert read("WARN [11-21|11:41:57.638] write failed err=ENOSPC").metadata["error_class"] == "disk_full"
    seen = {(sample.labels["implementation"], sample.expected.get("error_class")) for sample in SAMPLES}
    declared = {(one.implementation, error.name) for one in pipelines.pipelines for error in one.errors}
    assert declared - seen == set()


def counts(file: str, labels: dict[str, str], stages: tuple[Stage, ...]) -> Counter[str]:
    """Return how often each level and field was read from a file of real lines."""
    found: Counter[str] = Counter()
    for line in (REAL / file).read_text(encoding="utf-8").splitlines():
        entry = interpret(stages, Entry(line, {"instance": "node-1", **labels}))
        found["lines"] += 1
        found[entry.labels.get("level", "no level")] += 1
        found.update(entry.metadata.keys())
        found["masked"] += "<masked>" in entry.line
    return found


@pytest.mark.parametrize("file", ["geth-1.17-json.log", "geth-1.17-terminal.log"])
def test_every_line_of_a_real_geth_has_a_level_and_every_number_is_read(
    file: str, stages: tuple[Stage, ...]
) -> None:
    found = counts(file, {"implementation": "geth", "role": "execution"}, stages)
    text = (REAL / file).read_text(encoding="utf-8")
    assert found["no level"] == 0
    assert found["info"] + found["warn"] == found["lines"]
    assert found["block_number"] == sum(
        '"number":' in line or " number=" in line for line in text.splitlines()
    )
    assert found["masked"] == 0


@pytest.mark.parametrize(
    ("file", "role"),
    [
        ("lodestar-beacon-1.5.1.log", "beacon"),
        ("lodestar-validator-1.5.1.log", "validator"),
        ("lodestar-validator-1.5.1-el-fault.log", "validator"),
    ],
)
def test_every_line_of_a_real_lodestar_has_a_level_but_for_what_node_writes(
    file: str, role: str, stages: tuple[Stage, ...]
) -> None:
    found = counts(file, {"implementation": "lodestar", "role": role}, stages)
    lines = (REAL / file).read_text(encoding="utf-8").splitlines()
    assert found["no level"] == sum(not line.startswith("Nov-21 ") for line in lines)
    assert found["slot"] >= sum(" slot: " in line or " slot=" in line for line in lines)
    assert found["pubkey"] == sum("info\x1b[39m: 0x" in line for line in lines)
    assert found["masked"] == 0


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("labels: {}\nsamples: []\n", "empty"),
        ("labels: {}\nsamples:\n  - line: x\n    expected: {}\n", "no source"),
        ("labels: {}\nsamples:\n  - {source: x, line: x, expected: {slot: [1]}}\n", "must be"),
        ("labels: {}\nsamples:\n  - {source: x, line: x, expected: {}, shwon: y}\n", "shwon"),
    ],
)
def test_a_sample_file_that_is_wrong_says_so(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=what):
        load_samples(tmp_path)


def test_the_check_finds_a_line_that_is_read_otherwise(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path)
    (tmp_path / "loki").mkdir()
    folder = samples_path(bundle)
    folder.mkdir(parents=True)
    assert list(checks.samples(bundle, Configuration())) == []
    shutil.copyfile(FOLDER.parents[2] / "loki" / "pipelines.yaml", tmp_path / "loki" / "pipelines.yaml")
    text = (FOLDER / "reth.yaml").read_text(encoding="utf-8")
    (folder / "reth.yaml").write_text(text.replace("peers: 9}", "peers: 8}"), encoding="utf-8")
    (found,) = checks.samples(bundle, Configuration())
    assert found.message == "peers is 9, expected 8"
    assert "connected_peers=9" in text.splitlines()[found.line - 1]


def test_a_folder_without_samples_has_none(tmp_path: Path) -> None:
    assert load_samples(tmp_path / "absent") == ()
