"""Panels: each kind as a frozen dataclass that renders what current Grafana expects.

grafanalib's classes are used where they are right or can be completed (time series, stat, state timeline,
text); where they are broken (gauge, bar gauge, heatmap, table) the options are written here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from grafanalib import core

from stakewatch.errors import InputError
from stakewatch.grafana.links import runbook_link
from stakewatch.grafana.queries import (
    BUCKETS,
    DATASOURCE,
    NOW,
    OVER_TIME,
    Form,
    LogQuery,
    Query,
    reference,
)
from stakewatch.grafana.setting import Setting
from stakewatch.grafana.thresholds import WELL, Alert, Step, steps_of

PLUGIN_VERSION = "10.4.0"

_NO_STEPS = (Step(None, WELL),)
_COMPLETE_LEGEND = {"showLegend": True}


@dataclass(frozen=True)
class State:
    """How one value is shown: its text and colour."""

    text: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Panel(ABC):
    """What all panels have; `render` returns Grafana's form without the place on the grid.

    `unit` is one of Grafana's unit ids. `alerts` name the alerts that watch the same thing: their
    thresholds become the panel's colours and lines, their runbooks its links. Where none of them has a
    threshold, `steps` may give colours. `states` give words to single values. `links` are followed by a
    click on a value.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query | LogQuery, ...]
    alerts: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    states: Mapping[float, State] = field(default_factory=lambda: MappingProxyType({}))
    decimals: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    no_value: str = "no data"
    links: tuple[Mapping[str, object], ...] = ()

    @property
    def _form(self) -> Form:
        return OVER_TIME

    @abstractmethod
    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form.

        Raises InputError (where: the panel's title) when an alert is named that no rule file has, or when the
        panel has both steps and an alert with a threshold.
        """

    def _scale(self, setting: Setting) -> tuple[Step, ...]:
        drawn = [alert for alert in self._watching(setting) if alert.threshold is not None]
        if drawn and self.steps:
            raise InputError(
                f"the panel {self.title!r} has steps of its own and alerts with thresholds",
                where=self.title,
                mend="leave out the steps: the thresholds of the alerts are drawn",
            )
        return steps_of(drawn) if drawn else self.steps or _NO_STEPS

    def _watching(self, setting: Setting) -> list[Alert]:
        try:
            return [setting.alert(name) for name in self.alerts]
        except InputError as error:
            what = f"the panel {self.title!r}: {error.what}"
            raise InputError(what, where=self.title, mend=error.mend) from error

    def _common(self, setting: Setting) -> dict[str, Any]:
        """Return what every class of grafanalib takes."""
        return {
            "dataSource": self.queries[0].datasource if self.queries else DATASOURCE,
            "description": self.description,
            "links": [runbook_link(alert) for alert in self._watching(setting)],
            # Grafana's own choice follows the width of the panel; grafanalib's 100 is coarse on a wide
            # screen.
            "maxDataPoints": None,
            "targets": [
                query.target(reference(place), self._form) for place, query in enumerate(self.queries)
            ],
            "thresholds": list(self._scale(setting)),
            "title": self.title,
        }

    def _defaults(self, colour_mode: str) -> dict[str, Any]:
        """Return the field options that are the same for every kind of panel."""
        defaults: dict[str, Any] = {
            "color": {"mode": colour_mode},
            "mappings": _value_mappings(self.states),
            "unit": self.unit,
        }
        optional = {
            "decimals": self.decimals,
            "links": [dict(link) for link in self.links] or None,
            "max": self.maximum,
            "min": self.minimum,
            "noValue": self.no_value or None,
        }
        return {**defaults, **{key: value for key, value in optional.items() if value is not None}}

    def _own(
        self,
        kind: str,
        setting: Setting,
        options: Mapping[str, object],
        *,
        colour_mode: str = "thresholds",
        custom: Mapping[str, object] = MappingProxyType({}),
        overrides: tuple[Mapping[str, object], ...] = (),
    ) -> dict[str, Any]:
        """Return a panel of a kind that grafanalib does not emit rightly."""
        common = core.Panel(**self._common(setting), extraJson={"pluginVersion": PLUGIN_VERSION})
        panel: dict[str, Any] = common.panel_json(
            {
                "type": kind,
                "options": dict(options),
                "fieldConfig": {
                    "defaults": {**self._defaults(colour_mode), "custom": dict(custom)},
                    "overrides": [dict(override) for override in overrides],
                },
            }
        )
        return panel


@dataclass(frozen=True, kw_only=True)
class Timeseries(Panel):
    """Values over time, with the thresholds of the alerts as dashed lines.

    The scale begins at 0, unless `minimum` is None. `connect` draws over gaps: for series that exist only in
    some scrapes.
    """

    minimum: float | None = 0
    draw: Literal["line", "bars", "points"] = "line"
    stack: bool = False
    connect: bool = False
    calculations: tuple[str, ...] = ("lastNotNull", "max")

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        lines = any(step.value is not None for step in self._scale(setting))
        panel: dict[str, Any] = core.TimeSeries(
            **self._common(setting),
            drawStyle=self.draw,
            fillOpacity=60 if self.draw == "bars" else 10,
            legendCalcs=list(self.calculations),
            legendDisplayMode="table",
            mappings=_value_mappings(self.states),
            spanNulls=self.connect,
            showPoints="auto",
            stacking={"mode": "normal" if self.stack else "none", "group": "A"},
            thresholdsStyleMode="dashed" if lines else "off",
            tooltipMode="multi",
            tooltipSort="desc",
            unit=self.unit,
            extraJson={
                "pluginVersion": PLUGIN_VERSION,
                "fieldConfig": {"defaults": self._defaults("palette-classic")},
                "options": {"legend": _COMPLETE_LEGEND},
            },
        ).to_json_data()
        return panel


@dataclass(frozen=True, kw_only=True)
class Stat(Panel):
    """One number per series, large: what a phone shows first.

    What tells series apart is shown beside it where there are several, with `named` always.
    """

    graph: Literal["none", "area"] = "none"
    colour: Literal["none", "value", "background"] = "background"
    calculation: str = "lastNotNull"
    named: bool = False

    @property
    def _form(self) -> Form:
        return NOW if self.graph == "none" else OVER_TIME

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        panel: dict[str, Any] = core.Stat(
            **self._common(setting),
            alignment="auto",
            colorMode=self.colour,
            format=self.unit,
            graphMode=self.graph,
            reduceCalc=self.calculation,
            textMode="value_and_name" if self.named else "auto",
            extraJson={
                "pluginVersion": PLUGIN_VERSION,
                "fieldConfig": {"defaults": self._defaults("thresholds")},
                "options": {"wideLayout": True, "showPercentChange": False},
            },
        ).to_json_data()
        return panel


@dataclass(frozen=True, kw_only=True)
class Gauge(Panel):
    """A value between its minimum and its maximum, with the thresholds around it: a share, unless told."""

    minimum: float | None = 0
    maximum: float | None = 1

    @property
    def _form(self) -> Form:
        return NOW

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        return self._own(
            "gauge",
            setting,
            {
                "minVizHeight": 75,
                "minVizWidth": 75,
                "orientation": "auto",
                "reduceOptions": _newest(),
                "showThresholdLabels": False,
                "showThresholdMarkers": True,
                "sizing": "auto",
            },
        )


@dataclass(frozen=True, kw_only=True)
class BarGauge(Panel):
    """A bar per series, to compare them."""

    @property
    def _form(self) -> Form:
        return NOW

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        return self._own(
            "bargauge",
            setting,
            {
                "displayMode": "basic",
                "maxVizHeight": 300,
                "minVizHeight": 16,
                "minVizWidth": 8,
                "namePlacement": "auto",
                "orientation": "horizontal",
                "reduceOptions": _newest(),
                "showUnfilled": True,
                "sizing": "auto",
                "valueMode": "color",
            },
        )


@dataclass(frozen=True, kw_only=True)
class Heatmap(Panel):
    """The distribution of a Prometheus histogram over time; its queries are sums by `le`.

    `unit` is the unit of the buckets.
    """

    @property
    def _form(self) -> Form:
        return BUCKETS

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        return self._own(
            "heatmap",
            setting,
            {
                "calculate": False,
                "cellGap": 1,
                "color": {
                    "exponent": 0.5,
                    "fill": "dark-orange",
                    "mode": "scheme",
                    "reverse": False,
                    "scale": "exponential",
                    "scheme": "Oranges",
                    "steps": 64,
                },
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "filterValues": {"le": 1e-9},
                "legend": {"show": True},
                "rowsFrame": {"layout": "auto"},
                "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
                "yAxis": {"axisPlacement": "left", "reverse": False, "unit": self.unit},
            },
            custom={
                "hideFrom": {"legend": False, "tooltip": False, "viz": False},
                "scaleDistribution": {"type": "linear"},
            },
        )


@dataclass(frozen=True, kw_only=True)
class StateTimeline(Panel):
    """States over time, a band per series."""

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        panel: dict[str, Any] = core.StateTimeline(
            **self._common(setting),
            mappings=_value_mappings(self.states),
            showValue="never",
            extraJson={
                "pluginVersion": PLUGIN_VERSION,
                "fieldConfig": {"defaults": self._defaults("thresholds")},
                "options": {"legend": _COMPLETE_LEGEND, "tooltip": {"sort": "none"}},
            },
        ).to_json_data()
        return panel


def _value_mappings(states: Mapping[float, State]) -> list[dict[str, object]]:
    if not states:
        return []
    options = {
        f"{value:g}": {"color": state.colour, "index": place, "text": state.text}
        for place, (value, state) in enumerate(states.items())
    }
    return [{"type": "value", "options": options}]


def _newest() -> dict[str, object]:
    return {"calcs": ["lastNotNull"], "fields": "", "values": False}
