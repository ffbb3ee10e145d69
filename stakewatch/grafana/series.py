"""What the queries of a board read, held against the catalogue: it exists, and it is read rightly."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stakewatch.catalogue.components import Component, Metric
from stakewatch.catalogue.inventory import EXPORTER, Catalogue
from stakewatch.grafana.boardfile import annotation_expressions, panels, variable_query, variables
from stakewatch.grafana.filling import BUILT_IN, RANGE, RATE_INTERVAL, fill
from stakewatch.grafana.lint import Flaw
from stakewatch.grafana.opening import typed_in
from stakewatch.promql import PromqlError, Selector, parse_duration, selectors
from stakewatch.promql.tree import NAME_LABEL

# Set by relabelling, not by the component; those of Kubernetes only there.
TARGET_LABELS = frozenset(
    {"cluster", "region", "network", "role", "implementation", "instance", "job"}
    | {"namespace", "pod", "container"}
)
_OF_COUNTERS = frozenset({"rate", "irate", "increase"})
_ABOUT_COUNTERS = _OF_COUNTERS | {"changes", "resets", "absent", "absent_over_time"}

# The levels of recording rules over what the exporter says, as `level:metric:operation`.
_RECORDED_PER_NETWORK = ("group:", "network:", "exporter:", "beacon_node:stakewatch_")
# Alerts carry the labels of what they watch: a cluster, or a network.
_ALERTS = "ALERTS"

# Unlike any duration and any value that a person would write, so that both are recognised in the filled text.
_FILLED_RATE_INTERVAL = "7m7s"
_FILLED_RANGE = "9m9s"
_FILLED_CLUSTER = "the-chosen-cluster"
_FILLED_NETWORK = "the-chosen-network"
_ALTERNATIVES = re.compile(r"[a-z0-9-]+(\|[a-z0-9-]+)*")

_RANGES_OF_COUNTERS = frozenset({parse_duration(_FILLED_RATE_INTERVAL), parse_duration(_FILLED_RANGE)})

_LABEL_VALUES = re.compile(
    r"\s*label_values\(\s*(?:(?P<selector>.+),)?\s*(?P<label>\$?\w+)\s*\)\s*", re.DOTALL
)
_LABEL_NAMES = re.compile(r"\s*label_names\((?P<selector>.+)\)\s*", re.DOTALL)
_REPEATED_CLASS = re.compile(r"\[(?P<one>[A-Za-z0-9])[^\]]*\]\+")
_PLAIN_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")


@dataclass(frozen=True)
class Known:
    """What series there can be: those of the catalogue, and those that the rule files record."""

    catalogue: Catalogue
    recorded: frozenset[str]


def lint_queries(board: Mapping[str, Any], known: Known) -> tuple[Flaw, ...]:
    """Return the flaws of all queries of a board: panels, variables, annotations.

    Raises StakewatchError when the parser of PromQL is not there.
    """
    # Two components that expose the same series give the same flaw.
    return tuple(dict.fromkeys(_flaws(board, known)))


def _flaws(board: Mapping[str, Any], known: Known) -> Iterator[Flaw]:
    # A board on keys has no variable for clusters: the exporter knows of no key's cluster.
    by_cluster = any(variable.get("name") == "cluster" for variable in variables(board))
    texts = [(panel.title, expression) for panel in panels(board) for expression in panel.expressions]
    texts += [("", expression) for expression in annotation_expressions(board)]
    texts_typed_in = typed_in(board)
    for title, expression in texts:
        yield from _of_expression(fill(expression, texts_typed_in), title, known, by_cluster=by_cluster)
    for variable in variables(board):
        if variable.get("type") == "query":
            yield from _of_variable(variable_query(variable), known)


def _of_variable(query: str, known: Known) -> Iterator[Flaw]:
    match = _LABEL_VALUES.fullmatch(query)
    label = match["label"] if match else None
    match = match or _LABEL_NAMES.fullmatch(query)
    if match is None or match["selector"] is None:
        mend = "use label_values(selector, label) or label_names(selector), for only what the board is about"
        yield Flaw("template-label-promql", "", f"the variable's query {query!r} is none of ours", mend)
        return
    try:
        read = selectors(filled(match["selector"]))
    except PromqlError as error:
        yield Flaw(
            "template-label-promql", "", f"a variable's query does not parse: {error}", "mend the query"
        )
        return
    for selector in read:
        yield from _of_selector(selector, "", known)
        # A label that the reader chooses is not known here.
        if label and not label.startswith("$"):
            yield from _labels(selector, {label}, "", known)


def _of_expression(expression: str, title: str, known: Known, *, by_cluster: bool) -> Iterator[Flaw]:
    try:
        read = selectors(filled(expression))
    except PromqlError as error:
        yield Flaw("target-promql", title, f"a query does not parse: {error}", "mend the query")
        return
    for selector in read:
        yield from _of_selector(selector, title, known)
        yield from _of_choice(selector, title, by_cluster=by_cluster and _has_cluster(selector, known))
        function = selector.functions[0] if selector.functions else ""
        if function in _OF_COUNTERS and selector.range_seconds not in _RANGES_OF_COUNTERS:
            message = f"{function}() of {_said(selector)} has a range of its own"
            mend = f"use ${RATE_INTERVAL}: a fixed range is empty where the scrape interval is longer"
            yield Flaw("target-rate-interval", title, message, mend)


def _of_choice(selector: Selector, title: str, *, by_cluster: bool) -> Iterator[Flaw]:
    """Look for the reader's choice of clusters; of networks, where a series is of a network or group."""
    chosen = {
        matcher.name: matcher.value.removesuffix("|")
        for matcher in selector.matchers
        if matcher.operator == "=~"
    }
    if chosen.get("cluster") == _FILLED_CLUSTER:
        return
    if not by_cluster:
        if chosen.get("network") != _FILLED_NETWORK:
            message = f"a query reads {_said(selector)} of all networks"
            yield Flaw("target-network", title, message, 'add network=~"$network"')
        return
    message = f"a query reads {_said(selector)} of all clusters"
    yield Flaw("target-cluster", title, message, 'add cluster=~"$cluster"')


