"""A board: what a module in dashboards/ defines as `dashboard`."""

from dataclasses import dataclass
from typing import Any

from grafanalib import core

from stakewatch.grafana.current import SCHEMA_VERSION, current_form
from stakewatch.grafana.layout import Row, place
from stakewatch.grafana.links import TAG, boards_link
from stakewatch.grafana.queries import DATASOURCE
from stakewatch.grafana.setting import Setting
from stakewatch.grafana.variables import Variable

_SHARED_CROSSHAIR = 1
_REFRESH_CHOICES = ["15s", "30s", "1m", "5m", "15m", "1h"]

_BUILT_IN_ANNOTATIONS = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "target": {"limit": 100, "matchAny": False, "tags": [], "type": "dashboard"},
    "type": "dashboard",
}


@dataclass(frozen=True)
class Board:
    """One story from top (is it well?) to bottom (why not?), as code.

    `uid` is the board's address in Grafana and never changes. `firing` is the query of the alerts that are
    drawn over all time series, with Grafana's variables in it. `tags` are added to ours.
    """

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    firing: str
    tags: tuple[str, ...] = ()
    start: str = "now-3h"
    refresh: str = "30s"

    def generate(self, setting: Setting) -> dict[str, Any]:
        """Return the JSON that Grafana 10.4 and later read, thresholds and links filled in.

        Raises InputError (where: the panel's title) when one names an alert that no rule file has, or does
        not fit the grid.
        """
        return current_form(
            core.Dashboard(
                uid=self.uid,
                title=self.title,
                description=self.description,
                tags=[TAG, *self.tags],
                # Boards are generated: a change by hand would be lost with the next publishing.
                editable=False,
                graphTooltip=_SHARED_CROSSHAIR,
                refresh=self.refresh,
                schemaVersion=SCHEMA_VERSION,
                time=core.Time(self.start, "now"),
                timePicker=core.TimePicker(refreshIntervals=_REFRESH_CHOICES, timeOptions=[]),
                timezone="utc",
                links=[boards_link()],
                templating=core.Templating(list=list(self.variables)),
                annotations=core.Annotations(list=[_BUILT_IN_ANNOTATIONS, _firing_alerts(self.firing)]),
                panels=place(self.rows, setting),
            )
        )


def _firing_alerts(expression: str) -> dict[str, object]:
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": expression,
        "hide": False,
        "iconColor": "red",
        "name": "Firing alerts",
        "textFormat": "{{severity}}: {{instance}}",
        "titleFormat": "{{alertname}}",
    }
