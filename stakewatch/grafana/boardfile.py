"""The JSON of a board as checks walk through it: panels with their places, queries, units."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stakewatch.grafana.queries import LOGS_DATASOURCE


@dataclass(frozen=True)
class Placed:
    """A panel of a board's JSON; `row` is the title of the collapsed row that it lies in, else empty."""

    content: Mapping[str, Any]
    row: str = ""

    @property
    def title(self) -> str:
        """The panel's title, or its place in words when it has none."""
        return str(self.content.get("title") or f"(panel {self.content.get('id')})")

    @property
    def kind(self) -> str:
        """Grafana's type of panel."""
        return str(self.content.get("type", ""))

    @property
    def targets(self) -> tuple[Mapping[str, Any], ...]:
        """The queries in Grafana's form."""
        return tuple(self.content.get("targets") or ())

    @property
    def expressions(self) -> tuple[str, ...]:
        """The PromQL of the queries, with Grafana's variables in it."""
        return tuple(str(target.get("expr", "")) for target in self.targets if not asks_for_logs(target))

    @property
    def log_expressions(self) -> tuple[str, ...]:
        """The LogQL of the queries, with Grafana's variables in it."""
        return tuple(str(target.get("expr", "")) for target in self.targets if asks_for_logs(target))

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The field options that hold for all series."""
        defaults = self.content.get("fieldConfig", {}).get("defaults", {})
        return defaults if isinstance(defaults, dict) else {}


def panels(board: Mapping[str, Any]) -> Iterator[Placed]:
    """Yield all panels of a board, rows too, and those in collapsed rows."""
    for panel in board.get("panels", []):
        yield Placed(panel)
        for inner in panel.get("panels") or ():
            yield Placed(inner, row=str(panel.get("title", "")))


def asks_for_logs(target: Mapping[str, Any]) -> bool:
    """Tell whether a query is one for Loki."""
    source = target.get("datasource")
    return isinstance(source, dict) and source.get("type") == LOGS_DATASOURCE["type"]


def variables(board: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the variables of a board in Grafana's form."""
    return tuple(board.get("templating", {}).get("list", ()))


def variable_query(variable: Mapping[str, Any]) -> str:
    """Return the text of the query that fills a variable, or an empty one."""
    query = variable.get("query", "")
    return str(query.get("query", "")) if isinstance(query, dict) else str(query)


def annotation_expressions(board: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the PromQL of a board's annotations."""
    return tuple(
        str(annotation["expr"])
        for annotation in board.get("annotations", {}).get("list", ())
        if annotation.get("expr")
    )