def _has_cluster(selector: Selector, known: Known) -> bool:
    """Tell whether a cluster is a property of what a selector reads.

    What the exporter says of keys and networks has none; there, the label is the exporter's own.
    """
    names = _names(selector)
    return not names or not all(
        name.startswith(_RECORDED_PER_NETWORK)
        if name in known.recorded
        else name == _ALERTS
        or any(
            metric.component == EXPORTER and metric.has_label(name, "cluster") is False
            for metric in known.catalogue.find(name)
        )
        for name in names
    )


def _of_selector(selector: Selector, title: str, known: Known) -> Iterator[Flaw]:
    names = _names(selector)
    if not names:
        message = f"it cannot be known which series {_said(selector)} reads"
        yield Flaw(
            "target-catalogue", title, message, "name the metric; in a pattern, use only [a-z]+ and [0-9]+"
        )
    for name in names:
        if name in known.recorded:
            continue
        metrics = _metrics(name, selector, known.catalogue)
        if not metrics:
            message = f"no component that this query selects exposes {name}"
            mend = f"`stakewatch check` reads {known.catalogue.folder.name}/: mend the name or the matchers"
            yield Flaw("target-catalogue", title, message, mend)
        yield from _misread(name, metrics, selector, title)
    yield from _labels(selector, {matcher.name for matcher in selector.matchers}, title, known)


def _misread(name: str, metrics: tuple[Metric, ...], selector: Selector, title: str) -> Iterator[Flaw]:
    functions = frozenset(selector.functions)
    for metric in metrics:
        if metric.constant_zero:
            yield Flaw("target-catalogue", title, f"{name} of {metric.component} is always 0", "read another")
        if not metric.default_enabled:
            message = f"{metric.component} exposes {name} only with a flag"
            yield Flaw("target-catalogue", title, message, "read one that is there by default")
        if metric.resets_on_scrape and functions & _OF_COUNTERS:
            message = f"{name} starts at 0 with each scrape: rate() of it means nothing"
            yield Flaw("target-counter", title, message, "show the value as it is")
        grows = metric.type == "counter" or metric.monotonic
        if (
            grows
            and not metric.resets_on_scrape
            and not metric.by_pattern
            and not functions & _ABOUT_COUNTERS
        ):
            message = f"{name} only grows: its value says when the process started"
            yield Flaw("target-counter", title, message, f"use rate({name}[${RATE_INTERVAL}])")


def _labels(selector: Selector, labels: set[str], title: str, known: Known) -> Iterator[Flaw]:
    for name in _names(selector):
        for metric in _metrics(name, selector, known.catalogue):
            for label in sorted(labels - TARGET_LABELS - {NAME_LABEL}):
                if metric.has_label(name, label) is False:
                    message = f"{name} of {metric.component} has no label {label}"
                    yield Flaw("target-label", title, message, "mend the matcher")


def _names(selector: Selector) -> tuple[str, ...]:
    """Return the series that a selector reads; of a pattern of names, one that it matches."""
    if selector.metric_names:
        return selector.metric_names
    for matcher in selector.matchers:
        if matcher.name == NAME_LABEL and matcher.operator == "=~":
            example = _REPEATED_CLASS.sub(lambda match: match["one"], matcher.value)
            return (example,) if _PLAIN_NAME.fullmatch(example) else ()
    return ()


def _metrics(name: str, selector: Selector, catalogue: Catalogue) -> tuple[Metric, ...]:
    """Return the metrics of this name that the selector can read.

    A process is chosen by its role and implementation. Beside its own series there are those that Prometheus
    makes of each target, and those that our exporter has about it.
    """
    found = catalogue.find(name)
    chosen = {
        matcher.name: matcher.value.split("|")
        for matcher in selector.matchers
        if matcher.operator == "=" or (matcher.operator == "=~" and _ALTERNATIVES.fullmatch(matcher.value))
    }
    return tuple(
        metric
        for metric in found
        if metric.synthetic
        or metric.component == EXPORTER
        or _is_chosen(catalogue.components[metric.component], chosen)
    )


def _is_chosen(component: Component, chosen: Mapping[str, list[str]]) -> bool:
    labels = {"role": component.role, "implementation": component.implementation}
    return all(value in chosen[label] for label, value in labels.items() if label in chosen)


def filled(text: str) -> str:
    """Return a query as it can be parsed: its durations are then unlike all that a person would write."""
    return fill(
        text,
        {
            **BUILT_IN,
            RATE_INTERVAL: _FILLED_RATE_INTERVAL,
            RANGE: _FILLED_RANGE,
            "cluster": _FILLED_CLUSTER,
            "network": _FILLED_NETWORK,
        },
    )


def _said(selector: Selector) -> str:
    names = selector.metric_names
    if names:
        return " or ".join(names)
    return next((matcher.value for matcher in selector.matchers if matcher.name == NAME_LABEL), "everything")
