"""`docs/alerts.md`: the reference of all alerts, written from the rules, their tests and the catalogue."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from stakewatch.bundle.document import read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue import Catalogue, load_catalogue
from stakewatch.catalogue.inventory import EXPORTER
from stakewatch.promql import Selector, selectors
from stakewatch.rules.files import Rule, RuleFile, load_rule_files, records_by_name
from stakewatch.rules.series import selects
from stakewatch.rules.unit_tests import load_unit_tests, unit_test_paths

_HEAD = """\
# The alerts

{count} alerts in {files} files. Written from the rules, their tests and the catalogue by `stakewatch alerts`.

- **for**: how long the condition must hold; `-` fires at once.
- **threshold**: what `overrides` in `stakewatch.yaml` may change, beside `for`, severity and labels.
- **seen through**: whose metrics are read. The exporter asks clients of every implementation by their API, so
  what it says holds for all; where it is not named, only the clients listed can raise the alert.
  "every scrape" is `up`.
- **tests**: in how many scenarios of `tests/rules/` it must fire, of how many that say whether it does.

critical wakes a person, warning is a ticket, info is for the record.
"""
_EXPORTER = "exporter"
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_TABLE = """\
| alert | fires when | severity | for | threshold | seen through | tests |
|---|---|---|---|---|---|---|
"""


def alert_page(bundle: Bundle) -> Path:
    """Return where the reference stands."""
    return bundle.root / "docs" / "alerts.md"


def alert_reference(bundle: Bundle) -> str:
    """Return the page in Markdown: one section per rule file, one row per alert.

    Raises InputError when a rule file or a test file is broken, PromqlError for an expression that is.
    """
    rule_files = [rule_file for rule_file in load_rule_files(bundle.rules) if rule_file.alerts]
    scenarios = _scenarios(bundle)
    sources = _Sources(rule_files, load_catalogue(bundle.catalogue))
    sections = [
        f"\n## {rule_file.path.stem}\n"
        + _TABLE
        + "".join(
            _row(rule, sources.of_rule(rule), scenarios.get(rule.name, "none")) for rule in rule_file.alerts
        )
        for rule_file in rule_files
    ]
    count = sum(len(rule_file.alerts) for rule_file in rule_files)
    return _HEAD.format(count=count, files=len(rule_files)) + "".join(sections)


def _row(rule: Rule, sources: Iterable[str], scenarios: str) -> str:
    cells = (
        f"[{rule.name}](runbooks/{rule.name}.md)",
        rule.annotations.get("summary", "").strip(),
        rule.labels.get("severity", ""),
        rule.duration or "-",
        rule.annotations.get("threshold", ""),
        ", ".join(sources),
        scenarios,
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _scenarios(bundle: Bundle) -> Mapping[str, str]:
    """Count the tests in which each alert fires, of those that name it."""
    named: Counter[str] = Counter()
    firing: Counter[str] = Counter()
    for path in unit_test_paths(bundle.rule_tests):
        # Broken files are errors with their line from here.
        load_unit_tests(path)
        content = yaml.load(read_text(path), Loader=_LOADER)  # noqa: S506 - a safe loader, in C where it is there
        for test in content.get("tests") or []:
            cases = test.get("alert_rule_test") or []
            named.update({case.get("alertname") for case in cases})
            firing.update({case.get("alertname") for case in cases if case.get("exp_alerts")})
    return {name: f"{firing[name]} of {count}" for name, count in named.items()}


class _Sources:
    """Who exposes what a rule reads, recording rules looked through."""

    def __init__(self, rule_files: Iterable[RuleFile], catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._records = records_by_name(rule_files)

    def of_rule(self, rule: Rule) -> list[str]:
        """Return the names of those who expose it: the exporter, then clients, then the platform."""
        names = set(self._names(rule, set()))
        return sorted(names, key=lambda name: (name != _EXPORTER, name[0].islower(), name))

    def _names(self, rule: Rule, seen: set[str]) -> Iterator[str]:
        for selector in selectors(rule.expression):
            for series in selector.metric_names:
                if series not in self._records:
                    yield from self._of_series(series, selector)
                elif series not in seen:
                    seen.add(series)
                    for record in self._records[series]:
                        yield from self._names(record, seen)

    def _of_series(self, series: str, selector: Selector) -> Iterator[str]:
        for metric in self._catalogue.find(series):
            component = self._catalogue.components[metric.component]
            if metric.synthetic:
                yield "every scrape"
            elif component.name == EXPORTER:
                yield _EXPORTER
            elif selects(selector.matchers, metric, self._catalogue):
                yield component.implementation.capitalize() if component.implementation else component.name
