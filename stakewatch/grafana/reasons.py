"""Reasons: why a Prometheus does not have what an expression reads, and what mends it."""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import StrEnum

from stakewatch.bundle.configuration import Role
from stakewatch.catalogue.components import Component, Metric
from stakewatch.catalogue.inventory import EXPORTER, Catalogue
from stakewatch.grafana.fleet import Fleet
from stakewatch.grafana.supply import Wanted
from stakewatch.promql.tree import LabelMatcher
from stakewatch.rules.series import matches, selects

# What not every operator has: where it is missing, there is nothing to watch.
OPTIONAL_ROLES = frozenset({Role.SIGNER, Role.RELAY, Role.PROXY})
_CONTRACT = "docs/architecture.md, The label contract"
_SWITCH_OFF = "if you have none, switch the alerts off in stakewatch.yaml (overrides)"
_NOTHING_TO_DO = "nothing to do, unless one that has it is to be scraped"
_NAME_OF_ROLE = {
    Role.EXECUTION: "execution node",
    Role.BEACON: "beacon node",
    Role.VALIDATOR: "validator client",
    Role.SIGNER: "remote signer",
    Role.RELAY: "MEV relay client",
    Role.PROXY: "proxy",
    Role.EXPORTER: "exporter",
}


class Cause(StrEnum):
    """Why series are not there."""

    NOT_SCRAPED = "not scraped"
    NOT_WATCHED = "not watched by the exporter"
    WITHOUT_LABEL = "label of the contract missing"
    NO_SUCH_SIGNAL = "implementation without that signal"
    SWITCHED_OFF = "needs a flag"
    NOT_SAID = "not said yet"
    NOT_RECORDED = "rules not loaded"
    UNKNOWN = "unknown to the catalogue"


@dataclass(frozen=True)
class Reason:
    """Why series are not there, what that is about, and what mends it.

    Two lacks of one reason are mended together. `needless` says that there is nothing to watch.
    """

    cause: Cause
    said: str
    mend: str
    needless: bool = False


@dataclass(frozen=True)
class Lack:
    """Series that are not there, and why."""

    wanted: Wanted
    reason: Reason


