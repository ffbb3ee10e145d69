"""What plan, apply, prune and status share: their arguments, and asking a person before something changes."""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from rich.text import Text

from stakewatch.cli.options import bundle_option, configuration_option, json_option, opened
from stakewatch.cli.output import console, print_json, progress_console, show_traceback
from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing.applying import Outcome, Outcomes, Progress
from stakewatch.publishing.differences import shown_line
from stakewatch.publishing.interruption import ending_in_order
from stakewatch.publishing.plans import Change, Plan
from stakewatch.publishing.presentation import outcome_line, outcomes_data, plan_data, plan_lines
from stakewatch.publishing.sessions import Prepared, Report, open_plans, prepare
from stakewatch.publishing.target import Target

_Command = TypeVar("_Command", bound=Callable[..., Any])
# Yields the outcomes of changes at a target.
Work = Callable[[Target, Sequence[Change], Progress], Outcomes]


def publishing_options(command: _Command) -> _Command:
    """Add `[TARGET...]` as the argument `names`, and the options of bundle, configuration and JSON.

    SIGTERM then ends the command as Ctrl-C does, so that targets give back what they were lent.
    """

    @functools.wraps(command)
    def in_order(*arguments: object, **options: object) -> object:
        with ending_in_order():
            return command(*arguments, **options)

    argument = click.argument("names", nargs=-1, metavar="[TARGET...]")
    return cast("_Command", argument(bundle_option(configuration_option(json_option(in_order)))))


def adopt_option(command: _Command) -> _Command:
    """Add `--adopt`."""
    return click.option(
        "--adopt", is_flag=True, help="Take over objects of our names that stand there and are not ours."
    )(command)


def full_option(command: _Command) -> _Command:
    """Add `--full`."""
    return click.option("--full", is_flag=True, help="Also show all lines of what is new or left over.")(
        command
    )


def yes_option(command: _Command) -> _Command:
    """Add `--yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """Show on stderr which target does what, while the block runs."""
    with progress_console().status(what) as status:
        # As text: what somebody named in brackets is no markup.
        yield lambda name, awaited: status.update(Text(shown_line(shown(what, name, awaited))))


def shown(*words: str) -> str:
    """Return words as one line of progress."""
    return ": ".join(word for word in words if word)


def prepared(
    names: Sequence[str], bundle_folder: Path, configuration_file: Path | None, *, with_build: bool = True
) -> tuple[Prepared, ...]:
    """Return the targets that a command is about, with what they publish built unless told otherwise."""
    bundle, configuration = opened(bundle_folder, configuration_file)
    with progress("build") as report:
        return prepare(bundle, configuration, names, lambda name: report(name, ""), with_build=with_build)


def change_targets(
    targets: Sequence[Prepared],
    work: Work,
    select: Callable[[Plan], Sequence[Change]],
    *,
    verb: str,
    yes: bool,
    full: bool,
    adopt: bool,
    as_json: bool,
) -> None:
    """Show what has to change, ask, change what `select` takes of each plan, and say what came of it.

    `prune` shows nothing but what it removes. Exits 1 when something could not be done, or a person says no.
    """
    with ExitStack() as stack:
        with progress("plan") as report:
            plans = open_plans(targets, stack, report, adopt=adopt)
        if verb == "prune":
            plans = [(target, plan.only(plan.leftovers)) for target, plan in plans]
        if not as_json:
            for line in (line for _, plan in plans for line in _shown(plan, verb, full=full)):
                console().print(line, soft_wrap=True)
        chosen = [(target, plan, select(plan)) for target, plan in plans]
        fatal = [flaw for _, plan, changes in chosen if changes for flaw in plan.flaws if flaw.fatal]
        if fatal and verb == "apply":
            raise StakewatchError(
                f"{len(fatal)} reasons why it would be refused there, so nothing is sent",
                where=fatal[0].subject if as_json else None,
                mend=f"{fatal[0].what}: {fatal[0].mend}" if as_json else "mend them, they stand above",
            )
        total = sum(len(changes) for _, _, changes in chosen)
        if total and not yes and not _agreed(verb, total, as_json=as_json):
            raise StakewatchError("nothing was changed")
        results = [
            _carried_out(plan.name, target, changes, work, verb, quiet=as_json)
            for target, plan, changes in chosen
        ]
    if as_json:
        print_json(
            [
                {**plan_data(plan), **outcomes_data(plan.name, outcomes, changes)}
                for (_, plan, changes), outcomes in zip(chosen, results, strict=True)
            ]
        )
    refused = any(plan.refused for _, plan in plans) and verb == "apply"
    done = sum(1 for outcomes in results for one in outcomes if one.error is None)
    if not as_json and not total:
        console().print(f"nothing to {verb}")
    if done < total or refused:
        sys.exit(1)


def _shown(plan: Plan, verb: str, *, full: bool) -> Iterator[Text]:
    if plan.changes or verb != "prune":
        yield from plan_lines(plan, full=full)


def _agreed(verb: str, total: int, *, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise InputError(
            f"{verb} asks before it changes anything, and nobody is asked here", mend="give --yes"
        )
    return click.confirm(f"{verb} {total:,} of these?", err=True)


def _carried_out(
    name: str, target: Target, changes: Sequence[Change], work: Work, verb: str, *, quiet: bool
) -> list[Outcome]:
    """Return the outcomes, printed as they come; also after Ctrl-C it is said how far it got."""
    outcomes: list[Outcome] = []
    try:
        with progress(verb) as report:

            def tell(change: Change, awaited: str) -> None:
                report(f"{name}, {len(outcomes)} of {len(changes)} done", shown(str(change.item), awaited))

            with closing(work(target, changes, tell)) as coming:
                for outcome in coming:
                    outcomes.append(outcome)
                    if outcome.error is not None:
                        show_traceback(outcome.error)
                    if not quiet:
                        console().print(outcome_line(outcome), soft_wrap=True)
    finally:
        failed = sum(1 for one in outcomes if one.error is not None)
        left = len(changes) - len(outcomes)
        if changes and not quiet:
            words = [f"{len(outcomes) - failed} of {len(changes)} done"]
            words += [f"{failed} failed"] if failed else []
            words += [f"{left} not finished: run it again and it goes on"] if left else []
            console().print(Text(f"{name}: {', '.join(words)}", style="bold"), soft_wrap=True)
    return outcomes
