"""The bundle folder: where rules, dashboards, tests and the catalogue of one bundle stand."""

from dataclasses import dataclass
from pathlib import Path

from stakewatch.errors import InputError


@dataclass(frozen=True)
class Bundle:
    """Paths of one bundle folder; a folder may be absent until it has its first content."""

    root: Path

    @property
    def rules(self) -> Path:
        """Prometheus rule files, one per concern."""
        return self.root / "rules"

    @property
    def rule_tests(self) -> Path:
        """Promtool unit tests, `<rule file>.test.yaml`."""
        return self.root / "tests" / "rules"

    @property
    def dashboards(self) -> Path:
        """One grafanalib module per dashboard."""
        return self.root / "dashboards"

    @property
    def alertmanager(self) -> Path:
        """Routes, inhibition and templates."""
        return self.root / "alertmanager"

    @property
    def catalogue(self) -> Path:
        """One JSON per component: the metrics that exist."""
        return self.root / "catalogue"

    @property
    def runbooks(self) -> Path:
        """One page per alert."""
        return self.root / "docs" / "runbooks"

    @property
    def build(self) -> Path:
        """What machines load; never edited, never committed."""
        return self.root / "build"

    @property
    def reports(self) -> Path:
        """One JSON per measuring target."""
        return self.build / "reports"


def find_bundle(start: Path) -> Bundle:
    """Return the bundle that `start` is the root of or lies in.

    Raises InputError when no folder from `start` upwards has `rules/`.
    """
    try:
        start = start.resolve()
        for folder in (start, *start.parents):
            if (folder / "rules").is_dir():
                return Bundle(root=folder)
    except (OSError, RuntimeError) as error:
        # Python reports a circle of symbolic links as a RuntimeError.
        reason = error.strerror if isinstance(error, OSError) else "symbolic links lead in a circle"
        raise InputError(
            f"cannot be the bundle's folder: {reason}", where=str(start), mend="name it with --bundle DIR"
        ) from error
    raise InputError(
        "no bundle folder here: no folder from here upwards has rules/",
        where=str(start),
        mend="go to the bundle's folder, or name it with --bundle DIR",
    )
