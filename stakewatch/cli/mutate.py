"""`stakewatch mutate`: which small changes of the rules the tests notice."""

import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stakewatch.bundle.folder import find_bundle
from stakewatch.bundle.reports import conclude_report
from stakewatch.cli.options import bundle_option, json_option, rules_and_tests, rules_option, tests_option
from stakewatch.cli.output import console, print_json, progress_console, shown, whole_percent
from stakewatch.errors import InputError
from stakewatch.rules.files import Rule, RuleFile
from stakewatch.rules.mutation.changes import changed_since
from stakewatch.rules.mutation.equivalents import load_equivalents
from stakewatch.rules.mutation.measurement import measure_mutation
from stakewatch.rules.mutation.memory import Memory, default_path
from stakewatch.rules.mutation.mutants import APART
from stakewatch.rules.mutation.page import KILLERS, diff, write_mutation_page
from stakewatch.rules.mutation.scoring import Mutation, Outcome, mutation_report

_EQUIVALENTS = "mutation.yaml"


@click.command(short_help="Change the rules in small ways and see whether a test notices.")
@bundle_option
@rules_option
@tests_option
@click.option("--rule", "names", multiple=True, metavar="NAME", help="Only this alert or recorded series.")
@click.option("--since", metavar="REV", help="Only rules that differ from this git revision.")
@click.option(
    "--min-score",
    type=click.FloatRange(0, 100),
    default=100.0,
    show_default=True,
    metavar="PERCENT",
    help="Exit with 1 below this, for the worst operator.",
)
@click.option(
    "--equivalents",
    "equivalents_path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help=f"Mutants that no test can notice, each with its reason (default: {_EQUIVALENTS} beside the tests).",
)
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also a page."
)
@click.option(
    "--cache",
    "cache",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where answers are kept for the next run (default: in the user's cache).",
)
@click.option("--fresh", is_flag=True, help="Neither use nor keep answers of other runs.")
@click.option("--report", "with_report", is_flag=True, help="Also write build/reports/mutate.json.")
@json_option
def command(  # noqa: PLR0917 - one parameter an option
    bundle_folder: Path,
    rules: Path | None,
    tests: Path | None,
    names: tuple[str, ...],
    since: str | None,
    min_score: float,
    equivalents_path: Path | None,
    page: Path | None,
    cache: Path | None,
    *,
    fresh: bool,
    with_report: bool,
    as_json: bool,
) -> None:
    """Change every rule in small ways, run the tests on each change, and show those that no test notices.

    A change is `>` that becomes `>=`, a matcher dropped, `for` doubled, and so on. Works on any rules and
    promtool tests: name a folder or a file of each with --rules and --tests. What was found out is kept, so
    that a second run after one edit takes seconds. Exits 1 when an operator's score is below --min-score, a
    test does not pass, or an entry of the equivalents is stale.
    """
    if with_report and (as_json or rules is not None or tests is not None or names or since):
        raise click.UsageError("--report is about the whole bundle, and a table: give it alone")
    rules, tests = rules_and_tests(bundle_folder, rules, tests)
    if equivalents_path is None:
        folder = tests if tests.is_dir() else tests.parent
        equivalents_path = next(
            (one / _EQUIVALENTS for one in (folder, folder.parent) if (one / _EQUIVALENTS).is_file()),
            folder / _EQUIVALENTS,
        )
    memory = Memory(None if fresh else cache or default_path())
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=progress_console(),
        transient=True,
    )
    with progress:
        task = progress.add_task("reading", total=None)

        def advance(stage: str, done: int, of: int) -> None:
            progress.update(task, description=stage, completed=done, total=of)

        mutation = measure_mutation(
            rules,
            tests,
            memory=memory,
            equivalents=load_equivalents(equivalents_path),
            equivalents_path=equivalents_path,
            only=_chosen(names, since, rules),
            report=advance,
        )
    if names and not mutation.outcomes:
        raise InputError(
            f"there is no rule {', '.join(names)}", where=str(rules), mend="look at the spelling"
        )
    if page is not None:
        write_mutation_page(mutation, page)
    if as_json:
        print_json(_as_data(mutation))
    else:
        _print(mutation)
    held = True
    if with_report:
        bundle = find_bundle(bundle_folder)
        report = mutation_report(mutation, bundle.root, cold=not mutation.remembered)
        held = conclude_report(report, bundle.reports, console()) == 0
    worst = mutation.worst
    if not held or mutation.remarks or (worst is not None and worst.percent < min_score):
        sys.exit(1)


