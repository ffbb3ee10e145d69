"""CloudFormation templates as tests read them: with functions in their long form, and no key twice."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

FUNCTIONS = ("Ref", "Condition", "GetAtt", "Sub", "Join", "If", "Not", "And", "Equals")
_WITHOUT_PREFIX = ("Ref", "Condition")
_PSEUDO_PARAMETERS = {"AWS::AccountId", "AWS::NoValue", "AWS::Partition", "AWS::Region", "AWS::StackName"}


class Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: short forms of functions, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - yaml's own signature
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def construct_function(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    """Return the long form of a function: `!Ref X` is `{"Ref": "X"}`, `!Sub X` is `{"Fn::Sub": "X"}`."""
    if name not in FUNCTIONS:
        raise yaml.constructor.ConstructorError(None, None, f"unknown function !{name}", node.start_mark)
    value: Any = (
        loader.construct_sequence(node, deep=True)
        if isinstance(node, yaml.SequenceNode)
        else loader.construct_scalar(node)
        if isinstance(node, yaml.ScalarNode)
        else None
    )
    assert value is not None, f"!{name} of a mapping"
    return {name if name in _WITHOUT_PREFIX else f"Fn::{name}": value}


Loader.add_multi_constructor("!", construct_function)


def inside(value: object) -> Iterator[object]:
    """Yield a value and everything in it."""
    yield value
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield key
            yield from inside(one)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            yield from inside(one)


def load_template(path: Path) -> dict[str, Any]:
    """Return the content of a template; it may have no aliases, which CloudFormation does not take."""
    events = yaml.parse(path.read_text(encoding="utf-8"), Loader)
    assert not [one for one in events if isinstance(one, yaml.AliasEvent)]
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
    return content


def references(content: Mapping[str, Any]) -> set[str]:
    """Return every parameter and resource that is referred to."""
    named: set[str] = set()
    for value in inside(content):
        if isinstance(value, Mapping):
            named |= {value["Ref"]} if "Ref" in value else set()
            texts = [value.get("Fn::Sub", ""), f"${{{value['Fn::GetAtt']}}}" if "Fn::GetAtt" in value else ""]
            for text in texts:
                named |= {name.partition(".")[0] for name in re.findall(r"\$\{([^}]+)\}", text)}
    return named


def known_names(content: Mapping[str, Any]) -> set[str]:
    """Return what may be referred to."""
    return {*content["Parameters"], *content["Resources"], *_PSEUDO_PARAMETERS}


def conditions(content: Mapping[str, Any]) -> set[str]:
    """Return every condition that decides something."""
    named: set[str] = set()
    for value in inside(content):
        if isinstance(value, Mapping):
            named |= {value["Condition"]} if isinstance(value.get("Condition"), str) else set()
            named |= {value["Fn::If"][0]} if "Fn::If" in value else set()
    return named
