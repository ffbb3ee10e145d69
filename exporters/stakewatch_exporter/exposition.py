"""Prometheus' text format: samples of families as one page of bytes."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from stakewatch_exporter.families import Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sample(NamedTuple):
    """One series' value; of a histogram its sum, and the count per bucket, not cumulative, the rest last."""

    family: Family
    labels: Mapping[str, str]
    value: float | int
    buckets: Sequence[int] = ()


def _escaped(value: str) -> str:
    if value.isalnum():
        return value
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


# Series come again and again with other values: few labels are written more than once. Those of single keys
# are not worth keeping, they would push all others out.
@lru_cache(maxsize=1 << 15)
def _kept_labels(network: str, labels: tuple[tuple[str, str], ...]) -> str:
    return _labels(network, labels)


def _labels(network: str, labels: Iterable[tuple[str, str]]) -> str:
    pairs = [f'network="{_escaped(network)}"']
    pairs.extend(f'{name}="{_escaped(value)}"' for name, value in labels)
    return ",".join(pairs)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _histogram(sample: Sample, labels: str) -> Iterable[str]:
    name = sample.family.name
    total = 0
    for bound, count in zip((*sample.family.buckets, None), sample.buckets, strict=True):
        total += count
        shown = "+Inf" if bound is None else f"{bound:g}"
        yield f'{name}_bucket{{{labels},le="{shown}"}} {total}'
    yield f"{name}_sum{{{labels}}} {_number(sample.value)}"
    yield f"{name}_count{{{labels}}} {total}"


def render(network: str, samples: Iterable[Sample], *, are_many: bool = False) -> bytes:
    """Return a page with the samples of each family together, families in the order of their first sample.

    `are_many` tells that the labels are those of single keys; then neighbours may share theirs.
    """
    pages: dict[str, bytearray] = {}
    last: Mapping[str, str] | None = None
    text = ""
    for sample in samples:
        family = sample.family
        page = pages.get(family.name)
        if page is None:
            head = f"# HELP {family.name} {family.meaning}\n# TYPE {family.name} {family.type}\n"
            page = pages[family.name] = bytearray(head.encode())
        if sample.labels is not last:
            last = sample.labels
            labels = tuple(last.items())
            text = _labels(network, labels) if are_many else _kept_labels(network, labels)
        if family.type == "histogram":
            for line in _histogram(sample, text):
                page += f"{line}\n".encode()
        else:
            page += f"{family.name}{{{text}}} {_number(sample.value)}\n".encode()
    return b"".join(pages.values())
