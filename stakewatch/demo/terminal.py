"""The demo in a terminal: a line per event, then the verdict and the reason."""

import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stakewatch.demo.faults import FAULTS, DemoFault, is_standing
from stakewatch.demo.verdict import Verdict
from stakewatch.demo.watching import Change, State

_STYLES = {
    State.PENDING: "yellow",
    State.FIRING: "bold red",
    State.INHIBITED: "magenta",
    State.RESOLVED: "green",
}


def fault_table() -> Table:
    """Return the faults with what must follow each."""
    table = Table(title="make demo FAULT=NAME", show_lines=True)
    for title in ("fault", "what breaks", "what must follow"):
        table.add_column(title, overflow="fold")
    for fault in FAULTS:
        follows = "\n".join(
            f"{one} held back by {one.inhibited_by}" if one.inhibited_by else str(one)
            for one in fault.expected
        )
        table.add_row(fault.name, escape(fault.describes), escape(follows or "nothing"))
    return table


class Screen:
    """Prints events with the seconds since its own start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    @property
    def interactive(self) -> bool:
        """Whether a person looks at it."""
        return self._console.is_terminal

    def report(self, text: str) -> None:
        """Print what is being done."""
        self._line(escape(text))

    def show(self, change: Change) -> None:
        """Print that an alert has changed its state, and what it says when that reaches somebody."""
        alert = change.alert
        if is_standing(alert.name, dict(alert.labels)):
            return
        style = _STYLES[alert.state]
        by = f" by {', '.join(alert.inhibited_by)}" if alert.inhibited_by else ""
        self._line(f"[{style}]{alert.state.value.upper():<9}[/{style}] {escape(alert.title + by)}")
        if alert.state in {State.FIRING, State.INHIBITED}:
            self._print(f"{'':10}{escape(alert.annotation('description'))}", style="dim")

    def conclude(self, fault: DemoFault, verdict: Verdict, page: Path) -> None:
        """Print the verdict, its reason, and where the picture is."""
        self._print()
        for expectation in fault.expected:
            name = escape(str(expectation))
            if expectation in verdict.missing:
                self._print(f"[red]missing[/red]     {name} did not come as it must")
            elif expectation.inhibited_by:
                cause = expectation.inhibited_by
                self._print(f"[green]held back[/green]   {name}: its cause is {cause}")
            else:
                self._print(f"[green]notified[/green]    {name}")
        for view in verdict.unexpected:
            self._print(f"[red]unexpected[/red]  {escape(view.title)} is {view.state.value}")
        for note in verdict.disturbing:
            self._print(f"[red]disturbing[/red]  {note.alert} notified somebody without a reason")
        self._print(f"Why: {escape(fault.why)}.")
        self._print(f"The picture: {page}")
        self._print(
            "All that had to come came, and nothing else did."
            if verdict.holds
            else "This is not as it should be; the logs lie beside the picture."
        )

    def serve(self, addresses: Mapping[str, str]) -> None:
        """Print where to look while the demo goes on."""
        for what, address in addresses.items():
            self._print(f"  {what:<13}{address}")
        self._print("Serving until Ctrl-C.")

    def _print(self, markup: str = "", style: str | None = None) -> None:
        """Print one line, which the terminal wraps where it must; in a file or a pipe it stays one line."""
        self._console.print(markup, style=style, soft_wrap=True)

    def _line(self, markup: str) -> None:
        self._print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  {markup}")
