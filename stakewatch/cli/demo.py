"""`stakewatch demo`: a simulated fleet, a fault, and the alerts that follow, in a terminal and as a page."""

import sys
import time
from pathlib import Path

import click
from rich.console import Console

from stakewatch.bundle.folder import find_bundle
from stakewatch.cli.options import bundle_option
from stakewatch.demo.faults import FAULTS, DemoFault, find_fault
from stakewatch.demo.run import Run
from stakewatch.demo.stack import Stack
from stakewatch.demo.terminal import Screen, fault_table
from stakewatch.demo.verdict import Verdict


@click.command(short_help="Show what the bundle does when something breaks.")
@click.option("--fault", "name", default="beacon-down", show_default=True, help="What to break; see --list.")
@click.option("--list", "list_faults", is_flag=True, help="List the faults and what must follow.")
@bundle_option
def command(bundle_folder: Path, *, name: str, list_faults: bool) -> None:
    """Show which alerts of the bundle follow when something breaks.

    Starts a simulated fleet of 1,000 keys, the real exporter, a real Prometheus with the rules and a real
    Alertmanager with the routes, all on 127.0.0.1; durations in the rules are scaled, so that 15 minutes
    pass in 19 seconds. Breaks one thing and shows which alerts fire, which are held back, and why. Writes
    the picture to build/demo/index.html. With a terminal it then serves until Ctrl-C; without one it stops.

    Exit codes: 0 what had to come came and nothing else did, 1 otherwise, 2 no such fault or no bundle.
    """
    console = Console(highlight=False)
    if list_faults:
        console.print(fault_table())
        return
    fault = find_fault(name)
    if fault is None:
        known = ", ".join(fault.name for fault in FAULTS)
        raise click.BadParameter(f"there is no fault {name!r}; there are {known}", param_hint="--fault")
    verdict = _run(Screen(console), fault, bundle_folder)
    sys.exit(0 if verdict.holds else 1)


def _run(screen: Screen, fault: DemoFault, bundle_folder: Path) -> Verdict:
    bundle = find_bundle(bundle_folder)
    run = Run(
        bundle=bundle, folder=bundle.build / "demo", fault=fault, report=screen.report, show=screen.show
    )

    def linger(stack: Stack, verdict: Verdict) -> None:
        screen.conclude(fault, verdict, run.page)
        if not (sys.stdin.isatty() and screen.interactive):
            return
        screen.serve(stack.addresses)
        try:
            while True:
                run.watch(stack)
                time.sleep(1.0)
        except KeyboardInterrupt:
            screen.report("stopping")

    return run.execute(linger)
