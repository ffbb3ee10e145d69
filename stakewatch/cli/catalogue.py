"""`stakewatch catalogue`: what components expose, learned from live processes and compared by version."""

import sys
import tempfile
from pathlib import Path

import click

from stakewatch.bundle.configuration import Role
from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.catalogue.components import Component, load_component
from stakewatch.catalogue.difference import broken_by, changes
from stakewatch.catalogue.exposition import parse_page, read_page, shown_place
from stakewatch.catalogue.learning import AS_SCRAPED, component_of_page, learn, save
from stakewatch.cli.options import bundle_option, configuration_option, json_option, opened
from stakewatch.cli.output import console, print_json, progress_console, shown
from stakewatch.errors import InputError

_MOST_NAMES = 20


@click.group(short_help="Learn what a component exposes, and what an upgrade would break.")
def command() -> None:
    """Keep the catalogue: which metrics, labels and types each component really has."""


@command.command("add", short_help="Learn from what a process serves.")
@click.argument("page", metavar="FILE_OR_URL")
@click.option("--component", required=True, metavar="NAME", help="Such as lighthouse_beacon; new or known.")
@click.option("--version", required=True, metavar="TEXT", help="The version that serves it.")
@click.option("--implementation", metavar="NAME", help="Of a new staking process: its label.")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Of a new staking process.")
@click.option("--force", is_flag=True, help="Also a page that looks like another component's.")
@click.option("--dry-run", is_flag=True, help="Change nothing.")
@bundle_option
@configuration_option
def add(  # noqa: PLR0917 - one parameter an option
    page: str,
    component: str,
    version: str,
    implementation: str | None,
    role: str | None,
    bundle_folder: Path,
    configuration_file: Path | None,
    *,
    force: bool,
    dry_run: bool,
) -> None:
    """Add the metrics that FILE_OR_URL shows to the catalogue's component NAME.

    Nothing that is known is removed: many metrics appear with their first use only.
    """
    if (implementation is None) != (role is None):
        raise click.UsageError("a staking process has both --implementation and --role")
    bundle, _ = opened(bundle_folder, configuration_file)
    place = shown_place(page)
    learned = learn(
        bundle.catalogue,
        component,
        parse_page(read_page(page), place),
        version=version,
        source=f"scrape of {Path(place).name if '://' not in place else place}, {version}",
        implementation=implementation,
        role=role,
        force=force,
    )
    if not dry_run:
        save(learned)
    output = console()
    for name in learned.added[:_MOST_NAMES]:
        output.print(f"new: {name}", soft_wrap=True)
    if len(learned.added) > _MOST_NAMES:
        output.print(f"and {len(learned.added) - _MOST_NAMES} more", soft_wrap=True)
    for what in learned.changed:
        output.print(f"changed: {what}", soft_wrap=True)
    output.print(
        f"{shown(learned.path)}: {len(learned.added)} new, {len(learned.changed)} changed, "
        f"{len(learned.unseen)} known ones not on this page{' (nothing written)' if dry_run else ''}",
        soft_wrap=True,
    )


@command.command("diff", short_help="Name what an upgrade would break.")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--component", metavar="NAME", help="Which component both are of (default: what OLD is called)."
)
@bundle_option
@configuration_option
@json_option
def diff(
    old: str,
    new: str,
    component: str | None,
    bundle_folder: Path,
    configuration_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Compare two versions of a component, and name the rules, runbooks and panels that NEW would break.

    OLD and NEW are components of the catalogue, component files (.json), or pages of metrics, as files or
    addresses. Exits 1 when something would break.
    """
    bundle, configuration = opened(bundle_folder, configuration_file)
    name = component or Path(old).stem
    known = [path.stem for path in sorted((bundle.catalogue / "components").glob("*.json"))]
    if name not in known:
        raise InputError(f"there is no component {quoted(name)}", mend=did_you_mean(name, known, "name one"))
    with tempfile.TemporaryDirectory(prefix="catalogue-diff-") as temporary:
        before = _component(old, name, bundle.catalogue, Path(temporary) / "old")
        after = _component(new, name, bundle.catalogue, Path(temporary) / "new")
        found = list(changes(before, after))
        with progress_console().status("checking the bundle with both"):
            broken = broken_by(bundle, configuration, before.path, after.path, name)
    if as_json:
        print_json(
            {
                "component": name,
                "changes": [{"metric": one.metric, "what": one.what} for one in found],
                "broken": [
                    {
                        "check": one.check,
                        "path": shown(one.finding.path),
                        "line": one.finding.line,
                        "message": one.finding.message,
                        "mend": one.finding.mend,
                    }
                    for one in broken
                ],
            }
        )
    else:
        output = console()
        for one in found:
            output.print(f"{one.metric} {one.what}", soft_wrap=True)
        if found and broken:
            output.print()
        for each in broken:
            place = f"{shown(each.finding.path)}:{each.finding.line}"
            output.print(f"{place}: {each.check}: {each.finding.message}", style="red", soft_wrap=True)
            output.print(f"  {each.finding.mend}", soft_wrap=True)
        output.print(f"{len(found)} differences, {len(broken)} places would break", soft_wrap=True)
        if AS_SCRAPED in {before.version, after.version}:
            output.print("a page shows only what was used already: look at what is gone", soft_wrap=True)
    if broken:
        sys.exit(1)


def _component(place: str, name: str, catalogue: Path, folder: Path) -> Component:
    """Return the component that a name, a file or a page stands for."""
    known = catalogue / "components" / f"{place}.json"
    if "/" not in place and "." not in place and known.exists():
        return load_component(known)
    if place.endswith(".json"):
        return load_component(Path(place))
    return component_of_page(name, parse_page(read_page(place), shown_place(place)), folder)
