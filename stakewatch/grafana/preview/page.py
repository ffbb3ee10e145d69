"""The pages of a preview: one per board and an index, each a file that needs no other."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stakewatch.errors import StakewatchError
from stakewatch.grafana.preview.cards import sections_of
from stakewatch.grafana.preview.explaining import Why
from stakewatch.grafana.preview.results import BoardResult, chosen_text
from stakewatch.rules.pages import print_page, write_page

_PACKAGE = "stakewatch.grafana"
INDEX = "index.html"


@dataclass(frozen=True)
class Preview:
    """A board's results, and why each of its panels without data, by its place among them, has none."""

    board: BoardResult
    why: Mapping[int, tuple[Why, ...]]

    @property
    def panels(self) -> int:
        """How many panels the board has, rows left out."""
        return sum(result.panel.kind != "row" for result in self.board.results)

    @property
    def file_name(self) -> str:
        """The name of its page."""
        return f"{self.board.uid}.html"


def write_pages(previews: Sequence[Preview], folder: Path, source: str) -> Path:
    """Write a page per board and an index into `folder`; return the index. `source` is who was asked.

    Raises StakewatchError when a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StakewatchError(
            f"the pages cannot be written: {error.strerror}", where=str(folder), mend="name another folder"
        ) from error
    for preview in previews:
        board = preview.board
        text = print_page(
            "board.html.jinja",
            package=_PACKAGE,
            board=board,
            description=str(board.board.get("description", "")),
            sections=sections_of(board, preview.why),
            boards=[(other.file_name, other.board.title, other is preview) for other in previews],
            chosen=[(name, chosen_text(value)) for name, value in board.values.items() if value],
            source=source,
            start=_utc(board.window.start),
            end=_utc(board.window.end),
        )
        write_page(text, folder / preview.file_name)
    index = folder / INDEX
    text = print_page(
        "boards.html.jinja",
        package=_PACKAGE,
        previews=previews,
        source=source,
        asked=_utc(max((preview.board.window.end for preview in previews), default=0.0)),
    )
    write_page(text, index)
    return index


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment))
