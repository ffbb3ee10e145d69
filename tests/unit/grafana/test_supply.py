"""Whether an expression has what it reads: branches, what may be missing, and what is recorded."""

from collections.abc import Mapping

import pytest

from stakewatch.grafana.remote import connect
from stakewatch.grafana.supply import (
    Records,
    State,
    Supply,
    Wanted,
    name_patterns,
    present,
    supply_of,
    wanted_by,
)
from stakewatch.promql import parse
from stakewatch.promql.tree import LabelMatcher

from .serving import serving, vector

NOTHING_RECORDED = Records({})


def supply(expression: str, *there: str, records: Records = NOTHING_RECORDED) -> Supply:
    return supply_of(parse(expression), lambda wanted: wanted.name in there, records)


def lacks(found: Supply) -> set[str]:
    return {wanted.name for wanted in found.lacks}


@pytest.mark.parametrize(
    ("expression", "state", "missing"),
    [
        ("a", State.FED, set()),
        ("b", State.LACKING, {"b"}),
        ("rate(a[5m]) / rate(b[5m])", State.LACKING, {"b"}),
        ("sum by (x) (b) > 5", State.LACKING, {"b"}),
        ("a and b", State.LACKING, {"b"}),
        ("a and on (x) b", State.LACKING, {"b"}),
        ("a unless b", State.FED, set()),
        ("b unless a", State.LACKING, {"b"}),
        ("a or b", State.FED, {"b"}),
        ("b or c", State.LACKING, {"b", "c"}),
        ("(a or b) and c", State.LACKING, {"c"}),
        ("(a or b) * 2", State.FED, {"b"}),
        ("vector(1)", State.CONSTANT, set()),
        ("time() - b", State.LACKING, {"b"}),
        ("a or vector(0)", State.FED, set()),
        ("count(b) or vector(0)", State.LACKING, {"b"}),
        ("absent(b)", State.FED, set()),
        ("absent_over_time(b[5m])", State.FED, set()),
        ('label_replace(b, "x", "$1", "y", "(.*)")', State.LACKING, {"b"}),
        ('{__name__=~"a|b"}', State.FED, {"b"}),
        ('{__name__=~"b|c"}', State.LACKING, {"b", "c"}),
        ("max_over_time(b[1h:1m])", State.LACKING, {"b"}),
        ("a offset 1h", State.FED, set()),
        ("-b", State.LACKING, {"b"}),
        ("topk(scalar(b), a)", State.LACKING, {"b"}),
    ],
)
def test_what_must_be_there_and_what_may_be_missing(expression: str, state: State, missing: set[str]) -> None:
    found = supply(expression, "a")
    assert (found.state, lacks(found)) == (state, missing)


def test_what_is_recorded_is_as_good_as_what_its_rules_read() -> None:
    records = Records({"r:x:sum": (parse("a"), parse("b")), "r:y:sum": (parse("r:x:sum and c"),)})
    assert supply("r:x:sum", "a", records=records).state is State.FED
    assert lacks(supply("r:y:sum", "a", records=records)) == {"c"}
    assert lacks(supply("r:y:sum", "c", records=records)) == {"a", "b"}


def test_what_is_recorded_is_missing_where_the_rule_is_not_loaded() -> None:
    expressions = {"r:x:sum": (parse("a"),)}
    assert lacks(supply("r:x:sum", "a", records=Records(expressions, frozenset()))) == {"r:x:sum"}
    loaded = Records(expressions, frozenset({"r:x:sum"}))
    assert supply("r:x:sum", "a", records=loaded).state is State.FED
    # Loading the rules would not help.
    assert lacks(supply("r:x:sum", records=Records(expressions, frozenset()))) == {"a"}


def test_a_recorded_constant_is_there() -> None:
    records = Records({"objective:x:ratio": (parse("vector(0.99)"),)})
    assert supply("a > objective:x:ratio", "a", records=records) == Supply(State.FED)


def test_rules_that_record_each_other_in_a_circle_end() -> None:
    records = Records({"r:x:sum": (parse("r:y:sum"),), "r:y:sum": (parse("r:x:sum or a"),)})
    assert supply("r:x:sum", "a", records=records).state is State.FED
    assert supply("r:x:sum", records=records).state is State.LACKING
    assert {one.name for one in wanted_by((parse("r:x:sum"),), records)} == {"a"}


def test_only_conditions_on_labels_of_targets_count_and_all_asks_for_nothing() -> None:
    expression = 'a{role="beacon",cluster=~".*",network=~".*|",status="invalid",pod!=""}'
    (wanted,) = wanted_by((parse(expression),), NOTHING_RECORDED)
    assert wanted.selector == 'a{pod!="",role="beacon"}'
    assert wanted_by((parse('a{cluster=~".*"}'),), NOTHING_RECORDED) == {Wanted("a", frozenset())}


def test_many_names_with_the_same_conditions_are_one_question() -> None:
    matcher = LabelMatcher(name="role", operator="=", value="beacon")
    wanted = {Wanted(name, frozenset({matcher})) for name in ("a", "b", "gone")}
    wanted |= {Wanted("a", frozenset())}

    def answer(_: str, asked: Mapping[str, str]) -> tuple[int, object]:
        if asked["query"] == 'count by (__name__) ({__name__=~"a|b",role="beacon"})':
            return 200, vector(({"__name__": "b"}, 3))
        assert asked["query"] == 'count by (__name__) ({__name__=~"a"})'
        return 200, vector(({"__name__": "a"}, 1))

    with serving(answer) as api:
        found = present(connect(api.url), wanted, {"a", "b", "unasked"}, 0)
        assert found == {Wanted("b", frozenset({matcher})), Wanted("a", frozenset())}
        assert len(api.asked) == 2


def test_a_pattern_of_names_is_asked_for_itself_and_alerts_are_there_when_any_is() -> None:
    pattern = frozenset({LabelMatcher(name="__name__", operator="=~", value="x_.+")})
    alerts = Wanted("ALERTS", frozenset({LabelMatcher(name="role", operator="=", value="beacon")}))
    with serving(lambda _, asked: (200, vector(({}, 1)) if "x_" in asked["query"] else vector())) as api:
        remote = connect(api.url)
        assert present(remote, {Wanted("", pattern)}, set(), 0) == {Wanted("", pattern)}
        assert present(remote, {alerts}, {"ALERTS"}, 0) == {alerts}
        assert present(remote, {alerts}, set(), 0) == set()


def test_patterns_of_names_are_short_and_have_each_name_once() -> None:
    names = [f"metric_with_a_long_name_{number}" for number in range(1000)]
    patterns = list(name_patterns(names))
    assert [name for pattern in patterns for name in pattern.split("|")] == sorted(names)
    assert max(map(len, patterns)) < 3200
    assert list(name_patterns([])) == []
