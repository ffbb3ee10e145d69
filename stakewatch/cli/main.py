"""`stakewatch`: finds its commands by module name and turns errors into messages and exit codes."""

import importlib
import os
import pkgutil
import sys
import traceback

import click

import stakewatch
from stakewatch import cli
from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.bundle.rooms import WITH_ALL_EXTRAS
from stakewatch.errors import StakewatchError

_NOT_COMMANDS = {"main", "options", "output", "publishing"}
_INTERRUPTED = 130


class Commands(click.Group):
    """The commands are the modules of `stakewatch.cli`, imported only when called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of all commands."""
        names = (module.name for module in pkgutil.iter_modules(cli.__path__))
        return sorted(name.replace("_", "-") for name in names if name not in _NOT_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return what it defines.

        Where a package of an extra is missing, what is returned says so when it is called.
        """
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            module = importlib.import_module(f"stakewatch.cli.{cmd_name.replace('-', '_')}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "stakewatch":
                raise
            return _unavailable(cmd_name, error.name)
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - a module that breaks the rule is our mistake
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begin with; UsageError names the nearest when none is."""
        known = self.list_commands(ctx)
        name = args[0]
        if not name.startswith("-") and name not in known:
            mend = did_you_mean(name, known, "there are")
            raise click.UsageError(f"there is no command {quoted(name)}; {mend}", ctx)
        return super().resolve_command(ctx, args)


def _unavailable(name: str, package: str) -> click.Command:
    def refuse(words: tuple[str, ...]) -> None:
        del words
        raise StakewatchError(
            f"the command {name} needs the package {package}, which is not installed", mend=WITH_ALL_EXTRAS
        )

    return click.Command(
        name,
        callback=refuse,
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
        short_help=f"Needs the package {package}, which is not installed.",
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
    )


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(stakewatch.__version__, prog_name="stakewatch")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def group(settings: dict[str, bool], *, debug: bool) -> None:
    """Dashboards, alerts and the proof that they are right, for Ethereum staking operators."""
    settings["debug"] = debug


def main() -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 the input is wrong, 130 interrupted.

    An error is a message on stderr, with a traceback only after `--debug`.
    """
    settings = {"debug": False}
    try:
        answer = group.main(prog_name="stakewatch", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except StakewatchError as error:
        if settings["debug"]:
            traceback.print_exc()
        _say(str(error))
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone (`| head`). Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        # The last word: whatever it is, a user gets a message.
        if settings["debug"]:
            raise
        _say(
            f"a mistake in stakewatch itself: {type(error).__name__}: {error}\n"
            "  run it again as `stakewatch --debug …` and report what it prints"
        )
        sys.exit(1)
    sys.exit(answer if isinstance(answer, int) else 0)


def _say(message: str) -> None:
    click.echo(f"stakewatch: {message}", err=True)
