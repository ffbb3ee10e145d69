"""The Prometheus text format: families as data, and as the text that a scrape gets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

QUANTILES = (0.5, 0.75, 0.95, 0.99, 0.999, 0.9999)
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Sample:
    """One line: a series name, its labels and its value."""

    name: str
    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """A metric family; `type` is what its TYPE line says."""

    name: str
    type: str
    samples: tuple[Sample, ...]


def gauge(name: str, value: float, /, **labels: str) -> Family:
    """Return a gauge with one series."""
    return Family(name, "gauge", (Sample(name, value, labels),))


def counter(name: str, value: float, /, **labels: str) -> Family:
    """Return a counter with one series."""
    return Family(name, "counter", (Sample(name, value, labels),))


def per_value(type_: str, name: str, label: str, values: Mapping[str, float], /, **labels: str) -> Family:
    """Return a family with one series per value of a label."""
    return Family(
        name,
        type_,
        tuple(Sample(name, value, {**labels, label: key}) for key, value in values.items()),
    )


def histogram(name: str, count: int, typical: float, series: Iterable[Mapping[str, str]] = ()) -> Family:
    """Return a histogram of `count` observations around `typical`, per set of labels in `series`.

    Buckets are LATENCY_BUCKETS, a thousand times as wide where `typical` is in milliseconds. Observations are
    spread evenly from 0.4 to 1.6 times `typical`.
    """
    samples = []
    scale = 1.0 if typical < LATENCY_BUCKETS[-1] else 1000.0
    for labels in tuple(series) or (NO_LABELS,):
        for bound in LATENCY_BUCKETS:
            share = min(1.0, max(0.0, (bound * scale / typical - 0.4) / 1.2))
            samples.append(
                Sample(f"{name}_bucket", int(count * share), {**labels, "le": f"{bound * scale:g}"})
            )
        samples.append(Sample(f"{name}_bucket", count, {**labels, "le": "+Inf"}))
        samples.append(Sample(f"{name}_sum", count * typical, labels))
        samples.append(Sample(f"{name}_count", count, labels))
    return Family(name, "histogram", tuple(samples))


def summary(
    name: str, quantiles: Mapping[float, float], count: int, total: float | None, /, **labels: str
) -> Family:
    """Return a summary; without `total` there is no _sum."""
    samples = [
        Sample(name, value, {**labels, "quantile": f"{quantile:g}"}) for quantile, value in quantiles.items()
    ]
    if total is not None:
        samples.append(Sample(f"{name}_sum", total, labels))
    samples.append(Sample(f"{name}_count", count, labels))
    return Family(name, "summary", tuple(samples))


def merge(families: Iterable[Family]) -> tuple[Family, ...]:
    """Put samples of families of the same name together, since a name may have only one TYPE line."""
    merged: dict[str, Family] = {}
    for family in families:
        before = merged.get(family.name)
        samples = (*before.samples, *family.samples) if before else family.samples
        merged[family.name] = Family(family.name, family.type, samples)
    return tuple(merged.values())


def render(families: Iterable[Family]) -> bytes:
    """Return the text that a scrape gets."""
    lines = []
    for family in merge(families):
        lines.append(f"# TYPE {family.name} {family.type}")
        lines += [_line(sample) for sample in family.samples]
    return ("\n".join(lines) + "\n").encode()


def _line(sample: Sample) -> str:
    if not sample.labels:
        return f"{sample.name} {_value(sample.value)}"
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
    return f"{sample.name}{{{labels}}} {_value(sample.value)}"


def _value(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
