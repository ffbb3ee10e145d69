"""The results: what a Prometheus answers to each query of a board."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stakewatch.grafana.boardfile import Placed, asks_for_logs, panels
from stakewatch.grafana.filling import fill
from stakewatch.grafana.opening import opening_values
from stakewatch.grafana.preview.window import Window
from stakewatch.grafana.remote import Logs, RefusedError, Remote, Series, label_values

_LEGEND = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


@dataclass(frozen=True)
class Answer:
    """What was answered to one query: series, or lines of logs; `error` is why it was refused, else empty.

    Variables are filled in; `legend` still has labels in braces.
    """

    reference: str
    expression: str
    legend: str
    series: tuple[Series, ...]
    seconds: float
    error: str = ""
    lines: tuple[tuple[float, str], ...] = ()
    of_logs: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self.series and not self.lines

    def name(self, series: Series) -> str:
        """Return the name of a series as the legend has it, else its labels."""
        if self.legend and self.legend != "__auto":
            text = _LEGEND.sub(lambda match: series.labels.get(match[1], ""), self.legend)
            return " ".join(text.split())
        return ", ".join(
            f"{name}={value}" for name, value in sorted(series.labels.items()) if name != "__name__"
        )


@dataclass(frozen=True)
class Result:
    """A panel and what was answered; `unasked` tells that it asks a Loki, and there is none here."""

    panel: Placed
    answers: tuple[Answer, ...]
    unasked: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it asks and gets nothing to show."""
        return bool(self.answers) and all(answer.is_empty for answer in self.answers)

    @property
    def seconds(self) -> float:
        """How long its queries took."""
        return sum(answer.seconds for answer in self.answers)


@dataclass(frozen=True)
class BoardResult:
    """A board's JSON, the window, and the results of its panels in their order; a row has none."""

    board: Mapping[str, Any]
    window: Window
    values: Mapping[str, str]
    results: tuple[Result, ...]

    @property
    def uid(self) -> str:
        """The board's address in Grafana."""
        return str(self.board["uid"])

    @property
    def title(self) -> str:
        """The board's title."""
        return str(self.board.get("title", self.uid))

    def shown(self, text: str) -> str:
        """Return a text of the board with its variables filled in as a reader sees them."""
        return fill(text, {name: chosen_text(value) for name, value in self.values.items()})

    @property
    def empty(self) -> tuple[Result, ...]:
        """The panels without data."""
        return tuple(result for result in self.results if result.is_empty)

    @property
    def seconds(self) -> float:
        """How long all of its queries took."""
        return sum(result.seconds for result in self.results)


@dataclass(frozen=True)
class Sources:
    """Who is asked: a Prometheus, and a Loki where there is one."""

    prometheus: Remote
    loki: Remote | None = None


def ask_board(
    sources: Sources,
    board: Mapping[str, Any],
    window: Window,
    chosen: Mapping[str, str],
    report: Callable[[str], None],
) -> BoardResult:
    """Ask every query of a board, `chosen` instead of what its variables open with.

    `report` is told each panel's title. A query that is refused is a result.
    Raises StakewatchError when Prometheus or Loki does not answer.
    """
    values = {**opening_values(board, label_values(sources.prometheus, window.end)), **chosen}
    filled = {**window.built_in, **values}
    results = []
    for panel in panels(board):
        report(panel.title)
        asking = [target for target in panel.targets if target.get("expr")]
        asked = [target for target in asking if sources.loki is not None or not asks_for_logs(target)]
        answers = tuple(_ask(sources, target, window, filled) for target in asked)
        results.append(Result(panel, answers, unasked=len(asked) < len(asking)))
    return BoardResult(board, window, values, tuple(results))


def chosen_text(value: str) -> str:
    """Return the value of a variable as a reader sees it: "All" for every value, no signs of a pattern."""
    return "All" if value == ".*" else value.replace("\\", "")


def _ask(sources: Sources, target: Mapping[str, Any], window: Window, filled: Mapping[str, str]) -> Answer:
    expression = fill(str(target["expr"]), filled)
    of_logs = asks_for_logs(target)
    found = Logs()
    error = ""
    started = time.perf_counter()
    try:
        if of_logs and sources.loki is not None:
            newest = target.get("queryType") == "instant"
            found = sources.loki.logs(expression, window.start, window.end, window.step, newest=newest)
        elif target.get("instant"):
            found = Logs(series=sources.prometheus.query(expression, window.end))
        else:
            found = Logs(
                series=sources.prometheus.query_range(expression, window.start, window.end, window.step)
            )
    except RefusedError as refused:
        error = refused.what
    return Answer(
        reference=str(target.get("refId", "")),
        expression=expression,
        legend=fill(
            str(target.get("legendFormat", "")), {name: chosen_text(filled[name]) for name in filled}
        ),
        series=found.series,
        seconds=time.perf_counter() - started,
        error=error,
        lines=found.lines,
        of_logs=of_logs,
    )
