"""Queries of Geth's own metrics, for the Geth nodes that a board's variables choose."""

from collections.abc import Callable, Mapping

from stakewatch.grafana.joins import Process
from stakewatch.grafana.queries import Query

GETH = Process(role="execution", implementation="geth")

# Geth empties its resetting timers with each scrape, so a point stands for the blocks or calls since the
# last scrape. Their counts never go under rate(), and gaps between points are drawn over.
SINCE_THE_LAST_SCRAPE = "Each point stands for what happened since the last scrape."


def per_second(metric: str) -> str:
    """Return the rate of a series that only grows."""
    return f"rate({GETH.series(metric)}[$__rate_interval])"


def share(hits: str, misses: str) -> str:
    """Return the ratio of hits to all look-ups, absent while there are none."""
    return f"{per_second(hits)} / ({per_second(hits)} + {per_second(misses)} > 0)"


def quantile(metric: str, of: str) -> str:
    """Return one quantile of a summary of Geth, in nanoseconds."""
    return GETH.series(metric, f'quantile="{of}"')


def per_second_queries(**metrics: str) -> tuple[Query, ...]:
    """Return a rate per legend."""
    return _queries(per_second, metrics)


def value_queries(**metrics: str) -> tuple[Query, ...]:
    """Return a plain value per legend."""
    return _queries(GETH.series, metrics)


def quantile_queries(of: str, **metrics: str) -> tuple[Query, ...]:
    """Return a quantile of a summary per legend."""
    return _queries(lambda metric: quantile(metric, of), metrics)


def _queries(expression: Callable[[str], str], metrics: Mapping[str, str]) -> tuple[Query, ...]:
    """Return `expression` of each metric; a legend has its blanks where its keyword has underscores."""
    return tuple(
        Query(expression(metric), f"{{{{instance}}}} {legend.replace('_', ' ')}")
        for legend, metric in metrics.items()
    )
