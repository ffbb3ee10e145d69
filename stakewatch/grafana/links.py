"""Links between boards, and from a panel to the runbooks of its alerts, with the reader's choices kept."""

from collections.abc import Iterable, Mapping
from typing import Any

from grafanalib import core

from stakewatch.grafana.queries import DATASOURCE_VARIABLE
from stakewatch.grafana.thresholds import Alert

TAG = "stakewatch"


def boards_link() -> dict[str, Any]:
    """Return the menu of all our boards; the chosen variables and the time range go along."""
    link: dict[str, Any] = core.DashboardLink(
        asDropdown=True,
        icon="external link",
        includeVars=True,
        keepTime=True,
        tags=[TAG],
        title="Boards",
        tooltip="All stakewatch boards",
        type="dashboards",
    ).to_json_data()
    return link


def board_link(uid: str, title: str, variables: Iterable[str]) -> dict[str, Any]:
    """Return a link on a value to the board `uid`, for the series that was clicked.

    `variables` take their value from the series' label of the same name; data source and time range are kept.
    """
    chosen = "&".join(f"var-{name}=${{__field.labels.{name}}}" for name in variables)
    kept = f"${{{DATASOURCE_VARIABLE}:queryparam}}&${{__url_time_range}}"
    return {"title": title, "url": f"/d/{uid}?{chosen}&{kept}", "targetBlank": False}


def chosen_link(uid: str, title: str, variables: Iterable[str]) -> dict[str, Any]:
    """Return a link to the board `uid` with what the reader chose here: for totals, which have no labels."""
    kept = "&".join(f"${{{name}:queryparam}}" for name in (*variables, DATASOURCE_VARIABLE))
    return {"title": title, "url": f"/d/{uid}?{kept}&${{__url_time_range}}", "targetBlank": False}


def row_link(uid: str, title: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return a link in a table to the board `uid`; the mapping is from variable to column heading."""
    chosen = "&".join(f"var-{name}=${{__data.fields.{heading}}}" for name, heading in variables.items())
    kept = f"${{{DATASOURCE_VARIABLE}:queryparam}}&${{__url_time_range}}"
    return {"title": title, "url": f"/d/{uid}?{chosen}&{kept}", "targetBlank": False}


def runbook_link(alert: Alert) -> dict[str, Any]:
    """Return a panel's link to the runbook of an alert that watches the same thing."""
    return {"title": f"Runbook: {alert.name}", "url": alert.runbook_url, "targetBlank": True}
