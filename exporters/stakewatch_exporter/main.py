"""The entry point of `stakewatch-exporter`: loads the command line, which takes a moment, and runs it."""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the exporter; Ctrl-C at any moment, while it is being loaded too, is one line and exit code 130."""
    try:
        from stakewatch_exporter.command_line import main as run  # noqa: PLC0415 - see the docstring

        run()
    except KeyboardInterrupt:
        print("stakewatch-exporter: interrupted", file=sys.stderr)  # noqa: T201 - nothing else is loaded yet
        sys.exit(_INTERRUPTED)
