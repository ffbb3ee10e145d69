"""`docs/configuration.md`: the reference of `stakewatch.yaml`, written from its schema."""

import json
from collections.abc import Iterator
from typing import Any

from stakewatch.bundle.validation import schema

_HEAD = """# stakewatch.yaml

{description} Everything in it is optional: without the file, defaults work.
`stakewatch config FILE` says whether a file is right; every mistake comes with its line and what to do.
`stakewatch.example.yaml` shows all of it at work.

Written from the schema by `stakewatch config --reference`.

- YAML 1.2 words: `no` is text, `true` and `false` are not. Anchors, aliases and tags are refused.
- At most 10 MiB; long lists of keys go into key files.
- No secrets: an address with a user or password is refused.
- Relative paths are relative to the file.
"""


def configuration_reference() -> str:
    """Return the page in Markdown: one section per place in the file, one row per key."""
    root = schema()
    return _HEAD.format(description=root["description"]) + "".join(_sections("", root))


def _sections(place: str, rule: dict[str, Any]) -> Iterator[str]:
    properties: dict[str, Any] = rule.get("properties", {})
    if properties:
        title = f"`{place}`" if place else "Top level"
        about = f"{rule['description']}\n\n" if place and "description" in rule else ""
        rows = "".join(_row(name, one, name in rule.get("required", [])) for name, one in properties.items())
        yield f"\n## {title}\n{about}| key | what | value |\n|---|---|---|\n{rows}"
    for name, one in properties.items():
        below = f"{place}.{name}" if place else name
        if isinstance(items := one.get("items"), dict) and "properties" in items:
            yield from _sections(f"{below}[]", {"description": one["description"], **items})
        elif isinstance(values := one.get("additionalProperties"), dict) and "properties" in values:
            yield from _sections(f"{below}.<name>", {"description": one["description"], **values})
            for form in (case["then"] for case in values.get("allOf", [])):
                yield from _sections(f"{below}.<{form['title']}>", form)
        else:
            yield from _sections(below, one)


def _row(name: str, rule: dict[str, Any], required: bool) -> str:  # noqa: FBT001 - a column of the table
    kinds = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    value = " or ".join(kind for kind in kinds if kind != "null")
    if "enum" in rule:
        value = ", ".join(f"`{one}`" for one in rule["enum"])
    bounds = [
        f"{sign} {rule[key]}"
        for key, sign in (
            ("minimum", ">="),
            ("exclusiveMinimum", ">"),
            ("maximum", "<="),
            ("exclusiveMaximum", "<"),
        )
        if key in rule
    ]
    value += f" ({', '.join(bounds)})" if bounds else ""
    value += f"; default `{json.dumps(rule['default'])}`" if "default" in rule else ""
    value += "; required" if required else ""
    return f"| `{name}` | {rule['description']} | {value} |\n"
