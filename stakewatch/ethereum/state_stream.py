"""A beacon state read from a stream of bytes into narrow columns, never whole in memory.

Nothing that the stream says is believed before it is checked: the lengths of all lists come from the fixed
part and must fit together, and to the length that was announced, before any memory is taken for them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.key_indices import KeyIndices, KeySearch
from stakewatch.ethereum.state_layout import (
    OFFSET_BYTES,
    PUBKEY_BYTES,
    VALIDATOR_BYTES,
    ListField,
    StateError,
    StateLayout,
)

# Stands in the epoch columns for FAR_FUTURE_EPOCH and for whatever else no chain will live to see.
NEVER = 2**32 - 1
_BLOCK_BYTES = 512 * 1024
_MOST_VALIDATORS = 10_000_000
_LARGEST_TAIL_BYTES = 256 << 20
_LARGEST_UINT16 = 2**16 - 1
_LARGEST_FLAGS = 0b111
_LARGEST_JUSTIFICATION_BITS = 0b1111
_PER_VALIDATOR = (
    "validators",
    "balances",
    "previous_epoch_participation",
    "current_epoch_participation",
    "inactivity_scores",
)
_QUEUES = ("pending_deposits", "pending_partial_withdrawals", "pending_consolidations")
_VALIDATOR = np.dtype(
    {
        "names": [
            "pubkey",
            "withdrawal_prefix",
            "effective_balance",
            "slashed",
            "activation_eligibility_epoch",
            "activation_epoch",
            "exit_epoch",
            "withdrawable_epoch",
        ],
        "formats": [("u1", PUBKEY_BYTES), "u1", "<u8", "u1", "<u8", "<u8", "<u8", "<u8"],
        "offsets": [0, 48, 80, 88, 89, 97, 105, 113],
        "itemsize": VALIDATOR_BYTES,
    }
)


class MalformedStateError(StateError):
    """The bytes are no state of the expected layout: offsets, lengths or values cannot be."""


class TruncatedStateError(StateError):
    """The bytes end before the state does."""


class OtherStateError(StateError):
    """The bytes are a state, but not the one that was asked for: of another slot, fork or network."""


@dataclass(frozen=True)
class Registry:
    """The validators of a state; one entry per validator index in every column.

    `effective_balances` in increments (uint16; an increment is 1 ETH), epochs uint32 with NEVER for far
    future, `is_slashed` bool, `withdrawal_prefixes` (uint8) the first byte of the withdrawal credentials.
    """

    effective_balances: npt.NDArray[np.uint16]
    activation_eligibility_epochs: npt.NDArray[np.uint32]
    activation_epochs: npt.NDArray[np.uint32]
    exit_epochs: npt.NDArray[np.uint32]
    withdrawable_epochs: npt.NDArray[np.uint32]
    is_slashed: npt.NDArray[np.bool_]
    withdrawal_prefixes: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class BeaconState:
    """What we need of a beacon state; arrays have one entry per validator index.

    `balances` in gwei (int64); participation is flag bits (uint8: 1 source, 2 target, 4 head);
    `inactivity_scores` uint32. `justification_bits` has the newest epoch first. The sync committees are
    public keys (uint8, seats by 48). `queue_lengths` counts the entries of each queue that the fork has.
    """

    fork: str
    slot: int
    slots_per_epoch: int
    effective_balance_increment: int
    justification_bits: tuple[bool, ...]
    previous_justified_epoch: int
    current_justified_epoch: int
    finalized_epoch: int
    finalized_root: bytes
    registry: Registry
    balances: npt.NDArray[np.int64]
    previous_participation: npt.NDArray[np.uint8]
    current_participation: npt.NDArray[np.uint8]
    inactivity_scores: npt.NDArray[np.uint32]
    current_sync_committee: npt.NDArray[np.uint8]
    next_sync_committee: npt.NDArray[np.uint8]
    queue_lengths: Mapping[str, int]
    keys: KeyIndices

    @property
    def epoch(self) -> int:
        """The epoch that the state lies in; `previous_participation` is of the one before."""
        return self.slot // self.slots_per_epoch


@dataclass(frozen=True)
class _Section:
    """A run of bytes, from where the one before ended up to `end`; what is not taken is passed over."""

    end: int
    element_bytes: int
    take: Callable[[memoryview], None] | None


@dataclass(frozen=True)
class _Head:
    """What the fixed part says, besides the offsets."""

    slot: int
    justification_bits: int
    previous_justified_epoch: int
    current_justified_epoch: int
    finalized_epoch: int
    finalized_root: bytes
    current_sync_committee: npt.NDArray[np.uint8]
    next_sync_committee: npt.NDArray[np.uint8]


class StateReader:
    """Takes a state's bytes in chunks of any size with `feed`, and gives the state with `finish`.

    `slot` and `genesis_validators_root` are those of the state that was asked for. `content_length` is that
    of the answer, None when it was not announced or counts compressed bytes. `keys` is what is known of the
    watched keys; the state brings it up to date. At most `most_validators` are accepted.
    """

    def __init__(
        self,
        layout: StateLayout,
        *,
        slot: int,
        genesis_validators_root: bytes,
        content_length: int | None,
        keys: KeyIndices,
        most_validators: int = _MOST_VALIDATORS,
    ) -> None:
        if content_length is not None and content_length < layout.fixed_bytes:
            raise TruncatedStateError(
                f"{content_length} bytes are announced, the fixed part alone has {layout.fixed_bytes}"
            )
        self._layout = layout
        self._slot = slot
        self._genesis_validators_root = genesis_validators_root
        self._content_length = content_length
        self._most_validators = most_validators
        self._search = KeySearch(keys)
        self._received = 0
        self._sections = [_Section(layout.fixed_bytes, layout.fixed_bytes, self._take_fixed_part)]
        self._block = bytearray(layout.fixed_bytes)
        self._filled = 0
        self._offsets: tuple[int, ...] = ()
        self._head: _Head | None = None
        self._columns: _Columns | None = None

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes, as they came; the chunk is not kept.

        Raises MalformedStateError, OtherStateError or KeysMovedError as soon as they are seen; a reader that
        raised is of no more use.
        """
        rest = memoryview(chunk).cast("B")
        while rest:
            if not self._sections:
                raise MalformedStateError(f"bytes follow after the end of the state at {self._received}")
            section = self._sections[0]
            part = rest[: section.end - self._received]
            rest = rest[len(part) :]
            if section.take is not None:
                self._collect(part, section.take)
            self._received += len(part)
            while self._sections and self._received == self._sections[0].end:
                self._enter_next()

    def finish(self) -> BeaconState:
        """Return the state after its last byte.

        Raises TruncatedStateError when bytes are missing, MalformedStateError when the last list ends within
        an element, KeysMovedError when a known validator is gone.
        """
        head, columns = self._head, self._columns
        # Without an announced length the last list ends where the stream does.
        is_open = self._content_length is None and len(self._sections) == 1 and self._sections[0].take is None
        if head is None or columns is None or (self._sections and not is_open):
            expected = self._content_length or (self._offsets or (self._layout.fixed_bytes,))[-1]
            raise TruncatedStateError(f"the state ends after {self._received} of at least {expected} bytes")
        _check_list(self._layout.lists[-1], self._offsets[-1], self._received)
        bounds = (*self._offsets, self._received)
        lengths = {
            field.name: (end - start) // field.element_bytes
            for field, (start, end) in zip(self._layout.lists, pairwise(bounds), strict=True)
        }
        return BeaconState(
            fork=self._layout.fork,
            slot=head.slot,
            slots_per_epoch=self._layout.slots_per_epoch,
            effective_balance_increment=self._layout.effective_balance_increment,
            justification_bits=tuple(bool(head.justification_bits >> bit & 1) for bit in range(4)),
            previous_justified_epoch=head.previous_justified_epoch,
            current_justified_epoch=head.current_justified_epoch,
            finalized_epoch=head.finalized_epoch,
            finalized_root=head.finalized_root,
            registry=columns.registry,
            balances=columns.balances,
            previous_participation=columns.previous_participation,
            current_participation=columns.current_participation,
            inactivity_scores=columns.inactivity_scores,
            current_sync_committee=head.current_sync_committee,
            next_sync_committee=head.next_sync_committee,
            queue_lengths={name: lengths[name] for name in _QUEUES if name in lengths},
            keys=self._search.found(len(columns.balances)),
        )

    # ---- bytes

    def _collect(self, part: memoryview, take: Callable[[memoryview], None]) -> None:
        """Gather bytes until the block is full or the section ends, and hand them on as whole elements."""
        left = self._sections[0].end - self._received
        while part:
            piece = part[: len(self._block) - self._filled]
            self._block[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            left -= len(piece)
            part = part[len(piece) :]
            if self._filled == len(self._block) or left == 0:
                take(memoryview(self._block)[: self._filled])
                self._filled = 0

    def _enter_next(self) -> None:
        """Begin the next section with a block that holds a whole number of its elements."""
        del self._sections[0]
        if self._sections and self._sections[0].take is not None:
            element_bytes = self._sections[0].element_bytes
            self._block = bytearray(max(_BLOCK_BYTES // element_bytes, 1) * element_bytes)

    # ---- the fixed part

    def _take_fixed_part(self, block: memoryview) -> None:
        part = bytes(block)
        self._check_identity(part)
        self._head = self._read_head(part)
        self._offsets = tuple(
            int.from_bytes(part[field.position : field.position + OFFSET_BYTES], "little")
            for field in self._layout.lists
        )
        count = self._check_lengths()
        self._columns = columns = _Columns(count, self._layout.effective_balance_increment, self._search)
        takes = {
            "validators": columns.take_validators,
            "balances": columns.take_balances,
            "previous_epoch_participation": columns.take_previous_participation,
            "current_epoch_participation": columns.take_current_participation,
            "inactivity_scores": columns.take_inactivity_scores,
        }
        self._sections += [
            _Section(end, field.element_bytes, takes.get(field.name))
            for field, end in zip(self._layout.lists, self._ends(count), strict=True)
        ]

    def _number(self, part: bytes, name: str) -> int:
        return int.from_bytes(self._bytes(part, name, 8), "little")

    def _bytes(self, part: bytes, name: str, count: int) -> bytes:
        position = self._layout.positions[name]
        return part[position : position + count]

    def _check_identity(self, part: bytes) -> None:
        if self._bytes(part, "genesis_validators_root", 32) != self._genesis_validators_root:
            raise OtherStateError("the state is of another network")
        slot = self._number(part, "slot")
        if slot != self._slot:
            raise OtherStateError(f"the state is of slot {slot}, not of slot {self._slot}")
        version = self._bytes(part, "current_version", 4)
        if version != self._layout.fork_version:
            raise OtherStateError(
                f"the state has fork version 0x{version.hex()}, that of {self._layout.fork} is "
                f"0x{self._layout.fork_version.hex()}"
            )

    def _read_head(self, part: bytes) -> _Head:
        epoch = self._slot // self._layout.slots_per_epoch
        bits = self._bytes(part, "justification_bits", 1)[0]
        epochs = [
            self._number(part, name)
            for name in (
                "previous_justified_checkpoint",
                "current_justified_checkpoint",
                "finalized_checkpoint",
            )
        ]
        if bits > _LARGEST_JUSTIFICATION_BITS or max(epochs) > epoch or epoch >= NEVER:
            raise MalformedStateError(f"justified and finalized epochs {epochs} cannot be in epoch {epoch}")
        committee_bytes = PUBKEY_BYTES * self._layout.sync_committee_size
        current, following = (
            np.frombuffer(self._bytes(part, name, committee_bytes), dtype=np.uint8).reshape(-1, PUBKEY_BYTES)
            for name in ("current_sync_committee", "next_sync_committee")
        )
        return _Head(
            slot=self._slot,
            justification_bits=bits,
            previous_justified_epoch=epochs[0],
            current_justified_epoch=epochs[1],
            finalized_epoch=epochs[2],
            finalized_root=self._bytes(part, "finalized_checkpoint", 40)[8:],
            current_sync_committee=current,
            next_sync_committee=following,
        )

    def _check_lengths(self) -> int:
        """Check the offsets against each other and the announced length; return how many validators."""
        lists = self._layout.lists
        if self._offsets[0] != self._layout.fixed_bytes:
            raise MalformedStateError(
                f"the first list begins at {self._offsets[0]}, a {self._layout.fork} state's at "
                f"{self._layout.fixed_bytes}"
            )
        for field, (start, end) in zip(lists, pairwise(self._offsets), strict=False):
            _check_list(field, start, end)
        if self._content_length is not None:
            _check_list(lists[-1], self._offsets[-1], self._content_length)
        lengths = {
            field.name: (end - start) // field.element_bytes
            for field, (start, end) in zip(lists, pairwise(self._offsets), strict=False)
        }
        count = lengths["validators"]
        if lists[-1].name in _PER_VALIDATOR:
            end = self._offsets[-1] + count * lists[-1].element_bytes
            if self._content_length not in {None, end}:
                raise MalformedStateError(f"the state is {self._content_length} bytes long, not {end}")
        for name in _PER_VALIDATOR:
            if lengths.get(name, count) != count:
                raise MalformedStateError(f"{count} validators have {lengths[name]} {name}")
        if not 0 < count <= self._most_validators:
            raise MalformedStateError(f"a state of {count} validators cannot be")
        return count

    def _ends(self, count: int) -> tuple[int, ...]:
        """Return where each list ends; the last one of an unknown length may go on for a while."""
        last = self._layout.lists[-1]
        if last.name in _PER_VALIDATOR:
            return (*self._offsets[1:], self._offsets[-1] + count * last.element_bytes)
        return (*self._offsets[1:], self._content_length or self._offsets[-1] + _LARGEST_TAIL_BYTES)


def _check_list(field: ListField, start: int, end: int) -> None:
    if start > end:
        raise MalformedStateError(f"{field.name} begins at {start} and ends before, at {end}")
    count, rest = divmod(end - start, field.element_bytes)
    if rest or count > field.most_elements:
        raise MalformedStateError(f"{field.name} of {end - start} bytes cannot be")


class _Columns:
    """The columns of one state while they are filled, each from its first index to its last."""

    def __init__(self, count: int, increment: int, search: KeySearch) -> None:
        self.registry = Registry(
            effective_balances=np.empty(count, dtype=np.uint16),
            activation_eligibility_epochs=np.empty(count, dtype=np.uint32),
            activation_epochs=np.empty(count, dtype=np.uint32),
            exit_epochs=np.empty(count, dtype=np.uint32),
            withdrawable_epochs=np.empty(count, dtype=np.uint32),
            is_slashed=np.empty(count, dtype=np.bool_),
            withdrawal_prefixes=np.empty(count, dtype=np.uint8),
        )
        self.balances = np.empty(count, dtype=np.int64)
        self.previous_participation = np.empty(count, dtype=np.uint8)
        self.current_participation = np.empty(count, dtype=np.uint8)
        self.inactivity_scores = np.empty(count, dtype=np.uint32)
        self._increment = np.uint64(increment)
        self._search = search
        self._places = dict.fromkeys(_PER_VALIDATOR, 0)

    def take_validators(self, block: memoryview) -> None:
        records = np.frombuffer(block, dtype=_VALIDATOR)
        place = self._next("validators", len(records))
        registry = self.registry
        self._search.look(place.start, records["pubkey"])
        increments = records["effective_balance"] // self._increment
        if (
            int(increments.max()) > _LARGEST_UINT16
            or (increments * self._increment != records["effective_balance"]).any()
        ):
            raise MalformedStateError(f"an effective balance from validator {place.start} on cannot be")
        registry.effective_balances[place] = increments
        slashed = records["slashed"]
        if int(slashed.max()) > 1:
            raise MalformedStateError(f"a slashed flag from validator {place.start} on is neither 0 nor 1")
        registry.is_slashed[place] = slashed
        registry.withdrawal_prefixes[place] = records["withdrawal_prefix"]
        for column, name in (
            (registry.activation_eligibility_epochs, "activation_eligibility_epoch"),
            (registry.activation_epochs, "activation_epoch"),
            (registry.exit_epochs, "exit_epoch"),
            (registry.withdrawable_epochs, "withdrawable_epoch"),
        ):
            column[place] = np.minimum(records[name], np.uint64(NEVER))

    def take_balances(self, block: memoryview) -> None:
        balances = np.frombuffer(block, dtype="<i8")
        place = self._next("balances", len(balances))
        if int(balances.min()) < 0:
            raise MalformedStateError(f"a balance from validator {place.start} on is beyond all ether")
        self.balances[place] = balances

    def take_previous_participation(self, block: memoryview) -> None:
        self._take_flags("previous_epoch_participation", self.previous_participation, block)

    def take_current_participation(self, block: memoryview) -> None:
        self._take_flags("current_epoch_participation", self.current_participation, block)

    def take_inactivity_scores(self, block: memoryview) -> None:
        scores = np.frombuffer(block, dtype="<u8")
        place = self._next("inactivity_scores", len(scores))
        if int(scores.max()) > NEVER:
            raise MalformedStateError(f"an inactivity score from validator {place.start} on cannot be")
        self.inactivity_scores[place] = scores

    def _take_flags(self, name: str, column: npt.NDArray[np.uint8], block: memoryview) -> None:
        flags = np.frombuffer(block, dtype=np.uint8)
        place = self._next(name, len(flags))
        if int(flags.max()) > _LARGEST_FLAGS:
            raise MalformedStateError(f"{name} from validator {place.start} on has unknown flags")
        column[place] = flags

    def _next(self, name: str, count: int) -> slice:
        first = self._places[name]
        self._places[name] = first + count
        return slice(first, first + count)
