"""What Prometheus and Alertmanager say about alerts at one moment, and how that changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from stakewatch.programs.servers import Alertmanager, Prometheus

_HIDDEN_LABELS = frozenset({"alertname", "severity", "area", "network", "cluster", "region", "prometheus"})


class State(StrEnum):
    """Where an alert stands on its way to a person."""

    PENDING = "pending"
    FIRING = "firing"
    INHIBITED = "inhibited"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class AlertView:
    """One alert at one moment; `inhibited_by` are the alerts that hold it back, as text."""

    name: str
    labels: tuple[tuple[str, str], ...]
    state: State
    value: float
    annotations: tuple[tuple[str, str], ...]
    inhibited_by: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What tells this alert from all others."""
        return self.name, self.labels

    @property
    def title(self) -> str:
        """Its name with the labels that say which one it is."""
        return f"{self.name}({subject(dict(self.labels))})"

    def annotation(self, name: str) -> str:
        """Return an annotation's text, empty when there is none."""
        return dict(self.annotations).get(name, "")


@dataclass(frozen=True)
class Change:
    """An alert that changed its state, `at` seconds after the parts of the demo were up."""

    at: float
    alert: AlertView
    before: State | None


def subject(labels: Mapping[str, str]) -> str:
    """Return the label that names what an alert is about, in the words of the fleet."""
    for name in ("validator_index", "group", "container", "instance", "pod"):
        if name in labels:
            return f"{name}={labels[name]}"
    return ", ".join(f"{name}={value}" for name, value in labels.items() if name not in _HIDDEN_LABELS)


def observe(prometheus: Prometheus, alertmanager: Alertmanager) -> tuple[AlertView, ...]:
    """Ask both for their alerts and join them by labels.

    Raises StakewatchError when one does not answer.
    """
    held_back = _inhibitions(alertmanager)
    views = []
    for alert in prometheus.alerts():
        labels = tuple(sorted(alert.labels.items()))
        inhibited_by = held_back.get(labels, ())
        state = State(alert.state)
        if state is State.FIRING and inhibited_by:
            state = State.INHIBITED
        views.append(
            AlertView(
                name=alert.name,
                labels=labels,
                state=state,
                value=alert.value,
                annotations=tuple(sorted(alert.annotations.items())),
                inhibited_by=inhibited_by,
            )
        )
    return tuple(sorted(views, key=lambda view: view.key))


def _inhibitions(alertmanager: Alertmanager) -> dict[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Map the labels of each inhibited alert to the alerts that inhibit it."""
    alerts = alertmanager.alerts()
    titles = {alert.fingerprint: f"{alert.name}({subject(alert.labels)})" for alert in alerts}
    return {
        tuple(sorted(alert.labels.items())): tuple(
            titles.get(fingerprint, fingerprint) for fingerprint in alert.inhibited_by
        )
        for alert in alerts
        if alert.inhibited_by
    }


def changes(before: Iterable[AlertView], after: Iterable[AlertView], at: float) -> tuple[Change, ...]:
    """Return what is new, moved on, or gone between two observations."""
    old = {view.key: view for view in before}
    new = {view.key: view for view in after}
    found = [
        Change(at=at, alert=view, before=old[key].state if key in old else None)
        for key, view in new.items()
        if key not in old or old[key].state is not view.state
    ]
    for key, view in old.items():
        if key not in new:
            gone = AlertView(
                name=view.name,
                labels=view.labels,
                state=State.RESOLVED,
                value=view.value,
                annotations=view.annotations,
            )
            found.append(Change(at=at, alert=gone, before=view.state))
    return tuple(found)
