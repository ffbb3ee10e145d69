"""`stakewatch`: finds its commands by module name and turns errors into messages and exit codes."""

import importlib
import pkgutil
import sys

import click

import stakewatch
from stakewatch import cli
from stakewatch.errors import StakewatchError

_NOT_COMMANDS = {"main", "output"}


class Commands(click.Group):
    """The commands are the modules of `stakewatch.cli`, imported only when called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        names = (module.name for module in pkgutil.iter_modules(cli.__path__))
        return sorted(name.replace("_", "-") for name in names if name not in _NOT_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return what it defines."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"stakewatch.cli.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - a module that breaks the rule is our mistake
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(stakewatch.__version__, prog_name="stakewatch")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def group(ctx: click.Context, *, debug: bool) -> None:
    """Dashboards, alerts and the proof that they are right, for Ethereum staking operators."""
    ctx.obj = {"debug": debug}


def main() -> None:
    """Run the command line; an error of ours is a message, not a traceback."""
    debug = "--debug" in sys.argv[1:]
    try:
        group(standalone_mode=True)
    except StakewatchError as error:
        if debug:
            raise
        click.echo(f"stakewatch: {error}", err=True)
        sys.exit(error.exit_code)
