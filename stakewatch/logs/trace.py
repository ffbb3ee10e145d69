"""The time line of one event: what all programs logged about a slot or a key, from Loki."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median_low

from stakewatch.bundle.keys import parse_key
from stakewatch.errors import InputError
from stakewatch.logs.compilation import MASK
from stakewatch.logs.interpretation import Entry, interpret
from stakewatch.logs.loki_api import Found, LogLine
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.stages import Replace
from stakewatch.promql import parse_duration

SECOND = 1_000_000_000
# What follows a slot is of the next one after this time; nothing is known of networks with other slots.
_SLOT_SECONDS = 12
_LARGEST_SLOT = 2**63 - 1
_DIGITS = 7
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_HEXADECIMAL = re.compile(r"(?:0x)?([0-9a-f]{7,})")
_LOUD = "warn|error|fatal"
_MOST_BLOCKS = 20

Find = Callable[[str, int, int], Found]


def nanoseconds_of(duration: str, where: str) -> int:
    """Return what a duration such as 1h30m comes to.

    Raises InputError, which names `where`, when it is none.
    """
    return round(parse_duration(duration, where=where) * SECOND)


@dataclass(frozen=True)
class Question:
    """What to look for from `start_ns` to before `end_ns` (Unix nanoseconds).

    With neither `slot` nor `pubkey` (0x and 96 lower-case hex digits): every warning and error.
    Raises InputError for values that cannot be what they stand for, so that none can change a query.
    """

    start_ns: int
    end_ns: int
    slot: int | None = None
    pubkey: str | None = None
    cluster: str = ""
    network: str = ""

    def __post_init__(self) -> None:
        if self.slot is not None and self.pubkey is not None:
            raise InputError("a slot or a key, not both", where="--slot and --pubkey", mend="ask twice")
        if self.slot is not None and not 0 <= self.slot <= _LARGEST_SLOT:
            raise InputError(f"{self.slot} is no slot", where="--slot", mend="a slot is a number from 0 on")
        if self.pubkey is not None and (
            not self.pubkey.startswith("0x") or parse_key(self.pubkey) != self.pubkey
        ):
            raise InputError(
                "this is no public key", where="--pubkey", mend="write 0x and 96 hexadecimal digits"
            )
        for name, value in (("cluster", self.cluster), ("network", self.network)):
            if value and not _WORD.fullmatch(value):
                raise InputError(
                    f"no {name} has such a name",
                    where=f"--{name}",
                    mend="letters, digits, and _ . - between them",
                )
        if not 0 <= self.start_ns < self.end_ns:
            raise InputError("the time ends before it begins", mend="give --since longer ago than --until")


@dataclass(frozen=True)
class Moment:
    """A line of the time line; `because` says why it is there: slot, block, key, around, or level."""

    line: LogLine
    because: str


@dataclass(frozen=True)
class TimeLine:
    """What was found, in order of time; `cut_off` where Loki had more than was asked for."""

    moments: tuple[Moment, ...]
    cut_off: bool = False


def trace(question: Question, find: Find) -> TimeLine:
    """Return the time line of a question; `find` runs one log query between two times (Unix nanoseconds).

    Raises StakewatchError as `find` does.
    """
    pieces = _Pieces(question, find)
    if question.slot is not None:
        _of_slot(question.slot, pieces)
    elif question.pubkey is not None:
        pieces.add(
            "key", _key_filter(question.pubkey), keep=lambda line: names_key(line, question.pubkey or "")
        )
    else:
        pieces.add("level", "", level=_LOUD)
    return pieces.time_line()


class _Pieces:
    """Collects the answers of several queries; a line that several find is there once."""

    def __init__(self, question: Question, find: Find) -> None:
        self._question = question
        self._find = find
        self._moments: dict[tuple[int, str, str], Moment] = {}
        self._cut_off = False

    def add(
        self,
        because: str,
        pipeline: str,
        *,
        roles: str = ".+",
        level: str = "",
        between: tuple[int, int] | None = None,
        keep: Callable[[LogLine], bool] = lambda _: True,
    ) -> tuple[LogLine, ...]:
        """Ask for lines and return those of them that are kept."""
        start, end = between or (self._question.start_ns, self._question.end_ns)
        start, end = max(start, self._question.start_ns), min(end, self._question.end_ns)
        if start >= end:
            return ()
        found = self._find(f"{self._selector(roles, level)} {pipeline}".rstrip(), start, end)
        self._cut_off |= found.cut_off
        kept = tuple(line for line in found.lines if keep(line))
        for line in kept:
            identity = (line.time_ns, repr(sorted(line.labels.items())), line.text)
            self._moments.setdefault(identity, Moment(line, because))
        return kept

    def time_line(self) -> TimeLine:
        moments = sorted(self._moments.values(), key=lambda moment: moment.line.time_ns)
        return TimeLine(tuple(moments), self._cut_off)

    def _selector(self, roles: str, level: str) -> str:
        matchers = [f'role=~"{roles}"']
        matchers += [f'cluster="{self._question.cluster}"'] if self._question.cluster else []
        matchers += [f'network="{self._question.network}"'] if self._question.network else []
        matchers.append(f'level=~"{level}"' if level else 'level!~"trace|debug"')
        return "{" + ", ".join(matchers) + "}"


def _of_slot(slot: int, pieces: _Pieces) -> None:
    """Find what names the slot, then its block on execution nodes, then what was wrong meanwhile."""
    named = pieces.add("slot", f'| slot="{slot}"')
    if not named:
        return
    blocks = sorted(
        {number for line in named if (number := line.metadata.get("block_number", "")).isdecimal()}
    )
    if blocks:
        pieces.add("block", f'| block_number=~"{"|".join(blocks[:_MOST_BLOCKS])}"', roles="execution")
    # A slot is also named by duties long before it and by finality long after: the middle is when it was.
    middle = median_low([line.time_ns for line in named])
    around = (middle - _SLOT_SECONDS * SECOND, middle + _SLOT_SECONDS * SECOND)
    if not blocks:
        pieces.add("around", '| block_number != ""', roles="execution", between=around)
    pieces.add("around", "", level=_LOUD, between=around)
    pieces.add("around", "", roles="proxy", between=around)


def _key_filter(pubkey: str) -> str:
    """Return a filter for lines that name a key in full, by seven digits or more, or by both its ends."""
    digits = pubkey.removeprefix("0x")
    return f"|~ `(?i)(?:{digits[:_DIGITS]}|{digits[:4]}(?:…|\\.{{2,3}}){digits[-4:]})`"


def names_key(line: LogLine, pubkey: str) -> bool:
    """Tell whether a line names this key, in full or shortened, and not one that begins alike."""
    digits = pubkey.removeprefix("0x")
    text = line.text.lower()
    if re.search(rf"{digits[:4]}(?:…|\.{{2,3}}){digits[-4:]}", text):
        return True
    return any(digits.startswith(found) for found in _HEXADECIMAL.findall(text))


def component(labels: Mapping[str, str], *, with_cluster: bool = False) -> str:
    """Return a line's program as a person names it: role, implementation, instance, perhaps its cluster."""
    names = ("role", "implementation", "instance", *(("cluster",) if with_cluster else ()))
    return " ".join(filter(None, (labels.get(name) for name in names)))


def masking(pipelines: Pipelines) -> tuple[Replace, ...]:
    """Return the stages that mask secrets: what another shipper sent may not have been through them."""
    return tuple(Replace(expression, MASK) for expression in pipelines.secrets.values())


def shown(text: str, mask: Iterable[Replace]) -> str:
    """Return a line as it may be shown: secrets masked, and no commands to a terminal."""
    return "".join(_visible(interpret(mask, Entry(text, {})).line))


def _visible(text: str) -> Iterator[str]:
    for letter in text:
        if letter.isprintable():
            yield letter
        else:
            yield " " if letter in "\t\n\r" else "\N{REPLACEMENT CHARACTER}"
