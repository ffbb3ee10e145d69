"""Boards asked as Grafana asks them: variables filled in, each query over its panel's range."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana.boardfile import Placed, asks_for_logs, panels
from stakewatch.grafana.filling import fill
from stakewatch.grafana.generation import generated, load_boards
from stakewatch.grafana.opening import opening_values
from stakewatch.grafana.setting import setting_of
from stakewatch.programs.servers import Prometheus

from .stack import ROOT


@dataclass(frozen=True)
class Reader:
    """Somebody who looks at `range_seconds` until `until` (Unix seconds), a point every `step_seconds`."""

    server: Prometheus
    range_seconds: int
    step_seconds: int
    rate_seconds: int
    until: Callable[[], float] = time.time

    def label_values(self, selector: str, label: str) -> set[str]:
        """Return the values of a label, as Grafana fills a list with them."""
        found = {sample.labels.get(label, "") for sample in self.server.query(selector)}
        return found - {""}

    def values(self, board: Mapping[str, Any], **chosen: str) -> dict[str, str]:
        """Return what Grafana fills in when a board is opened, but for `chosen`."""
        return {
            **opening_values(board, self.label_values),
            "__rate_interval": f"{self.rate_seconds}s",
            "__interval": f"{self.step_seconds}s",
            "__range": f"{self.range_seconds}s",
            "__range_s": str(self.range_seconds),
            **chosen,
        }

    def ask(self, target: Mapping[str, Any], filled: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the series that Grafana would get for a query."""
        now = self.until()
        form: dict[str, str] = {"query": fill(str(target["expr"]), filled)}
        if target["instant"]:
            path = "query"
            form |= {"time": str(now)}
        else:
            path = "query_range"
            form |= {"start": str(now - self.range_seconds), "end": str(now), "step": str(self.step_seconds)}
        answer = requests.post(f"{self.server.url}/api/v1/{path}", data=form, timeout=30).json()
        assert answer["status"] == "success", (form["query"], answer)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def without_data(self, panel: Placed, filled: Mapping[str, str]) -> str:
        """Return the names of a panel's queries for metrics that have no data: "AC"."""
        return "".join(
            str(target["refId"])
            for target in panel.targets
            if not asks_for_logs(target) and not self.ask(target, filled)
        )


def all_boards() -> dict[str, dict[str, Any]]:
    """Return all boards with default settings by uid."""
    bundle = Bundle(ROOT)
    setting = setting_of(bundle, Configuration())
    made = [generated(source, setting) for source in load_boards(bundle)]
    return {board["uid"]: board for board in made}


def only_panel(board: Mapping[str, Any], title: str) -> Mapping[str, Any]:
    """Return the first query of the one panel of this title."""
    (found,) = (panel for panel in panels(board) if panel.title == title and panel.kind != "row")
    return found.targets[0]


def by(label: str, result: list[dict[str, Any]]) -> dict[str, float]:
    """Return the values of an instant query by a label that tells its series apart."""
    found = {series["metric"][label]: float(series["value"][1]) for series in result}
    assert len(found) == len(result)
    return found
