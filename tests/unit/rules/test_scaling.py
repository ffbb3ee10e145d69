"""Rule files with scaled durations."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.errors import InputError
from stakewatch.rules.scaling import scale_rule_files

RULES = """
groups:
  - name: validators
    interval: 1m
    rules:
      - record: level:metric:operation
        expr: sum(rate(metric[15m] offset 5m))
      - alert: Down
        # A comment.
        expr: |
          up == 0   # a clause
          and on () vector(900) > 300
        for: 2m
        keep_firing_for: 10m
        labels: {severity: warning}
        annotations: {summary: Down for 2m}
"""


def scaled(tmp_path: Path, text: str, factor: float, minimum_seconds: float) -> list[dict[str, Any]]:
    source = tmp_path / "rules"
    source.mkdir()
    (source / "some.yaml").write_text(text, encoding="utf-8")
    scale_rule_files(source, tmp_path / "scaled", factor, minimum_seconds)
    groups: list[dict[str, Any]] = yaml.safe_load(
        (tmp_path / "scaled" / "some.yaml").read_text(encoding="utf-8")
    )["groups"]
    return groups


def test_all_durations_are_scaled_and_nothing_else(tmp_path: Path) -> None:
    (group,) = scaled(tmp_path, RULES, 1 / 6, 1.0)
    record, alert = group["rules"]
    assert group["interval"] == "10s"
    assert record["expr"] == "sum(rate(metric[2m30s] offset 50s))"
    assert (alert["for"], alert["keep_firing_for"]) == ("20s", "1m40s")
    assert "vector(900) > 300" in alert["expr"]
    assert alert["annotations"] == {"summary": "Down for 2m"}
    assert alert["labels"] == {"severity": "warning"}


def test_a_range_is_never_shorter_than_the_minimum(tmp_path: Path) -> None:
    (group,) = scaled(tmp_path, RULES, 1 / 1000, 3.0)
    record, _ = group["rules"]
    assert "metric[3s]" in record["expr"]


def test_a_group_is_not_evaluated_more_often_than_once_a_second(tmp_path: Path) -> None:
    (group,) = scaled(tmp_path, RULES, 1 / 1000, 3.0)
    assert group["interval"] == "1s"


def test_what_does_not_come_out_even_is_rounded_to_a_millisecond(tmp_path: Path) -> None:
    (group,) = scaled(tmp_path, RULES, 1 / 7, 1.0)
    _, alert = group["rules"]
    assert (alert["for"], alert["keep_firing_for"]) == ("17s143ms", "1m25s714ms")


def test_files_keep_their_folders_and_are_told_and_may_be_written_again(tmp_path: Path) -> None:
    source, destination = tmp_path / "rules", tmp_path / "some" / "where"
    (source / "keys").mkdir(parents=True)
    for name in ("nodes.yaml", "keys/a.yaml"):
        (source / name).write_text(RULES, encoding="utf-8")
    for _ in range(2):
        written = scale_rule_files(source, destination, 0.5, 1.0)
        assert set(written) == {destination / "nodes.yaml", destination / "keys" / "a.yaml"}
    assert all(path.is_file() for path in written)


def test_a_folder_without_rule_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rule files"):
        scale_rule_files(tmp_path, tmp_path / "scaled", 1.0, 1.0)


@pytest.mark.parametrize("text", ["", "groups: 3", "[", "groups: [{rules: [{alert: X}]}]"])
def test_what_is_no_rule_file_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"some\.yaml"):
        scaled(tmp_path, text, 1.0, 1.0)


def test_a_wrong_expression_is_an_error_that_names_the_rule_and_its_line(tmp_path: Path) -> None:
    rule = "      - record: a\n        expr: |\n          vector(1) +\n          sum(]\n"
    text = f"groups:\n  - name: a\n    rules:\n{rule}"
    with pytest.raises(InputError, match=r"some\.yaml:7: a: "):
        scaled(tmp_path, text, 1.0, 1.0)


def test_a_duration_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    text = "groups:\n  - name: a\n    rules:\n      - alert: A\n        expr: up\n        for: 5 minutes\n"
    with pytest.raises(InputError, match=r"some\.yaml:6: '5 minutes' is no duration"):
        scaled(tmp_path, text, 1.0, 1.0)
