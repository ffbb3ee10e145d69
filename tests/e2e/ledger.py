"""What the run compared: each check with what was expected, what was seen, and whether it holds."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stakewatch.bundle.reports import Figure, Report, write_report


@dataclass(frozen=True)
class Check:
    """One comparison; `chapter` says in which part of the run it was made."""

    chapter: str
    name: str
    expected: str
    seen: str
    holds: bool


@dataclass
class Ledger:
    """All checks and measured figures of one run, in their order."""

    checks: list[Check] = field(default_factory=list)
    detect_seconds: float | None = None
    resolve_seconds: float | None = None

    def chapter(self, name: str) -> "Chapter":
        """Open a part of the run, to which checks are added."""
        return Chapter(name, self)

    def of(self, chapter: str) -> tuple[Check, ...]:
        """Return the checks of a chapter."""
        return tuple(check for check in self.checks if check.chapter == chapter)

    def failed(self) -> tuple[Check, ...]:
        """Return the checks that do not hold."""
        return tuple(check for check in self.checks if not check.holds)

    def write(self, folder: Path, revision: str, seconds: float) -> Report:
        """Write the report `e2e.json` into `folder`, and all checks beside it into `e2e/checks.json`.

        What was never measured holds no bar.
        """
        figures = (
            Figure("checks_failed", len(self.failed()), "checks", "== 0"),
            Figure("checks", len(self.checks), "checks", f">= {_USUAL_CHECKS}"),
            Figure("detect_seconds", _measured(self.detect_seconds), "s", "< 60"),
            Figure("resolve_seconds", _measured(self.resolve_seconds), "s", "< 60"),
            Figure("seconds", round(seconds, 1), "s"),
        )
        report = Report("e2e", revision, round(seconds, 1), figures)
        write_report(report, folder)
        checks = [asdict(check) for check in self.checks]
        path = folder / "e2e" / "checks.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(checks, indent=1) + "\n", encoding="utf-8")
        return report


@dataclass(frozen=True)
class Chapter:
    """A part of the run: what is compared in it goes into the ledger under its name."""

    name: str
    ledger: Ledger

    def equal(self, name: str, expected: object, seen: object) -> None:
        """Record that `seen` should equal `expected`."""
        self.record(name, expected, seen, holds=seen == expected)

    def record(self, name: str, expected: object, seen: object, *, holds: bool) -> None:
        """Record a check that another comparison than equality decided."""
        self.ledger.checks.append(Check(self.name, name, str(expected), str(seen), holds))


# A run makes some 280, more when more epochs pass; far fewer would mean that something was not looked at.
_USUAL_CHECKS = 200


def _measured(seconds: float | None) -> float:
    return math.nan if seconds is None else round(seconds, 1)
