"""`stakewatch config`: says whether a configuration is right, and what it comes to."""

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from stakewatch.bundle.configuration import Configuration, Group, load_configuration
from stakewatch.bundle.folder import Bundle, find_bundle
from stakewatch.bundle.initial import carried_bundle
from stakewatch.bundle.reference import configuration_reference
from stakewatch.bundle.validation import schema
from stakewatch.cli.options import bundle_option
from stakewatch.cli.output import console, print_json
from stakewatch.errors import InputError
from stakewatch.rules.files import load_rule_files
from stakewatch.rules.overriding import apply_configuration


@click.command(short_help="Validate stakewatch.yaml and print what it comes to.")
@click.argument("file", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@bundle_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print the whole configuration as JSON, defaults filled in."
)
@click.option("--schema", "as_schema", is_flag=True, help="Print the JSON Schema, for editors.")
@click.option("--reference", "as_reference", is_flag=True, help="Print docs/configuration.md.")
def command(
    file: Path | None, bundle_folder: Path, *, as_json: bool, as_schema: bool, as_reference: bool
) -> None:
    """Validate FILE (default: the bundle's stakewatch.yaml) and print what it comes to, defaults filled in.

    Overrides are held against the bundle's rules. Exits 2 with every mistake, its line and its mend.
    """
    if as_schema:
        print_json(schema())
    elif as_reference:
        sys.stdout.write(configuration_reference())
    elif as_json:
        print_json(_plain(_loaded(file, bundle_folder)))
    else:
        _print_configuration(_loaded(file, bundle_folder))


def _loaded(file: Path | None, bundle_folder: Path) -> Configuration:
    """Return a configuration whose overrides fit the rules: the bundle's, else those of the package."""
    try:
        bundle = find_bundle(bundle_folder)
    except InputError:
        if file is None:
            raise
        bundle = Bundle(carried_bundle())
    configuration = load_configuration(file or bundle.root / "stakewatch.yaml")
    if configuration.overrides:
        apply_configuration(load_rule_files(bundle.rules), configuration)
    return configuration


def _print_configuration(configuration: Configuration) -> None:
    output = console()
    output.print(f"network {configuration.network}")
    for table in (
        _settings(configuration),
        _nodes(configuration),
        _validator_clients(configuration),
        _signers(configuration),
        _groups(configuration),
        _overrides(configuration),
    ):
        if table.row_count:
            output.print(table)


def _settings(configuration: Configuration) -> Table:
    table = Table("setting", "value")
    for section in ("health", "exporter", "urls", "expected_versions"):
        for name, value in _plain(getattr(configuration, section)).items():
            table.add_row(f"{section}.{name}", "" if value is None else str(value))
    share = configuration.objectives.attestation_inclusion
    table.add_row("objectives.attestation_inclusion", "" if share is None else str(share))
    return table


def _nodes(configuration: Configuration) -> Table:
    table = Table("node", "role", "implementation", "cluster", "region", "url", "execution node")
    for node in configuration.nodes:
        rest = (node.cluster, node.region, node.url, node.execution_node or "")
        table.add_row(node.instance, node.role, node.implementation, *rest)
    return table


def _validator_clients(configuration: Configuration) -> Table:
    table = Table("validator client", "implementation", "cluster", "region", "primary", "backups")
    for client in configuration.validator_clients:
        primary, *backups = client.beacon_nodes
        rest = (client.implementation, client.cluster, client.region)
        table.add_row(client.instance, *rest, primary, ", ".join(backups))
    return table


def _groups(configuration: Configuration) -> Table:
    table = Table("group", "validator client", "keys", "labels", "enabled")
    for one in configuration.groups:
        labels = ", ".join(f"{name}={value}" for name, value in one.labels.items())
        enabled = "yes" if one.enabled else "NO"
        table.add_row(one.name, one.validator_client, _keys(one), labels, enabled)
    return table


def _keys(group: Group) -> str:
    """Return how many keys a group has, or where it will learn them."""
    source = group.source
    if source is None:
        return f"{len(group.keys):,}"
    if source.withdrawal_credentials:
        return f"by {len(source.withdrawal_credentials)} withdrawal credentials"
    return f"from {source.keymanager or source.signer}"


def _signers(configuration: Configuration) -> Table:
    table = Table("signer", "implementation", "cluster", "region", "url")
    for one in configuration.signers:
        table.add_row(one.instance, one.implementation, one.cluster, one.region, one.url)
    return table


def _overrides(configuration: Configuration) -> Table:
    table = Table("alert", "differs in")
    for alert, override in configuration.overrides.items():
        differs = {
            "threshold": override.threshold,
            "for": override.duration,
            "severity": override.severity,
            **override.labels,
            "enabled": None if override.enabled else "no",
        }
        shown = (f"{name}: {value}" for name, value in differs.items() if value is not None)
        table.add_row(alert, ", ".join(shown))
    return table


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of a configuration
    """Return dataclasses and mappings as dicts, tuples as lists, all the way down."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
