"""Two cohorts of groups of keys, made by one of the groups' labels, and the statistics that compare them.

The label's name stands only where PromQL takes a string. A group's side is `first` where its label has one
of the values chosen first, else `second` where it has one of those chosen to compare with, else it counts
nowhere. Each function returns the text of an expression.
"""

from stakewatch.grafana.groups import of_networks
from stakewatch.grafana.variables import GROUP_VARIABLES, LabelNameVariable, LabelVariable, Variable

_INFO = of_networks("stakewatch_group_info")
_WEIGHT = of_networks("group:stakewatch_validators_active:sum")

VARIABLES: tuple[Variable, ...] = (
    *GROUP_VARIABLES[:2],
    LabelNameVariable(
        "by",
        _INFO,
        "label_.+|validator_client",
        "validator_client",
        "Which label of the groups makes the cohorts: those of stakewatch.yaml begin with label_",
        title="Compare by",
    ),
    LabelVariable("first", "$by", _INFO, "The cohort to look at", title="Cohort", everything=False),
    LabelVariable("second", "$by", _INFO, "What to compare it with; all is all the others", title="With"),
)

_SIGN = (
    'label_replace(vector(1), "side", "first", "", "")\n'
    "or\n"
    'label_replace(vector(-1), "side", "second", "", "")'
)
_SIDES = (
    # Exporters that are configured differently put a group on two sides: one is taken.
    "topk by (network, group) (1, max by (network, group, side) (\n"
    "  label_replace(\n"
    f'    label_replace({_INFO}, "side", "second", "$by", "$second"),\n'
    '    "side", "first", "$by", "$first"\n'
    "  )\n"
    "))\n"
    f"* on (side) group_left () abs({_SIGN})"
)
_COHORTS = (
    "topk by (network, group) (1, max by (network, group, cohort) (\n"
    f'  label_replace({_INFO}, "cohort", "$1", "$by", "(.*)")\n'
    "))"
)


def counted(metric: str, *matchers: str) -> str:
    """Return what a counter of each group gained in the time range, over all its further labels."""
    gained = f"increase({of_networks(metric, *matchers)}[$__range])"
    return f"sum by (network, group) (max by (network, group, vote, result, source, kind) ({gained}))"


def recorded(metric: str) -> str:
    """Return a selector of a recorded series of the groups of the chosen networks."""
    return of_networks(metric)


def by_side(expression: str) -> str:
    """Return the sums of `expression`, one value per group, per side."""
    return f"sum by (network, side) (\n{expression}\n* on (network, group) group_left (side)\n{_SIDES}\n)"


def by_cohort(expression: str) -> str:
    """Return the sums of `expression`, one value per group, per value of the label."""
    return (
        f"sum by (network, cohort) (\n{expression}\n* on (network, group) group_left (cohort)\n{_COHORTS}\n)"
    )


def of_side(expression: str, side: str) -> str:
    """Return the one `side` (first, second) of `expression`."""
    return f'({expression})\n* on (side) group_left () label_replace(vector(1), "side", "{side}", "", "")'


def share(part: str, whole: str) -> str:
    """Return the share that `part` has of `whole`, counts per group, on each side."""
    return f"{by_side(part)}\n/ ({by_side(whole)} > 0)"


def mean(value: str) -> str:
    """Return the mean of `value`, one per group, over the active keys of each side."""
    weight = f"({_WEIGHT} and on (network, group) {value})"
    return f"{by_side(f'({value} * on (network, group) {_WEIGHT})')}\n/ {by_side(weight)}"


def difference(of_sides: str) -> str:
    """Return the first side less the second, where there are both."""
    return (
        f"sum by (network) (\n({of_sides})\n* on (side) group_left ()\n({_SIGN})\n)\n"
        f"and on (network) count by (network) ({of_sides}) == 2"
    )


def standard_error(part: str, whole: str) -> str:
    """Return by how much two shares differ by chance: the standard error of their difference.

    It is that of the two-proportion z test, with the share of both sides together.
    """
    pooled = f"sum by (network) ({by_side(part)}) / sum by (network) ({by_side(whole)})"
    return f"sqrt(\n({pooled})\n* (1 - {pooled})\n* sum by (network) (1 / {by_side(whole)})\n)"


def z_score(part: str, whole: str) -> str:
    """Return the difference of two shares in units of what chance makes: a two-proportion z score.

    Where nobody did anything wrong, chance makes no difference, and there is none.
    """
    found = f"({difference(share(part, whole))})"
    return f"{found}\n/ ({standard_error(part, whole)} > 0)\nor on (network)\n0 * {found}"


def paired_score(value: str) -> str:
    """Return a score like z of the difference of `value`, hour by hour in the time range.

    Keys of one node miss together, so duties are not independent; hours nearly are.
    """
    hours = f"(\n{difference(mean(value))}\n)[$__range:1h]"
    return f"avg_over_time({hours})\n/ (stddev_over_time({hours}) / sqrt(count_over_time({hours}) - 1) > 0)"


def z_score_of_each(part: str, whole: str) -> str:
    """Return the two-proportion z score of each cohort against all the others."""
    parts, wholes = by_cohort(part), by_cohort(whole)
    all_parts, all_wholes = f"sum by (network) ({parts})", f"sum by (network) ({wholes})"
    others = f"({all_wholes} - on (network) group_right () {wholes} > 0)"
    found = (
        f"(\n{parts} / ({wholes} > 0)\n- ({all_parts} - on (network) group_right () {parts}) / {others}\n)"
    )
    error = (
        f"sqrt(\n({all_parts} / {all_wholes} * (1 - {all_parts} / {all_wholes}))\n"
        f"* on (network) group_right ()\n(1 / ({wholes} > 0) + 1 / {others})\n)"
    )
    return f"{found}\n/ ({error} > 0)\nor on (network, cohort)\n0 * {found}"
