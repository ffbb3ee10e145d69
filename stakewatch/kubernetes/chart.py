"""The chart kube-prometheus-stack as we know it: which values it reads.

Helm takes a value that no template reads without a word, so a misspelt key is a setting that never was.
"""

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def chart_schema() -> dict[str, Any]:
    """Return the JSON Schema of the chart's values; it knows names only, and not what stands in every part.

    Its source and version stand in chart_values.json, where null is a part that is not looked into.
    """
    return {**_schema(_content()["keys"]), "type": ["object", "null"]}


def chart_version() -> str:
    """Return the version of the chart whose values are known."""
    return str(_content()["version"])


@cache
def _content() -> dict[str, Any]:
    text = resources.files("stakewatch.kubernetes").joinpath("chart_values.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _schema(keys: dict[str, Any] | None) -> dict[str, Any]:
    if keys is None:
        return {}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _schema(below) for name, below in keys.items()},
    }
