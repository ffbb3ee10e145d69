"""The helper's JSON answer, turned into the syntax tree."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stakewatch.promql.tree import (
    AggregateExpr,
    AtModifier,
    BinaryExpr,
    Call,
    Duration,
    DurationExpression,
    Expression,
    Grouping,
    LabelMatcher,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatching,
    VectorSelector,
)


def decode(nodes: Sequence[Mapping[str, Any]]) -> Expression:
    """Return the tree of an answer's `nodes`: children first, each naming its children by their index."""
    built: list[Expression] = []
    for node in nodes:
        built.append(_KINDS[node["kind"]](node, built))
    return built[-1]


def _position(node: Mapping[str, Any]) -> dict[str, Any]:
    return {"start": node["start"], "end": node["end"]}


def _text(value: str | Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    return base64.b64decode(value["base64"]).decode(errors="surrogateescape")


def _number(node: Mapping[str, Any]) -> NumberLiteral:
    return NumberLiteral(**_position(node), value=float(node["value"]), is_duration=node["is_duration"])


def _matcher(node: Mapping[str, Any]) -> LabelMatcher:
    return LabelMatcher(
        **_position(node),
        name=_text(node["name"]),
        operator=node["operator"],
        value=_text(node["value"]),
    )


def _duration(node: Mapping[str, Any]) -> Duration | DurationExpression:
    if "expression" in node:
        return DurationExpression(
            **_position(node), text=node["expression"], uses_context=node.get("uses_context", False)
        )
    return Duration(**_position(node), seconds=float(node["seconds"]))


def _offset_and_at(node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "offset": _duration(node["offset"]) if "offset" in node else None,
        "at": _at(node["at"]) if "at" in node else None,
    }


def _at(node: Mapping[str, Any]) -> AtModifier:
    return AtModifier(**_position(node), milliseconds=node.get("milliseconds"), anchor=node.get("anchor"))


def _grouping(node: Mapping[str, Any]) -> Grouping:
    labels = tuple(map(_text, node["labels"]))
    return Grouping(**_position(node), without=node["without"], labels=labels)


def _matching(node: Mapping[str, Any]) -> VectorMatching:
    return VectorMatching(
        **_position(node),
        keyword=node.get("keyword"),
        labels=tuple(map(_text, node["labels"])),
        group=node.get("group"),
        include=tuple(map(_text, node["include"])),
        fill_left=_number(node["fill_left"]) if "fill_left" in node else None,
        fill_right=_number(node["fill_right"]) if "fill_right" in node else None,
    )


def _string(node: Mapping[str, Any], _: Sequence[Expression]) -> Expression:
    return StringLiteral(**_position(node), value=_text(node["value"]))


def _vector_selector(node: Mapping[str, Any], _: Sequence[Expression]) -> Expression:
    return VectorSelector(
        **_position(node),
        **_offset_and_at(node),
        name=node.get("name"),
        matchers=tuple(map(_matcher, node["matchers"])),
        boundary=node.get("boundary"),
        braces_start=node["braces"]["start"],
        braces_end=node["braces"]["end"],
    )


def _matrix_selector(node: Mapping[str, Any], built: Sequence[Expression]) -> Expression:
    selector = built[node["selector"]]
    if not isinstance(selector, VectorSelector):
        raise TypeError(f"a range on {type(selector).__name__}")
    return MatrixSelector(
        **_position(node),
        **_offset_and_at(node),
        selector=selector,
        range=_duration(node["range"]),
        boundary=node.get("boundary"),
    )


def _subquery(node: Mapping[str, Any], built: Sequence[Expression]) -> Expression:
    return SubqueryExpr(
        **_position(node),
        **_offset_and_at(node),
        expression=built[node["expression"]],
        range=_duration(node["range"]),
        step=_duration(node["step"]) if "step" in node else None,
    )


def _call(node: Mapping[str, Any], built: Sequence[Expression]) -> Expression:
    return Call(
        **_position(node),
        function=node["function"],
        arguments=tuple(built[index] for index in node["arguments"]),
        returns=node["returns"],
    )


def _aggregation(node: Mapping[str, Any], built: Sequence[Expression]) -> Expression:
    return AggregateExpr(
        **_position(node),
        operator=node["operator"],
        grouping=_grouping(node["grouping"]) if "grouping" in node else None,
        parameter=built[node["parameter"]] if "parameter" in node else None,
        expression=built[node["expression"]],
    )


def _binary(node: Mapping[str, Any], built: Sequence[Expression]) -> Expression:
    return BinaryExpr(
        **_position(node),
        operator=node["operator"],
        operator_start=node["operator_position"]["start"],
        operator_end=node["operator_position"]["end"],
        left=built[node["left"]],
        right=built[node["right"]],
        return_bool=node["return_bool"],
        matching=_matching(node["matching"]) if "matching" in node else None,
    )


def _unary(node: Mapping[str, Any], built: Sequence[Expression]) -> Expression:
    return UnaryExpr(**_position(node), operator=node["operator"], expression=built[node["expression"]])


def _parentheses(node: Mapping[str, Any], built: Sequence[Expression]) -> Expression:
    return ParenExpr(**_position(node), expression=built[node["expression"]])


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Sequence[Expression]], Expression]] = {
    "number": lambda node, _: _number(node),
    "string": _string,
    "vector_selector": _vector_selector,
    "matrix_selector": _matrix_selector,
    "subquery": _subquery,
    "call": _call,
    "aggregation": _aggregation,
    "binary": _binary,
    "unary": _unary,
    "parentheses": _parentheses,
}
