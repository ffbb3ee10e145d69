"""Edits: how long `stakewatch mutate` takes after one rule was edited.

`python -m tests.bench.edits` measures the rules once in a folder of its own (or takes the memory of an
earlier measurement), then writes one rule after the other otherwise, each time from the same memory, and
writes the report `edits`. `--breaking` changes a number of each rule instead, so that tests fail.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console

from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.rules.files import Rule, RuleFile, load_rule_files
from stakewatch.rules.mutation.mutants import Operator, mutants

REPOSITORY = Path(__file__).parents[2]
_STEP_SECONDS = 30.0
_BAR_SECONDS = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.edits", description=__doc__)
    parser.add_argument("--count", type=int, default=24, help="how many rules are edited")
    parser.add_argument("--seed", type=int, default=1, help="which rules are drawn")
    parser.add_argument("--rule", action="append", default=[], help="these rules instead")
    parser.add_argument("--memory", type=Path, help="the memory of an earlier `stakewatch mutate --cache`")
    parser.add_argument("--breaking", action="store_true", help="change a number of the rule")
    asked = parser.parse_args(arguments)
    console = Console()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edits-") as name:
        folder = Path(name)
        if asked.memory is not None:
            shutil.copy(asked.memory, folder / "before.sqlite")
        _renew(folder)
        console.print(f"nothing edited: {_mutate(folder, 'before.sqlite'):.1f} s")
        taken = []
        for rule_file, rule in _drawn(asked.rule, asked.count, asked.seed):
            edited = _edited(rule, breaking=asked.breaking)
            if edited is None:
                continue
            _renew(folder)
            path = folder / "rules" / rule_file.path.name
            path.write_text(_replaced(path.read_text(encoding="utf-8"), rule, edited), encoding="utf-8")
            shutil.copy(folder / "before.sqlite", folder / "after.sqlite")
            taken.append(_mutate(folder, "after.sqlite"))
            console.print(f"{taken[-1]:6.1f} s  {rule_file.path.name}: {rule.name}", soft_wrap=True)
    figures = (
        Figure("rules", len(taken), "rules"),
        Figure("median_seconds", median(taken), "s", f"< {_BAR_SECONDS}"),
        Figure("longest_seconds", max(taken), "s", f"< {_BAR_SECONDS}"),
        Figure("share_below_bar", 100 * sum(one < _BAR_SECONDS for one in taken) / len(taken), "%"),
    )
    report = Report("edits", revision(REPOSITORY), time.monotonic() - started, figures)
    return conclude_report(report, REPOSITORY / "build" / "reports", console)


def _drawn(names: Sequence[str], count: int, seed: int) -> list[tuple[RuleFile, Rule]]:
    """Return rules by name, or as many as are asked for, from all files alike."""
    every = [(one, rule) for one in load_rule_files(REPOSITORY / "rules") for rule in one.rules]
    if names:
        return [(one, rule) for one, rule in every if rule.name in names]
    generator = random.Random(seed)  # noqa: S311 - to be drawn again, not to be secret
    by_file: dict[Path, list[tuple[RuleFile, Rule]]] = {}
    for one, rule in every:
        by_file.setdefault(one.path, []).append((one, rule))
    for some in by_file.values():
        generator.shuffle(some)
    in_turn = [
        some[turn]
        for turn in range(max(map(len, by_file.values())))
        for some in by_file.values()
        if turn < len(some)
    ]
    return in_turn[:count]


def _edited(rule: Rule, *, breaking: bool) -> str | None:
    """Return another expression of a rule, None where it has no number to change."""
    if not breaking:
        return f"({rule.expression.strip()}\n)"
    numbers = (one for one in mutants(rule, _STEP_SECONDS) if one.operator is Operator.NUMBER)
    changed = next(numbers, None)
    return changed.rule.expression if changed is not None else None


def _replaced(text: str, rule: Rule, expression: str) -> str:
    """Return the text of a rule file with another expression of a rule, written as a block."""
    lines = text.split("\n")
    first = rule.line_of("expr") - 1
    margin = lines[first].index("expr:")
    last = first + 1
    while last < len(lines) and (not lines[last].strip() or _margin(lines[last]) > margin):
        last += 1
    block = [" " * (margin + 2) + line for line in expression.split("\n")]
    return "\n".join([*lines[:first], lines[first][:margin] + "expr: |", *block, *lines[last:]])


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


def _renew(folder: Path) -> None:
    for name in ("rules", "tests"):
        shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(REPOSITORY / "rules", folder / "rules")
    shutil.copytree(REPOSITORY / "tests" / "rules", folder / "tests" / "rules")


def _mutate(folder: Path, memory: str) -> float:
    """Return how long (s) a measurement takes."""
    began = time.monotonic()
    places = ("--rules", folder / "rules", "--tests", folder / "tests" / "rules", "--cache", folder / memory)
    command = (Path(sys.executable).with_name("stakewatch"), "mutate", "--min-score", "0", *places)
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode not in {0, 1}:
        raise SystemExit(done.stderr)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
