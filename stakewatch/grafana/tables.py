"""Tables: the newest values as rows, and the alerts that fire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from stakewatch.grafana.panels import Panel
from stakewatch.grafana.queries import ROWS, Form, Query, reference
from stakewatch.grafana.setting import Setting


@dataclass(frozen=True)
class Value:
    """A number of a table: the heading of its column, its unit, and its decimals where they differ."""

    heading: str
    unit: str
    decimals: int | None = None


@dataclass(frozen=True, kw_only=True)
class Table(Panel):
    """The newest value of each series as a row.

    `columns` are the labels to show with their headings, in this order; `value` is the heading of the
    number, which is hidden without one. With `values`, one per query, rows of the same labels become one.
    `column_links` are followed by a click on a cell of that heading.
    """

    columns: Mapping[str, str]
    value: str = ""
    values: tuple[Value, ...] = ()
    column_links: Mapping[str, tuple[Mapping[str, object], ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def _form(self) -> Form:
        return ROWS

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        headings = {**self.columns, **self._numbers}
        panel = self._own(
            "table",
            setting,
            {"cellHeight": "sm", "footer": _NO_FOOTER, "frameIndex": 0, "showHeader": True, "sortBy": []},
            custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False},
            overrides=tuple(
                {
                    "matcher": {"id": "byName", "options": heading},
                    "properties": [{"id": "links", "value": [dict(link) for link in links]}],
                }
                for heading, links in self.column_links.items()
            )
            + tuple(
                {
                    "matcher": {"id": "byName", "options": value.heading},
                    "properties": [
                        {"id": "unit", "value": value.unit},
                        *([] if value.decimals is None else [{"id": "decimals", "value": value.decimals}]),
                    ],
                }
                for value in self.values
            ),
        )
        panel["transformations"] = [
            *([{"id": "merge", "options": {}}] if self.values else []),
            {"id": "filterFieldsByName", "options": {"include": {"names": list(headings)}}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {},
                    "indexByName": {name: place for place, name in enumerate(headings)},
                    "renameByName": headings,
                },
            },
        ]
        return panel

    @property
    def _numbers(self) -> Mapping[str, str]:
        """Grafana's names of the numbers, and the headings that they get."""
        if self.values:
            # A single query's number is "Value"; of several, each has the query's name behind it.
            many = len(self.queries) > 1
            return {
                f"Value #{reference(place)}" if many else "Value": value.heading
                for place, value in enumerate(self.values)
            }
        return {"Value": self.value} if self.value else {}


# What a label is called at the head of its column, where a table does not need another word.
_HEADINGS: Mapping[str, str] = MappingProxyType(
    {
        "alertname": "Alert",
        "beacon_node": "Beacon",
        "cluster": "Cluster",
        "container": "Container",
        "device": "Device",
        "group": "Group",
        "implementation": "Implementation",
        "instance": "Instance",
        "namespace": "Namespace",
        "network": "Network",
        "node": "Node",
        "persistentvolumeclaim": "Claim",
        "pod": "Pod",
        "priority": "Priority",
        "pubkey": "Public key",
        "reason": "Reason",
        "role": "Role",
        "secret": "Secret",
        "severity": "Severity",
        "source": "Source",
        "validator_client": "Client",
        "validator_index": "Validator",
        "version": "Version",
    }
)


def headed(*labels: str, **others: str) -> Mapping[str, str]:
    """Return the columns of labels under their usual headings, and after them `others` by label."""
    return {**{label: _HEADINGS[label] for label in labels}, **others}


@dataclass(frozen=True, kw_only=True)
class FiringAlerts(Table):
    """The alerts that fire for what the reader chose, each with a link to its runbook.

    Two of the columns are `alertname` and `severity`.
    """

    unit: str = "none"
    no_value: str = "nothing fires"

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        panel = super().render(setting)
        runbook = {
            "title": "Runbook",
            "url": f"{setting.urls.runbooks}/${{__value.raw}}",
            "targetBlank": True,
        }
        panel["fieldConfig"]["overrides"] = [
            {
                "matcher": {"id": "byName", "options": self.columns["alertname"]},
                "properties": [{"id": "links", "value": [runbook]}],
            },
            {
                "matcher": {"id": "byName", "options": self.columns["severity"]},
                "properties": [
                    {"id": "custom.cellOptions", "value": {"type": "color-text"}},
                    {"id": "mappings", "value": _SEVERITIES},
                ],
            },
        ]
        return panel


def firing_alerts(which: str, firing: str, *labels: str, normal: str = "none") -> FiringAlerts:
    """Return the alerts that the selector `firing` finds, with the columns of `labels` after the usual two.

    The most severe come first. `firing` ends with a brace. `which` says what they are about, `normal` what is
    no reason to worry.
    """
    matchers = firing.removesuffix("}")
    critical, warning = (f'{matchers},severity="{severity}"}}' for severity in ("critical", "warning"))
    return FiringAlerts(
        title="Firing alerts",
        description=f"{which}; a click on the name opens the runbook. Normal: {normal}.",
        queries=(Query(f"sort_desc({critical} + 2 or {warning} + 1 or {firing})"),),
        columns=headed("alertname", "severity", *labels),
    )


_NO_FOOTER = {"countRows": False, "fields": [], "reducer": ["sum"], "show": False}

_SEVERITIES = [
    {
        "type": "value",
        "options": {
            "critical": {"color": "red", "index": 0},
            "warning": {"color": "orange", "index": 1},
            "info": {"color": "blue", "index": 2},
        },
    }
]
