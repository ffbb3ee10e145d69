"""The page of a mutation run: scores by operator, and every survivor as a diff in its rule."""

from pathlib import Path

from stakewatch.rules.mutation.mutants import Operator
from stakewatch.rules.mutation.scoring import Mutation, Outcome
from stakewatch.rules.pages import print_page, write_page

# The kind of test that kills a mutant of this kind.
KILLERS = {
    Operator.COMPARISON: "a value exactly at the threshold, and one on its other side",
    Operator.NUMBER: "a value just beyond the number and one just short of it",
    Operator.RANGE: "a sample just outside of the window, looked at before the alert would fire anyway",
    Operator.MATCHER: "a decoy series that differs in this label alone and would fire",
    Operator.AGGREGATION: "two series of different values that are aggregated together",
    Operator.GROUPING: "two series that differ in this label alone",
    Operator.SET_OPERATOR: "a test in which this side alone decides",
    Operator.FOR: "a look one evaluation before `for` has passed, and one at it",
    Operator.SEVERITY: "a test that expects the alert with all its labels",
    Operator.LABEL: "a test that expects the alert with all its labels",
    Operator.ANNOTATION: "a test that expects the alert with all its annotations",
}
_LINES_AROUND = 2


def write_mutation_page(mutation: Mutation, path: Path) -> None:
    """Write one HTML file that needs no other; raises StakewatchError when it cannot be written."""
    write_page(print_mutation_page(mutation), path)


def print_mutation_page(mutation: Mutation) -> str:
    """Return the page as HTML; all that comes from rules is escaped."""
    rules: dict[str, list[dict[str, object]]] = {}
    for outcome in mutation.survivors:
        title = f"{outcome.rule.name} ({outcome.path.name})"
        rules.setdefault(title, []).append(
            {"outcome": outcome, "diff": diff(outcome), "killer": KILLERS[outcome.mutant.operator]}
        )
    return print_page("mutation.html.jinja", mutation=mutation, rules=rules)


def diff(outcome: Outcome) -> tuple[tuple[str, str], ...]:
    """Return the change as lines, each with its sign: ' ', '-' or '+'."""
    mutant = outcome.mutant
    if mutant.start < 0:
        return tuple((sign, text) for sign, text in (("-", mutant.before), ("+", mutant.after)) if text)
    before = outcome.rule.expression.rstrip().split("\n")
    after = mutant.rule.expression.rstrip().split("\n")
    first = 0
    while first < min(len(before), len(after)) and before[first] == after[first]:
        first += 1
    last = 0
    while last < min(len(before), len(after)) - first and before[-1 - last] == after[-1 - last]:
        last += 1
    around = [(" ", line) for line in before[max(0, first - _LINES_AROUND) : first]]
    changed = [("-", line) for line in before[first : len(before) - last]]
    changed += [("+", line) for line in after[first : len(after) - last]]
    end = len(before) - last
    return (*around, *changed, *((" ", line) for line in before[end : end + _LINES_AROUND]))
