"""Both majors of promtool accept what is printed and scaled."""

import subprocess
from pathlib import Path

import pytest
import yaml

from stakewatch.programs.find import locate
from stakewatch.promql import parse, print_expression, scale_durations
from tests.unit.promql.corpus import load_rules


def _check(promtool: str, expressions: list[str], folder: Path) -> None:
    rules = [{"record": f"test:rule:{number}", "expr": text} for number, text in enumerate(expressions)]
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "test", "rules": rules}]}, allow_unicode=True))
    command: list[str | Path] = [locate(promtool).path, "check", "rules", "--lint=none", path]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"{len(rules)} rules found" in ended.stdout


@pytest.mark.timeout(120)
@pytest.mark.parametrize("promtool", ["promtool", "promtool2"])
def test_our_rules_printed_and_scaled_are_accepted(promtool: str, tmp_path: Path) -> None:
    texts = load_rules()
    assert texts
    changed = [print_expression(parse(text)) for text in texts]
    changed += [scale_durations(text, 1 / 48, 2) for text in texts]
    _check(promtool, changed, tmp_path)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("promtool", ["promtool", "promtool2"])
def test_what_only_the_canonical_form_makes_portable_is_accepted_by_both(
    promtool: str, tmp_path: Path
) -> None:
    texts = ["rate(x[300])", "x offset 90", "x == 0x10", "x and max_over_time(rate(y[60])[1h:30])"]
    _check(promtool, [print_expression(parse(text)) for text in texts], tmp_path)