@dataclass(frozen=True)
class Judge:
    """What reasons are found by: what is scraped and what exists.

    `recorded` are the series that the bundle's rules record, `expected_roles` those of the processes that the
    user says he has.
    """

    fleet: Fleet
    catalogue: Catalogue
    recorded: Container[str]
    expected_roles: frozenset[str] = frozenset()

    def lack(self, wanted: Wanted) -> Lack:
        """Return why a Prometheus does not have series that it should."""
        return Lack(wanted, self._reason(wanted))

    def _reason(self, wanted: Wanted) -> Reason:
        if wanted.name in self.recorded or wanted.name.startswith("ALERTS"):
            return Reason(
                Cause.NOT_RECORDED,
                "the bundle's rules are not loaded",
                "load build/prometheus/rules (`stakewatch build prometheus`)",
            )
        if ":" in wanted.name:
            return Reason(
                Cause.NOT_RECORDED,
                "no Loki writes what it records here",
                f"load the bundle's rules for Loki, and let it write to this Prometheus; {_SWITCH_OFF}",
            )
        found = self.catalogue.find(wanted.name) if wanted.name else ()
        metrics = tuple(one for one in found if selects(wanted.matchers, one, self.catalogue))
        if any(metric.synthetic for metric in metrics):
            return self._of_targets(wanted)
        if any(metric.component == EXPORTER for metric in metrics):
            return self._of_the_exporter(wanted)
        if metrics or not wanted.name:
            return self._of_components(wanted, metrics)
        return Reason(
            Cause.UNKNOWN, "no component of the catalogue exposes it", "scrape what does, or mend the name"
        )

    def _of_targets(self, wanted: Wanted) -> Reason:
        roles = _roles(wanted)
        if not roles or (len(roles) == len(Role) and wanted.name not in self.fleet.names):
            return Reason(Cause.NOT_SCRAPED, "nothing is scraped", "give Prometheus targets")
        of_roles = [one for one in self.fleet.targets if one.role in roles]
        if any(_lets_through(wanted.matchers, "implementation", one.implementation) for one in of_roles):
            labels = sorted({one.name for one in wanted.matchers} - {"role", "implementation"})
            return Reason(
                Cause.WITHOUT_LABEL,
                f"targets of staking processes lack what is asked of {', '.join(labels)}",
                f"on Kubernetes, set it by relabelling ({_CONTRACT}); elsewhere it is not needed",
            )
        if of_roles:
            others = ", ".join(sorted({one.implementation for one in of_roles}))
            return Reason(
                Cause.NO_SUCH_SIGNAL,
                f"your {_either(map(_plural, roles))} are {others}: none is what is asked for",
                _NOTHING_TO_DO,
                needless=True,
            )
        unlabelled = [
            one.name
            for one in self.catalogue.components.values()
            if one.role in roles and one.name in self.fleet.components and not self._is_labelled(one.name)
        ]
        return self._unlabelled(unlabelled) if unlabelled else self._without_role(roles)

    def _of_the_exporter(self, wanted: Wanted) -> Reason:
        roles = _roles(wanted)
        if EXPORTER not in self.fleet.components:
            if roles and self._is_needless(roles):
                return self._without_role(roles)
            return Reason(
                Cause.NOT_SCRAPED,
                "stakewatch-exporter is not scraped",
                "run it and scrape it with honor_labels: true (docs/exporter.md)",
            )
        if wanted.name in self.fleet.names and 0 < len(roles) < len(Role):
            return Reason(
                Cause.NOT_WATCHED,
                f"the exporter watches no {_either(_NAME_OF_ROLE[role] for role in roles)}",
                "list it in stakewatch.yaml (docs/configuration.md)",
                needless=self._is_needless(roles),
            )
        return Reason(
            Cause.NOT_SAID,
            "the exporter is scraped and has not said it yet",
            "docs/exporter-metrics.md says when it does",
        )

    def _of_components(self, wanted: Wanted, metrics: tuple[Metric, ...]) -> Reason:
        components = self._components(wanted, metrics)
        here = [name for name in components if name in self.fleet.components]
        if here:
            unlabelled = [name for name in here if not self._is_labelled(name)]
            if unlabelled and wanted.name in self.fleet.names:
                return self._unlabelled(unlabelled)
            return self._not_said(wanted, here, [one for one in metrics if one.component in here])
        titles = _titles(components.values())
        roles = sorted({Role(component.role) for component in components.values() if component.role})
        if not roles or any(component.role is None for component in components.values()):
            # Of the platform: which of several serves it is the user's choice.
            return Reason(
                Cause.NOT_SCRAPED,
                f"{titles} is not scraped",
                f"scrape it with the labels cluster and region; {_SWITCH_OFF}",
            )
        missing = [role for role in roles if not self.fleet.implementations(role)]
        if any(role not in OPTIONAL_ROLES for role in missing) or missing == roles:
            return self._without_role(missing)
        others = sorted(set().union(*(self.fleet.implementations(role) for role in roles)))
        return Reason(
            Cause.NO_SUCH_SIGNAL,
            f"your {_either(map(_plural, roles))} are {', '.join(others)}: only {titles} has that signal",
            _NOTHING_TO_DO,
            needless=True,
        )

    def _components(self, wanted: Wanted, metrics: Iterable[Metric]) -> dict[str, Component]:
        """Return the components that could say what is wanted; for a pattern of names, by labels alone."""
        every = self.catalogue.components
        if wanted.name:
            return {metric.component: every[metric.component] for metric in metrics}
        return {
            name: component
            for name, component in every.items()
            if component.role
            and _lets_through(wanted.matchers, "role", component.role)
            and _lets_through(wanted.matchers, "implementation", component.implementation or "")
        }

    def _not_said(self, wanted: Wanted, here: list[str], metrics: list[Metric]) -> Reason:
        components = [self.catalogue.components[name] for name in here]
        titles = _titles(components)
        others = {matcher.name for matcher in wanted.matchers} - {"role", "implementation"}
        if wanted.name in self.fleet.names and others:
            labels = ", ".join(sorted(others))
            return Reason(
                Cause.WITHOUT_LABEL,
                f"{titles} is scraped, its series lack what is asked of {labels}",
                f"set the labels by relabelling ({_CONTRACT})",
            )
        if metrics and not any(metric.default_enabled for metric in metrics):
            return Reason(
                Cause.SWITCHED_OFF,
                f"{titles} says it only when a flag switches it on",
                next((metric.note for metric in metrics if metric.note), "switch its collector on"),
            )
        condition = next((metric.condition for metric in metrics if metric.condition), None)
        return Reason(
            Cause.NOT_SAID,
            f"{titles} is scraped and has not said it yet",
            f"the catalogue says of it: {condition}"
            if condition
            else "it comes with the first such event, or your version has it not: "
            f"the catalogue knows {_versions(components)}",
        )

    def _without_role(self, roles: Iterable[Role]) -> Reason:
        roles = list(roles)
        kinds = _either(_NAME_OF_ROLE[role] for role in roles)
        labels = _either(f'role="{role}"' for role in roles)
        return Reason(
            Cause.NOT_SCRAPED,
            f"no {kinds} is scraped",
            f"scrape it with {labels} and its implementation ({_CONTRACT})",
            needless=self._is_needless(roles),
        )

    def _is_needless(self, roles: Iterable[Role]) -> bool:
        return all(role in OPTIONAL_ROLES and role not in self.expected_roles for role in roles)

    def _is_labelled(self, component: str) -> bool:
        return not any(
            gap.component == component and gap.label in {"role", "implementation"} for gap in self.fleet.gaps
        )

    def _unlabelled(self, components: list[str]) -> Reason:
        gaps = [
            gap
            for gap in self.fleet.gaps
            if gap.component in components and gap.label in {"role", "implementation"}
        ]
        titles = _titles(self.catalogue.components[gap.component] for gap in gaps)
        jobs = _either(sorted({gap.job for gap in gaps}))
        labels = ", ".join(sorted({f'{gap.label}="{gap.expected}"' for gap in gaps}))
        return Reason(
            Cause.WITHOUT_LABEL,
            f"{titles} is scraped by the job {jobs} without labels of the contract",
            f"give its targets {labels} ({_CONTRACT})",
        )


def _roles(wanted: Wanted) -> list[Role]:
    """Return the roles whose processes are asked for."""
    return [role for role in Role if _lets_through(wanted.matchers, "role", role)]


def _plural(role: Role) -> str:
    name = _NAME_OF_ROLE[role]
    return f"{name.removesuffix('y')}ies" if name.endswith("y") else f"{name}s"


def _titles(components: Iterable[Component]) -> str:
    """Return the names of components, without what stands in brackets or after a colon."""
    return _either(sorted({re.split(r" \(|: ", component.title)[0] for component in components}))


def _lets_through(matchers: Iterable[LabelMatcher], label: str, value: str) -> bool:
    return all(matches(matcher, value) for matcher in matchers if matcher.name == label)


def _either(names: Iterable[str]) -> str:
    several = list(names)
    return several[0] if len(several) == 1 else f"{', '.join(several[:-1])} or {several[-1]}"


def _versions(components: Iterable[Component]) -> str:
    return ", ".join(sorted({re.split(r" \(|[,;]", component.version)[0] for component in components}))
