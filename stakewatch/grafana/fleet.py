"""The fleet as a Prometheus sees it: what it scrapes, and which labels of the contract are missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stakewatch.catalogue.components import Component, Metric
from stakewatch.catalogue.inventory import EXPORTER, Catalogue
from stakewatch.grafana.remote import Remote, Series
from stakewatch.grafana.supply import Wanted, present

# As long as Prometheus itself looks back.
LOOK_BACK_SECONDS = 300
# Names that only one component has tell it; a few, as other programs may have one by accident.
_FEWEST_SIGNS = 3
_MOST_SIGNS = 5
_OF_A_PLACE = ("cluster", "region")
_OF_A_PROCESS = ("cluster", "region", "network", "role", "implementation")
_GROUPING = ("cluster", "region", "network", "role", "implementation", "job")


@dataclass(frozen=True)
class Process:
    """The kind of a staking process, by the labels of the contract."""

    role: str
    implementation: str


@dataclass(frozen=True)
class Gap:
    """A label of the contract that a scraped component's series lack, or have otherwise; `job` scrapes them.

    `expected` is empty where any value would do, `found` where there is none.
    """

    component: str
    label: str
    expected: str
    found: str
    job: str


@dataclass(frozen=True)
class Fleet:
    """What a Prometheus scrapes.

    `names` are the metrics that are there, of those that the catalogue knows. `targets` counts the targets of
    each kind of process, and `answering` those that can be scraped. `watched` are the kinds that the exporter
    speaks about. `components` are the catalogue's, told by their metrics, whatever labels they have.
    """

    names: frozenset[str]
    targets: Mapping[Process, int]
    answering: Mapping[Process, int]
    watched: frozenset[Process]
    components: frozenset[str]
    gaps: tuple[Gap, ...]

    def implementations(self, role: str) -> frozenset[str]:
        """Return the implementations of the processes of a role, scraped or watched."""
        return frozenset(one.implementation for one in (*self.targets, *self.watched) if one.role == role)


def survey(remote: Remote, catalogue: Catalogue, at: float) -> Fleet:
    """Look at what a Prometheus scrapes at a time (Unix seconds).

    Raises as `Remote.query` does, InputError when the catalogue is not right.
    """
    known = {
        name: metrics
        for name in remote.metric_names(at - LOOK_BACK_SECONDS)
        if (metrics := catalogue.find(name))
    }
    # The index of names forgets what is gone only after hours.
    names = frozenset(
        one.name for one in present(remote, (Wanted(name, frozenset()) for name in known), known, at)
    )
    signs = _signs({name: known[name] for name in names})
    gaps: list[Gap] = []
    components: set[str] = set()
    for name, some in sorted(signs.items()):
        grouping = ", ".join(_GROUPING)
        found = remote.query(f'count by ({grouping}) ({{__name__=~"{"|".join(some)}"}})', at)
        if found:
            components.add(name)
            gaps += _gaps(catalogue.components[name], found)
    up = remote.query("sum by (role, implementation) (up)", at)
    every = remote.query("count by (role, implementation) (up)", at)
    return Fleet(
        names=names | ({"up"} if every else set()),
        targets=_by_process(every),
        answering=_by_process(up),
        watched=frozenset(
            _by_process(remote.query('count by (role, implementation) ({__name__=~"stakewatch_.+"})', at))
        ),
        components=frozenset(components),
        gaps=tuple(dict.fromkeys(gaps)),
    )


def _signs(known: Mapping[str, tuple[Metric, ...]]) -> Mapping[str, tuple[str, ...]]:
    """Return a few names for each component that no other has, of those that are there."""
    signs: dict[str, list[str]] = {}
    for name, metrics in sorted(known.items()):
        owners = {metric.component for metric in metrics}
        if len(owners) == 1 and not any(metric.synthetic or metric.by_pattern for metric in metrics):
            signs.setdefault(owners.pop(), []).append(name)
    return {
        component: tuple(names[:_MOST_SIGNS])
        for component, names in signs.items()
        if len(names) >= _FEWEST_SIGNS
    }


def _gaps(component: Component, found: Iterable[Series]) -> list[Gap]:
    if component.name == EXPORTER:
        # It speaks about others: only its network is its own on all its series.
        asked: Mapping[str, str] = {"network": ""}
    elif component.role is None:
        asked = dict.fromkeys(_OF_A_PLACE, "")
    else:
        own = {"role": component.role, "implementation": component.implementation or ""}
        asked = {label: own.get(label, "") for label in _OF_A_PROCESS}
    return [
        Gap(component.name, label, expected, value, series.labels.get("job", ""))
        for series in found
        for label, expected in asked.items()
        if not (value := series.labels.get(label, "")) or (expected and value != expected)
    ]


def _by_process(several: Iterable[Series]) -> Mapping[Process, int]:
    return MappingProxyType(
        {
            Process(series.labels["role"], series.labels.get("implementation", "")): int(series.newest)
            for series in several
            if series.labels.get("role")
        }
    )
