"""`stakewatch check --rules`: anybody's rules, outside of a bundle."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.cli.check import command

RULES = """\
groups:
  - name: a
    rules:
      - alert: Down
        expr: up{job=" a"} == 0
        annotations: {text: "{{ .nothing }}"}
"""


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "down.yml").write_text(RULES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("place", ["theirs", "theirs/down.yml"])
@pytest.mark.usefixtures("rules")
def test_a_folder_and_a_file_are_checked_and_named_as_a_person_names_them(place: str) -> None:
    result = CliRunner().invoke(command, ["--rules", place])
    assert result.exit_code == 1
    assert "theirs/down.yml:5:4: rules/pitfalls: Down: job is matched" in result.output
    assert "theirs/down.yml:6: rules/templates: Down: text cannot be filled in" in result.output
    assert "3 checks, 2 findings" in result.output


def test_what_promtool_refuses_is_said_and_what_is_right_passes(rules: Path) -> None:
    path = rules / "down.yml"
    path.write_text(RULES.replace('" a"', '"a"').replace(".nothing", "$label.x"), encoding="utf-8")
    result = CliRunner().invoke(command, ["--rules", "theirs"])
    assert result.exit_code == 1
    assert "undefined variable" in result.output
    path.write_text(RULES.replace('" a"', '"a"').replace(".nothing", "$labels.job"), encoding="utf-8")
    assert CliRunner().invoke(command, ["--rules", "theirs"]).exit_code == 0


@pytest.mark.usefixtures("rules")
def test_a_check_can_be_named_and_json_is_for_programs() -> None:
    result = CliRunner().invoke(command, ["rules/catalogue", "--rules", "theirs", "--json"])
    (one,) = json.loads(result.stdout)
    assert (one["check"], one["findings"], result.exit_code) == ("rules/catalogue", [], 0)
    assert CliRunner().invoke(command, ["--rules", "theirs", "--report"]).exit_code == 2
