"""Reports: `build/reports/<report>.json`, the figures that a measuring target prints and is held to."""

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq}
)


@dataclass(frozen=True)
class Figure:
    """One measured number; `bar` is `<= 1.5`, `== 0` and the like, or empty where there is none."""

    name: str
    value: float
    unit: str
    bar: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value is on the right side of the bar."""
        if not self.bar:
            return True
        comparison, number = self.bar.split()
        return _COMPARISONS[comparison](self.value, float(number))


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
        "seconds": report.seconds,
        "figures": [{**asdict(figure), "holds": figure.holds} for figure in report.figures],
    }
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path
