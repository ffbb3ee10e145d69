"""Target files without the labels that rules select by are refused: alerts on them could never fire."""

from pathlib import Path

import pytest
import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.rules.target_files import target_files
from stakewatch.rules.targets import build_prometheus

STAKING = """\
- targets: [10.0.0.7:5054]
  labels: {cluster: eu-1, region: eu-w, network: hoodi, role: beacon, implementation: teku, instance: b-1}
"""
PLATFORM = "- targets: [10.0.0.7:9100, 10.0.0.8:9100]\n  labels: {cluster: eu-1, region: eu-west-1}\n"


def written(root: Path, kind: str, text: str) -> Path:
    path = root / "targets" / kind / "eu-1.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def error_of(root: Path, kind: str, text: str) -> str:
    written(root, kind, text)
    with pytest.raises(InputError) as caught:
        target_files(root, kind)
    return str(caught.value)


def test_sound_files_of_both_kinds_are_built_as_they_are(tmp_path: Path) -> None:
    root, built = tmp_path / "bundle", tmp_path / "built"
    (root / "rules").mkdir(parents=True)
    rule = "groups: [{name: a, rules: [{record: a:b, expr: up}]}]"
    (root / "rules" / "a.yaml").write_text(rule, encoding="utf-8")
    built.mkdir()
    for kind, text in (("staking", STAKING), ("platform", PLATFORM)):
        written(root, kind, text)
    build_prometheus(Bundle(root), Configuration(), built)
    assert (built / "targets" / "staking" / "eu-1.yaml").read_text(encoding="utf-8") == STAKING
    assert (built / "targets" / "platform" / "eu-1.yaml").read_text(encoding="utf-8") == PLATFORM


def test_a_bundle_without_target_files_has_none(tmp_path: Path) -> None:
    assert target_files(tmp_path, "staking") == []


def test_a_file_with_nothing_but_comments_is_sound(tmp_path: Path) -> None:
    path = written(tmp_path, "staking", "# none yet\n")
    assert target_files(tmp_path, "staking") == [path]


def test_labels_of_ones_own_and_meta_labels_may_stand_beside(tmp_path: Path) -> None:
    path = written(
        tmp_path, "staking", STAKING.replace("{cl", "{pod: b-0, __metrics_path__: /debug/metrics, cl")
    )
    assert target_files(tmp_path, "staking") == [path]


def test_names_of_one_letter_are_names(tmp_path: Path) -> None:
    entry = yaml.safe_load(STAKING)
    entry[0]["labels"] |= dict.fromkeys(("cluster", "region", "network", "implementation", "instance"), "a")
    path = written(tmp_path, "staking", yaml.safe_dump(entry))
    assert target_files(tmp_path, "staking") == [path]


@pytest.mark.parametrize("label", ["cluster", "region", "network", "role", "implementation", "instance"])
def test_a_process_without_a_label_of_the_contract_is_refused_at_its_line(tmp_path: Path, label: str) -> None:
    entry = yaml.safe_load(STAKING)
    entry[0]["labels"][f"{label}x"] = entry[0]["labels"].pop(label)
    message = error_of(tmp_path, "staking", yaml.safe_dump(entry))
    assert f"[1].labels has no {label}\n  add {label}: " in message
    assert "eu-1.yaml:2: " in message or "eu-1.yaml:1: " in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("role: beacon", "role: beakon"), "did you mean beacon?"),
        (("[10.0.0.7:5054]", "[10.0.0.7:5054, 10.0.0.8:5054]"), "an entry for each process"),
        (("[10.0.0.7:5054]", "[]"), "is empty"),
        (("10.0.0.7:5054", "http://10.0.0.7:5054/metrics"), "write HOST:PORT"),
        (("cluster: eu-1", "cluster: 1"), "must be text"),
        (("targets:", "target:"), "did you mean targets?"),
        (("labels: {", "labels: ["), "not valid YAML"),
        (("instance: b-1", "instance: b-1, instance: b-2"), "instance"),
    ],
)
def test_a_wrong_target_is_refused_with_what_to_write(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    assert said in error_of(tmp_path, "staking", STAKING.replace(*change))


@pytest.mark.parametrize("text", ["targets: nonsense\n", "just text\n", "[1]\n"])
def test_what_is_no_list_of_targets_is_refused(tmp_path: Path, text: str) -> None:
    assert "eu-1.yaml" in error_of(tmp_path, "staking", text)


def test_a_platform_target_needs_no_role_but_its_cluster(tmp_path: Path) -> None:
    assert "has no cluster" in error_of(tmp_path, "platform", PLATFORM.replace("cluster", "cluser"))
