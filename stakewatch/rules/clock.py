"""Rule files evaluated over simulated time, by Prometheus' own rule manager: a day takes minutes."""

import contextlib
import json
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

import numpy as np
import numpy.typing as npt

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import locate
from stakewatch.programs.process import tail

_CLOSING_SECONDS = 300.0
_KILLED_SECONDS = 10.0


@dataclass(frozen=True)
class Change:
    """An alert whose state is another than one evaluation before: `pending`, `firing` or `inactive`."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


@dataclass(frozen=True)
class Evaluation:
    """One round over all groups; `at` is Unix seconds, `groups` the seconds that each group took."""

    at: float
    seconds: float
    groups: Mapping[str, float]
    changes: tuple[Change, ...]


class RuleClock:
    """Series that keep their values, scrapes that store them, and rounds of all rules, at any time given.

    Times are Unix seconds and only go forward. Every method raises StakewatchError when the program has
    ended, with what it said.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        assert process.stdin is not None  # noqa: S101 - both are pipes, see `rule_clock`
        assert process.stdout is not None  # noqa: S101
        self._process = process
        self._input: IO[bytes] = process.stdin
        self._output: IO[bytes] = process.stdout
        self._log = log
        self._count = 0

    def define(self, labels: Iterable[Mapping[str, str]]) -> range:
        """Announce series, `__name__` among their labels, and return their numbers; none has a value yet."""
        texts = [json.dumps(dict(one)).encode() for one in labels]
        numbers = range(self._count, self._count + len(texts))
        self._count = numbers.stop
        parts = [struct.pack("<cI", b"S", len(texts))]
        parts += [
            struct.pack("<II", number, len(text)) + text for number, text in zip(numbers, texts, strict=True)
        ]
        self._send(b"".join(parts))
        return numbers

    def set(self, numbers: npt.NDArray[np.integer], values: npt.NDArray[np.float64]) -> None:
        """Give series (1-dimensional, their numbers) their values from the next scrape on.

        Raises ValueError when the two are not of one length.
        """
        if numbers.shape != values.shape:
            raise ValueError(f"{numbers.shape} series and {values.shape} values")
        self._send(
            struct.pack("<cI", b"V", numbers.size)
            + numbers.astype("<u4").tobytes()
            + values.astype("<f8").tobytes()
        )

    def end(self, numbers: npt.NDArray[np.integer]) -> None:
        """Let series end, as when their target is gone: the next scrape marks them stale."""
        self._send(struct.pack("<cI", b"D", numbers.size) + numbers.astype("<u4").tobytes())

    def scrape(self, at: float) -> None:
        """Store a sample of every series that has a value."""
        self._send(struct.pack("<cIq", b"T", 0, round(at * 1000)))

    def evaluate(self, at: float) -> Evaluation:
        """Evaluate all groups and return what has changed.

        Raises StakewatchError when a rule failed.
        """
        self._send(struct.pack("<cIq", b"E", 0, round(at * 1000)))
        self._flush()
        line = self._output.readline()
        if not line.endswith(b"\n"):
            raise self._died()
        answer = json.loads(line)
        if answer["errors"]:
            raise StakewatchError(f"a rule cannot be evaluated: {answer['errors'][0]}")
        return Evaluation(
            at=answer["at"] / 1000,
            seconds=answer["seconds"],
            groups=MappingProxyType(answer["groups"]),
            changes=tuple(
                Change(
                    MappingProxyType(one["labels"]),
                    MappingProxyType(one.get("annotations", {})),
                    one["state"],
                )
                for one in answer["changes"]
            ),
        )

    def finish(self) -> None:
        """Let the program write all samples to its folder, and wait until it has ended."""
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            code = self._process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise StakewatchError(f"it does not end within {_CLOSING_SECONDS:g} s") from error
        if code != 0:
            raise self._died()

    def _send(self, command: bytes) -> None:
        try:
            self._input.write(command)
        except OSError as error:
            raise self._died() from error

    def _flush(self) -> None:
        try:
            self._input.flush()
        except OSError as error:
            raise self._died() from error

    def _died(self) -> StakewatchError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_SECONDS)
        return StakewatchError(
            f"the rule clock has ended: {tail(self._log).strip() or 'without a word'}", where=str(self._log)
        )


@contextlib.contextmanager
def rule_clock(
    rule_files: Sequence[Path], folder: Path | None = None, *, interval_seconds: int = 30
) -> Iterator[RuleClock]:
    """Run a rule clock over these files; its database goes to `folder` (default: thrown away at the end).

    Groups are evaluated in the order of the files. It is killed when the block ends by an error.
    Raises StakewatchError when the program is missing or refuses a rule file.
    """
    program = locate("ruleclock").path
    with tempfile.TemporaryDirectory(prefix="rule-clock-") as temporary:
        log = Path(temporary) / "log"
        database = folder or Path(temporary) / "database"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [
                    program,
                    f"--interval={interval_seconds}s",
                    f"--keep={str(folder is not None).lower()}",
                    database,
                    *(path.resolve() for path in rule_files),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # It makes much garbage and keeps little: some hundred MB more save a fifth of its time.
                env={**os.environ, "GOGC": "300"},
            )
        clock = RuleClock(process, log)
        try:
            yield clock
            clock.finish()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
