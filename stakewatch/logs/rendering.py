"""Rendering: the files of `loki/` that are made of its pipelines, and whether those there are still so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.printing import as_yaml
from stakewatch.kubernetes.relabelling import place
from stakewatch.logs.alloy import alloy_configuration
from stakewatch.logs.collection import Shipping
from stakewatch.logs.daemonsets import alloy_manifests, promtail_manifests
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.promtail import END_OF_LIFE, promtail_configuration

_HEADING = "Rendered from loki/pipelines.yaml: change that, then `stakewatch logs render`."


@dataclass(frozen=True)
class Difference:
    """A rendered file that is missing, or not as its pipelines make it, and what it is instead."""

    path: Path
    what: str


def rendered(pipelines: Pipelines, configuration: Configuration) -> Mapping[str, str]:
    """Return the text of each file by its path below `loki/`.

    Raises InputError when a configuration does not fit into a ConfigMap.
    """
    here = place(configuration)
    shipping = Shipping(place=MappingProxyType({**here, "network": configuration.network}))
    return {
        "alloy/config.alloy": alloy_configuration(pipelines, shipping),
        "promtail/promtail.yaml": promtail_configuration(pipelines, shipping),
        "kubernetes/alloy.yaml": as_yaml(*alloy_manifests(pipelines, configuration), heading=_HEADING),
        "kubernetes/promtail.yaml": as_yaml(
            *promtail_manifests(pipelines, configuration), heading=END_OF_LIFE
        ),
    }


def write(files: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """Write what differs below `folder`, each file in one step; return the paths of those files."""
    changed = []
    for difference in compare(files, folder):
        path = difference.path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(files[path.relative_to(folder).as_posix()], encoding="utf-8")
        partial.replace(path)
        changed.append(path)
    return tuple(changed)


def compare(files: Mapping[str, str], folder: Path) -> Iterator[Difference]:
    """Yield the files that are missing below `folder`, or other than `files` says."""
    for name, text in sorted(files.items()):
        path = folder / name
        if not path.is_file():
            yield Difference(path, "is missing")
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            yield Difference(path, "is not what its pipelines make")
