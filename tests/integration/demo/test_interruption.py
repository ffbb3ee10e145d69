"""A demo that is interrupted leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STARTED = "waiting"
LIMIT_SECONDS = 60.0
# A shell starts background jobs with SIGINT ignored, and what they start inherits that; a terminal does not.
AS_FROM_A_TERMINAL = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def children_of(session_marker: str) -> list[str]:
    """Return the command lines of all processes that name this folder, our own aside."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if session_marker in command and int(folder.name) != os.getpid():
            found.append(command)
    return found


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Make a bundle folder whose name marks the demo's processes."""
    for room in ("rules", "alertmanager"):
        (tmp_path / room).symlink_to(ROOT / room)
    return tmp_path


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_demo_leaves_no_process(bundle: Path, number: signal.Signals) -> None:
    stakewatch = Path(sys.executable).with_name("stakewatch")
    with subprocess.Popen(
        [sys.executable, "-c", AS_FROM_A_TERMINAL, stakewatch, "demo", "--bundle", bundle],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if STARTED in line:
                break
        else:
            pytest.fail(f"the demo ended before it was up, with exit code {demo.wait()}")
        assert len(children_of(str(bundle))) >= 4
        demo.send_signal(number)
        said = demo.stdout.read()
        code = demo.wait(timeout=LIMIT_SECONDS)
    if number is signal.SIGINT:
        assert code == 130
        assert "Traceback" not in said
    deadline = time.monotonic() + 60.0
    while children_of(str(bundle)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children_of(str(bundle)) == []
