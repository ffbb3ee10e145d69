"""What is taken for empty is so for the real promtool, in tests of the project's own rules."""

from pathlib import Path

import pytest

from stakewatch.promql import parse, print_duration
from stakewatch.promql.tree import VectorSelector
from stakewatch.rules.mutation.dependencies import rule_set
from stakewatch.rules.mutation.emptiness import Emptiness
from stakewatch.rules.promtool import MAJORS
from stakewatch.rules.questions import ask
from stakewatch.rules.scenarios import Scenario, find_scenarios

TESTS = Path(__file__).parents[2] / "rules"


def given_names(scenario: Scenario) -> set[str | None]:
    series = [parse(str(one["series"])) for one in scenario.world.get("input_series") or ()]
    return {one.metric_name for one in series if isinstance(one, VectorSelector)}


@pytest.mark.parametrize("program", MAJORS)
@pytest.mark.parametrize("name", ["execution", "validator_keys", "logs"])
def test_rules_that_are_taken_for_empty_never_yield_anything(name: str, program: str, tmp_path: Path) -> None:
    sizes = set()
    for scenario in find_scenarios(TESTS / f"{name}.test.yaml"):
        rules = rule_set(scenario.rule_files)
        emptiness = Emptiness(scenario, rules)
        empty = [rule for place, rule in rules.rules.items() if emptiness.stays(place, rule)]
        records = {rule.record for rule in empty if rule.record is not None} - given_names(scenario)
        alerts = {rule.alert for rule in empty if rule.alert is not None}
        span = print_duration(scenario.end_seconds + scenario.step_seconds)
        selected = (
            f'{{__name__=~"{"|".join(sorted(records)) or "none"}"}}',
            f'ALERTS{{alertname=~"{"|".join(sorted(alerts)) or "none"}"}}',
        )
        questions = [(scenario.end_seconds, f"last_over_time({one}[{span}])") for one in selected]
        groups = [list(rule_file.groups) for rule_file in scenario.rule_files]
        assert ask(tmp_path, scenario, groups, questions, program).samples == ((), ()), scenario.title
        sizes.add(len(empty))
    assert max(sizes) > 0
    assert min(sizes) < len(rules.rules)
