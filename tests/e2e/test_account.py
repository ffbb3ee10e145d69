"""The account that pays on the chain."""

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import sys
before = sys.getrecursionlimit()
import tests.e2e.account
print(sys.getrecursionlimit() - before)
"""


def test_it_leaves_the_recursion_limit_as_it_was() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "0\n"
