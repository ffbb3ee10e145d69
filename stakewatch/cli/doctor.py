"""`stakewatch doctor`: what of the bundle can work on a Prometheus, what cannot, why, and what it costs."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from stakewatch.catalogue.inventory import load_catalogue
from stakewatch.cli.options import (
    bundle_option,
    configuration_option,
    json_option,
    opened,
    prometheus_options,
)
from stakewatch.cli.output import console, print_json, progress_console
from stakewatch.grafana.extra import require_extra
from stakewatch.grafana.remote import connect
from stakewatch.rules.files import load_rule_files
from stakewatch.rules.overriding import apply_configuration


@click.command(short_help="Say what of the bundle can work on your Prometheus.")
@prometheus_options
@json_option
@bundle_option
@configuration_option
def command(
    *,
    prometheus_url: str,
    token_file: Path | None,
    as_json: bool,
    bundle_folder: Path,
    configuration_file: Path | None,
) -> None:
    """Say which alerts and panels can work on a Prometheus or AMP workspace, and what the rest needs.

    It only asks; nothing is changed. Alerts that stakewatch.yaml switches off are not looked at.
    Exits 1 when a critical alert cannot work.
    """
    require_extra()
    # Only now, so that a missing extra is a message and not a traceback.
    from stakewatch.grafana.doctor.account import as_data, print_diagnosis  # noqa: PLC0415
    from stakewatch.grafana.doctor.diagnosis import Bundled, diagnose  # noqa: PLC0415
    from stakewatch.grafana.preview.run import boards_of  # noqa: PLC0415

    bundle, configuration = opened(bundle_folder, configuration_file)
    remote = connect(prometheus_url, token_file=token_file)
    rule_files = apply_configuration(load_rule_files(bundle.rules), configuration)
    boards = boards_of(bundle, configuration)
    catalogue = load_catalogue(bundle.catalogue)
    with progress_console().status("doctor") as status:
        bundled = Bundled(rule_files, boards, catalogue, configuration)
        diagnosis = diagnose(remote, bundled, time.time(), status.update)
    if as_json:
        data: dict[str, Any] = {"prometheus": remote.url, **as_data(diagnosis, catalogue)}
        print_json(data)
    else:
        print_diagnosis(diagnosis, catalogue, remote.url, console())
    if diagnosis.critical:
        sys.exit(1)
