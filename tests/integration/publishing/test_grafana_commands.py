"""The commands on a Grafana and on a Prometheus' folder: exit codes, and what a person reads."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stakewatch.cli.main import main
from tests.unit.publishing.fake_grafana import ADMIN, FakeGrafana, page, serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def there() -> Iterator[FakeGrafana]:
    """Return a Grafana; what its documentation does not know of our requests fails the test."""
    with serving(FakeGrafana()) as grafana:
        yield grafana
    assert grafana.wrong == []


@pytest.fixture
def run(
    tmp_path: Path, there: FakeGrafana, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Return what runs `stakewatch` in a bundle with two targets: exit code, output and messages."""
    bundle = tmp_path / "bundle"
    (bundle / "rules").mkdir(parents=True)
    rule = "{alert: Down, expr: up == 0, labels: {severity: warning}, annotations: {summary: It is down}}"
    (bundle / "rules" / "a.yaml").write_text(
        f"groups:\n  - name: a\n    rules:\n      - {rule}\n", encoding="utf-8"
    )
    (bundle / "stakewatch.yaml").write_text(
        f"""
publish:
  boards:
    type: grafana
    url: {there.url}
    folder: Staking
    data_source: {{name: metrics, url: 'http://prometheus.internal:9090'}}
  files:
    type: prometheus
    config_path: ../prometheus
""",
        encoding="utf-8",
    )
    monkeypatch.chdir(bundle)
    monkeypatch.setenv("GRAFANA_TOKEN", ADMIN)
    monkeypatch.delenv("COLUMNS", raising=False)

    def answer(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stakewatch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return answer


def test_plan_apply_plan_and_status(run: Run, there: FakeGrafana) -> None:
    code, out, _ = run("plan", "boards")
    assert code == 2
    assert "+ folder staking is created" in out
    assert out.endswith("boards: 2 to create\n")
    code, out, _ = run("apply", "boards", "--yes")
    assert (code, "done: data source metrics created" in out) == (0, True)
    assert set(there.data_sources) == {"metrics"}
    assert run("plan", "boards")[0] == 0
    code, out, _ = run("status", "boards")
    assert code == 0
    assert "Successfully queried the Prometheus API." in out
    there.data_sources["metrics"] |= {"url": "http://theirs", "version": 2}
    code, out, _ = run("plan", "boards")
    assert code == 2
    assert '-  "url": "http://theirs"' in out
    assert '+  "url": "http://prometheus.internal:9090"' in out


def test_nothing_is_changed_without_an_answer(run: Run, there: FakeGrafana) -> None:
    code, _, said = run("apply", "boards")
    assert code != 0
    assert "give --yes" in said
    assert there.writes == []


def test_each_trouble_is_one_line_and_a_mend(
    run: Run, there: FakeGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", "glsa_expired")
    code, _, said = run("plan", "boards")
    assert code == 1
    assert said == (
        f"stakewatch: boards: GET {there.url}/api/folders/staking: not signed in (401): Invalid API key\n"
        "  check token_file or GRAFANA_TOKEN: the token may be wrong, expired or deleted\n"
    )
    monkeypatch.setenv("GRAFANA_TOKEN", ADMIN)
    there.instead = lambda _method, _path, _number: page(403)
    code, _, said = run("apply", "boards", "--yes")
    assert (code, len(said.splitlines())) == (1, 2)
    assert "refused with a page (403), not by the API itself" in said
    monkeypatch.delenv("GRAFANA_TOKEN")
    code, _, said = run("plan", "boards")
    assert code == 1
    assert "there is no token for this Grafana" in said
    assert there.writes == []


def test_one_target_that_cannot_be_asked_keeps_no_other_from_its_plan(run: Run, there: FakeGrafana) -> None:
    there.instead = lambda _method, _path, _number: page(401)
    code, out, said = run("plan", "--json")
    assert code == 1
    boards, files = json.loads(out)
    assert "refused with a page (401)" in boards["error"]
    assert files["summary"]["create"] > 0
    assert "boards" in said


def test_files_are_published_and_nothing_is_left_to_do(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("apply", "files", "--yes")
    assert code == 0, out
    assert (tmp_path / "prometheus" / "prometheus.yaml").is_file()
    code, out, _ = run("plan", "files")
    assert (code, f"files (prometheus): {tmp_path}/prometheus\n" in out) == (0, True)