def _chosen(names: tuple[str, ...], since: str | None, rules: Path) -> Callable[[RuleFile, Rule], bool]:
    folder = rules if rules.is_dir() else rules.parent
    changed = changed_since(since, folder) if since is not None else lambda _file, _rule: True
    return lambda rule_file, rule: (not names or rule.name in names) and changed(rule_file, rule)


def _print(mutation: Mutation) -> None:
    output = console()
    for outcome in mutation.survivors:
        output.print(
            f"{shown(outcome.path)}:{outcome.line}: {outcome.rule.name}", style="bold", soft_wrap=True
        )
        tests = f"{outcome.tests} tests look at it" if outcome.tests else "no test looks at it"
        output.print(f"  {outcome.mutant.change} ({tests})", soft_wrap=True)
        for sign, line in diff(outcome):
            style = {"-": "red", "+": "green"}.get(sign)
            output.print(f"    {sign} {line}", style=style, soft_wrap=True)
        output.print(f"  to kill it: {KILLERS[outcome.mutant.operator]}\n", soft_wrap=True)
    for outcome in mutation.outcomes:
        if outcome.disagreed:
            output.print(
                f"{shown(outcome.path)}:{outcome.line}: {outcome.rule.name}: only "
                f"{' and '.join(sorted(outcome.noticed))} notices {outcome.mutant.change}",
                soft_wrap=True,
            )
    for remark in mutation.remarks:
        output.print(f"{shown(remark.path)}:{remark.line}: {remark.message}", soft_wrap=True)
        output.print(f"  {remark.mend}", soft_wrap=True)
    table = Table(
        "operator", "noticed", "of", "equivalent", "score", box=None, header_style="bold", pad_edge=False
    )
    for score in mutation.scores:
        name = f"{score.operator} (not in the score)" if score.operator in APART else score.operator.value
        table.add_row(
            name,
            str(score.killed),
            str(score.total),
            str(score.equivalent),
            f"{whole_percent(score.percent)} %",
        )
    output.print(table)
    output.print(
        f"\n{len(mutation.counted)} mutants, {mutation.tests} tests: {whole_percent(mutation.percent)} % "
        f"noticed, {len([one for one in mutation.counted if one.survived])} survived, "
        f"{whole_percent(mutation.equivalent_percent)} % equivalent; {mutation.asked} answers new, "
        f"{mutation.remembered} remembered, {mutation.seconds:.0f} s",
        soft_wrap=True,
    )


def _as_data(mutation: Mutation) -> dict[str, object]:
    return {
        "percent": round(mutation.percent, 3),
        "equivalent_percent": round(mutation.equivalent_percent, 3),
        "tests": mutation.tests,
        "seconds": round(mutation.seconds, 3),
        "scores": [
            {
                "operator": score.operator.value,
                "killed": score.killed,
                "equivalent": score.equivalent,
                "total": score.total,
                "percent": round(score.percent, 3),
                "counts": score.operator not in APART,
            }
            for score in mutation.scores
        ],
        "mutants": [_outcome_data(outcome) for outcome in mutation.outcomes],
        "remarks": [
            {"path": str(one.path), "line": one.line, "message": one.message, "mend": one.mend}
            for one in mutation.remarks
        ],
    }


def _outcome_data(outcome: Outcome) -> dict[str, object]:
    equivalent = outcome.equivalent
    return {
        "rule": outcome.rule.name,
        "path": str(outcome.path),
        "line": outcome.line,
        "operator": outcome.mutant.operator.value,
        "change": outcome.mutant.change,
        "killed": outcome.killed,
        "noticed_by": sorted(outcome.noticed),
        "asked": sorted(outcome.asked),
        "tests": outcome.tests,
        "equivalent": equivalent.reason if equivalent else None,
    }
