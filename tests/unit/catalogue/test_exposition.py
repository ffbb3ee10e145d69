"""Pages of metrics: both text formats, and what is none is refused with its line."""

from pathlib import Path

import pytest

from stakewatch.catalogue import exposition
from stakewatch.catalogue.exposition import Exposed, parse_page, read_page, shown_place
from stakewatch.errors import InputError

SAMPLES = Path(__file__).parents[2] / "samples"
CLASSIC = """\
# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="get",path="C:\\\\DIR\\n\\"x\\" {,}"} 3
# TYPE latency_seconds histogram
latency_seconds_bucket{handler="a",le="0.1"} 5
latency_seconds_bucket{handler="a",le="+Inf"} 9
latency_seconds_sum{handler="a"} 1.5e-3
latency_seconds_count{handler="a"} 9
# TYPE rpc summary
rpc{quantile="0.5"} NaN
rpc_sum 1
rpc_count 2

untyped_thing -Inf
"""
OPEN_METRICS = """\
# TYPE requests counter
# UNIT requests seconds
requests_total{a="b"} 1.0 # {trace_id="x"} 0.5
requests_created{a="b"} 1.6e9
# TYPE build info
build_info{version="1"} 1
# TYPE thing unknown
thing 4
# EOF
"""


def named(text: str) -> dict[str, Exposed]:
    return {one.name: one for one in parse_page(text, "page")}


def test_families_have_their_types_and_their_own_labels() -> None:
    found = named(CLASSIC)
    assert found["http_requests_total"] == Exposed(
        "http_requests_total", "counter", ("method", "code", "path")
    )
    assert found["latency_seconds"] == Exposed("latency_seconds", "histogram", ("handler",))
    assert found["rpc"] == Exposed("rpc", "summary", ())
    assert found["untyped_thing"] == Exposed("untyped_thing", "untyped", ())
    assert len(found) == 4


def test_open_metrics_are_named_as_prometheus_stores_them() -> None:
    found = named(OPEN_METRICS)
    assert found["requests_total"] == Exposed("requests_total", "counter", ("a",))
    assert found["build_info"] == Exposed("build_info", "gauge", ("version",))
    assert found["thing"].type == "untyped"


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.prom")), ids=lambda path: path.stem)
def test_pages_of_real_processes_are_read(path: Path) -> None:
    assert len(parse_page(read_page(str(path)), path.name)) > 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no metrics here"),
        ("# only a comment\n", "no metrics here"),
        ("<!doctype html>\n<html><body>Sign in</body></html>\n", "is no sample"),
        ('{"status": "success"}\n', "is no sample"),
        ("up 1\nup{a=\n", "is no sample"),
        ('up{a="b} 1\n', "is no sample"),
        ('up{a="b"}\n', "is no sample"),
        ("up one\n", "is no sample"),
        ("up 1", "cut off"),
        ("\x00\x01\x02\n", "is no sample"),
        ("a{" + ",".join(f'l{n}="x"' for n in range(200)) + "} 1\n", "more than 100 labels"),
        ("a" * 200_000 + " 1\n", "a line of 200,002 characters"),
    ],
)
def test_what_is_no_page_of_metrics_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        parse_page(text, "page")
    assert "page" in str(raised.value)


def test_the_line_is_named() -> None:
    with pytest.raises(InputError) as raised:
        parse_page("up 1\nup 2\nhello there\n", "page")
    assert raised.value.where == "page:3"


def test_more_families_than_one_process_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MAXIMUM_FAMILIES", 3)
    parse_page("".join(f"# TYPE a{n} gauge\na{n} 1\n" for n in range(3)), "page")
    with pytest.raises(InputError, match="more than 3 families"):
        parse_page("".join(f"# TYPE a{n} gauge\na{n} 1\n" for n in range(4)), "page")


def test_secrets_of_an_address_are_not_shown() -> None:
    assert shown_place("https://user:pass@host:9090/metrics?token=x") == "https://host:9090/metrics"
    assert shown_place("folder/page.prom") == "folder/page.prom"


@pytest.mark.parametrize("address", ["ftp://host/x", "file:///etc/passwd", "gopher://x"])
def test_other_schemes_are_not_fetched(address: str) -> None:
    with pytest.raises(InputError, match="only http and https"):
        read_page(address)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page"
    path.write_text("up 1\n" * 100, encoding="utf-8")
    monkeypatch.setattr(exposition, "MAXIMUM_BYTES", 100)
    with pytest.raises(InputError, match="bytes"):
        read_page(str(path))
