"""How long Loki keeps logs, and the two configurations that the bundle has."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.logs import checks
from stakewatch.logs.loki_configuration import loki_files, retention_problems
from stakewatch.promql import parse_duration

ROOT = Path(__file__).parents[3]
DISK = ROOT / "loki" / "loki.yaml"
S3 = ROOT / "loki" / "loki-s3.yaml"


def problems(text: str, folder: Path) -> list[str]:
    """Return what is said of a configuration, with the line that each stands on."""
    path = folder / "loki.yaml"
    path.write_text(text, encoding="utf-8")
    return [f"{one.line}: {one.what}" for one in retention_problems(path)]


@pytest.mark.parametrize("path", [DISK, S3], ids=lambda path: path.name)
def test_the_bundles_configurations_keep_ninety_days(path: Path) -> None:
    assert list(retention_problems(path)) == []


def test_the_bundle_has_one_for_a_disk_and_one_for_s3() -> None:
    assert loki_files(Bundle(ROOT)) == (S3, DISK)
    assert list(checks.retention(Bundle(ROOT), Configuration())) == []


def test_the_two_differ_in_their_store_only() -> None:
    disk: dict[str, Any] = yaml.safe_load(DISK.read_text(encoding="utf-8"))
    s3: dict[str, Any] = yaml.safe_load(S3.read_text(encoding="utf-8"))
    assert disk["common"].pop("storage").keys() == {"filesystem"}
    assert s3["common"].pop("storage").keys() == {"s3"}
    for content, store in ((disk, "filesystem"), (s3, "s3")):
        assert content["schema_config"]["configs"][0].pop("object_store") == store
        assert content["compactor"].pop("delete_request_store") == store
    assert disk == s3


def test_no_secret_and_no_open_port_stands_in_them() -> None:
    for path in (DISK, S3):
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        assert content["server"]["http_listen_address"] == "127.0.0.1"
        assert content["server"]["grpc_listen_address"] == "127.0.0.1"
        assert "access_key" not in text
        assert content["analytics"] == {"reporting_enabled": False}


def test_a_storm_runs_into_limits_before_loki_falls() -> None:
    limits = yaml.safe_load(DISK.read_text(encoding="utf-8"))["limits_config"]
    assert limits["max_line_size_truncate"] is True
    assert limits["ingestion_rate_mb"] <= 16
    assert limits["max_global_streams_per_user"] <= 2000


def test_lines_that_would_still_be_kept_are_taken_and_older_ones_refused_for_good() -> None:
    content = yaml.safe_load(DISK.read_text(encoding="utf-8"))
    limits = content["limits_config"]
    oldest = parse_duration(limits["reject_old_samples_max_age"])
    assert limits["reject_old_samples"] is True
    assert oldest >= parse_duration(limits["retention_period"])
    # Loki answers 500 to a line from before its first schema, and shippers try that again for ever.
    first = content["schema_config"]["configs"][0]["from"]
    released = datetime(2026, 11, 1, tzinfo=UTC)
    assert released - timedelta(seconds=oldest) > datetime.fromisoformat(f"{first}T00:00:00Z")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("retention_enabled: true", "retention_enabled: false", "nothing is ever deleted"),
        ("  retention_enabled: true\n", "", "nothing is ever deleted"),
        ("retention_enabled: true", 'retention_enabled: "true"', "nothing is ever deleted"),
        ("  delete_request_store: filesystem\n", "", "does not start without"),
        ("retention_period: 2160h", "retention_period: 2159h", "2159 hours, less than 90 days"),
        ("retention_period: 2160h", "retention_period: 30d", "720 hours, less than 90 days"),
        ("retention_period: 2160h", "retention_period: 0s", "is 0: logs are kept for ever"),
        ("retention_period: 2160h", "retention_period: long", "which is no duration"),
        ("retention_period: 2160h", "retention_period: 2160", "which is no duration"),
        ("  retention_period: 2160h\n", "", "there is no retention_period"),
        ("max_query_lookback: 2160h", "max_query_lookback: 720h", "max_query_lookback is 720 hours"),
        ("max_query_length: 2161h", "max_query_length: 721h", "max_query_length is 721 hours"),
        ("  max_query_length: 2161h\n", "", "max_query_length is 721 hours"),
        (
            "  volume_enabled: true\n",
            "  retention_stream:\n    - {selector: '{level=\"debug\"}', priority: 1, period: 24h}\n",
            "period is 24 hours",
        ),
        ("schema: v13", "schema: v12", "the schema of the newest schema is"),
        ("store: tsdb", "store: boltdb-shipper", "the store of the newest schema is"),
        ("period: 24h", "period: 168h", "the index period of the newest schema is"),
        ("allow_structured_metadata: true", "allow_structured_metadata: false", "are refused"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = DISK.read_text(encoding="utf-8")
    assert text.count(old) == 1
    (found,) = problems(text.replace(old, new), tmp_path)
    line, _, what = found.partition(": ")
    assert said in what
    written = new.strip().splitlines()[0].strip() if new.strip() else ""
    if written and "retention_stream" not in written:
        assert written in text.replace(old, new).splitlines()[int(line) - 1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("retention_period: 2160h", "retention_period: 91d"),
        ("retention_period: 2160h", "retention_period: 13w"),
        ("max_query_lookback: 2160h", "max_query_lookback: 0s"),
        ("max_query_length: 2161h", "max_query_length: 0"),
        ("  max_query_lookback: 2160h\n", ""),
        ("  allow_structured_metadata: true\n", ""),
        ("schema: v13", "schema: v13 # ours"),
    ],
)
def test_what_keeps_logs_as_long_in_other_words_is_right(old: str, new: str, tmp_path: Path) -> None:
    assert problems(DISK.read_text(encoding="utf-8").replace(old, new), tmp_path) == []


def test_only_the_newest_schema_counts_whatever_their_order(tmp_path: Path) -> None:
    text = DISK.read_text(encoding="utf-8")
    old = (
        '    - from: "2023-01-01"\n      store: boltdb-shipper\n      schema: v12\n'
        "      index: {prefix: old_, period: 24h}\n"
    )
    assert problems(text.replace("  configs:\n", f"  configs:\n{old}"), tmp_path) == []
    newer = old.replace("2023-01-01", "2099-01-01")
    assert len(problems(text.replace("  configs:\n", f"  configs:\n{newer}"), tmp_path)) == 2


@pytest.mark.parametrize(
    "text", ["", "[]", "limits_config: 5", "schema_config: {configs: {}}", "compactor: []"]
)
def test_a_file_without_any_of_it_is_told_all_of_it(text: str, tmp_path: Path) -> None:
    said = "\n".join(problems(text, tmp_path))
    for what in ("nothing is ever deleted", "there is no retention_period", "there is no schema"):
        assert what in said


def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not valid YAML"):
        problems("a: [", tmp_path)
