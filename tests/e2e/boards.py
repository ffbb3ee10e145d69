"""Every panel of every board on the clients of this chain: none may be dead that is not known to be.

`panels_without_data.yaml` lists what has no data here and why, and `panels_at_times_without_data.yaml` what
depends on the run; both have the form of `dashboards/empty.yaml`. Where only some queries of a panel have no
data, they are named by their letter: `Peers (B)`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.configuration import load_configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue import load_catalogue
from stakewatch.grafana.boardfile import Placed, panels
from stakewatch.grafana.preview.allowed import read_allowances
from stakewatch.grafana.preview.explaining import Explainer, Why
from stakewatch.grafana.preview.page import Preview, write_pages
from stakewatch.grafana.preview.results import Answer, BoardResult, Result, Sources, ask_board
from stakewatch.grafana.preview.run import Board, boards_of
from stakewatch.grafana.preview.window import DEFAULT_INTERVAL_SECONDS, window_of
from stakewatch.grafana.remote import connect, scrape_interval
from stakewatch.rules.files import load_rule_files
from tests.e2e.ledger import Chapter

# Long enough to hold the death of the beacon node, and no longer than the run.
_SHOWN_SECONDS = 120.0
_BUNDLE = Bundle(Path(__file__).parents[2])
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Known:
    """What has no data: never on this chain, and only at times; (uid of the board, name) with the reason."""

    never: Mapping[tuple[str, str], str]
    at_times: Mapping[tuple[str, str], str]

    def covers(self, uid: str, name: str) -> bool:
        """Tell whether it is known that this panel or query may have no data; a panel covers its queries."""
        panel = name.rpartition(" (")[0]
        return any((uid, one) in listed for one in (name, panel) for listed in (self.never, self.at_times))


def known_of(boards: Sequence[Board], folder: Path = _HERE) -> Known:
    """Read what is known to have no data.

    Raises InputError (file:line) for a board, panel or query that there is not.
    """
    names = {str(board["uid"]): tuple(_names(board)) for board in boards}
    never, at_times = (
        {(one.board, one.panel): one.reason for one in read_allowances(folder / file, names)}
        for file in ("panels_without_data.yaml", "panels_at_times_without_data.yaml")
    )
    return Known(never, at_times)


def show_boards(url: str, configuration: Path, folder: Path) -> tuple[BoardResult, ...]:
    """Ask every query of every board of the repository, and write the pages into `folder`.

    Raises StakewatchError when Prometheus does not answer.
    """
    remote = connect(url)
    end = time.time()
    interval = scrape_interval(remote, DEFAULT_INTERVAL_SECONDS)
    shown = tuple(
        ask_board(Sources(remote), board, window_of(board, end, interval, _SHOWN_SECONDS), {}, lambda _: None)
        for board in boards_of(_BUNDLE, load_configuration(configuration))
    )
    # Why a panel has no data is asked for only where it should have some: it costs as much as all queries.
    write_pages([Preview(board, {}) for board in shown], folder, url)
    return shown


def explainer_of(url: str) -> Explainer:
    """Return who finds out why a panel has no data now."""
    rule_files = load_rule_files(_BUNDLE.rules)
    return Explainer(connect(url), load_catalogue(_BUNDLE.catalogue), rule_files, time.time())


def compare_boards(
    chapter: Chapter,
    boards: Sequence[BoardResult],
    known: Known,
    explain: Callable[[Result], tuple[Why, ...]],
) -> None:
    """Record of each board which queries are refused, which panels are dead, and which only seem to be."""
    for board in boards:
        refused = {
            f"{result.panel.title} ({answer.reference})": answer.error
            for result in board.results
            for answer in result.answers
            if answer.error
        }
        chapter.equal(f"queries of {board.uid} that Prometheus refuses", {}, refused)
        empty = {name: one for result in board.results for name, one in _empty(result)}
        dead = {
            name: "; ".join(why.said for why in explain(result)) if answer is None else answer.expression
            for name, (result, answer) in empty.items()
            if not known.covers(board.uid, name)
        }
        chapter.equal(f"panels of {board.uid} that are dead", {}, dead)
        filled = {name for result in board.results for name in _filled(result)} - set(empty)
        wrong = {name for name in filled if (board.uid, name) in known.never}
        chapter.equal(f"panels of {board.uid} that have data and are known to have none", set(), wrong)


def _empty(result: Result) -> Iterator[tuple[str, tuple[Result, Answer | None]]]:
    """Yield what has no data: a panel, or of one with some data the queries without, each with its answer."""
    if result.is_empty:
        yield result.panel.title, (result, None)
        return
    for answer in result.answers:
        if answer.is_empty:
            yield _query(result.panel, answer.reference), (result, answer)


def _filled(result: Result) -> Iterator[str]:
    """Yield what of a panel has data."""
    if result.answers and not result.is_empty:
        yield result.panel.title
        for answer in result.answers:
            if not answer.is_empty:
                yield _query(result.panel, answer.reference)


def _names(board: Board) -> Iterator[str]:
    """Yield all that the lists can name of a board."""
    for panel in panels(board):
        if panel.targets:
            yield panel.title
            for target in panel.targets:
                yield _query(panel, str(target["refId"]))


def _query(panel: Placed, reference: str) -> str:
    return f"{panel.title} ({reference})"
