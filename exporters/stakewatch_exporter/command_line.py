"""`stakewatch-exporter`: reads the configuration, runs until it is told to stop, or checks once."""

import asyncio
import dataclasses
import logging
import signal
import stat
import sys
from pathlib import Path

import aiohttp
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

import stakewatch
from stakewatch.bundle.configuration import Configuration, load_configuration
from stakewatch.bundle.problems import named
from stakewatch.errors import InputError, StakewatchError
from stakewatch_exporter import log
from stakewatch_exporter.memory import return_large_blocks
from stakewatch_exporter.service import Service, running
from stakewatch_exporter.snapshot import is_healthy

_HIGHEST_PORT = 65535

_EPILOG = """
\b
What it serves
  /metrics            everything, as a ready-made page
  /health/INSTANCE    200 or 503 with a reason per check, for a load balancer
  /offenders          which keys are at fault, and why
  /healthz, /readyz   for whoever runs it
\b
How to begin
  stakewatch-exporter --config stakewatch.yaml --check     ask every node once
  stakewatch-exporter --config stakewatch.yaml             run
\b
It reads only: it never signs, starts, stops or moves a key. Run it outside of what it
watches, and scrape it with honor_labels: true, since its series name the watched nodes.
"""


def _parse_listen(listen: str) -> tuple[str, int]:
    host, separator, port = listen.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > _HIGHEST_PORT:
        raise InputError(
            "not an address to listen on",
            where=f"--listen {listen}",
            mend="write HOST:PORT, as 127.0.0.1:9120",
        )
    return host.strip("[]"), int(port)


def _checked(configuration: Configuration, path: Path) -> Configuration:
    """Return the configuration if the exporter can run with it. Raises InputError."""
    if not configuration.nodes:
        raise InputError(
            "it names no beacon and no execution node, so there is nothing to watch",
            where=named(path),
            mend="add fleet.beacon_nodes with instance, implementation and url",
        )
    if configuration.exporter.state_file is not None:
        _check_state_file(Path(configuration.exporter.state_file))
    return configuration


def _check_state_file(path: Path) -> None:
    """Raise InputError when there can be no state file at this path, or what is there is none."""
    try:
        if not path.parent.is_dir():
            raise InputError(
                "the folder of exporter.state_file is not there",
                where=named(path),
                mend="create the folder, or choose another file",
            )
        is_usable = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            f"exporter.state_file cannot be used: {reason}",
            where=named(path),
            mend="choose another file",
        ) from error
    if not is_usable:
        raise InputError(
            "exporter.state_file is there and is not a regular file",
            where=named(path),
            mend="name an ordinary file, or one that is not there yet",
        )


async def _run(configuration: Configuration) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(configuration):
        await stop.wait()
        keeps = configuration.exporter.state_file is not None
        log.event(
            logging.INFO, "stopping", next="the state file is written, then it ends" if keeps else "it ends"
        )


async def _check(configuration: Configuration, console: Console) -> bool:
    """Ask every node, twice as the first answers teach the clock; print a table; return if all is well."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        service = Service(configuration, session)
        watches = service.fleet.watches
        for _ in range(2):
            await asyncio.gather(*(service.watch(watch) for watch in watches))
        keys_are_told = await service.keys.ask()
        checks = service.fleet.checks(service.chain)
        table = Table("instance", "role", "version", "healthy", "why not", title="Nodes")
        # What is cut off is the end of a path or an address, which is what one needs to know.
        for column in table.columns:
            column.overflow = "fold"
        for watch in watches:
            own = checks[watch.node.instance]
            reasons = [f"{name}: {check.reason}" for name, check in own.items() if not check.passes]
            healthy = is_healthy(watch, own)
            row = (
                watch.node.instance,
                watch.node.role.value,
                watch.version.get() or "unknown",
                "yes" if healthy else "no",
                "" if healthy else "\n".join([watch.contact.failure] if not watch.contact.is_up else reasons),
            )
            table.add_row(*map(Text, row))
        for instance, role, failure in keys_are_told:
            table.add_row(*map(Text, (instance, role, "", "no" if failure else "yes", failure)))
        console.print(table)
        return not any(failure for _, _, failure in keys_are_told) and all(
            is_healthy(watch, checks[watch.node.instance]) for watch in watches
        )


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(stakewatch.__version__, prog_name="stakewatch-exporter")
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    default=Path("stakewatch.yaml"),
    show_default=True,
    help="The fleet: nodes, validator clients, groups of keys.",
)
@click.option("--listen", metavar="HOST:PORT", help="Address to serve on, instead of the configured one.")
@click.option("--check", is_flag=True, help="Ask every node once, print a table, exit 1 if one is unhealthy.")
@click.option("--debug", is_flag=True, help="Log more, and show the traceback of an error.")
def command(*, config: Path, listen: str | None, check: bool, debug: bool) -> None:
    """Tell Prometheus what beacon nodes, execution nodes and the chain say about a staking fleet."""
    log.write_to(sys.stderr, logging.DEBUG if debug else logging.INFO)
    configuration = _checked(load_configuration(config), config)
    if listen is not None:
        host, port = _parse_listen(listen)
        settings = dataclasses.replace(configuration.exporter, listen_host=host, listen_port=port)
        configuration = dataclasses.replace(configuration, exporter=settings)
    if check:
        log.write_to(sys.stderr, logging.ERROR)
        sys.exit(0 if asyncio.run(_check(configuration, Console())) else 1)
    return_large_blocks()
    asyncio.run(_run(configuration))


def main() -> None:
    """Run the command line; an error of ours is a message, not a traceback."""
    try:
        command(standalone_mode=True)
    except StakewatchError as error:
        if "--debug" in sys.argv[1:]:
            raise
        click.echo(f"stakewatch-exporter: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        # The last word: whatever it is, a user gets a message.
        if "--debug" in sys.argv[1:]:
            raise
        click.echo(
            f"stakewatch-exporter: a mistake in stakewatch itself: {type(error).__name__}: {error}\n"
            "  run it again with --debug and report what it prints",
            err=True,
        )
        sys.exit(1)
