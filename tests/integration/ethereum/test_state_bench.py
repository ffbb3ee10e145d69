"""The measure of a state's cost runs, and finds the figures that the state was made with."""

import subprocess
import sys


def test_a_small_state_is_measured_and_its_figures_are_right() -> None:
    arguments = [sys.executable, "-m", "tests.bench.state", "40000", "200"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("figures right") == 2
    assert "peak RSS" in done.stdout
