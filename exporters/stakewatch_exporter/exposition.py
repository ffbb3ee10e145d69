"""Prometheus' text format: samples of families as one page of bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stakewatch_exporter.families import Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Sample:
    """One series' value; of a histogram its sum, and the count per bucket, not cumulative, the rest last."""

    family: Family
    labels: Mapping[str, str]
    value: float | int
    buckets: Sequence[int] = ()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _labels(network: str, labels: Mapping[str, str]) -> str:
    pairs = [f'network="{_escaped(network)}"']
    pairs.extend(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return ",".join(pairs)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _lines(sample: Sample, labels: str) -> Iterable[str]:
    name = sample.family.name
    if sample.family.type != "histogram":
        yield f"{name}{{{labels}}} {_number(sample.value)}"
        return
    total = 0
    for bound, count in zip((*sample.family.buckets, None), sample.buckets, strict=True):
        total += count
        shown = "+Inf" if bound is None else f"{bound:g}"
        yield f'{name}_bucket{{{labels},le="{shown}"}} {total}'
    yield f"{name}_sum{{{labels}}} {_number(sample.value)}"
    yield f"{name}_count{{{labels}}} {total}"


def render(network: str, samples: Iterable[Sample]) -> bytes:
    """Return a page with the samples of each family together, families in the order of their first sample."""
    pages: dict[str, list[str]] = {}
    for sample in samples:
        family = sample.family
        lines = pages.get(family.name)
        if lines is None:
            lines = pages[family.name] = [
                f"# HELP {family.name} {family.meaning}",
                f"# TYPE {family.name} {family.type}",
            ]
        lines.extend(_lines(sample, _labels(network, sample.labels)))
    return "".join(line + "\n" for lines in pages.values() for line in lines).encode()
