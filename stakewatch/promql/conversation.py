"""The conversation with the helper process that holds Prometheus' parser, one question at a time."""

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from stakewatch.errors import StakewatchError

_CHUNK_BYTES = 65_536
# A million characters of matchers make some 30 MB.
_MOST_ANSWER_BYTES = 2**28
_CLOSING_SECONDS = 1.0
_LONGEST_SHOWN = 200


class ParserDiedError(StakewatchError):
    """The parser ended in the middle of a question, or spoke nonsense, twice."""


class ParserTimeoutError(StakewatchError):
    """The parser did not answer in time and was ended."""


class Conversation:
    """Questions to one helper process, which is started with the first and again whenever it has died.

    Threads take turns. A process made by fork does not share its parent's helper: it starts its own.
    The helper ends with its standard input, so it survives neither this process nor `close`.
    """

    def __init__(self, find: Callable[[], Path], *, timeout_seconds: float) -> None:
        self._find = find
        self._timeout_seconds = timeout_seconds
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0

    def ask(self, expression: str) -> dict[str, Any]:
        """Return the helper's answer: `nodes` or `errors`.

        Raises StakewatchError when the helper is missing, ParserTimeoutError, ParserDiedError.
        """
        with self._turn:
            # The first may have died long ago, of something else.
            answer = self._try(expression) or self._try(expression)
        if answer is None:
            raise ParserDiedError(
                f"the PromQL parser ended while it read {_shorten(expression)}",
                mend="this is a defect of stakewatch; please report the expression",
            )
        return answer

    def close(self) -> None:
        """End the helper, if it runs; one that is busy for another second ends with its standard input."""
        if self._turn.acquire(timeout=_CLOSING_SECONDS):
            try:
                self._drop()
            finally:
                self._turn.release()

    @property
    def process_id(self) -> int | None:
        """The helper's, None when none was started."""
        return None if self._process is None else self._process.pid

    def forget(self) -> None:
        """Leave the helper to the parent, in a process made by fork."""
        process, self._process = self._process, None
        self._turn = threading.Lock()
        if process is not None:
            process.returncode = 0
            _close_pipes(process)

    def _try(self, expression: str) -> dict[str, Any] | None:
        """Ask once; None when the helper died."""
        process = self._process = self._process or self._start()
        self._asked += 1
        answer: dict[str, Any] | None = None
        question = json.dumps({"id": self._asked, "expr": expression}).encode() + b"\n"
        try:
            line = _exchange(process, question, time.monotonic() + self._timeout_seconds)
            answer = _understand(line, self._asked)
        except TimeoutError as error:
            raise ParserTimeoutError(
                f"the PromQL parser needed more than {self._timeout_seconds:g} s for {_shorten(expression)}",
                mend="make the expression smaller",
            ) from error
        finally:
            # A late answer must not be taken for that of the next question, whatever interrupted this one.
            if answer is None:
                self._drop()
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        path = self._find()
        try:
            process = subprocess.Popen(
                [path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise StakewatchError(
                f"the PromQL parser {path} does not start: {error.strerror}",
                mend="run: stakewatch tools --install promql",
            ) from error
        for pipe in _pipes(process):
            os.set_blocking(pipe.fileno(), False)
        return process

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _close_pipes(process)
            # It leads its own group; a wrapper script's children go with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None  # noqa: S101 - both are opened as pipes
    assert process.stdout is not None  # noqa: S101
    return process.stdin, process.stdout


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in _pipes(process):
        pipe.close()


def _exchange(process: subprocess.Popen[bytes], question: bytes, deadline: float) -> bytes | None:
    """Write the question and read one line; None when it ends early or never stops.

    Writing and reading go side by side, so that full pipes never hold each other up. Raises TimeoutError.
    """
    writing, reading = (pipe.fileno() for pipe in _pipes(process))
    waiting = select.poll()
    waiting.register(reading, select.POLLIN)
    waiting.register(writing, select.POLLOUT)
    rest = memoryview(question)
    chunks: list[bytes] = []
    received = 0
    while not (chunks and chunks[-1].endswith(b"\n")):
        seconds_left = deadline - time.monotonic()
        if seconds_left <= 0:
            raise TimeoutError
        ready = dict(waiting.poll(seconds_left * 1000))
        if writing in ready:
            try:
                rest = rest[os.write(writing, rest) :]
            except BrokenPipeError:
                return None
            if not rest:
                waiting.unregister(writing)
        if reading in ready:
            chunk = os.read(reading, _CHUNK_BYTES)
            received += len(chunk)
            if not chunk or received > _MOST_ANSWER_BYTES:
                return None
            chunks.append(chunk)
    return b"".join(chunks)


def _understand(line: bytes | None, number: int) -> dict[str, Any] | None:
    """Return the answer to the question of this number; None when it is anything else."""
    try:
        answer = json.loads(line or b"")
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and answer.get("id") == number else None


def _shorten(expression: str) -> str:
    return repr(expression if len(expression) <= _LONGEST_SHOWN else expression[:_LONGEST_SHOWN] + "...")
