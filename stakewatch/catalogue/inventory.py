"""The inventory: all components of a catalogue folder, and which of them expose a series."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from stakewatch.catalogue.components import Component, Metric, load_component
from stakewatch.catalogue.contract import load_contract
from stakewatch.errors import InputError

CONTRACT = "exporter-metrics.yaml"
EXPORTER = "stakewatch"


@dataclass(frozen=True)
class Catalogue:
    """All components by name; each file is read when it is first asked for."""

    folder: Path
    components: Mapping[str, Component]

    def find(self, sample: str) -> tuple[Metric, ...]:
        """Return the metrics, of any component, that expose a series named `sample`.

        A sample name carries its suffix: `x_bucket`, not `x`, for a histogram. Weak patterns prove nothing.
        """
        known = self._by_sample.get(sample, ())
        by_pattern = (
            metric
            for component in self._with_patterns
            if not any(one.component == component.name for one in known)
            for metric in component.find(sample)
        )
        return (*known, *by_pattern)

    @cached_property
    def _by_sample(self) -> Mapping[str, tuple[Metric, ...]]:
        names: dict[str, dict[str, Component]] = {}
        for component in self.components.values():
            for metric in component.metrics:
                for sample in metric.series:
                    names.setdefault(sample, {})[component.name] = component
        return {
            sample: tuple(metric for component in found.values() for metric in component.find(sample))
            for sample, found in names.items()
        }

    @cached_property
    def _with_patterns(self) -> tuple[Component, ...]:
        return tuple(component for component in self.components.values() if component.patterns)


class _Lazy(Mapping[str, Component]):
    """Components by name, each loaded when it is first asked for."""

    def __init__(self, loaders: Mapping[str, Callable[[], Component]]) -> None:
        self._loaders = loaders
        self._loaded: dict[str, Component] = {}

    def __getitem__(self, name: str) -> Component:
        if name not in self._loaded:
            self._loaded[name] = self._loaders[name]()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


def load_catalogue(folder: Path) -> Catalogue:
    """Return the catalogue in `folder`: `components/*.json`, and the exporter's contract where there is one.

    Raises InputError when there are no components; a file that is not right raises when it is asked for.
    """
    paths = sorted((folder / "components").glob("*.json"))
    if not paths:
        raise InputError(
            "the catalogue has no components",
            where=str(folder / "components"),
            mend="a catalogue has one JSON file per component in components/",
        )
    loaders: dict[str, Callable[[], Component]] = {path.stem: _loader(path) for path in paths}
    contract = folder / CONTRACT
    if contract.exists():
        loaders[EXPORTER] = lambda: load_contract(contract).component()
    return Catalogue(folder=folder, components=MappingProxyType(_Lazy(loaders)))


def _loader(path: Path) -> Callable[[], Component]:
    return lambda: load_component(path)
