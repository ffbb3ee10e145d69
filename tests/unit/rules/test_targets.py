"""What is built from rules and routes."""

import shutil
from pathlib import Path

import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.rules.targets import build_amp_alertmanager, build_prometheus

REPOSITORY = Path(__file__).parents[3]


def test_prometheus_watches_itself_and_its_alertmanager(tmp_path: Path) -> None:
    build_prometheus(Bundle(REPOSITORY), Configuration(), tmp_path)
    jobs = yaml.safe_load((tmp_path / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
    files = {job["job_name"]: job["file_sd_configs"][0]["files"] for job in jobs}
    assert files["monitoring"] == ["targets/monitoring.yaml"]
    (entry,) = yaml.safe_load((tmp_path / "targets" / "monitoring.yaml").read_text(encoding="utf-8"))
    assert entry["targets"] == ["127.0.0.1:9090", "127.0.0.1:9093"]


def test_prometheus_gets_the_templates_beside_the_routes(tmp_path: Path) -> None:
    build_prometheus(Bundle(REPOSITORY), Configuration(), tmp_path)
    (pattern,) = yaml.safe_load((tmp_path / "alertmanager.yaml").read_text(encoding="utf-8"))["templates"]
    assert [one.name for one in tmp_path.glob(pattern)] == ["stakewatch.tmpl"]


def test_the_managed_service_gets_one_definition(tmp_path: Path) -> None:
    build_amp_alertmanager(Bundle(REPOSITORY), Configuration(), tmp_path)
    (file,) = tmp_path.iterdir()
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# Built from alertmanager/")
    assert set(yaml.safe_load(text)) == {"template_files", "alertmanager_config"}


def test_a_bundle_without_managed_receivers_gets_no_definition(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "built").mkdir()
    shutil.copytree(REPOSITORY / "alertmanager", tmp_path / "bundle" / "alertmanager")
    shutil.rmtree(tmp_path / "bundle" / "alertmanager" / "amp")
    build_amp_alertmanager(Bundle(tmp_path / "bundle"), Configuration(), tmp_path / "built")
    assert list((tmp_path / "built").iterdir()) == []
