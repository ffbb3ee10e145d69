"""Blindness: the processes of a fleet about which an alert that works can say nothing.

A fleet of several implementations is watched by metrics of each. Where an alert reads those of some, the
others of the role have no such signal, and it stays silent for them.
"""

from collections.abc import Iterable

from stakewatch.catalogue.inventory import EXPORTER, Catalogue
from stakewatch.grafana.fleet import Fleet, Process
from stakewatch.grafana.supply import Wanted
from stakewatch.rules.series import selects


def blind_for(there: Iterable[Wanted], fleet: Fleet, catalogue: Catalogue) -> tuple[Process, ...]:
    """Return the kinds of processes that none of the series is about, of the roles that they are about.

    `there` are the series that an alert reads and has. What the exporter says, and whether a target can be
    scraped, is about processes of every implementation.
    """
    seen: set[Process] = set()
    for wanted in there:
        metrics = [one for one in catalogue.find(wanted.name) if selects(wanted.matchers, one, catalogue)]
        if any(metric.synthetic or metric.component == EXPORTER for metric in metrics):
            return ()
        components = (catalogue.components[metric.component] for metric in metrics)
        seen.update(Process(one.role, one.implementation or "") for one in components if one.role)
    roles = {process.role for process in seen}
    blind = (process for process in fleet.targets if process.role in roles and process not in seen)
    return tuple(sorted(blind, key=lambda process: (process.role, process.implementation)))
