"""Incidents as files: what happened, to which fleet, and which alerts must speak of it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stakewatch.bundle.document import Document, Place, read_document, read_text
from stakewatch.bundle.problems import Problem, as_error, did_you_mean, quoted
from stakewatch.bundle.validation import schema_problems
from stakewatch.errors import InputError
from stakewatch.promql import parse_duration
from stakewatch.rules.replay.client_model import load_healthy
from stakewatch.rules.replay.fleet import EXPORTER, Fleet, Process, drawn_fleet
from stakewatch.rules.replay.happenings import Course, Fault, SeriesChange, Slashing
from stakewatch.rules.replay.truth import EPOCH_SECONDS, Noise, Truth, load_noise

FOLDER = Path("tests") / "incidents"
# Epochs of a replay begin when those of the network did.
_GENESIS: Mapping[str, int] = MappingProxyType(
    {"mainnet": 1606824023, "holesky": 1695902400, "sepolia": 1655733600, "hoodi": 1742213400}
)
_WARM_UP = "60m"
_LONGEST_HOURS = 72
_MOST_PROBLEMS = 100
_FIRST_EPOCH = 4


@dataclass(frozen=True)
class Window:
    """From the earliest to the latest moment, both included, in seconds after the incident's beginning."""

    earliest: float
    latest: float

    def holds(self, seconds: float) -> bool:
        """Tell whether a moment is in it."""
        return self.earliest <= seconds <= self.latest


@dataclass(frozen=True)
class Expectation:
    """When an alert must fire first, when the last of it must end, and whom it must be about.

    `ends` is None where that does not matter; `lasts` says that it must fire until the replay's end.
    `labels` are all values that a label of the alert has, and no other.
    """

    alert: str
    first: Window
    ends: Window | None = None
    lasts: bool = False
    labels: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Noticed:
    """When people noticed, in seconds after the beginning, and who."""

    seconds: float
    by: str


@dataclass(frozen=True)
class Incident:
    """One incident; `begins` is Unix seconds, `truth` all that happens, healthy time before it included.

    `pages` are the alerts that have to wake a person, None where nothing is said about it.
    """

    path: Path
    title: str
    source: tuple[str, ...]
    interpolated: str
    begins: float
    truth: Truth
    noticed: Noticed | None
    expectations: Mapping[str, Expectation]
    pages: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


