"""The first steps of a child process: tie its life to its parent's, then become the program.

Run as `python -I -S launch.py PARENT_PID PROGRAM ARGUMENT...`; standard library only, and little of it.
A program of its own, since running Python between fork and exec is unsafe in a parent with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_COULD_NOT_START = 127


def main() -> None:
    """Ask Linux for SIGKILL at the parent's death and replace this process by the program."""
    parent = int(sys.argv[1])
    arguments = sys.argv[2:]
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"cannot tie {arguments[0]} to its parent: {os.strerror(ctypes.get_errno())}")
        if os.getppid() != parent:
            # It died before it could be asked for; nobody would ever stop us.
            sys.exit(_COULD_NOT_START)
    try:
        os.execv(arguments[0], arguments)  # noqa: S606 - the point of this module
    except OSError as error:
        sys.stderr.write(f"cannot start {arguments[0]}: {error.strerror}\n")
        sys.exit(_COULD_NOT_START)


if __name__ == "__main__":
    main()
