"""River: the syntax of Alloy's configuration, blocks and attributes, printed as `alloy fmt` does.

Source: https://grafana.com/docs/alloy/latest/get-started/configuration-syntax/
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias


@dataclass(frozen=True)
class Reference:
    """An expression that is printed as it is, such as the exports of another component."""

    expression: str


Value: TypeAlias = str | int | bool | Reference | Sequence["Value"] | Mapping[str, "Value"]


@dataclass(frozen=True)
class Block:
    """A block `name "label" { … }`: its attributes, then the blocks in it."""

    name: str
    label: str = ""
    attributes: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    blocks: "tuple[Block, ...]" = ()


def print_blocks(blocks: Sequence[Block], *, heading: str = "") -> str:
    """Return the blocks as text, below `heading` as comments."""
    comment = "".join(f"// {line}".rstrip() + "\n" for line in heading.splitlines())
    body = "\n".join("\n".join(_lines(block)) + "\n" for block in blocks)
    return f"{comment}\n{body}" if comment else body


def _lines(block: Block) -> Iterator[str]:
    head = f"{block.name} {_string(block.label)}" if block.label else block.name
    if not block.attributes and not block.blocks:
        yield f"{head} {{ }}"
        return
    yield f"{head} {{"
    width = max(map(len, block.attributes), default=0)
    for name, value in block.attributes.items():
        first, *rest = _value(value)
        yield f"\t{name:{width}} = {first}"
        yield from (f"\t{line}" for line in rest)
    for number, inner in enumerate(block.blocks):
        if number or block.attributes:
            yield ""
        yield from (f"\t{line}" if line else "" for line in _lines(inner))
    yield "}"


def _value(value: Value) -> list[str]:  # noqa: PLR0911 - one case a kind of value
    """Return the lines of a value."""
    match value:
        case Reference():
            return [value.expression]
        case bool():
            return [str(value).lower()]
        case int():
            return [str(value)]
        case str():
            return [_string(value)]
        case Mapping():
            names = {name: name if name.isidentifier() else _string(name) for name in value}
            width = max(map(len, names.values()), default=0)
            lines = [f"\t{names[name]:{width}} = {' '.join(_value(one))}," for name, one in value.items()]
            return ["{", *lines, "}"]
        case _ if any(isinstance(one, Mapping) for one in value):
            members = [[*_value(one)[:-1], f"{_value(one)[-1]},"] for one in value]
            return ["[", *(f"\t{line}" for member in members for line in member), "]"]
        case _:
            return [f"[{', '.join(' '.join(_value(one)) for one in value)}]"]


def _string(text: str) -> str:
    """Return a string, raw where it has backslashes and can be."""
    return f"`{text}`" if "\\" in text and "`" not in text else json.dumps(text, ensure_ascii=False)
