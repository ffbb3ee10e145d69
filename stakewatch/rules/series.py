"""What the expressions of rules read, held against the catalogue: it exists, and it is read rightly."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stakewatch.bundle.configuration import Role
from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.catalogue import Catalogue, Component, Metric
from stakewatch.catalogue.inventory import EXPORTER
from stakewatch.promql import Selector, selectors
from stakewatch.promql.tree import NAME_LABEL, LabelMatcher

# Set by relabelling, not by a component: `exporter` on what it says, the last three on Kubernetes only.
TARGET_LABELS = frozenset(
    {"cluster", "region", "network", "role", "implementation", "instance", "job", "exporter"}
    | {"namespace", "pod", "container"}
)
_MOST_NAMES = 5


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with a selector; `start` is the character offset in the expression."""

    start: int
    message: str
    mend: str


@dataclass(frozen=True)
class Known:
    """What series there can be: those of the catalogue, and those that rules record."""

    catalogue: Catalogue
    recorded: frozenset[str]


def flaws(expression: str, known: Known) -> Iterator[Flaw]:
    """Yield what an expression reads that does not exist, or reads wrongly.

    Raises PromqlError when it is no expression, StakewatchError when the parser is not there.
    """
    for selector in selectors(expression):
        yield from _of_selector(selector, known)


def _of_selector(selector: Selector, known: Known) -> Iterator[Flaw]:
    if not selector.metric_names:
        yield Flaw(
            selector.start,
            "it cannot be known which series this reads",
            'name the metric, or several as {__name__=~"one|other"}',
        )
    yield from _target_values(selector, known)
    for name in selector.metric_names:
        if name not in known.recorded:
            yield from _of_series(name, selector, known)


def _of_series(name: str, selector: Selector, known: Known) -> Iterator[Flaw]:
    everywhere = known.catalogue.find(name)
    if not everywhere:
        names = [one for one in known.recorded if ":" in name] + _neighbours(name, known.catalogue)
        other = "record it" if ":" in name else "learn it with `stakewatch catalogue add`"
        mend = f"mend the name, or {other}"
        yield Flaw(
            selector.start,
            f"no component of the catalogue exposes {name}, and no rule records it",
            did_you_mean(name, names, f"{mend}; there are" if names else mend),
        )
        return
    metrics = [one for one in everywhere if selects(selector.matchers, one, known.catalogue)]
    if not metrics:
        exposed_by = ", ".join(sorted({one.component for one in everywhere})[:_MOST_NAMES])
        yield Flaw(
            selector.start,
            f"nothing that this selects exposes {name}: it is a metric of {exposed_by}",
            "mend the matchers of role and implementation, or the name",
        )
        return
    for metric in metrics:
        yield from _misread(name, metric, selector)
    yield from _labels(name, metrics, selector)


def _misread(name: str, metric: Metric, selector: Selector) -> Iterator[Flaw]:
    if metric.constant_zero:
        yield Flaw(
            selector.start,
            f"{name} is always 0 in {metric.component}, which this selects",
            'select the right processes with role="…", or read another metric',
        )
    if not metric.default_enabled:
        yield Flaw(
            selector.start,
            f"{metric.component} exposes {name} only when a flag switches it on",
            "read one that is there by default",
        )
    if metric.resets_on_scrape:
        yield Flaw(
            selector.start,
            f"{name} of {metric.component} starts at 0 with every scrape, so two scrapers share it",
            "read a metric that keeps its value",
        )


def _labels(name: str, metrics: Iterable[Metric], selector: Selector) -> Iterator[Flaw]:
    metrics = tuple(metrics)
    for matcher in selector.matchers:
        if matcher.name == NAME_LABEL or matcher.name in TARGET_LABELS:
            continue
        having = [one for one in metrics if one.has_label(name, matcher.name) is not False]
        if not having:
            components = ", ".join(sorted({one.component for one in metrics}))
            yield Flaw(
                matcher.start,
                f"{name} of {components} has no label {matcher.name}",
                "mend the matcher",
            )
            continue
        values = [one.label_values.get(matcher.name) for one in having]
        if all(values):
            known = sorted({value for some in values for value in some or ()})
            yield from _values(matcher, known, f"{name} has no {matcher.name}")


def _target_values(selector: Selector, known: Known) -> Iterator[Flaw]:
    """Hold the values of role and implementation to those that there are."""
    components = list(known.catalogue.components.values())
    values: Mapping[str, Sequence[str]] = {
        "role": sorted(Role),
        "implementation": sorted({one.implementation for one in components if one.implementation}),
    }
    for matcher in selector.matchers:
        if matcher.name in values:
            yield from _values(matcher, values[matcher.name], f"there is no {matcher.name}")


def _values(matcher: LabelMatcher, known: Sequence[str], lacking: str) -> Iterator[Flaw]:
    """Yield each value that a matcher asks for and that does not exist; an empty one asks for the label."""
    asked = [matcher.value]
    if matcher.operator in {"=~", "!~"}:
        if any(re.fullmatch(matcher.value, value) for value in known):
            asked = [one for one in matcher.value.split("|") if re.fullmatch(r"[\w-]+", one)]
        else:
            asked = [matcher.value]
    for value in asked:
        if value and value not in known:
            yield Flaw(matcher.start, f"{lacking} {quoted(value)}", did_you_mean(value, known, "there are"))


def selects(matchers: Iterable[LabelMatcher], metric: Metric, catalogue: Catalogue) -> bool:
    """Tell whether matchers of role and implementation let a component's series through."""
    component = catalogue.components[metric.component]
    if component.name == EXPORTER or metric.synthetic:
        # The exporter's series carry the labels of the process that they speak about, `up` those of any.
        return True
    return all(
        matches(matcher, getattr(component, matcher.name) or "")
        for matcher in matchers
        if matcher.name in {"role", "implementation"}
    )


def matches(matcher: LabelMatcher, value: str) -> bool:
    """Tell whether a matcher lets a value of its label through; a label that is not there is empty."""
    equal = (
        re.fullmatch(matcher.value, value) is not None
        if matcher.operator in {"=~", "!~"}
        else matcher.value == value
    )
    return equal != matcher.operator.startswith("!")


def _neighbours(name: str, catalogue: Catalogue) -> list[str]:
    """Return the series that begin like `name`, to guess what was meant."""
    beginning = name.split("_", maxsplit=1)[0]
    found: set[str] = set()
    components: Iterable[Component] = catalogue.components.values()
    for component in components:
        found.update(
            sample for metric in component.metrics for sample in metric.series if sample.startswith(beginning)
        )
    return sorted(found)
