"""Our exporter and rules on a real chain: Geth and Lodestar, killed and restarted, compared figure by figure.

`make e2e` runs it alone. It writes the report `e2e` and, to `build/reports/e2e/checks.json`, every check with
expected and seen.
"""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stakewatch.bundle.reports import revision
from tests.e2e.devnet import Say
from tests.e2e.ledger import Ledger
from tests.e2e.scenario import CHAPTERS, play

_ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.needs("lodestar"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Play the run once and return its checks; the report is written also when something ends it early."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    terminal = request.config.get_terminal_writer()
    started = time.monotonic()

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.line()
            terminal.write(f"e2e {time.monotonic() - started:5.1f} s  {text}", flush=True)

    ledger = Ledger()
    try:
        with _folder(say) as folder:
            started = time.monotonic()
            play(folder, ledger, say)
    except BaseException as error:
        # Without this the figures of what came before would pass for a whole run.
        ledger.chapter("run").equal("the run came to its end", "nothing raised", repr(error))
        raise
    finally:
        report = ledger.write(_ROOT / "build" / "reports", revision(_ROOT), time.monotonic() - started)
        for figure in report.figures:
            say(f"{figure.name} {figure.value:g} {figure.unit} {figure.bar}")
        for check in ledger.failed():
            say(f"{check.chapter}: {check.name}: expected {check.expected}, seen {check.seen}")
    return ledger


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_we_show_agrees_with_the_chain(ledger: Ledger, chapter: str) -> None:
    assert ledger.of(chapter), "nothing was compared"
    assert [check for check in ledger.of(chapter) if not check.holds] == []


def test_a_dead_beacon_node_is_reported_within_a_minute(ledger: Ledger) -> None:
    assert ledger.detect_seconds is not None
    assert ledger.detect_seconds < 60


def test_the_alert_ends_within_a_minute_of_the_restart(ledger: Ledger) -> None:
    assert ledger.resolve_seconds is not None
    assert ledger.resolve_seconds < 60


@contextmanager
def _folder(say: Say) -> Iterator[Path]:
    """Make an empty folder for the logs of this run, which stay; a second run waits for its turn."""
    folder = _ROOT / "build" / "e2e"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run in this checkout to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        say(f"logs are in {folder}")
        yield folder
