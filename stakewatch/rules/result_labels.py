"""Which labels the alerts of a rule can carry: worked out from its expression, without any data."""

from collections.abc import Iterable

from stakewatch.catalogue import Catalogue
from stakewatch.promql import parse
from stakewatch.promql.traversal import fold, without_parentheses
from stakewatch.promql.tree import (
    NAME_LABEL,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expression,
    MatrixSelector,
    StringLiteral,
    VectorMatching,
    VectorSelector,
)
from stakewatch.rules.files import Rule, RuleFile, records_by_name
from stakewatch.rules.series import TARGET_LABELS

_KEEP_ALL = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_SET_LABEL = frozenset({"label_replace", "label_join"})


class Labels:
    """A set of label names; `everything` stands for all there are, where nothing is known."""

    def __init__(self, names: Iterable[str] = (), *, everything: bool = False) -> None:
        self._names = frozenset(names)
        self._everything = everything

    def __contains__(self, name: str) -> bool:
        return self._everything or name in self._names

    def __or__(self, other: "Labels") -> "Labels":
        return Labels(self._names | other._names, everything=self._everything or other._everything)

    def only(self, names: Iterable[str]) -> "Labels":
        """Return those of `names` that are in here."""
        return Labels(name for name in names if name in self)

    def without(self, names: Iterable[str]) -> "Labels":
        """Return these without `names`; of everything, everything stays."""
        return Labels(self._names - frozenset(names), everything=self._everything)


class ResultLabels:
    """The labels that the results of rules can carry, recording rules looked through."""

    def __init__(self, rule_files: Iterable[RuleFile], catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._records = records_by_name(rule_files)
        self._recorded: dict[str, Labels] = {}

    def of_rule(self, rule: Rule) -> Labels:
        """Return the labels that a rule's results can carry, its own `labels` and alertname among them.

        Raises PromqlError when the expression cannot be read.
        """
        own = Labels([*rule.labels, *(["alertname"] if rule.alert else [])])
        return self.of_expression(parse(rule.expression)) | own

    def of_expression(self, expression: Expression) -> Labels:
        """Return the labels that the results of an expression can carry."""
        return fold(expression, self._combine)

    def _of_series(self, name: str | None) -> Labels:
        if name is None:
            return Labels(everything=True)
        if name in self._records:
            if name not in self._recorded:
                # A record that reads itself adds nothing to what it has.
                self._recorded[name] = Labels()
                found = Labels()
                for rule in self._records[name]:
                    found |= self.of_rule(rule)
                self._recorded[name] = found
            return self._recorded[name]
        found = Labels(TARGET_LABELS)
        metrics = self._catalogue.find(name)
        for metric in metrics:
            known = metric.labels is not None and metric.dynamic_labels is None
            found |= Labels(metric.labels or (), everything=not known)
            found |= Labels(label for label in ("le", "quantile") if metric.has_label(name, label))
            # Prometheus renames what a target label would overwrite.
            found |= Labels(f"exported_{label}" for label in metric.labels or () if label in TARGET_LABELS)
        return found if metrics else Labels(everything=True)

    def _combine(self, node: Expression, inside: tuple[Labels, ...]) -> Labels:
        match node:
            case VectorSelector():
                return self._of_series(node.metric_name)
            case AggregateExpr():
                return _of_aggregation(node, inside[-1])
            case BinaryExpr():
                return _of_operator(node, *inside)
            case Call():
                return _of_call(node, inside)
        found = Labels()
        for one in inside:
            found |= one
        return found


def _of_aggregation(node: AggregateExpr, inner: Labels) -> Labels:
    if node.grouping is None:
        result = Labels()
    elif node.grouping.without:
        result = inner.without(node.grouping.labels)
    else:
        result = inner.only(node.grouping.labels)
    if node.operator in _KEEP_ALL:
        return inner
    if node.operator == "count_values" and isinstance(node.parameter, StringLiteral):
        return result | Labels([node.parameter.value])
    return result


def _of_operator(node: BinaryExpr, left: Labels, right: Labels) -> Labels:
    if node.left.value_type == "scalar":
        return right
    if node.right.value_type == "scalar" or node.operator in {"and", "unless"}:
        return left
    if node.operator == "or":
        return left | right
    return left if node.matching is None else _of_matching(node.matching, left, right)


def _of_matching(matching: VectorMatching, left: Labels, right: Labels) -> Labels:
    if matching.group == "left":
        return left | right.only(matching.include)
    if matching.group == "right":
        return right | left.only(matching.include)
    return left.only(matching.labels) if matching.keyword == "on" else left.without(matching.labels)


def _of_absence(argument: Expression) -> Labels:
    """Return the labels of what is absent: those that the selector names with one value each."""
    argument = without_parentheses(argument)
    selector = argument.selector if isinstance(argument, MatrixSelector) else argument
    if not isinstance(selector, VectorSelector):
        return Labels()
    return Labels(one.name for one in selector.matchers if one.operator == "=" and one.name != NAME_LABEL)


def _of_call(node: Call, inside: tuple[Labels, ...]) -> Labels:
    if node.function in {"absent", "absent_over_time"}:
        return _of_absence(node.arguments[0])
    if node.function in {"scalar", "vector", "time"}:
        return Labels()
    found = Labels()
    for one in inside:
        found |= one
    if node.function in _SET_LABEL and isinstance(node.arguments[1], StringLiteral):
        found |= Labels([node.arguments[1].value])
    return found
