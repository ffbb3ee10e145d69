"""docs/dashboards.md names every board, and only panels that there are."""

import re
from pathlib import Path
from typing import Any

from stakewatch.grafana.boardfile import panels

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
COMPARED = PAGE.split("## Their panel, ours")[1]


def test_every_board_is_described(boards: dict[str, dict[str, Any]]) -> None:
    (table,) = re.findall(r"\| board \| answers.*?\n\n", PAGE, re.DOTALL)
    described = {
        name for row in table.strip().splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert described == set(boards)
    assert len(boards) == 21


def test_every_panel_that_is_named_beside_theirs_exists(boards: dict[str, dict[str, Any]]) -> None:
    titles = {uid: {panel.title for panel in panels(board)} for uid, board in boards.items()}
    rows = [line.split("|")[2] for line in COMPARED.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) > 60
    for cell in rows:
        for uid, named in re.findall(r"`(\w+)`: ([^`;]+)", cell):
            plain = re.sub(r" ?\([^)]*\)|,? (?:by vote|which says.*)$", "", named.strip())
            assert known(plain, titles[uid]), (uid, plain)


def known(text: str, titles: set[str]) -> bool:
    """Tell whether a text is a list of titles, which may have commas themselves."""
    if not text or text in titles:
        return True
    return any(
        text.startswith(f"{title}{comma}") and known(text[len(title) + len(comma) :], titles)
        for title in titles
        for comma in (", ", " and ")
    )
