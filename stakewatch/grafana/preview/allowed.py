"""The panels that may be without data: `dashboards/empty.yaml`, each with its reason."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stakewatch.bundle.document import Data, Document, read_document, read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import Problem, as_error, did_you_mean, quoted
from stakewatch.grafana.boardfile import panels

_FIELDS = frozenset({"board", "panels", "reason"})


@dataclass(frozen=True)
class Allowance:
    """A panel that may be without data, and why."""

    board: str
    panel: str
    reason: str


def allowances_of(bundle: Bundle, boards: Iterable[Mapping[str, Any]]) -> tuple[Allowance, ...]:
    """Return what the bundle's `dashboards/empty.yaml` allows; nothing where there is no such file.

    Raises InputError (file:line) for an entry of another form, or of a panel that no board has.
    """
    path = bundle.dashboards / "empty.yaml"
    if not path.exists():
        return ()
    titles = {str(board["uid"]): {panel.title for panel in panels(board)} for board in boards}
    document = read_document(read_text(path), path)
    problems = list(document.problems)
    found: list[Allowance] = []
    entries = document.data if isinstance(document.data, list) else []
    if document.data is not None and not isinstance(document.data, list):
        problems.append(Problem(path, 1, "this is no list", "write `- board: …`, `panels: […]`, `reason: …`"))
    for place, entry in enumerate(entries):
        for one in _of_entry(entry, document, place, titles):
            if isinstance(one, Problem):
                problems.append(one)
            else:
                found.append(one)
    if problems:
        raise as_error(problems)
    return tuple(found)


def _of_entry(
    entry: Data, document: Document, place: int, titles: Mapping[str, set[str]]
) -> Iterable[Allowance | Problem]:
    line = document.line((place,))
    mend = "write `board`, `panels` (a list of titles) and `reason`"
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        yield Problem(document.path, line, "an entry has other fields than it should", mend)
        return
    board, names, reason = entry["board"], entry["panels"], entry["reason"]
    if not isinstance(reason, str) or not reason or not isinstance(names, list) or not names:
        yield Problem(document.path, line, "an entry needs panels and a reason", mend)
    elif not isinstance(board, str) or board not in titles:
        yield _problem(document.path, line, f"there is no board {quoted(board)}", board, sorted(titles))
    else:
        for name in names:
            if isinstance(name, str) and name in titles[board]:
                yield Allowance(board, name, reason)
            else:
                what = f"the board {board} has no panel {quoted(name)}"
                yield _problem(document.path, line, what, name, sorted(titles[board]))


def _problem(path: Path, line: int, what: str, word: Data, known: list[str]) -> Problem:
    return Problem(path, line, what, did_you_mean(str(word), known, "there are"))
