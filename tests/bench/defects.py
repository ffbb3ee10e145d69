"""Defects of public rule sets, each named by what people here would run: check, coverage or mutate.

`python -m tests.bench.defects` writes the report `defects`. `tests/rules/defects/` holds one file each: the
rules as they were published, cut down to the defect, and as they were mended.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from stakewatch.bundle.checks import run_checks
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.catalogue.exposition import parse_page
from stakewatch.catalogue.inventory import CONTRACT
from stakewatch.catalogue.learning import learn, save
from stakewatch.rules.coverage import measure_coverage
from stakewatch.rules.mutation.measurement import measure_mutation
from stakewatch.rules.mutation.memory import Memory

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "tests" / "rules" / "defects"
# What can be asked of any rules; the other checks are about this bundle's own manner.
CHECKS = ("rules/syntax", "rules/catalogue", "rules/pitfalls", "rules/templates")


@dataclass(frozen=True)
class Defect:
    """A published defect; `found_by` is a check, `coverage` or `mutate`, `says` stands in what it prints.

    `metrics` is a page of the exporter that the rules are about, where the catalogue does not know it.
    """

    name: str
    defect: str
    source: str
    found_by: str
    says: str
    rules: str
    mended: str
    suite: str | None
    mended_suite: str | None
    metrics: str | None


def load_defects() -> tuple[Defect, ...]:
    """Return all defects by name."""
    return tuple(_load(path) for path in sorted(FOLDER.glob("*.yaml")))


def _load(path: Path) -> Defect:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    optional = {"suite": None, "mended_suite": None, "metrics": None}
    return Defect(name=path.stem, **{**optional, **content})


def said_of(defect: Defect, rules: str, suite: str | None, checks: tuple[str, ...] = CHECKS) -> list[str]:
    """Return what the defect's tool says of rules, one text per finding, in a bundle of their own."""
    with tempfile.TemporaryDirectory(prefix="defect-") as temporary:
        bundle = Bundle(Path(temporary))
        bundle.rules.mkdir()
        path = bundle.rules / "a.yaml"
        path.write_text(rules, encoding="utf-8")
        if defect.found_by.startswith("rules/"):
            return _findings(bundle, defect, checks)
        tests = bundle.rules / "a.test.yaml"
        tests.write_text(suite or "", encoding="utf-8")
        if defect.found_by == "coverage":
            coverage = measure_coverage(path, tests)
            return [
                f"{alert.name}/{verdict.point.case.value}"
                for alert in coverage.alerts
                for verdict in alert.missing
            ]
        mutation = measure_mutation(path, tests, memory=Memory(None), equivalents=())
        return [f"{one.rule.name}: {one.mutant.change}" for one in mutation.survivors]


def _findings(bundle: Bundle, defect: Defect, checks: tuple[str, ...]) -> list[str]:
    link_catalogue(bundle)
    learn_metrics(bundle, defect, "of_the_defect")
    found = []
    for outcome in run_checks(bundle, Configuration(), checks):
        if outcome.error is not None:
            raise outcome.error
        found += [f"{outcome.check.name}: {one.message}; {one.mend}" for one in outcome.findings]
    return found


def learn_metrics(bundle: Bundle, defect: Defect, component: str) -> None:
    """Add what the defect's exporter serves to a bundle's catalogue."""
    if defect.metrics:
        page = parse_page(defect.metrics, defect.name)
        save(learn(bundle.catalogue, component, page, version="then", source=defect.source))


def link_catalogue(bundle: Bundle) -> None:
    """Give a bundle our catalogue."""
    components = bundle.catalogue / "components"
    components.mkdir(parents=True)
    ours = Bundle(REPOSITORY).catalogue
    for path in [*(ours / "components").glob("*.json"), ours / CONTRACT]:
        (bundle.catalogue / path.relative_to(ours)).symlink_to(path)


def is_named(defect: Defect, said: list[str]) -> bool:
    """Tell whether what was said names the defect."""
    by_check = defect.found_by.startswith("rules/")
    return any(
        defect.says in one and (not by_check or one.startswith(f"{defect.found_by}: ")) for one in said
    )


def main() -> int:
    """Judge all defects and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.defects", description=__doc__)
    parser.parse_args()
    console = Console()
    started = time.monotonic()
    table = Table("defect", "named by", "says", "published", "mended", box=None, highlight=False)
    found = silent = 0
    defects = load_defects()
    for defect in defects:
        before = is_named(defect, said_of(defect, defect.rules, defect.suite))
        after = is_named(defect, said_of(defect, defect.mended, defect.mended_suite))
        found += before
        silent += not after
        table.add_row(
            defect.name,
            defect.found_by,
            defect.says,
            "named" if before else "NOT NAMED",
            "silent" if not after else "STILL NAMED",
            style="" if before and not after else "bold red",
        )
    console.print(table)
    figures = (
        Figure("found_of_30", found, "defects", "== 30"),
        Figure("silent_when_mended", silent, "defects", "== 30"),
        Figure("defects", len(defects), "defects", "== 30"),
    )
    bundle = Bundle(REPOSITORY)
    report = Report("defects", revision(bundle.root), time.monotonic() - started, figures)
    return conclude_report(report, bundle.reports, console)


if __name__ == "__main__":
    sys.exit(main())
