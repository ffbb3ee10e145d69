"""Choices: what a user chooses for the variables of boards, held against their queries."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.errors import InputError
from stakewatch.grafana.boardfile import panels, variables
from stakewatch.grafana.filling import BUILT_IN, fill, used
from stakewatch.grafana.opening import opening_values, typed_in
from stakewatch.grafana.thresholds import is_number
from stakewatch.promql import PromqlError, parse

_OPTION = "--choose"


def read_choices(texts: Iterable[str], boards: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the values of `NAME=VALUE` texts by variable, as they stand between quotation marks in a query.

    Raises InputError for a text of another form, a variable that none of the boards has, and a value with
    which a query cannot be read: no regular expression, or no number where one is typed in.
    """
    chosen = dict(map(_choice, texts))
    known = sorted({str(one["name"]) for board in boards for one in variables(board)})
    for name in chosen:
        if name not in known:
            mend = did_you_mean(name, known, "there are")
            raise InputError(f"no board has a variable {quoted(name)}", where=_OPTION, mend=mend)
    for board in boards:
        _expect_numbers(board, chosen)
        _expect_queries(board, chosen)
    return chosen


def _choice(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(f"{quoted(text)} chooses nothing", where=_OPTION, mend="write --choose cluster=eu-1")
    return name, value.replace("\\", "\\\\").replace('"', '\\"')


def _expect_numbers(board: Mapping[str, Any], chosen: Mapping[str, str]) -> None:
    for name, default in typed_in(board).items():
        if is_number(default) and name in chosen and not is_number(chosen[name]):
            raise InputError(
                f"{quoted(chosen[name])} is no number",
                where=_place(name),
                mend=f"write --choose {name}={default}",
            )


def _expect_queries(board: Mapping[str, Any], chosen: Mapping[str, str]) -> None:
    """Raise InputError for the choice with which the first query that holds it cannot be read."""
    # Any label value reads like any other.
    values = {**BUILT_IN, **opening_values(board, lambda _selector, _label: ("a",))}
    queries = [expression for panel in panels(board) for expression in panel.expressions]
    for name, value in chosen.items():
        query = next((one for one in queries if name in used(one)), None)
        if query is None:
            continue
        try:
            parse(fill(query, {**values, name: value}))
        except PromqlError as error:
            raise InputError(
                f"{quoted(value)} cannot be read: {error.message}",
                where=_place(name),
                mend="write a value, or a regular expression of values",
            ) from error


def _place(name: str) -> str:
    return f"{_OPTION} {name}"
