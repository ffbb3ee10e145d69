"""Routes and inhibitions as written, but every receiver a webhook and times scaled: for trying them out."""

from pathlib import Path
from typing import Any

import yaml

from stakewatch.errors import InputError
from stakewatch.promql import parse_duration, print_duration
from stakewatch.rules.routes import read_routes

_SHORTEST_SECONDS = 1.0
_TIMES = ("group_wait", "group_interval", "repeat_interval")


def routes_to_webhook(path: Path, *, url: str, factor: float) -> str:
    """Return the Alertmanager configuration at `path` with all notifications sent to `url`.

    Receivers keep their names, so that routes and inhibition stay as they are; `factor` scales group_wait,
    group_interval and repeat_interval, none below a second. Paths of templates are made absolute.
    Raises InputError when the file is missing or is no Alertmanager configuration.
    """
    content = read_routes(path)
    if "route" not in content or "receivers" not in content:
        raise InputError(
            "this is no Alertmanager configuration: it has no route or no receivers",
            where=str(path),
            mend="`stakewatch check` says more about it",
        )
    content["receivers"] = [
        {"name": receiver["name"], "webhook_configs": [{"url": url, "send_resolved": True}]}
        for receiver in content["receivers"]
    ]
    content["templates"] = [str(path.parent / pattern) for pattern in content.get("templates", [])]
    _scale(content["route"], factor)
    return yaml.safe_dump(content, sort_keys=False)


def _scale(route: dict[str, Any], factor: float) -> None:
    for name in _TIMES:
        if name in route:
            seconds = max(parse_duration(route[name]) * factor, _SHORTEST_SECONDS)
            route[name] = print_duration(seconds)
    for child in route.get("routes", []):
        _scale(child, factor)
