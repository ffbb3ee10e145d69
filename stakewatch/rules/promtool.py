"""Promtool: Prometheus' own checker and unit-test runner, both majors, with typed results."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import locate

# One rule suite is right only when both agree: managed rulers still behave like the older one.
MAJORS = ("promtool", "promtool2")

_TIMEOUT_SECONDS = 120.0
_NOTHING: Mapping[str, str] = MappingProxyType({})
_LONGEST_OUTPUT = 20_000
_RULE_ERROR = re.compile(
    r"^(?P<path>.+?): (?:(?P<line>\d+):(?P<column>\d+): )?group \"(?P<group>.*?)\", rule (?P<rule>\d+), "
    r"\"(?P<name>.*?)\": (?P<message>.*)$"
)
_FILE_ERROR = re.compile(r"^(?P<path>\S.*?\.ya?ml): (?P<message>.+)$")
_YAML_LINE = re.compile(r"^(?:yaml: )?line (?P<line>\d+): (?P<message>.+)$")
_TEST_NAME = re.compile(r"^    name: (?P<name>.*),$")
_ALERT_MISMATCH = re.compile(r"^    (?:.*?)alertname: ?(?P<alert>.*?), time: ?(?P<time>\S+?), *$")
_EXPRESSION_MISMATCH = re.compile(
    r"^    (?:.*?)expr: (?P<expression>\".*\"), time: (?P<time>\S+?),(?P<rest>.*)$"
)
_UNMATCHED = re.compile(r"^  WARNING: no file match pattern (?P<pattern>.+)$")
_NOISE = re.compile(r"^(Checking |  SUCCESS|  FAILED:?$| SUCCESS|  WARNING: file .* for file_sd|\s*$)")
_BRACKET_OR_NUMBER = re.compile(r"^(\[\]?|\]|\[\]|[0-9]+:),?$")
_DUPLICATES = re.compile(r"^(?:  FAILED:)?(?:lint error )?(?P<count>\d+) duplicate rule\(s\) found\.?$")


@dataclass(frozen=True)
class Failure:
    """One thing that promtool found wrong; what it did not say is None.

    `alert` is the alert or recording rule. In a failed test `expected` and `got` are promtool's text of both
    sides, `test` the test's name and `at` its evaluation time, as written.
    """

    path: Path
    message: str
    line: int | None = None
    column: int | None = None
    alert: str | None = None
    test: str | None = None
    at: str | None = None
    expected: str | None = None
    got: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What one run of promtool on one file came to; `output` is all that it printed."""

    path: Path
    program: str
    version: str
    failures: tuple[Failure, ...]
    output: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.failures


def check_rules(
    path: Path, program: str = "promtool", *, timeout_seconds: float = _TIMEOUT_SECONDS
) -> Outcome:
    """Check the syntax of one rule file, with duplicate rules as failures.

    Raises StakewatchError when promtool is missing or cannot be started.
    """
    return _run(path, program, ("check", "rules", "--lint=duplicate-rules", "--lint-fatal"), timeout_seconds)


def check_config(
    path: Path, program: str = "promtool", *, timeout_seconds: float = _TIMEOUT_SECONDS
) -> Outcome:
    """Check one Prometheus configuration and the rule files that it names.

    Raises StakewatchError when promtool is missing or cannot be started.
    """
    return _run(path, program, ("check", "config"), timeout_seconds)


def run_unit_tests(
    path: Path, program: str = "promtool", *, timeout_seconds: float = _TIMEOUT_SECONDS
) -> Outcome:
    """Run one file of unit tests; a `rule_files` pattern that matches nothing is a failure here.

    Raises StakewatchError when promtool is missing or cannot be started.
    """
    return _run(path, program, ("test", "rules"), timeout_seconds)


@dataclass(frozen=True)
class Answer:
    """All that promtool printed, and its exit code: None when it did not end in time."""

    printed: str
    complained: str
    code: int | None

    @property
    def output(self) -> str:
        """Both together."""
        return self.printed + self.complained


