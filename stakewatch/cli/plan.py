"""`stakewatch plan`: what would change at the targets, as a diff."""

import sys
from pathlib import Path

import click

from stakewatch.cli.output import console, print_json, say_failure
from stakewatch.cli.publishing import adopt_option, full_option, prepared, progress, publishing_options
from stakewatch.errors import StakewatchError
from stakewatch.publishing.presentation import plan_data, plan_lines
from stakewatch.publishing.sessions import Failure, plan_each

_DRIFT = 2


class PlanCommand(click.Command):
    """A command whose exit code 2 has a meaning of its own: wrong words on the command line give 1."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise StakewatchError(error.format_message(), mend="stakewatch plan --help") from error


@click.command(cls=PlanCommand, short_help="Show what apply and prune would change.")
@publishing_options
@adopt_option
@full_option
def command(
    names: tuple[str, ...],
    bundle_folder: Path,
    configuration_file: Path | None,
    *,
    as_json: bool,
    adopt: bool,
    full: bool,
) -> None:
    """Compare the bundle with what stands at the TARGETs (default: all under publish in stakewatch.yaml).

    Changes nothing. Exits 0 when there is no difference, 2 when there is, 1 after an error.
    """
    try:
        targets = prepared(names, bundle_folder, configuration_file)
        with progress("plan") as report:
            plans = plan_each(targets, report, adopt=adopt)
    except StakewatchError as error:
        raise StakewatchError(error.what, where=error.where, mend=error.mend) from error
    failures = [plan for plan in plans if isinstance(plan, Failure)]
    fatal = any(flaw.fatal for plan in plans if not isinstance(plan, Failure) for flaw in plan.flaws)
    if as_json:
        print_json([plan_data(plan) for plan in plans])
    else:
        for plan in plans:
            if not isinstance(plan, Failure):
                for line in plan_lines(plan, full=full):
                    console().print(line, soft_wrap=True)
    for failure in failures:
        say_failure(failure.name, failure.error)
    if failures or fatal:
        sys.exit(1)
    if any(plan.drift for plan in plans if not isinstance(plan, Failure)):
        sys.exit(_DRIFT)