@cache
def incident_schema() -> dict[str, Any]:
    """Return the JSON Schema of an incident."""
    text = resources.files("stakewatch.rules.replay").joinpath("incident.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def load_incident(path: Path) -> Incident:
    """Return the incident at `path`.

    Raises InputError with file, line and mend of everything that is wrong with it.
    """
    document = read_document(read_text(path), path)
    problems = [*document.problems, *islice(schema_problems(document, incident_schema()), _MOST_PROBLEMS)]
    if problems:
        raise as_error(problems)
    return _Reader(document).incident()


class _Reader:
    """Reads one document that fits the schema, and collects what still does not fit together."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._data: Any = document.data
        self._problems: list[Problem] = []
        self._begins = 0.0

    def incident(self) -> Incident:
        """Return it; raises InputError with all that is wrong."""
        data = self._data
        self._begins = self._moment(("begins",), data["begins"])
        network = data.get("network", "mainnet")
        fleet = self._fleet(network)
        warm_up = self._seconds(("warm_up",), data.get("warm_up", _WARM_UP))
        lasts = self._seconds(("lasts",), data["lasts"])
        if warm_up + lasts > _LONGEST_HOURS * 3600:
            self._add(("lasts",), f"more than {_LONGEST_HOURS} h to replay", "shorten it, and say so")
        if self._problems:
            raise as_error(self._problems)
        truth = self._truth(fleet, _GENESIS.get(network, 0), warm_up, lasts)
        noticed = data.get("noticed")
        incident = Incident(
            path=self._document.path,
            title=data["title"],
            source=tuple(data["source"]),
            interpolated=data["interpolated"],
            begins=self._begins,
            truth=truth,
            noticed=Noticed(self._moment(("noticed", "at"), noticed["at"]) - self._begins, noticed["by"])
            if noticed
            else None,
            expectations=MappingProxyType(
                {alert: self._expectation(alert, one) for alert, one in data["expect"].items()}
            ),
            pages=frozenset(data["pages"]) if "pages" in data else None,
        )
        if self._problems:
            raise as_error(self._problems)
        return incident

    def _truth(self, fleet: Fleet, network_genesis: int, warm_up: float, lasts: float) -> Truth:
        start = self._begins - warm_up
        start -= (start - network_genesis) % EPOCH_SECONDS
        genesis = int(start) - _FIRST_EPOCH * EPOCH_SECONDS
        hours = (self._begins + lasts - start) / 3600
        truth = Truth(fleet, _calm(hours), genesis=genesis)
        return replace(
            truth,
            course=self._course(truth),
            faults=tuple(self._faults(fleet)),
            slashings=tuple(self._slashings(fleet)),
            changes=tuple(self._changes(fleet)),
        )

    def _fleet(self, network: str) -> Fleet:
        data = self._data["fleet"]
        known = load_healthy()
        for place, role, implementation in (
            *((("fleet", "pairs", n), "beacon", one["beacon"]) for n, one in enumerate(data["pairs"])),
            *((("fleet", "pairs", n), "execution", one["execution"]) for n, one in enumerate(data["pairs"])),
            *(
                (("fleet", "clients", n), "validator", one["implementation"])
                for n, one in enumerate(data["clients"])
            ),
            *((("fleet", "signers", n), "signer", one) for n, one in enumerate(data.get("signers", ()))),
        ):
            names = [
                name.removesuffix(f"_{role}")
                for name in known
                if name.endswith(f"_{role}") or ("_" not in name and role in {"execution", "signer"})
            ]
            if implementation not in names:
                self._add(
                    place,
                    f"nothing is known of the {role} implementation {quoted(implementation)}",
                    did_you_mean(implementation, names, "there are"),
                )
        fleet = drawn_fleet(data["pairs"], data["clients"], data.get("signers", ()), network)
        for number, client in enumerate(data["clients"]):
            for key in ("primary", "backup"):
                if key in client and client[key] not in fleet.pairs:
                    self._add(
                        ("fleet", "clients", number, key),
                        f"there is no beacon node {quoted(client[key])}",
                        did_you_mean(client[key], list(fleet.pairs), "there are"),
                    )
        names = [name for client in data["clients"] for name in client["groups"]]
        for name in {name for name in names if names.count(name) > 1}:
            self._add(("fleet", "clients"), f"two groups are named {quoted(name)}", "rename one")
        return fleet

    def _course(self, truth: Truth) -> Course:
        chain = self._data.get("chain")
        if chain is None:
            return Course()
        last = truth.epoch_at(self._moment(("chain", "until"), chain["until"]))

        def shares(name: str) -> Mapping[int, float]:
            steps = [
                (truth.epoch_at(self._moment(("chain", name, number, "at"), one["at"])), one["share"])
                for number, one in enumerate(chain.get(name, ()))
            ]
            ends = [*(epoch for epoch, _ in steps[1:]), last]
            found: dict[int, float] = {}
            for number, ((epoch, share), end) in enumerate(zip(steps, ends, strict=False)):
                if not 0 <= epoch < end:
                    self._add(
                        ("chain", name, number, "at"), "this is not after the one before it", "sort them"
                    )
                found |= dict.fromkeys(range(max(0, epoch), min(end, truth.epochs)), share)
            return MappingProxyType(found)

        return Course(shares("participation"), shares("blocks"), chain.get("ours", 0.0))

    def _faults(self, fleet: Fleet) -> Iterator[Fault]:
        for number, one in enumerate(self._data.get("faults", ())):
            place = ("faults", number)
            found = [
                process for process in fleet.processes.values() if _is_meant(process, one["where"], fleet)
            ]
            chosen = found[: round(one.get("share", 1.0) * len(found))]
            roles = {"sick": "beacon", "forked": "beacon", "refusing": "execution", "halted": "execution"}
            role = roles.get(one["what"])
            if not chosen or any(role not in {None, process.role} for process in chosen):
                what = f"the fault {one['what']} hits {'nobody' if not chosen else 'others'}"
                self._add(
                    place, what, f"it is one of {f'{role} nodes' if role else 'processes'}: mend `where`"
                )
                continue
            at, until = self._span(place, one)
            yield from (Fault(one["what"], process.instance, at, until - at) for process in chosen)

    def _slashings(self, fleet: Fleet) -> Iterator[Slashing]:
        groups = {group.name: group for group in fleet.groups}
        taken: dict[str, int] = {}
        for number, one in enumerate(self._data.get("slashings", ())):
            group = groups.get(one["group"])
            first = taken.get(one["group"], 0)
            if group is None or first + one["keys"] > group.keys:
                what = "there is no such group" if group is None else "the group has not so many keys"
                self._add(("slashings", number), what, did_you_mean(one["group"], list(groups), "groups are"))
                continue
            taken[one["group"]] = first + one["keys"]
            begin = group.first_key + first
            yield Slashing(
                group=group.name,
                keys=range(begin, begin + one["keys"]),
                at=self._moment(("slashings", number, "at"), one["at"]),
                every=self._seconds(("slashings", number, "every"), one.get("every", "0s")),
                penalty_gwei=one["penalty_gwei"],
            )

    def _changes(self, fleet: Fleet) -> Iterator[SeriesChange]:
        names = [*fleet.processes, EXPORTER]
        for number, one in enumerate(self._data.get("series", ())):
            place = ("series", number)
            if "of" in one and one["of"] not in names:
                self._add(
                    place, f"there is no process {quoted(one['of'])}", did_you_mean(one["of"], names, "")
                )
                continue
            at, until = self._span(place, one)
            yield SeriesChange(
                metric=one["metric"],
                labels=MappingProxyType(dict(one.get("labels", {}))),
                of=one.get("of"),
                at=at,
                seconds=until - at,
                value=one["value"],
                rate=one.get("rate", 0.0),
            )

    def _expectation(self, alert: str, data: Mapping[str, Any]) -> Expectation:
        place = ("expect", alert)
        ends = data.get("ends")
        return Expectation(
            alert=alert,
            first=self._window((*place, "first"), data["first"]),
            ends=self._window((*place, "ends"), ends) if isinstance(ends, list) else None,
            lasts=ends == "never",
            labels=MappingProxyType(
                {name: frozenset(values) for name, values in data.get("labels", {}).items()}
            ),
        )

    def _window(self, place: Place, moments: list[str]) -> Window:
        earliest, latest = (self._moment(place, one) - self._begins for one in moments)
        if earliest > latest:
            self._add(place, "the window ends before it begins", "write the earliest moment first")
        return Window(earliest, latest)

    def _span(self, place: Place, one: Mapping[str, Any]) -> tuple[float, float]:
        at, until = (self._moment((*place, key), one[key]) for key in ("at", "until"))
        if until <= at:
            self._add((*place, "until"), "this ends before it begins", "write a later moment")
        return at, until

    def _moment(self, place: Place, text: str) -> float:
        """Return Unix seconds of a time in UTC, or of one so long after the beginning."""
        if re.match(r"\d{4}-", text):
            try:
                return datetime.fromisoformat(text).astimezone(UTC).timestamp()
            except ValueError:
                self._add(place, f"{quoted(text)} is no time", "write one such as 2023-05-11T20:06:47Z")
                return self._begins
        sign = -1 if text.startswith("-") else 1
        return self._begins + sign * self._seconds(place, text.removeprefix("-"))

    def _seconds(self, place: Place, text: str) -> float:
        try:
            return parse_duration(text)
        except InputError as error:
            self._add(place, error.what, error.mend or "write a duration such as 1h30m")
            return 0.0

    def _add(self, place: Place, what: str, mend: str) -> None:
        self._problems.append(Problem(self._document.path, self._document.line(place), what, mend))


def _is_meant(process: Process, where: Mapping[str, str], fleet: Fleet) -> bool:
    """Tell whether a selection means a process; `execution` is the implementation of a beacon node's pair."""
    if "execution" in where:
        pair = fleet.pairs.get(process.instance)
        if pair is None or fleet.processes[pair].implementation != where["execution"]:
            return False
    return all(getattr(process, name) == value for name, value in where.items() if name != "execution")


def _calm(hours: float) -> Noise:
    """Return the noise of a healthy time without upgrades and reorganisations."""
    return replace(load_noise(), hours=hours, upgrade_begins=None, reorganisations=())
