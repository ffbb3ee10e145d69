"""One reading of a /metrics page, and how to look a value up in it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

_REQUEST_SECONDS = 4.0


@dataclass(frozen=True)
class Scrape:
    """All series of one page by metric name; `at` is Unix seconds before the question was asked."""

    at: float
    series: Mapping[str, tuple[tuple[Mapping[str, str], float], ...]]

    def select(self, name: str, **labels: str) -> tuple[tuple[Mapping[str, str], float], ...]:
        """Return the series of a metric that have these labels among others."""
        return tuple(
            (own, value) for own, value in self.series.get(name, ()) if labels.items() <= own.items()
        )

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the one series with these labels, None when there is none.

        Raises ValueError when there are several.
        """
        found = self.select(name, **labels)
        if len(found) > 1:
            raise ValueError(f"{len(found)} series of {name} have the labels {labels}")
        return found[0][1] if found else None

    def label(self, name: str, wanted: str, **labels: str) -> str | None:
        """Return one label of the one series with these labels, None when there is none."""
        found = self.select(name, **labels)
        return found[0][0].get(wanted) if len(found) == 1 else None

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Return values by one label; series that share its value are added up."""
        found: dict[str, float] = {}
        for own, value in self.select(name, **labels):
            found[own[label]] = found.get(own[label], 0.0) + value
        return found


def scrape(url: str) -> Scrape:
    """Read the page at `url`.

    Raises requests.RequestException, and ValueError for a page that is not the text format.
    """
    at = time.time()
    answer = requests.get(url, timeout=_REQUEST_SECONDS)
    answer.raise_for_status()
    series: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            series.setdefault(sample.name, []).append((sample.labels, sample.value))
    return Scrape(at, {name: tuple(found) for name, found in series.items()})
