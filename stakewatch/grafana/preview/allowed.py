"""The panels that may be without data, each with its reason: `dashboards/empty.yaml` or a list like it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stakewatch.bundle.document import Data, Document, read_document, read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import Problem, as_error, did_you_mean, quoted
from stakewatch.grafana.boardfile import panels

_FIELDS = frozenset({"board", "panels", "reason"})
# In the place of a list: no panel of the board has data.
_ALL = "all"


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
    titles = {
        str(board["uid"]): dict.fromkeys(panel.title for panel in panels(board) if panel.targets)
        for board in boards
    }
    return read_allowances(bundle.dashboards / "empty.yaml", titles)


def read_allowances(path: Path, names: Mapping[str, Collection[str]]) -> tuple[Allowance, ...]:
    """Return what a file in the form of `dashboards/empty.yaml` allows; nothing where there is no such file.

    `names` are those that it may name, by the board's uid.
    Raises InputError (file:line) for an entry of another form, or of a name that no board has.
    """
    if not path.exists():
        return ()
    document = read_document(read_text(path), path)
    problems = list(document.problems)
    found: list[Allowance] = []
    entries = document.data if isinstance(document.data, list) else []
    if document.data is not None and not isinstance(document.data, list):
        problems.append(Problem(path, 1, "this is no list", "write `- board: …`, `panels: […]`, `reason: …`"))
    for place, entry in enumerate(entries):
        for one in _of_entry(entry, document, place, names):
            if isinstance(one, Problem):
                problems.append(one)
            else:
                found.append(one)
    if problems:
        raise as_error(problems)
    return tuple(found)


def _of_entry(
    entry: Data, document: Document, place: int, known: Mapping[str, Collection[str]]
) -> Iterable[Allowance | Problem]:
    line = document.line((place,))
    mend = f"write `board`, `panels` (a list of titles, or {_ALL}) and `reason`"
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        yield Problem(document.path, line, "an entry has other fields than it should", mend)
        return
    board, names, reason = entry["board"], entry["panels"], entry["reason"]
    named = list(known.get(str(board), ())) if names == _ALL else names
    if not isinstance(reason, str) or not reason or not isinstance(named, list) or not names:
        yield Problem(document.path, line, "an entry needs panels and a reason", mend)
    elif not isinstance(board, str) or board not in known:
        yield _problem(document.path, line, f"there is no board {quoted(board)}", board, sorted(known))
    else:
        for name in named:
            if isinstance(name, str) and name in known[board]:
                yield Allowance(board, name, reason)
            else:
                what = f"the board {board} has no panel {quoted(name)}"
                yield _problem(document.path, line, what, name, sorted(known[board]))


def _problem(path: Path, line: int, what: str, word: Data, known: list[str]) -> Problem:
    return Problem(path, line, what, did_you_mean(str(word), known, "there are"))
