"""What is wrong with a file that a person wrote: each problem with its line, all of them in one message."""

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stakewatch.errors import InputError

MAXIMUM_SHOWN = 20
MAXIMUM_NAMED = 60


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it stands (`line` from 1), what it is, what to do."""

    path: Path
    line: int
    what: str
    mend: str


def as_error(problems: Iterable[Problem]) -> InputError:
    """Return all problems as one error; beyond the first twenty only their number is said."""
    ordered = sorted(set(problems))
    first = ordered[0]
    if len(ordered) == 1:
        return InputError(first.what, where=f"{first.path}:{first.line}", mend=first.mend)
    lines = [f"{len(ordered)} problems"]
    for problem in ordered[:MAXIMUM_SHOWN]:
        lines += [f"  {problem.path}:{problem.line}: {problem.what}", f"    {problem.mend}"]
    if len(ordered) > MAXIMUM_SHOWN:
        lines.append(f"  and {len(ordered) - MAXIMUM_SHOWN} more; mend these first")
    return InputError("\n".join(lines), where=str(first.path))


def quoted(value: object, *, limit: int = 60) -> str:
    """Return `value` as JSON on one line, cut to `limit` characters and safe to print on a terminal."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    cut = text[:limit] + "…" if len(text) > limit else text
    if not isinstance(value, str):
        return cut
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def named(path: object) -> str:
    """Return a file's name as it is, or quoted where it could steer a terminal."""
    name = str(path)
    return name if name.isprintable() else quoted(name, limit=len(name))


def plain(text: object, *, limit: int = 300) -> str:
    """Return what somebody else wrote on one line of bounded length that cannot steer a terminal."""
    line = "".join(one if one.isprintable() else "?" for one in " ".join(str(text).split()))
    return line if len(line) <= limit else line[:limit] + "…"


def did_you_mean(word: str, known: Sequence[str], otherwise: str) -> str:
    """Return the question after the nearest of `known`, or `otherwise` with them when none is near.

    Of very many only the first are named.
    """
    near = difflib.get_close_matches(word[:100], known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    more = f" and {len(known) - MAXIMUM_NAMED} more" if len(known) > MAXIMUM_NAMED else ""
    return f"{otherwise}: {', '.join(known[:MAXIMUM_NAMED])}{more}" if known else otherwise
