"""Prometheus rule files as types that know their lines, and the way back to YAML."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from stakewatch.bundle.document import read_text
from stakewatch.bundle.printing import as_yaml
from stakewatch.errors import InputError

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_DEEPEST = 50
_SUFFIXES = (".yaml", ".yml")
_MOST_RULES = 100_000


@dataclass(frozen=True)
class Rule:
    """One alerting or recording rule; exactly one of `alert` and `record` is set.

    Durations are text as written (`duration` is the field `for`). `line` is where the rule starts, `lines`
    where its parts stand: `expr`, `for`, `labels`, `labels.severity`, `annotations.summary` and so on.
    `expression_line` is the line of the file on which the text of `expr` begins. `more` are fields of newer
    Prometheus versions, kept as they are.
    """

    expression: str
    alert: str | None = None
    record: str | None = None
    duration: str | None = None
    keep_firing_for: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    more: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    line: int = 1
    expression_line: int = 1
    lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """The alert's name, or the series that is recorded."""
        return self.alert or self.record or ""

    def line_of(self, part: str) -> int:
        """Return the line of a part such as `labels.severity`, or of what it is missing in."""
        while part not in self.lines:
            if "." not in part:
                return self.line
            part = part.rpartition(".")[0]
        return self.lines[part]


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other; `interval` is text as written."""

    name: str
    rules: tuple[Rule, ...]
    interval: str | None = None
    more: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    line: int = 1


@dataclass(frozen=True)
class RuleFile:
    """All groups of one rule file."""

    path: Path
    groups: tuple[Group, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules in the order of the file."""
        return tuple(rule for group in self.groups for rule in group.rules)

    @property
    def alerts(self) -> tuple[Rule, ...]:
        """The alerting rules in the order of the file."""
        return tuple(rule for rule in self.rules if rule.alert is not None)

    @property
    def records(self) -> tuple[Rule, ...]:
        """The recording rules in the order of the file."""
        return tuple(rule for rule in self.rules if rule.record is not None)

    def place(self, rule: Rule, part: str = "") -> str:
        """Return `file:line` of a rule or of one of its parts, for messages."""
        return f"{self.path}:{rule.line_of(part) if part else rule.line}"


def records_by_name(rule_files: Iterable[RuleFile]) -> dict[str, list[Rule]]:
    """Return the recording rules of some files by what they record, which several may do."""
    found: dict[str, list[Rule]] = {}
    for rule in (rule for rule_file in rule_files for rule in rule_file.records):
        found.setdefault(rule.name, []).append(rule)
    return found


