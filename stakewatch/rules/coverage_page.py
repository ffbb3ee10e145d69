"""The page of a coverage: each alert's expression, coloured by what the tests prove of its parts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stakewatch.rules.coverage import AlertCoverage, Coverage
from stakewatch.rules.pages import print_page, write_page
from stakewatch.rules.twins import places


@dataclass(frozen=True)
class Part:
    """A piece of an expression; `title` says what is proved of it, and is empty where nothing is to prove."""

    text: str
    title: str = ""
    proved: bool = True


def write_coverage_page(coverage: Coverage, path: Path) -> None:
    """Write one HTML file that needs no other; raises StakewatchError when it cannot be written."""
    write_page(print_coverage_page(coverage), path)


def print_coverage_page(coverage: Coverage) -> str:
    """Return the page as HTML; all that comes from rules and tests is escaped."""
    alerts = [
        {
            "name": alert.name,
            "place": f"{alert.path.name}:{alert.line}",
            "parts": tuple(parts(alert)),
            "verdicts": alert.verdicts,
        }
        for alert in coverage.alerts
    ]
    percent = f"{math.floor(coverage.percent * 10) / 10:g}"
    return print_page("coverage.html.jinja", coverage=coverage, alerts=alerts, percent=percent)


def parts(alert: AlertCoverage) -> Iterator[Part]:
    """Yield the expression of an alert in pieces, so that their texts together are the expression."""
    verdicts = {verdict.point: verdict for verdict in alert.verdicts}
    spans: dict[tuple[int, int], list[str]] = {}
    missing: set[tuple[int, int]] = set()
    for start, end, point in places(alert.expression):
        verdict = verdicts[point]
        shown = f"“{verdict.proof}”" if verdict.proved else f"no test proves {verdict.what}"
        spans.setdefault((start, end), []).append(f"{point.case}: {shown}")
        if not verdict.proved:
            missing.add((start, end))
    position = 0
    for (start, end), said in spans.items():
        if start > position:
            yield Part(alert.expression[position:start])
        yield Part(alert.expression[start:end], "\n".join(said), proved=(start, end) not in missing)
        position = end
    if position < len(alert.expression):
        yield Part(alert.expression[position:])
