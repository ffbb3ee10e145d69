"""The rooms of the package: finds the modules in which targets and checks register themselves."""

import importlib
import importlib.util
import pkgutil

import stakewatch
from stakewatch.errors import StakewatchError

WITH_ALL_EXTRAS = "install stakewatch with all its extras: pip install 'stakewatch[aws,dashboards,exporter]'"


def import_from_rooms(module: str) -> tuple[str, ...]:
    """Import `stakewatch.<room>.<module>` of every room that has it; return their full names.

    Raises StakewatchError when a room needs a package that is not installed.
    """
    imported = []
    for room in sorted(found.name for found in pkgutil.iter_modules(stakewatch.__path__) if found.ispkg):
        name = f"stakewatch.{room}.{module}"
        if importlib.util.find_spec(name) is None:
            continue
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == "stakewatch":
                raise
            raise StakewatchError(
                f"{room} needs the package {error.name}, which is not installed",
                where=name,
                mend=WITH_ALL_EXTRAS,
            ) from error
        imported.append(name)
    return tuple(imported)
