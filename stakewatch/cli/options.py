"""Options that several commands share: which bundle, which configuration, and how to print."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from stakewatch.bundle.configuration import Configuration, bundle_configuration
from stakewatch.bundle.folder import Bundle, find_bundle

DEFAULT_PROMETHEUS = "http://127.0.0.1:9090"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def bundle_option(command: _Command) -> _Command:
    """Add `--bundle DIR` as the argument `bundle_folder`, by default the current folder."""
    return click.option(
        "--bundle",
        "bundle_folder",
        type=click.Path(path_type=Path),
        default=Path(),
        metavar="DIR",
        help="The bundle's folder, or one in it (default: the current one).",
    )(command)


def configuration_option(command: _Command) -> _Command:
    """Add `--config FILE` as the argument `configuration_file`."""
    return click.option(
        "--config",
        "configuration_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration (default: stakewatch.yaml of the bundle, else defaults).",
    )(command)


def json_option(command: _Command) -> _Command:
    """Add `--json` as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def prometheus_options(command: _Command) -> _Command:
    """Add `--prometheus URL` and `--bearer-token-file FILE` as `prometheus_url` and `token_file`."""
    of_token = click.option(
        "--bearer-token-file",
        "token_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The file that holds the token to show.",
    )
    return click.option(
        "--prometheus",
        "prometheus_url",
        default=DEFAULT_PROMETHEUS,
        metavar="URL",
        show_default=True,
        help="Where it is, with user:password@ if it wants one, or an AMP workspace.",
    )(of_token(command))


def rules_option(command: _Command) -> _Command:
    """Add `--rules PATH` as the argument `rules`, None where it is not given."""
    return click.option(
        "--rules",
        "rules",
        type=click.Path(path_type=Path, exists=True),
        metavar="PATH",
        help="Rule files (default: the bundle's).",
    )(command)


def tests_option(command: _Command) -> _Command:
    """Add `--tests PATH` as the argument `tests`, None where it is not given."""
    return click.option(
        "--tests",
        "tests",
        type=click.Path(path_type=Path, exists=True),
        metavar="PATH",
        help="Their promtool tests (default: the bundle's).",
    )(command)


def rules_and_tests(bundle_folder: Path, rules: Path | None, tests: Path | None) -> tuple[Path, Path]:
    """Return what the options name, else the bundle's; raises InputError when there is no bundle to ask."""
    if rules is not None and tests is not None:
        return rules, tests
    bundle = find_bundle(bundle_folder)
    return rules or bundle.rules, tests or bundle.rule_tests


def opened(bundle_folder: Path, configuration_file: Path | None) -> tuple[Bundle, Configuration]:
    """Return what the two options name; raises InputError when either is not there or not right."""
    bundle = find_bundle(bundle_folder)
    return bundle, bundle_configuration(bundle, configuration_file)
