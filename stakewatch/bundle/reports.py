"""Reports: `build/reports/<report>.json`, the figures that a measuring target prints and is held to."""

import json
import math
import operator
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stakewatch.bundle.document import read_text
from stakewatch.errors import InputError, StakewatchError

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq}
)
_BAR = re.compile(r"(<=|>=|<|>|==) (-?[0-9]+(?:\.[0-9]+)?)")
_MEND = "measure again; the file is written anew"
_GIT_SECONDS = 10


@dataclass(frozen=True)
class Figure:
    """One measured number; `bar` is `<= 1.5`, `== 0` and the like, or empty where there is none.

    A `value` that is not finite means that nothing was measured, and holds no bar.
    Raises ValueError for a bar of another form.
    """

    name: str
    value: float
    unit: str
    bar: str = ""

    def __post_init__(self) -> None:
        if self.bar and not _BAR.fullmatch(self.bar):
            raise ValueError(f"{self.bar!r} is no bar: write a comparison, a blank and a number")

    @property
    def holds(self) -> bool:
        """Whether the value is on the right side of the bar."""
        if not self.bar:
            return True
        comparison, number = self.bar.split()
        return math.isfinite(self.value) and _COMPARISONS[comparison](self.value, float(number))


@dataclass(frozen=True)
class Report:
    """All figures of one measuring run."""

    report: str
    revision: str
    seconds: float
    figures: tuple[Figure, ...]

    @property
    def holds(self) -> bool:
        """Whether every bar holds."""
        return all(figure.holds for figure in self.figures)


def write_report(report: Report, folder: Path) -> Path:
    """Write `<report>.json` into `folder` in one step and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.report}.json"
    content = {
        "report": report.report,
        "revision": report.revision,
        "seconds": round(report.seconds, 3),
        "figures": [
            {
                "name": figure.name,
                "value": figure.value if math.isfinite(figure.value) else None,
                "unit": figure.unit,
                "bar": figure.bar,
                "holds": figure.holds,
            }
            for figure in report.figures
        ],
    }
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def load_report(path: Path) -> Report:
    """Return the report at `path`; whether its bars hold is worked out anew from its figures.

    Raises StakewatchError when the file is missing, unreadable or no report.
    """
    try:
        content = json.loads(read_text(path), parse_constant=_no_number)
        report = Report(
            report=_text(content["report"]),
            revision=_text(content["revision"]),
            seconds=_number(content["seconds"]),
            figures=tuple(
                Figure(
                    name=_text(figure["name"]),
                    value=_number(figure["value"]),
                    unit=_text(figure["unit"]),
                    bar=_text(figure["bar"]),
                )
                for figure in content["figures"]
            ),
        )
    except InputError as error:
        raise StakewatchError(
            f"cannot be read: {error.what}", where=str(path), mend="measure first"
        ) from error
    except KeyError as error:
        raise StakewatchError(f"no report: {error} is missing", where=str(path), mend=_MEND) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise StakewatchError(f"no report: {error}", where=str(path), mend=_MEND) from error
    return report


def print_report(report: Report, console: Console) -> None:
    """Print the figures of one report as a table."""
    print_reports((report,), console)


def print_reports(reports: tuple[Report, ...], console: Console) -> None:
    """Print the figures of several reports side by side in one table, those that miss their bar marked."""
    table = Table("figure", "value", "unit", "bar", "", "revision", "took", highlight=False)
    table.columns[1].justify = "right"
    table.columns[3].justify = "right"
    for report in reports:
        for figure in report.figures:
            held = "" if not figure.bar else ("holds" if figure.holds else "MISSED")
            table.add_row(
                *map(
                    Text,
                    (
                        f"{report.report}.{figure.name}",
                        _shown(figure.value),
                        figure.unit,
                        figure.bar,
                        held,
                        report.revision,
                        f"{report.seconds:.1f} s",
                    ),
                ),
                style="" if figure.holds else "bold red",
            )
        table.add_section()
    console.print(table)


def conclude_report(report: Report, folder: Path, console: Console) -> int:
    """Write `report` into `folder`, print it, return the exit code: 1 when a bar does not hold, else 0."""
    write_report(report, folder)
    print_report(report, console)
    return 0 if report.holds else 1


def revision(folder: Path | None = None) -> str:
    """Return what git calls the state of `folder` (default: the current one), or `unknown`; never fails."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--tags", "--dirty"],  # noqa: S607 - git is found as a person finds it
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return "unknown"
    return answer.stdout.strip() or "unknown"


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError(f"{value!a:.60} is no text that can be printed")
    return value


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _number(value: Any) -> float:  # noqa: ANN401 - JSON
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.60} is no number")
    return value


def _shown(value: float) -> str:
    if not math.isfinite(value):
        return "not measured"
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.3f}" if abs(value) >= 1 else f"{value:.3g}"
