"""Positions: how far a shipper has read each file, set back before it starts by what a kill can lose."""

from collections.abc import Sequence
from pathlib import Path

# Both shippers' images have a shell and awk, and no Python.
REWIND = Path(__file__).with_name("rewind.sh")


def rewinding(script: str, positions: Sequence[str], program: str) -> Sequence[str]:
    """Return the command that sets these positions files back and then becomes `program`."""
    return ["sh", script, *positions, "--", program]
