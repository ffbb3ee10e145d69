"""What a board's variables are filled with when it is opened and nobody has chosen anything yet."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stakewatch.grafana.boardfile import variable_query, variables
from stakewatch.grafana.filling import fill

_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+),\s*(?P<label>[\w$]+)\)", re.DOTALL)

LabelValues = Callable[[str, str], Iterable[str]]


def opening_values(board: Mapping[str, Any], label_values: LabelValues) -> dict[str, str]:
    """Return what Grafana fills in for each variable of a board's JSON that is no data source.

    `label_values` gives the values that a label has on the series of a selector. It is asked for lists
    without "All", of which Grafana chooses the first value; an empty text stands for an empty list.
    """
    chosen: dict[str, str] = {}
    for variable in variables(board):
        if variable["type"] == "datasource":
            continue
        match = _LABEL_VALUES.fullmatch(variable_query(variable))
        value = str((variable.get("current") or {}).get("value", ""))
        if variable.get("includeAll"):
            value = str(variable["allValue"])
        elif not value and match:
            found = label_values(fill(match["selector"], chosen), fill(match["label"], chosen))
            value = as_pattern(min(found, default=""))
        chosen[str(variable["name"])] = value
    return chosen


def as_pattern(value: str) -> str:
    """Return a value as Grafana writes it into a regular expression within a string of PromQL."""
    return re.escape(value).replace("\\", "\\\\")


def typed_in(board: Mapping[str, Any]) -> dict[str, str]:
    """Return what stands in the text boxes of a board until a reader types in something, by variable."""
    return {
        str(variable["name"]): str(variable["query"])
        for variable in variables(board)
        if variable.get("type") == "textbox"
    }
