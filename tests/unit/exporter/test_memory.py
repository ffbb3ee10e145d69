"""Large blocks go back to the system, whichever thread took them."""

import subprocess
import sys

PROGRAM = """
import threading
from pathlib import Path
from stakewatch_exporter.memory import return_large_blocks

def held():
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

assert return_large_blocks()
before = held()
for _ in range(6):
    def work():
        blocks = [bytes(5 << 20) for _ in range(10)]
        for place, block in enumerate(blocks):
            blocks[place] = block + b"x"
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(held() - before)
"""


def test_what_threads_took_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) < 20_000
