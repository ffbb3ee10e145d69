"""Pitfalls in what an alert says: texts with holes, and templates where none is filled in."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from stakewatch.bundle.problems import quoted
from stakewatch.promql.tree import Expression
from stakewatch.rules.files import Rule
from stakewatch.rules.pitfall_surroundings import Finder, Pitfall, Surroundings, selectors_in

_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_USED_LABEL = re.compile(r"\$labels\.(\w+)|\.Labels\.(\w+)|index\s+\$labels\s+\"([^\"]+)\"")
_USED_VALUE = re.compile(r"\$value\b|\.Value\b")


def _label_lost(rule: Rule, _expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a label used in a text that no result can carry: the text has a hole."""
    there = surroundings.result_labels.of_rule(rule)
    texts = [(f"annotations.{name}", text) for name, text in rule.annotations.items()]
    texts += [(f"labels.{name}", text) for name, text in rule.labels.items()]
    for part, text in texts:
        for name in dict.fromkeys(used_labels(text)):
            if name not in there:
                yield Pitfall(
                    "label-lost",
                    f"no result carries the label {name} that {part.partition('.')[2]} shows",
                    "keep it in `by (…)` or take it over with group_left (…)",
                    part=part,
                )


def used_labels(text: str) -> Iterator[str]:
    """Yield the labels that the templates of a text show."""
    for template in _TEMPLATE.findall(text):
        for match in _USED_LABEL.finditer(template):
            yield next(name for name in match.groups() if name)


def _value_in_label(rule: Rule, _expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a label made of the value: with each change it is another alert, and `for` begins anew."""
    for name, text in rule.labels.items():
        if any(_USED_VALUE.search(template) for template in _TEMPLATE.findall(text)):
            yield Pitfall(
                "value-in-label",
                f"the label {name} changes with the value, so each change is a new alert that waits anew",
                "put the value into an annotation",
                part=f"labels.{name}",
            )


def _template_in_expression(
    _rule: Rule, expression: Expression, _surroundings: Surroundings
) -> Iterator[Pitfall]:
    """Find a template in a matcher: expressions are not filled in, and no label has such a value."""
    for selector in selectors_in(expression):
        for matcher in selector.matchers:
            if "{{" in matcher.value or "$__" in matcher.value:
                yield Pitfall(
                    "template-in-expression",
                    f"{matcher.name} is matched against {quoted(matcher.value)}: nothing fills it in",
                    "leave the matcher out, or write the value; each series has its own alert anyway",
                    start=matcher.start,
                )


FINDERS: Mapping[str, Finder] = MappingProxyType(
    {
        "label-lost": _label_lost,
        "value-in-label": _value_in_label,
        "template-in-expression": _template_in_expression,
    }
)
