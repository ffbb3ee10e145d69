"""Queries of panels, and the data source variables that they use: one for metrics, one for logs."""

from dataclasses import dataclass
from textwrap import dedent
from typing import Any, Literal

from grafanalib import core

DATASOURCE_VARIABLE = "datasource"
DATASOURCE = {"type": "prometheus", "uid": f"${{{DATASOURCE_VARIABLE}}}"}
LOGS_VARIABLE = "logs"
LOGS_DATASOURCE = {"type": "loki", "uid": f"${{{LOGS_VARIABLE}}}"}
_MOST_LINES = 1000


@dataclass(frozen=True)
class Form:
    """How a kind of panel asks: `newest` for the values of this moment only, else over the time range.

    A single number must be of this moment: the last value of a range is still shown when the series is long
    gone.
    """

    newest: bool
    format: Literal["time_series", "table", "heatmap"] = "time_series"


OVER_TIME = Form(newest=False)
NOW = Form(newest=True)
ROWS = Form(newest=True, format="table")
BUCKETS = Form(newest=False, format="heatmap")


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the legend of its series, with Grafana's variables in both.

    Whether it is asked for now or over time, and as what, is decided by the kind of panel.
    """

    expression: str
    legend: str = "{{instance}}"

    @property
    def datasource(self) -> dict[str, str]:
        """Grafana's form of the data source that answers it."""
        return DATASOURCE

    def target(self, reference: str, form: Form) -> dict[str, Any]:
        """Return Grafana's form under the name `reference` (A, B, …)."""
        target: dict[str, Any] = core.Target(
            expr=self.text,
            legendFormat=self.legend,
            refId=reference,
            instant=form.newest,
            format=form.format,
            datasource=self.datasource,
        ).to_json_data()
        return {**target, "range": not form.newest, "editorMode": "code"}

    @property
    def text(self) -> str:
        """The expression without the indentation of the module that it stands in."""
        return dedent(self.expression).strip()


@dataclass(frozen=True)
class LogQuery:
    """A LogQL expression, for lines or for numbers made of them, and the legend of its series."""

    expression: str
    legend: str = "{{instance}}"

    @property
    def datasource(self) -> dict[str, str]:
        """Grafana's form of the data source that answers it."""
        return LOGS_DATASOURCE

    def target(self, reference: str, form: Form) -> dict[str, Any]:
        """Return Grafana's form under the name `reference` (A, B, …)."""
        return {
            "datasource": self.datasource,
            "editorMode": "code",
            "expr": dedent(self.expression).strip(),
            "legendFormat": self.legend,
            "maxLines": _MOST_LINES,
            "queryType": "instant" if form.newest else "range",
            "refId": reference,
        }


def reference(position: int) -> str:
    """Return the name of the query at `position`: A to Z, then AA, AB, …."""
    letters = ""
    position += 1
    while position:
        position, remainder = divmod(position - 1, 26)
        letters = chr(ord("A") + remainder) + letters
    return letters
