"""The round trip of a board through the models of grafana-foundation-sdk 10.4: nothing lost, nothing unknown.

The models drop keys that they do not know, so a key that does not come back is one that Grafana 10.4 does not
read. They do not look at values; that is done here, against the types that the models declare.
"""

import enum
import json
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import UnknownDataquery, panelcfg_config
from grafana_foundation_sdk.models import dashboard as models

# Read by Grafana's Prometheus data source (the text of an annotation is made from the series' labels), but no
# part of the model, which knows what all data sources have in common.
_OF_THE_DATA_SOURCE = frozenset({"titleFormat", "textFormat"})

# What a model declares as a plain object, although it has a model of its own.
_UNTYPED: Mapping[tuple[str, str], Any] = {
    ("Panel", "links"): models.DashboardLink,
    ("Panel", "transformations"): models.DataTransformerConfig,
}


def differences(board: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of a board's JSON the models do not know, lose, change or type otherwise.

    Each is a path and what is wrong there: `panels[3].options.graphMod: lost`.
    """
    _register()
    try:
        parsed = models.Dashboard.from_json(dict(board))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        yield f"cannot be read by the model: {type(error).__name__}: {error}"
        return
    yield from _lost(board, json.loads(json.dumps(parsed, cls=JSONEncoder)), "")
    yield from _mistyped(parsed, models.Dashboard, "")


@cache
def _register() -> None:
    register_default_plugins()


def _lost(before: object, after: object, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in _OF_THE_DATA_SOURCE and path.startswith("annotations."):
                continue
            inner = f"{path}.{key}" if path else str(key)
            if key in after:
                yield from _lost(value, after[key], inner)
            elif value is not None:
                yield f"{inner}: lost, the model does not know it"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (left, right) in enumerate(zip(before, after, strict=True)):
            yield from _lost(left, right, f"{path}[{position}]")
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


def _mistyped(value: object, hint: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - a type hint is no type
    """Yield where a value is not of the type that the model declares."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if hasattr(value, "to_json"):
        yield from _inner(value, path)
    elif origin in {typing.Union, types.UnionType}:
        yield from _fits_none_of(value, arguments, path)
    elif origin is typing.Literal and value not in arguments:
        yield f"{path}: {value!r} is not one of {', '.join(map(repr, arguments))}"
    elif origin in {list, dict}:
        yield from _not_collected(value, origin, arguments, path)
    elif isinstance(hint, type) and hint is not object:
        yield from _not_of_class(value, hint, path)


def _not_collected(value: object, kind: type, arguments: tuple[Any, ...], path: str) -> Iterator[str]:
    if isinstance(value, list) and kind is list:
        for position, item in enumerate(value):
            yield from _mistyped(item, arguments[0], f"{path}[{position}]")
    elif isinstance(value, dict) and kind is dict:
        for key, item in value.items():
            yield from _mistyped(item, arguments[1], f"{path}.{key}")
    else:
        yield f"{path}: {value!r} is not of type {kind.__name__}"


def _fits_none_of(value: object, hints: tuple[Any, ...], path: str) -> Iterator[str]:
    if value is None and type(None) in hints:
        return
    found = [list(_mistyped(value, hint, path)) for hint in hints if hint is not type(None)]
    if all(found):
        yield from found[0]


def _not_of_class(value: object, hint: type, path: str) -> Iterator[str]:
    if issubclass(hint, enum.Enum):
        known = [member.value for member in hint]
        if value not in known:
            yield f"{path}: {value!r} is not one of {', '.join(map(repr, known))}"
    elif hint in {int, float}:
        if isinstance(value, bool) or not isinstance(value, (int, float) if hint is float else int):
            yield f"{path}: {value!r} is not a number"
    elif hint in {bool, str, type(None)}:
        if not isinstance(value, hint):
            yield f"{path}: {value!r} is not of type {hint.__name__}"
    elif isinstance(value, dict) and hasattr(hint, "from_json"):
        parsed = hint.from_json(value)
        yield from _lost(value, json.loads(json.dumps(parsed, cls=JSONEncoder)), path)
        yield from _mistyped(parsed, hint, path)
    elif hasattr(hint, "to_json"):
        yield f"{path}: {value!r} is not of type {hint.__name__}"


def _inner(model: object, path: str) -> Iterator[str]:
    if isinstance(model, UnknownDataquery):
        yield f"{path}: a query of a data source that has no model"
        return
    if isinstance(model, models.Panel) and panelcfg_config(model.type_val) is None:
        yield f"{path}: no panel of current Grafana is of type {model.type_val!r}"
        return
    for attribute, hint in typing.get_type_hints(type(model)).items():
        content = getattr(model, attribute)
        item = _UNTYPED.get((type(model).__name__, attribute))
        inner = f"{path}.{attribute}" if path else attribute
        if item is not None and isinstance(content, list):
            for position, one in enumerate(content):
                yield from _mistyped(one, item, f"{inner}[{position}]")
        else:
            yield from _mistyped(content, hint, inner)
