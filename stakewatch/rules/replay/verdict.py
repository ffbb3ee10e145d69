"""A replay's verdict: what fired, held against what had to fire; every other alert has to be silent."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stakewatch.rules.clock import Evaluation
from stakewatch.rules.replay.incident import Expectation, Incident, Window
from stakewatch.rules.routing_checks import Inhibition, Matcher

PAGING = "critical"
_LEVELS = (PAGING, "warning")


@dataclass(frozen=True)
class Episode:
    """One alert from its first firing to its end, in seconds after the incident's beginning.

    `last` is None where it still fires at the end of the replay. `told` is when it was first held back by no
    other alert, None where it always was.
    """

    labels: Mapping[str, str]
    first: float
    last: float | None
    told: float | None

    @property
    def alert(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]

    @property
    def severity(self) -> str:
        """Its severity, empty where it has none."""
        return self.labels.get("severity", "")

    @property
    def pages(self) -> bool:
        """Whether it wakes a person."""
        return self.severity == PAGING and self.told is not None


@dataclass(frozen=True)
class Flaw:
    """One thing that is otherwise than expected; `unexpected` for an alert that had to be silent."""

    alert: str
    what: str
    unexpected: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a replay came to: all episodes in the order of time, and what was wrong with them."""

    incident: Incident
    episodes: tuple[Episode, ...]
    flaws: tuple[Flaw, ...]
    alerts: int
    seconds: float

    @property
    def detection(self) -> Episode | None:
        """The first page from the beginning on; the first ticket where nothing paged."""
        expected = [
            one
            for one in self.episodes
            if one.alert in self.incident.expectations and one.first >= 0 and one.told is not None
        ]
        by_severity = [next((one for one in expected if one.severity == level), None) for level in _LEVELS]
        return next((one for one in by_severity if one is not None), None)

    @property
    def ahead_seconds(self) -> float | None:
        """How long before people noticed it was detected; None where either is not known."""
        noticed, detection = self.incident.noticed, self.detection
        return None if noticed is None or detection is None else noticed.seconds - detection.first


@dataclass
class _Firing:
    labels: Mapping[str, str]
    first: float
    told: float | None = None


def episodes_of(
    rounds: Iterable[Evaluation], begins: float, inhibitions: Sequence[Inhibition] = ()
) -> tuple[Episode, ...]:
    """Return what fired, in the order of time; who is held back by whom, `inhibitions` say."""
    firing: dict[frozenset[tuple[str, str]], _Firing] = {}
    found: list[Episode] = []
    for one in rounds:
        now = one.at - begins
        for change in one.changes:
            key = frozenset(change.labels.items())
            if change.state == "firing":
                firing[key] = _Firing(change.labels, now)
            elif (known := firing.pop(key, None)) is not None:
                found.append(Episode(known.labels, known.first, now, known.told))
        if one.changes:
            everything = [known.labels for known in firing.values()]
            for known in firing.values():
                if known.told is None and not is_held_back(known.labels, everything, inhibitions):
                    known.told = now
    found += [Episode(known.labels, known.first, None, known.told) for known in firing.values()]
    return tuple(sorted(found, key=lambda one: (one.first, one.alert, sorted(one.labels.items()))))


def is_held_back(
    labels: Mapping[str, str], firing: Iterable[Mapping[str, str]], inhibitions: Iterable[Inhibition]
) -> bool:
    """Tell whether one of the firing alerts inhibits an alert, as Alertmanager does.

    An alert that matches both sides of an inhibition is not held back by one that does too.
    """
    for rule in inhibitions:
        if not _matches(rule.targets, labels):
            continue
        is_source_too = _matches(rule.sources, labels)
        for other in firing:
            if (
                _matches(rule.sources, other)
                and all(labels.get(name, "") == other.get(name, "") for name in rule.equal)
                and not (is_source_too and _matches(rule.targets, other))
            ):
                return True
    return False


def _matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(one.matches(labels.get(one.name, "")) for one in matchers)


def flaws_of(
    episodes: Sequence[Episode],
    expectations: Mapping[str, Expectation],
    known: Iterable[str],
    pages: frozenset[str] | None = None,
) -> tuple[Flaw, ...]:
    """Return what is otherwise than expected; `known` are the names of all alerts that there are.

    `pages` are the names of all alerts that have to wake a person, None where nothing is said about it.
    """
    by_alert: defaultdict[str, list[Episode]] = defaultdict(list)
    for one in episodes:
        by_alert[one.alert].append(one)
    there = frozenset(known)
    found = [
        Flaw(
            alert,
            f"it fired after {shown(some[0].first)}, and had to be silent{_about(some)}",
            unexpected=True,
        )
        for alert, some in by_alert.items()
        if alert not in expectations
    ]
    for alert, expected in expectations.items():
        if alert not in there:
            found.append(Flaw(alert, "no rule has this name"))
        else:
            found += [Flaw(alert, what) for what in _unmet(by_alert.get(alert, []), expected)]
    if pages is not None:
        paging = {one.alert for one in episodes if one.pages}
        found += [
            Flaw(alert, "it woke a person, and had not to", unexpected=True) for alert in paging - pages
        ]
        found += [Flaw(alert, "it woke nobody, and had to") for alert in pages - paging]
    return tuple(found)


def shown(seconds: float) -> str:
    """Return a time after the beginning as a person says it: `1 h 02 min`, `-3.5 min`."""
    minutes = abs(seconds) / 60
    sign = "-" if seconds < 0 else ""
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{sign}{minutes:.1f} min"
    hours, rest = divmod(round(minutes), 60)
    return f"{sign}{hours} h {rest:02d} min"


def _unmet(episodes: Sequence[Episode], expected: Expectation) -> list[str]:
    if not episodes:
        return [f"it was silent, and had to fire {_window(expected.first)}"]
    found = []
    first = episodes[0].first
    if not expected.first.holds(first):
        found.append(f"it fired first after {shown(first)}, and had to {_window(expected.first)}")
    last = max((one.last for one in episodes if one.last is not None), default=None)
    still = any(one.last is None for one in episodes)
    if expected.lasts and not still:
        found.append(f"it ended after {shown(last or 0)}, and had to fire until the end")
    if expected.ends is not None and (still or last is None or not expected.ends.holds(last)):
        ended = "never ended" if still or last is None else f"ended after {shown(last)}"
        found.append(f"it {ended}, and had to end {_window(expected.ends)}")
    for name, values in expected.labels.items():
        got = {one.labels.get(name, "") for one in episodes}
        if got != values:
            found.append(f"its {name} was {_joined(got)}, and had to be {_joined(values)}")
    return found


def _about(episodes: Sequence[Episode]) -> str:
    """Return which alert it was, for a message: the labels that tell it from others."""
    hidden = {"alertname", "severity", "area", "region", "network", "role"}
    labels = {name: text for name, text in sorted(episodes[0].labels.items()) if name not in hidden}
    more = f" and {len(episodes) - 1} more" if len(episodes) > 1 else ""
    return f" ({', '.join(f'{name}={text}' for name, text in labels.items())}{more})" if labels else more


def _window(window: Window) -> str:
    return f"between {shown(window.earliest)} and {shown(window.latest)}"


def _joined(values: Iterable[str]) -> str:
    return ", ".join(sorted(value or "empty" for value in values))
