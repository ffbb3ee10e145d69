"""Equivalents: mutants that say the same as their rule, listed by a person with the reason."""

from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.document import read_text
from stakewatch.errors import InputError
from stakewatch.rules.files import compose, entries, line_of, scalar

_FIELDS = ("rule", "change", "reason")


@dataclass(frozen=True)
class Equivalent:
    """One entry: the rule's name, the mutant's change as it is printed, and why no test can notice it."""

    rule: str
    change: str
    reason: str
    line: int


def load_equivalents(path: Path) -> tuple[Equivalent, ...]:
    """Return the entries of a file `equivalents: [{rule, change, reason}]`; none when there is no file.

    Raises InputError (file:line) when it is built otherwise, a reason is missing or an entry stands twice.
    """
    if not path.is_file():
        return ()
    root = compose(read_text(path), path)
    if root is None:
        return ()
    fields = entries(root, path, "the file")
    if set(fields) != {"equivalents"}:
        raise InputError(
            "this file has one field, `equivalents`", where=f"{path}:1", mend="remove the others"
        )
    node = fields["equivalents"][1]
    if not hasattr(node, "value") or not isinstance(node.value, list):
        if not node.value:
            return ()
        raise InputError(
            "`equivalents` is a list", where=f"{path}:{line_of(node)}", mend="start with `- rule:`"
        )
    found: dict[tuple[str, str], Equivalent] = {}
    for each in node.value:
        written = entries(each, path, "an equivalent")
        where = f"{path}:{line_of(each)}"
        if set(written) != set(_FIELDS):
            raise InputError("an equivalent has rule, change and reason", where=where, mend="write all three")
        rule, change, reason = (scalar(written[name][1], path, name).strip() for name in _FIELDS)
        if not reason:
            raise InputError("the reason is empty", where=where, mend="say why no test can tell them apart")
        if (rule, change) in found:
            raise InputError("this equivalent stands twice", where=where, mend="remove one of them")
        found[rule, change] = Equivalent(rule, change, reason, line_of(each))
    return tuple(found.values())
