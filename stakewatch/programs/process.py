"""A child process that never outlives us: own session, own log, stopped in good order or killed."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from stakewatch.errors import StakewatchError

_LAUNCH = Path(__file__).with_name("launch.py")
_TAIL_LINES = 15
_TAIL_BYTES = 16 * 1024
# Linux sends the death signal when the *thread* that started a child ends, so one thread that lives as long
# as this process starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="process-starter")
_handed_out: set[int] = set()
_handing_out = threading.Lock()
# Below those of outgoing connections: one of these may take a port before it is listened on.
_PORTS = range(15_000, 30_000)


def free_port() -> int:
    """Return a loopback TCP port that is free now and that this process has not handed out before.

    It is drawn, so that processes beside each other hardly ever get the same. Raises StakewatchError when
    there is none.
    """
    with _handing_out:
        for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
            if port in _handed_out:
                continue
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _handed_out.add(port)
            return port
    raise StakewatchError(
        f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free on 127.0.0.1",
        mend="end what listens there",
    )


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log, an empty text where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            content = file.read()
    except FileNotFoundError:
        return ""
    return "\n".join(content.decode(errors="replace").splitlines()[-lines:])


class Process:
    """A running child; leaving its `with` block stops it and everything it started.

    It has its own session, so that Ctrl-C reaches only us and we stop it in order. On Linux it gets SIGKILL
    when this process dies, however that happens.
    """

    def __init__(self, child: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self._child = child
        self.name = name
        self.log = log
        self._group_ended = False

    @classmethod
    def start(
        cls,
        arguments: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Self:
        """Start `arguments` with standard output and error appended to `log`.

        `environment` replaces ours when given. The first argument may be a bare name on PATH.
        Raises StakewatchError when the program is not there.
        """
        program = shutil.which(str(arguments[0]))
        if program is None:
            raise StakewatchError(
                f"{arguments[0]} is not a program that can be started",
                mend="see `stakewatch tools` for what is there and what is missing",
            )
        log.parent.mkdir(parents=True, exist_ok=True)
        path = os.path.abspath(program)  # noqa: PTH100 - a symbolic link's name may matter to the program
        command = [
            sys.executable,
            "-I",
            "-S",
            str(_LAUNCH),
            str(os.getpid()),
            path,
            *(str(argument) for argument in arguments[1:]),
        ]
        with log.open("ab") as output:
            child = _starter.submit(
                subprocess.Popen,
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=cwd,
                start_new_session=True,
            ).result()
        return cls(child, Path(program).name, log)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        code = self._child.poll()
        if code is not None:
            self._end_group()
        return code

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.exit_code is None

    def wait(self, timeout_seconds: float) -> int:
        """Return the exit code.

        Raises StakewatchError when it still runs after the time.
        """
        try:
            code = self._child.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise StakewatchError(
                f"{self.name} still runs after {timeout_seconds:g} s", where=str(self.log)
            ) from error
        self._end_group()
        return code

    def expect_running(self) -> None:
        """Raise StakewatchError with the end of the log when it has ended."""
        code = self.exit_code
        if code is None:
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise StakewatchError(
            f"{self.name} {how}; the end of its log:\n{tail(self.log)}",
            where=str(self.log),
            mend="read the log for the cause",
        )

    def stop(self, grace_seconds: float = 10.0) -> None:
        """Ask it to end with SIGTERM, kill it and all its children when it does not; may be called again."""
        try:
            if self.running:
                self._signal_group(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(grace_seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it and everything it started at once, as a crash would."""
        if self.running:
            self._end_group()
            self._child.wait()

    def _end_group(self) -> None:
        """Kill what is left of the group, once: later the id may belong to somebody else."""
        if not self._group_ended:
            self._group_ended = True
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        # PermissionError is what macOS answers for a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
