"""`stakewatch alerts`: writes docs/alerts.md, the reference of all alerts."""

import sys
from pathlib import Path

import click

from stakewatch.bundle.folder import find_bundle
from stakewatch.cli.options import bundle_option
from stakewatch.cli.output import console, progress_console
from stakewatch.rules.reference import alert_page, alert_reference


@click.command(short_help="Write docs/alerts.md, the reference of all alerts.")
@bundle_option
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 when the page differs.")
def command(bundle_folder: Path, *, only_check: bool) -> None:
    """Write docs/alerts.md from the rules, their tests and the catalogue."""
    bundle = find_bundle(bundle_folder)
    page, text = alert_page(bundle), alert_reference(bundle)
    differs = not page.is_file() or page.read_text(encoding="utf-8") != text
    shown = page.relative_to(bundle.root)
    if only_check and differs:
        progress_console().print(f"{shown} differs: run `stakewatch alerts`", soft_wrap=True)
        sys.exit(1)
    if differs:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    console().print(f"{shown}  {'written' if differs else 'unchanged'}", soft_wrap=True)
