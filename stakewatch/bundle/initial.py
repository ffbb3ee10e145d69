"""The bundle that the package carries, copied into a folder of the user's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import stakewatch
from stakewatch.errors import InputError, StakewatchError

CONTENTS = (
    "rules",
    "tests/rules",
    "alertmanager",
    "dashboards",
    "catalogue",
    "kubernetes",
    "docs/runbooks",
    "docs/alerts.md",
    "docs/alertmanager.md",
    "docs/aws-ruler-alarms.md",
    "docs/configuration.md",
    "stakewatch.example.yaml",
)
_IGNORED = shutil.ignore_patterns("__pycache__")


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


def copy_bundle(destination: Path) -> Iterator[Path]:
    """Copy the carried bundle to `destination` and yield each path that was made; nothing is overwritten.

    Raises InputError before anything is copied when something of the same name is there already.
    """
    source = carried_bundle()
    if destination.exists() and not destination.is_dir():
        raise InputError("this is a file, not a folder", where=str(destination))
    taken = [destination / name for name in CONTENTS if (destination / name).exists()]
    if taken:
        raise InputError(
            f"{', '.join(str(path) for path in taken)} is there already",
            where=str(destination),
            mend="name a new or an empty folder; nothing was copied",
        )
    for name in CONTENTS:
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target, ignore=_IGNORED)
        else:
            shutil.copyfile(source / name, target)
        yield target
