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
    text = resources.files("stakewatch.kubernetes").joinpath("chart_values.json").read_text(encoding="utf-8")
    return {**_schema(json.loads(text)["keys"]), "type": ["object", "null"]}


def _schema(keys: dict[str, Any] | None) -> dict[str, Any]:
    if keys is None:
        return {}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _schema(below) for name, below in keys.items()},
    }
