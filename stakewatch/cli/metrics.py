"""`stakewatch metrics`: what the exporter's metrics mean."""

import sys
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from stakewatch.bundle.folder import find_bundle
from stakewatch.catalogue.contract import load_contract
from stakewatch.catalogue.inventory import CONTRACT
from stakewatch.catalogue.metrics_reference import metrics_reference
from stakewatch.cli.options import bundle_option
from stakewatch.cli.output import console


@click.command(short_help="Tell what the exporter's metrics mean.")
@click.argument("word", required=False, default="")
@bundle_option
@click.option("--reference", "as_reference", is_flag=True, help="Print docs/exporter-metrics.md.")
def command(word: str, bundle_folder: Path, *, as_reference: bool) -> None:
    """Print the exporter's metrics whose names contain WORD, all without one, with what they mean."""
    contract = load_contract(find_bundle(bundle_folder).catalogue / CONTRACT)
    if as_reference:
        sys.stdout.write(metrics_reference(contract))
        return
    table = Table("metric", "type", "labels", "meaning", highlight=False)
    for family in contract.families.values():
        if word in family.name:
            labels = ", ".join(name for name in family.labels if name != "network")
            table.add_row(*map(Text, (family.name, family.type, labels, family.meaning)))
    console().print(table)
