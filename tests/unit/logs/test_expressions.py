"""Expressions that RE2 and Python read alike, and those that they do not."""

import json
import time

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.logs.expressions import compiled, in_python
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.stages import Json, Match, Regex, Replace, Stage
from stakewatch.promql import parse

UNKNOWN_TO_ONE = (
    r"(?=a)",
    r"(?!a)",
    r"(?<=a)b",
    r"(?<!a)b",
    r"(a)\1",
    r"(?P<a>b)(?P=a)",
    r"(?>a)",
    r"(?#remark)",
    r"(?s:.)",
    r"a(?i)",
    r"a*+",
    r"a++",
    r"a?+",
    r"a{2}+",
    r"a{2}{3}",
    r"a**",
    r"a{1001}",
    r"a{0,1001}",
    r"{",
    r"a{x}",
    r"\Z",
    r"\z",
    r"\A",
    r"\pL",
    r"\x41",
    r"\u0041",
    r"\Qa\E",
    r"[\b]",
    r"[\S]",
    r"[a",
    r"(a",
    r"a)",
    "a\\",
    r"[b-a]",
)


@pytest.mark.parametrize("expression", UNKNOWN_TO_ONE)
def test_what_only_one_of_them_knows_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compiled(expression)


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        (r"a$", "a\n", False),
        (r"a$", "a", True),
        (r"\s", "\v", False),
        (r"[\s]", "\v", False),
        (r"\S", "\v", True),
        (r"\d", "٣", False),
        (r"\w", "é", False),
        (r"\bslot", "·slot", True),
        (r"(?i)ABC", "abc", True),
        (r"(?i:ab)c", "ABc", True),
        (r"(?i:ab)c", "ABC", False),
        (r"[]a]", "]", True),
        (r"[^]a]", "]", False),
        (r"[[a]", "[", True),
        (r"[a&&b]", "&", True),
        (r"a{2,}?b", "aaab", True),
        (r"\{\}\[\]", "{}[]", True),
        (r".", "\udcff", True),
        (r"a.b", "a\nb", False),
    ],
)
def test_an_expression_finds_what_re2_finds(expression: str, text: str, found: bool) -> None:  # noqa: FBT001
    assert bool(compiled(expression).search(text)) is found


def test_python_gets_no_warning_of_what_may_change() -> None:
    assert in_python("[[&|~-]") == r"[\[\&\|\~-]"


def expressions(stages: tuple[Stage, ...]) -> set[str]:
    """Return all expressions of stages, those of selectors too."""
    found: set[str] = set()
    for stage in stages:
        match stage:
            case Regex() | Replace():
                found.add(stage.expression)
            case Match():
                found |= {one.value for one in stage.selector.labels if one.operator in ("=~", "!~")}
                found |= {stage.selector.line.expression} if stage.selector.line else set()
                found |= expressions(stage.stages)
            case _:
                pass
    return found


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "a ", "word ", "0", "0x", '"', "=", "http://", "password=", "slot=", "[", "eyJ", "(1)", "1/"),
        *("-", "Server be/", 'pod="', "] a ", "| a ", "0] a ", ": ", "\t", "é"),
    ],
)
def test_no_expression_costs_more_than_its_line_is_long(unit: str, stages: tuple[Stage, ...]) -> None:
    # RE2 promises this; Python does not, and a test that hangs would prove nothing.
    line = unit * (30_000 // len(unit))
    slow = {}
    for expression in expressions(stages):
        pattern = compiled(expression)
        started = time.monotonic()
        sum(1 for _ in pattern.finditer(line))
        slow[expression] = time.monotonic() - started
    assert max(slow.values()) < 0.5, max(slow, key=slow.__getitem__)


def test_go_reads_all_expressions_of_the_bundle(stages: tuple[Stage, ...]) -> None:
    # A matcher of PromQL is compiled by Go's own package, which is RE2's syntax.
    for expression in sorted(expressions(stages)):
        parse(f"up{{instance=~{json.dumps(expression)}}}")


def test_go_would_say_so_if_it_did_not() -> None:
    with pytest.raises(StakewatchError):
        parse(f"up{{instance=~{json.dumps('(?=a)')}}}")


def test_each_group_of_a_regex_stage_has_a_name_as_alloy_wants(stages: tuple[Stage, ...]) -> None:
    def regexes(some: tuple[Stage, ...]) -> list[str]:
        return [
            *(one.expression for one in some if isinstance(one, Regex)),
            *(each for one in some if isinstance(one, Match) for each in regexes(one.stages)),
        ]

    for expression in regexes(stages):
        pattern = compiled(expression)
        assert pattern.groups == len(pattern.groupindex) == 1, expression


def test_no_value_is_taken_under_the_name_of_a_label(stages: tuple[Stage, ...], pipelines: Pipelines) -> None:
    def names(some: tuple[Stage, ...]) -> set[str]:
        found: set[str] = set()
        for one in some:
            if isinstance(one, Regex):
                found |= set(compiled(one.expression).groupindex)
            if isinstance(one, Json):
                found |= set(one.paths)
            if isinstance(one, Match):
                found |= names(one.stages)
        return found

    assert names(stages) & {*pipelines.labels, *pipelines.platform, "runtime", "priority"} == {"level"}
