"""The bundle that the package carries, brought into a folder of the user's own or merged into it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import stakewatch
from stakewatch.bundle import merging
from stakewatch.bundle.merging import Origin, Step
from stakewatch.errors import InputError, StakewatchError

CONTENTS = (
    "rules",
    "tests/incidents",
    "tests/rules",
    "alertmanager",
    "dashboards",
    "catalogue",
    "kubernetes",
    "docs/runbooks",
    "docs/alertmanager.md",
    "docs/alerts.md",
    "docs/architecture.md",
    "docs/aws-ruler-alarms.md",
    "docs/aws.md",
    "docs/catalogue.md",
    "docs/configuration.md",
    "docs/coverage.md",
    "docs/dashboards.md",
    "docs/doctor.md",
    "docs/examples",
    "docs/exporter-faults.md",
    "docs/exporter-metrics.md",
    "docs/exporter.md",
    "docs/kubernetes.md",
    "docs/logs-trace.md",
    "docs/logs.md",
    "docs/mutation.md",
    "docs/pitfalls.md",
    "docs/preview.md",
    "docs/publishing-grafana.md",
    "docs/publishing.md",
    "docs/replay.md",
    "docs/your-bundle.md",
    "docs/your-rules.md",
    "loki",
    "stakewatch.example.yaml",
)


def carried_bundle() -> Path:
    """Return the folder that the contents stand in: inside the installed package, or the checkout itself.

    Raises StakewatchError when the package was installed without them.
    """
    package = Path(stakewatch.__file__).resolve().parent
    for folder in (package / "carried", package.parent):
        if all((folder / name).exists() for name in CONTENTS):
            return folder
    raise StakewatchError(
        "this installation carries no bundle",
        where=str(package),
        mend="install the wheel again, or copy the folders from a checkout",
    )


def carried_files(source: Path) -> dict[str, Path]:
    """Return the files of the bundle in `source`, by their path in it."""
    found = {}
    for name in CONTENTS:
        place = source / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[path.relative_to(source).as_posix()] = path
    return found


def bring_bundle(
    destination: Path,
    *,
    into_others: bool = False,
    dry: bool = False,
    report: Callable[[Step], None] = lambda _: None,
) -> Sequence[Step]:
    """Copy the carried bundle to `destination`, or merge it into the one that is there; return what was done.

    `report` hears of each file when it is done; with `dry` nothing is written. Whatever a person changed
    stays as it is. Interrupted and called again, it goes on.
    Raises InputError when there is no bundle of ours but files of the same names, unless `into_others`;
    StakewatchError when a file cannot be read or written.
    """
    if destination.exists() and not destination.is_dir():
        raise InputError("this is a file, not a folder", where=str(destination))
    files = carried_files(carried_bundle())
    origin = merging.read_origin(destination)
    if origin is None and not into_others:
        taken = [str(destination / name) for name in CONTENTS if (destination / name).exists()]
        if taken:
            raise InputError(
                f"{', '.join(taken)} {'is' if len(taken) == 1 else 'are'} there already",
                where=str(destination),
                mend="nothing was copied: name a new or an empty folder, or say --merge, which keeps what is "
                "there and puts beside it what the bundle has otherwise",
            )
    return merging.merge(
        destination, files, origin or Origin(), stakewatch.__version__, dry=dry, report=report
    )
