"""What grafanalib 0.7.1 emits, brought to the form that current Grafana reads (schema version 39).

grafanalib writes keys that Grafana dropped, nulls for everything that is not set, and leaves out what newer
versions require. Nothing here knows a board.
"""

import json
from typing import Any

from grafanalib._gen import DashboardEncoder

SCHEMA_VERSION = 39

_OF_DASHBOARD = frozenset({"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style"})
_OF_PANEL = frozenset(
    {
        "cacheTimeout",
        "color",
        "columns",
        "editable",
        "error",
        "fontSize",
        "height",
        "hideTimeOverride",
        "mappings",
    }
    | {"minSpan", "span"}
)
_OF_TARGET = frozenset({"intervalFactor", "metric", "query", "step", "target"})
_OF_TIME_PICKER = frozenset({"time_options"})


def current_form(dashboard: object) -> dict[str, Any]:
    """Return the JSON of a grafanalib dashboard as Grafana 10.4 and later read it."""
    content: dict[str, Any] = json.loads(json.dumps(dashboard, cls=DashboardEncoder))
    content = _without(content, _OF_DASHBOARD)
    content["schemaVersion"] = SCHEMA_VERSION
    content["timepicker"] = _without(content["timepicker"], _OF_TIME_PICKER)
    content["panels"] = [_panel(panel) for panel in content["panels"]]
    return {key: _without_nulls(value) for key, value in content.items() if value is not None}


def _panel(panel: dict[str, Any]) -> dict[str, Any]:
    if panel["type"] == "row":
        row = {key: panel[key] for key in ("collapsed", "gridPos", "id", "title", "type")}
        return {**row, "panels": [_panel(inner) for inner in panel["panels"]]}
    panel = _without(panel, _OF_PANEL)
    panel["targets"] = [_without(target, _OF_TARGET) for target in panel["targets"]]
    for key in ("interval", "links", "transformations", "targets"):
        if not panel.get(key):
            panel.pop(key, None)
    return panel


def _without(content: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: _without_nulls(inner)
            for key, inner in value.items()
            # The first step of a colour scale has the value null, and Grafana insists on it.
            if inner is not None or (key == "value" and "color" in value)
        }
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