def rule_paths(folder: Path) -> tuple[Path, ...]:
    """Return the rule files in a folder and its sub-folders by name, promtool tests left out.

    Raises InputError when there is none.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in _SUFFIXES and not path.stem.endswith((".test", "_test", "-test")) and path.is_file()
    )
    if not found:
        raise InputError(
            "no rule files here",
            where=str(folder),
            mend="rule files end in .yaml or .yml; name their folder",
        )
    return tuple(found)


def files_with(place: Path, field: str) -> Iterator[Path]:
    """Yield the YAML files of a folder and its sub-folders that have this field at the top, or the one file.

    Names alone do not tell rules (`groups`) from tests (`tests`). A file of a folder that is no YAML is left
    out, unless it looks as if it were meant. Raises InputError (file:line) for one that was.
    """
    paths = [place] if place.is_file() else sorted(place.rglob("*"))
    for path in paths:
        if not path.is_file() or (path.suffix not in _SUFFIXES and path != place):
            continue
        text = read_text(path)
        if field not in text:
            continue
        try:
            root = compose(text, path)
            if isinstance(root, yaml.MappingNode) and field in entries(root, path, "the file"):
                yield path
        except InputError:
            if path == place or re.search(rf"^{field}\s*:", text, re.MULTILINE):
                raise


def load_rule_files(folder: Path) -> tuple[RuleFile, ...]:
    """Return all rule files in a folder and its sub-folders by name.

    Raises InputError (file:line) when there is none or one is not a rule file.
    """
    return tuple(load_rule_file(path) for path in rule_paths(folder))


def load_rule_file(path: Path) -> RuleFile:
    """Return the rule file at `path`; PromQL and templates in it are not looked at.

    Raises InputError (file:line) when it cannot be read or is not built like a rule file.
    """
    return parse_rule_file(read_text(path), path)


def parse_rule_file(text: str, path: Path) -> RuleFile:
    """Return the rule file with this text; `path` is only named in messages.

    Raises InputError (file:line) when it is not built like a rule file.
    """
    root = compose(text, path)
    if root is None:
        raise InputError("the file is empty", where=f"{path}:1", mend="write `groups:` and a list below it")
    fields = entries(root, path, "the file")
    for name, (key, _) in fields.items():
        if name != "groups":
            raise _error(path, key, f"a rule file has no field {name!r}", "the only one is `groups`")
    if "groups" not in fields:
        raise _error(path, root, "a rule file needs groups", "write `groups:` and a list below it")
    groups = tuple(_group(node, path) for node in _items(fields["groups"][1], path, "groups"))
    if sum(len(group.rules) for group in groups) > _MOST_RULES:
        raise InputError(f"more than {_MOST_RULES:,} rules in one file", where=str(path), mend="split it")
    return RuleFile(path=path, groups=groups)


def print_rule_file(groups: Iterable[Group], *, heading: str = "") -> str:
    """Return the groups as a YAML rule file, with `heading` as a comment in its first line.

    Comments of the source are not in it: this is what machines load.
    """
    return as_yaml(rule_file_data(groups), heading=heading)


def rule_file_data(groups: Iterable[Group]) -> dict[str, Any]:
    """Return the groups as the plain data of a rule file."""
    return {"groups": [_group_data(group) for group in groups]}


@lru_cache(maxsize=100)
def compose(text: str, path: Path) -> yaml.Node | None:
    """Return the YAML node tree of the text, None where it is empty; the same text gives the same tree.

    Raises InputError (file:line) when it is no YAML.
    """
    try:
        _expect_shallow(text, path)
        return yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "broken"
        raise InputError(
            f"this is no YAML: {problem}",
            where=f"{path}:{line}",
            mend="check indentation, brackets and quotes on this line and the one above",
        ) from error
    except (RecursionError, UnicodeError) as error:
        raise InputError(
            "this is no YAML that could be read", where=str(path), mend="is it the right file?"
        ) from error


def _expect_shallow(text: str, path: Path) -> None:
    """Raise InputError where lists and mappings are nested deeper than anybody writes them.

    The C library composes a tree by recursion and would overflow its stack; reading events has no depth.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise InputError(
                    f"this is nested deeper than {_DEEPEST} levels",
                    where=f"{path}:{line}",
                    mend="is it the right file?",
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def entries(node: yaml.Node, path: Path, what: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Return the key and value nodes of a mapping by key, merge keys (`<<`) followed.

    Raises InputError (file:line) when it is no mapping, or a key stands twice or is no text.
    """
    if not isinstance(node, yaml.MappingNode):
        raise _error(path, node, f"{what} must be a mapping", "write `key: value` lines")
    found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _error(path, key, f"a key of {what} is no text", "keys are plain words")
        if key.tag == "tag:yaml.org,2002:merge":
            merged.update(entries(value, path, what))
        elif key.value in found:
            raise _error(path, key, f"{key.value!r} stands twice in {what}", "remove one of them")
        else:
            found[key.value] = (key, value)
    return {**merged, **found}


def scalar(node: yaml.Node, path: Path, what: str) -> str:
    """Return the text of a scalar.

    Raises InputError (file:line) when it is none, or empty.
    """
    if not isinstance(node, yaml.ScalarNode):
        raise _error(path, node, f"{what} must be one value", "write it on the line of its key")
    text: str = node.value
    return text


def line_of(node: yaml.Node) -> int:
    """Return the line (from 1) on which a node starts."""
    mark = node.start_mark
    return int(mark.line) + 1 if mark else 1


def _error(path: Path, node: yaml.Node, what: str, mend: str) -> InputError:
    return InputError(what, where=f"{path}:{line_of(node)}", mend=mend)


def _items(node: yaml.Node, path: Path, what: str) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return
    if not isinstance(node, yaml.SequenceNode):
        raise _error(path, node, f"{what} must be a list", "start each entry with `- `")
    yield from node.value


def _group(node: yaml.Node, path: Path) -> Group:
    fields = entries(node, path, "a group")
    if "name" not in fields:
        raise _error(path, node, "a group needs a name", "write `name: …`")
    name = scalar(fields["name"][1], path, "the group's name")
    rules = _items(fields["rules"][1], path, f"the rules of group {name}") if "rules" in fields else ()
    return Group(
        name=name,
        rules=tuple(_rule(rule, path, name) for rule in rules),
        interval=_optional(fields, "interval", path),
        more=_more(fields, {"name", "rules", "interval"}),
        line=line_of(node),
    )


def _rule(node: yaml.Node, path: Path, group: str) -> Rule:
    fields = entries(node, path, f"a rule of group {group}")
    if ("alert" in fields) == ("record" in fields):
        raise _error(
            path,
            node,
            f"a rule of group {group} must have either `alert` or `record`",
            "an alerting rule has `alert`, a recording rule `record`",
        )
    if "expr" not in fields:
        raise _error(path, node, f"a rule of group {group} has no `expr`", "write the expression")
    expression = fields["expr"][1]
    labels, label_lines = _texts(fields, "labels", path)
    annotations, annotation_lines = _texts(fields, "annotations", path)
    own = {name: line_of(key) for name, (key, _) in fields.items()}
    is_block = isinstance(expression, yaml.ScalarNode) and expression.style in {"|", ">"}
    return Rule(
        expression=scalar(expression, path, "expr"),
        alert=_optional(fields, "alert", path),
        record=_optional(fields, "record", path),
        duration=_optional(fields, "for", path),
        keep_firing_for=_optional(fields, "keep_firing_for", path),
        labels=labels,
        annotations=annotations,
        more=_more(fields, {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}),
        line=line_of(node),
        expression_line=line_of(expression) + (1 if is_block else 0),
        lines=MappingProxyType({**own, **label_lines, **annotation_lines}),
    )


def _optional(fields: Mapping[str, tuple[yaml.Node, yaml.Node]], name: str, path: Path) -> str | None:
    return scalar(fields[name][1], path, name) if name in fields else None


def _texts(
    fields: Mapping[str, tuple[yaml.Node, yaml.Node]], name: str, path: Path
) -> tuple[Mapping[str, str], dict[str, int]]:
    if name not in fields:
        return MappingProxyType({}), {}
    found = entries(fields[name][1], path, name)
    return (
        MappingProxyType({key: scalar(value, path, key) for key, (_, value) in found.items()}),
        {f"{name}.{key}": line_of(node) for key, (node, _) in found.items()},
    )


def _more(fields: Mapping[str, tuple[yaml.Node, yaml.Node]], known: set[str]) -> Mapping[str, Any]:
    constructor = yaml.constructor.SafeConstructor()
    construct: Callable[[yaml.Node], Any] = constructor.construct_document
    return MappingProxyType(
        {name: construct(value) for name, (_, value) in fields.items() if name not in known}
    )


def _group_data(group: Group) -> dict[str, Any]:
    data: dict[str, Any] = {"name": group.name}
    if group.interval is not None:
        data["interval"] = group.interval
    return {**data, **group.more, "rules": [_rule_data(rule) for rule in group.rules]}


def _rule_data(rule: Rule) -> dict[str, Any]:
    optional: dict[str, Any] = {
        "alert": rule.alert,
        "record": rule.record,
        "expr": rule.expression,
        "for": rule.duration,
        "keep_firing_for": rule.keep_firing_for,
        "labels": dict(rule.labels) or None,
        "annotations": dict(rule.annotations) or None,
    }
    return {**{name: value for name, value in optional.items() if value is not None}, **rule.more}
