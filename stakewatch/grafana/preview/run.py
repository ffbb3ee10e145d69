"""A run of the preview: the boards of a bundle, asked one after the other."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import did_you_mean
from stakewatch.catalogue.inventory import load_catalogue
from stakewatch.errors import InputError
from stakewatch.grafana.generation import generated, load_boards
from stakewatch.grafana.preview.allowed import Allowance
from stakewatch.grafana.preview.explaining import Explainer
from stakewatch.grafana.preview.page import Preview
from stakewatch.grafana.preview.results import Sources, ask_board
from stakewatch.grafana.preview.window import DEFAULT_INTERVAL_SECONDS, window_of
from stakewatch.grafana.remote import scrape_interval
from stakewatch.grafana.setting import setting_of
from stakewatch.rules.files import load_rule_files

Board = Mapping[str, Any]


@dataclass(frozen=True)
class Wish:
    """What a user wants to see: until when (Unix seconds), how many seconds of it, and which values chosen.

    Without `seconds`, each board shows what it opens with. `interval` are the seconds between two scrapes.
    """

    end: float
    interval: int
    seconds: float | None = None
    chosen: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def boards_of(bundle: Bundle, configuration: Configuration) -> tuple[Board, ...]:
    """Return the JSON of all boards of a bundle.

    Raises InputError (file:line) when a module of dashboards/ or a rule file is not right.
    """
    setting = setting_of(bundle, configuration)
    return tuple(generated(source, setting) for source in load_boards(bundle))


def choose_boards(boards: Sequence[Board], uids: Sequence[str]) -> tuple[Board, ...]:
    """Return the boards of these uids, all where none is given.

    Raises InputError when there is no such board.
    """
    by_uid = {str(board["uid"]): board for board in boards}
    for uid in uids:
        if uid not in by_uid:
            mend = did_you_mean(uid, sorted(by_uid), "there are")
            raise InputError(f"there is no board {uid!r}", where="BOARD", mend=mend)
    return tuple(by_uid[uid] for uid in dict.fromkeys(uids)) or tuple(boards)


def preview_now(
    sources: Sources,
    bundle: Bundle,
    boards: Sequence[Board],
    report: Callable[[str], None],
    *,
    seconds: float | None = None,
    chosen: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Preview, ...]:
    """Ask every query of some boards of a bundle as of now.

    `seconds` and `chosen` are a Wish's. Raises as `preview` does.
    """
    end = time.time()
    wish = Wish(end, scrape_interval(sources.prometheus, DEFAULT_INTERVAL_SECONDS), seconds, chosen)
    explainer = Explainer(
        sources.prometheus, load_catalogue(bundle.catalogue), load_rule_files(bundle.rules), end
    )
    return preview(sources, boards, wish, explainer, report)


def preview(
    sources: Sources, boards: Sequence[Board], wish: Wish, explainer: Explainer, report: Callable[[str], None]
) -> tuple[Preview, ...]:
    """Ask every query of the boards and, of panels without data, why; `report` is told how far it is.

    Raises StakewatchError when Prometheus does not answer.
    """
    previews = []
    for place, board in enumerate(boards, 1):
        title = f"board {place} of {len(boards)}, {board.get('title', '')}"
        window = window_of(board, wish.end, wish.interval, wish.seconds)
        result = ask_board(sources, board, window, wish.chosen, partial(_say, report, title))
        why = {number: explainer.explain(one) for number, one in enumerate(result.results) if one.is_empty}
        previews.append(Preview(result, why))
    return tuple(previews)


def not_allowed(previews: Sequence[Preview], allowances: Sequence[Allowance]) -> tuple[tuple[str, str], ...]:
    """Return the panels without data that nothing allows, as (uid of the board, title)."""
    allowed = {(one.board, one.panel) for one in allowances}
    empty = (
        (preview.board.uid, result.panel.title) for preview in previews for result in preview.board.empty
    )
    return tuple(one for one in dict.fromkeys(empty) if one not in allowed)


def outdated(previews: Sequence[Preview], allowances: Sequence[Allowance]) -> tuple[Allowance, ...]:
    """Return what is allowed for panels that were asked and have data."""
    filled = {
        (preview.board.uid, result.panel.title)
        for preview in previews
        for result in preview.board.results
        if not result.is_empty
    }
    return tuple(one for one in allowances if (one.board, one.panel) in filled)


def _say(report: Callable[[str], None], board: str, panel: str) -> None:
    report(f"{board}: {panel}")