def run(
    program: str, *arguments: str | Path, timeout_seconds: float, environment: Mapping[str, str] = _NOTHING
) -> Answer:
    """Run promtool with additions to the environment, and return all that it printed.

    Raises StakewatchError when it is missing or cannot be started.
    """
    located = locate(program)
    try:
        # Bytes, because a test may hold anything.
        done = subprocess.run(
            [located.path, *arguments],
            capture_output=True,
            check=False,
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
    except subprocess.TimeoutExpired as error:
        return Answer(_text(error.stdout), _text(error.stderr), None)
    except OSError as error:
        raise StakewatchError(
            f"{program} cannot be started: {error}",
            where=str(located.path),
            mend=f"`stakewatch tools --install {program}` builds it again",
        ) from error
    return Answer(_text(done.stdout), _text(done.stderr), done.returncode)


def _run(path: Path, program: str, arguments: Sequence[str], timeout_seconds: float) -> Outcome:
    started = time.monotonic()
    # promtool reads rule files relative to the test's folder.
    answer = run(program, *arguments, path.resolve(), timeout_seconds=timeout_seconds)
    output = answer.printed[:_LONGEST_OUTPUT] + answer.complained[:_LONGEST_OUTPUT]
    if answer.code is None:
        failures = [Failure(path, f"{program} did not end within {timeout_seconds:g} s and was stopped")]
    else:
        failures = list(parse_output(output, path))
        if answer.code and not failures:
            failures = [Failure(path, _crash(program, answer.code, output))]
    return Outcome(
        path=path,
        program=program,
        version=locate(program).version,
        failures=tuple(failures),
        output=output,
        seconds=time.monotonic() - started,
    )


def parse_output(output: str, path: Path) -> Iterator[Failure]:
    """Yield the failures in what promtool (2.42 to 3.x) printed about the file at `path`.

    Whatever it says that is not known to be harmless is a failure with its text as the message.
    """
    lines = output.splitlines()
    position = 0
    test: str | None = None
    seen = set()
    while position < len(lines):
        line = lines[position]
        position += 1
        if match := _TEST_NAME.match(line):
            test = match["name"]
            continue
        if (match := _ALERT_MISMATCH.match(line)) or (match := _EXPRESSION_MISMATCH.match(line)):
            block, position = _block(lines, position)
            yield _mismatch(match, block, path, test)
            test = None
            continue
        if not line.strip():
            # A name belongs to the mismatch right below it.
            test = None
        failure, position = _plain(line, lines, position, path)
        if failure is not None and failure not in seen:
            seen.add(failure)
            yield failure


def _plain(line: str, lines: Sequence[str], position: int, path: Path) -> tuple[Failure | None, int]:
    """Return what a line outside of a mismatch says, and where to read on."""
    if match := _UNMATCHED.match(line):
        return Failure(path, f"rule_files: no file matches {match['pattern']}"), position
    if match := _DUPLICATES.match(line):
        metrics = [one.removeprefix("Metric: ") for one in lines[position:] if one.startswith("Metric: ")]
        while position < len(lines) and not lines[position].startswith("Might cause"):
            position += 1
        return Failure(path, f"duplicate rules: {', '.join(metrics)}"), position + 1
    if _NOISE.match(line) or "level=WARN" in line or line.endswith("yaml: unmarshal errors:"):
        return None, position
    return _complaint(line, path), position


def _complaint(line: str, path: Path) -> Failure:
    if match := _RULE_ERROR.match(line):
        return Failure(
            Path(match["path"]),
            match["message"],
            line=int(match["line"]) if match["line"] else None,
            column=int(match["column"]) if match["column"] else None,
            alert=match["name"],
        )
    text = line.strip().removeprefix("FAILED: ")
    if match := _YAML_LINE.match(text):
        return Failure(path, match["message"], line=int(match["line"]))
    if match := _FILE_ERROR.match(text):
        inner = _YAML_LINE.match(match["message"])
        message = inner["message"] if inner else match["message"]
        return Failure(Path(match["path"]), message, line=int(inner["line"]) if inner else None)
    return Failure(path, text)


def _block(lines: Sequence[str], position: int) -> tuple[list[str], int]:
    """Return the indented lines of a mismatch and where it ends."""
    block = []
    while position < len(lines) and lines[position].startswith("        "):
        block.append(lines[position])
        position += 1
    return block, position


def _mismatch(match: re.Match[str], block: Sequence[str], path: Path, test: str | None) -> Failure:
    found = match.groupdict()
    sides: dict[str, list[str]] = {"exp:": [], "got:": []}
    side = "exp:"
    for line in block:
        text = line.strip()
        if text[:4] in sides:
            side, text = text[:4], text[4:].strip()
        sides[side].append(text)
    expected, got = (_side(sides[name]) for name in ("exp:", "got:"))
    alert = found.get("alert")
    rest = (found.get("rest") or "").strip()
    what = f"{alert} at {found['time']}" if alert else f"{found.get('expression')} at {found['time']}"
    return Failure(
        path,
        f"{what}: {rest.removeprefix('err: ')}" if rest else f"{what} is not what was expected",
        alert=alert,
        test=test,
        at=found["time"],
        expected=None if rest else expected,
        got=None if rest else got,
    )


def _side(lines: Sequence[str]) -> str:
    """Return what promtool shows between brackets, one alert's labels and annotations a line each."""
    kept = [line.removesuffix(",") for line in lines if line and not _BRACKET_OR_NUMBER.match(line)]
    return "\n".join(kept) if kept and kept != ["nil"] else "nothing"


def _crash(program: str, code: int, output: str) -> str:
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    said = output.strip().splitlines()
    return f"{program} {ended}" + (f": {said[0]}" if said else " without a word")


def _text(output: bytes | str | None) -> str:
    if output is None:
        return ""
    return output if isinstance(output, str) else output.decode(errors="replace")
