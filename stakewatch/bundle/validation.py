"""What a schema has against a document, in words with a mend; and the schema of `stakewatch.yaml`."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from stakewatch.bundle.document import Document, Place
from stakewatch.bundle.problems import Problem, did_you_mean, quoted

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys with values",
}
_EMPTY = {"minItems", "minLength", "minProperties"}
_BOUNDS = {
    "minimum": ("", "at least"),
    "exclusiveMinimum": ("", "more than"),
    "maximum": ("", "at most"),
    "exclusiveMaximum": ("", "less than"),
    "maxItems": ("has too many entries:", "at most"),
    "maxLength": ("has too many characters:", "at most"),
}


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of `stakewatch.yaml`; besides the standard's words it knows two of its own.

    `mend` says what to do about a wrong value, `mends` about one in which a pattern is found; a mend may use
    the pattern's groups.
    """
    text = resources.files("stakewatch.bundle").joinpath("schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def schema_problems(document: Document, rules: dict[str, Any]) -> Iterator[Problem]:
    """Yield what the schema `rules` has against `document`: keys unknown or missing, wrong values."""
    for error in Draft202012Validator(rules).iter_errors(document.data):
        yield from _problems(document, error)


def _problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    place: Place = tuple(error.absolute_path)
    where = _named(place) or document.path.name
    rule: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    value: Any = error.instance
    mend = _mend(rule, value)
    keyword = str(error.validator)
    bound: Any = error.validator_value
    if "propertyNames" in error.absolute_schema_path and isinstance(value, str):
        known = rule.get("enum", [])
        yield Problem(
            path=document.path,
            line=document.line((*place, value)),
            what=f"{quoted(value)} may not stand under {where}",
            mend=mend or did_you_mean(value, known, "known are"),
        )
        return
    if keyword == "additionalProperties":
        known = list(rule.get("properties", {}))
        for key in [key for key in value if key not in known]:
            yield Problem(
                path=document.path,
                line=document.line((*place, key)),
                what=f"unknown key {quoted(key)} in {where}",
                mend=did_you_mean(key, known, "known are"),
            )
        return
    if keyword == "required":
        for key in [key for key in bound if key not in value]:
            description = rule["properties"][key].get("description", "")
            yield Problem(
                path=document.path,
                line=document.line(place),
                what=f"{where} has no {key}",
                mend=f"add {key}: {description}" if description else f"add {key}",
            )
        return
    written = document.text(place)
    if (
        keyword == "type"
        and written
        and "string" in _wanted(rule)
        and re.search(rule.get("pattern", ""), written)
    ):
        mend = f'put it in quotes: "{written[:60]}"'
    what, otherwise = _wording(keyword, bound, value)
    shown = "is not right" if rule.get("private") and keyword == "pattern" else what
    yield Problem(
        path=document.path,
        line=document.line(place),
        what=f"{where} {shown}",
        mend=(mend if value is not None else "") or otherwise or "see the schema",
    )


def _mend(rule: dict[str, Any], value: Any) -> str | None:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        for pattern, mend in rule.get("mends", {}).items():
            if found := re.search(pattern, value):
                return found.expand(mend)
    return rule.get("mend")


def _wanted(rule: dict[str, Any]) -> list[str]:
    """Return the types that a rule allows, without null: an empty value is never what is wished for."""
    kinds = rule.get("type", [])
    return [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]


def _wording(keyword: str, bound: Any, value: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON
    """Return what is wrong, and what to do about it where the keyword alone tells."""
    if keyword == "type":
        words = " or ".join(_TYPES[kind] for kind in _wanted({"type": bound}))
        if value is None:
            return "has no value", f"write {words}, or remove the key"
        return f"must be {words}, not {_kind(value)}", f"write {words}"
    if keyword == "enum":
        return f"is {quoted(value)}", did_you_mean(str(value), [str(one) for one in bound], "write one of")
    if keyword in _EMPTY:
        return "is empty", "write at least one"
    if keyword in _BOUNDS:
        measured, words = _BOUNDS[keyword]
        shown = f"{measured} {len(value):,}" if measured else f"is {quoted(value)}"
        return shown, f"write {words} {bound}"
    return f"is {quoted(value)}", ""


def _kind(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list):
        return "a list"
    return quoted(value)


def _named(place: Place) -> str:
    """Return a place as a person reads it: `fleet.beacon_nodes[2].url`, counted from 1; the root is empty."""
    name = ""
    for step in place:
        if isinstance(step, int):
            name += f"[{step + 1}]"
        else:
            shown = step if step.isidentifier() else quoted(step)
            name += f".{shown}" if name else shown
    return name
