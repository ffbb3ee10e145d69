"""The preview of all our boards on a real Prometheus that scrapes one Geth and one machine."""

import io
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.cli.main import main
from stakewatch.grafana.preview.page import Preview, write_pages
from stakewatch.grafana.preview.results import Sources
from stakewatch.grafana.preview.run import Board, boards_of, preview_now
from stakewatch.grafana.remote import connect, scrape_interval
from stakewatch.programs.servers import Prometheus

from .sampled import GETH, ROOT, scraping

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(tmp_path_factory.mktemp("preview"), geth={**GETH, "instance": HOSTILE}) as running:
        yield running


@pytest.fixture(scope="module")
def boards() -> tuple[Board, ...]:
    return boards_of(Bundle(ROOT), Configuration())


@pytest.fixture(scope="module")
def previews(server: Prometheus, boards: tuple[Board, ...]) -> dict[str, Preview]:
    """Return what all boards show of the last half minute, by uid."""
    made = preview_now(Sources(connect(server.url)), Bundle(ROOT), boards, lambda _: None, seconds=30.0)
    return {preview.board.uid: preview for preview in made}


def test_no_query_of_any_board_is_refused(previews: dict[str, Preview]) -> None:
    refused = [
        (uid, result.panel.title, answer.error)
        for uid, preview in previews.items()
        for result in preview.board.results
        for answer in result.answers
        if answer.error
    ]
    assert refused == []


def test_panels_on_what_is_scraped_have_data_and_its_values(
    server: Prometheus, previews: dict[str, Preview]
) -> None:
    results = {result.panel.title: result for result in previews["geth_node"].board.results}
    (head,) = server.query("chain_head_block")
    newest = [series.newest for answer in results["Head block"].answers for series in answer.series]
    assert head.value in newest
    machine = {result.panel.title: result for result in previews["eks_node"].board.results}
    assert not machine["Memory used by machine"].is_empty


def test_every_panel_without_data_has_a_reason(previews: dict[str, Preview]) -> None:
    for uid, preview in previews.items():
        for place, result in enumerate(preview.board.results):
            assert bool(preview.why.get(place)) == result.is_empty, (uid, result.panel.title)


@pytest.mark.parametrize(
    ("uid", "title", "reason"),
    [
        ("geth_node", "Health checks", "stakewatch-exporter is not scraped"),
        ("geth_node", "Firing alerts", "the bundle's rules are not loaded"),
        ("geth_node", "Restarts of the container", "kube-state-metrics is not scraped"),
        ("lighthouse", "Fork choice", "no beacon node is scraped"),
        ("erigon", "Time in stages", "your execution nodes are geth: only Erigon has that signal"),
    ],
)
def test_the_reason_is_the_right_one(previews: dict[str, Preview], uid: str, title: str, reason: str) -> None:
    preview = previews[uid]
    (said,) = (
        {why.said for why in preview.why[place]}
        for place, result in enumerate(preview.board.results)
        if result.panel.title == title
    )
    assert any(one.endswith(reason) for one in said), said


def test_the_pages_show_all_panels_and_what_a_label_says_is_text(
    previews: dict[str, Preview], tmp_path: Path
) -> None:
    index = write_pages(tuple(previews.values()), tmp_path, "a test")
    listed = index.read_text(encoding="utf-8")
    for uid, preview in previews.items():
        assert f'href="{uid}.html"' in listed
        page = (tmp_path / f"{uid}.html").read_text(encoding="utf-8")
        shown = page.count('<section class="card')
        assert shown == preview.panels
        assert "<script" not in page
    geth = (tmp_path / "geth_node.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in geth


def test_the_interval_of_scrapes_is_found_out(server: Prometheus) -> None:
    deadline = time.monotonic() + 60
    while scrape_interval(connect(server.url), 15) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_the_command_writes_the_pages_and_fails_on_dead_panels_when_asked_to(
    server: Prometheus, tmp_path: Path
) -> None:
    words = ["stakewatch", "preview", "geth_node", "--prometheus", server.url, "--bundle", str(ROOT)]
    words += ["--out", str(tmp_path / "pages"), "--range", "30s", "--choose", "cluster=demo-1"]
    for more, expected in (([], 0), (["--fail-on-empty"], 1)):
        out = io.StringIO()
        with (
            patch.object(sys, "argv", [*words, *more]),
            redirect_stdout(out),
            redirect_stderr(io.StringIO()),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        assert ended.value.code == expected
        assert (
            "  Health checks\n    stakewatch_node_check: stakewatch-exporter is not scraped" in out.getvalue()
        )
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {"geth_node.html", "index.html"}
    assert "cluster=demo-1" in (tmp_path / "pages/geth_node.html").read_text(encoding="utf-8")
