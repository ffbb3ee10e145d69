"""Where the fields of a beacon state stand in its SSZ form, for each fork, from the values of `config/spec`.

Source: consensus-specs, `BeaconState` of altair to gloas, and SSZ's `Container`: fixed parts in the order of
the fields, with a word of 4 bytes in place of each variable field that says where its bytes begin. The
progressive containers and lists of gloas (EIP-7495, EIP-7916) serialise like plain ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stakewatch.errors import StakewatchError

OFFSET_BYTES = 4
CHECKPOINT_BYTES = 40
PUBKEY_BYTES = 48
VALIDATOR_BYTES = 121
_ROOT_BYTES = 32
_PTC_WINDOW_EPOCHS = 2
_LARGEST_VALUE = 2**40
_LARGEST_FIXED_BYTES = 64 << 20
# Elements of a list whose length nobody here needs are taken as single bytes.
_OPAQUE = 1


class StateError(StakewatchError):
    """A beacon state cannot be used; another source of the same figures may still do."""


class UnknownForkError(StateError):
    """The layout of a state of this fork is not known."""


class SpecificationError(StateError):
    """`config/spec` lacks a value that the layout or the rewards depend on, or the value cannot be."""


@dataclass(frozen=True)
class ListField:
    """A variable field: where its offset word stands, the bytes of one element, and how many there can be."""

    name: str
    position: int
    element_bytes: int
    most_elements: int


@dataclass(frozen=True)
class StateLayout:
    """The layout of the states of one fork on one network.

    `positions` has the byte position of each field in the fixed part, which is `fixed_bytes` long; `lists`
    are the variable fields in the order of their bytes. `fork_version` is what a state of this fork carries.
    """

    fork: str
    fork_version: bytes
    slots_per_epoch: int
    effective_balance_increment: int
    sync_committee_size: int
    fixed_bytes: int
    positions: Mapping[str, int]
    lists: tuple[ListField, ...]


@dataclass(frozen=True)
class _Fixed:
    name: str
    size: int


@dataclass(frozen=True)
class _Variable:
    name: str
    element_bytes: int
    most_elements: int = _LARGEST_VALUE


_Field = _Fixed | _Variable


def specification_number(values: Mapping[str, object], name: str, *, most: int = _LARGEST_VALUE) -> int:
    """Return a positive number of `config/spec`, which clients write as a string.

    Raises SpecificationError when it is missing, no number, zero, or more than `most`.
    """
    value = values.get(name)
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= most:
        shown = "missing" if value is None else str(value)[:60]
        raise SpecificationError(f"{name} of config/spec cannot be used: {shown}")
    return number


def fork_at(values: Mapping[str, object], epoch: int) -> str:
    """Return the lower-case name of the newest fork of `config/spec` that is active in an epoch.

    Of forks at the same epoch the one with the higher version counts; "phase0" when there is none. The name
    may be that of a fork which `state_layout` does not know.
    """
    newest = (-1, "", "phase0")
    for name, value in values.items():
        if not name.endswith("_FORK_EPOCH"):
            continue
        start = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        if not isinstance(start, int) or isinstance(start, bool) or start > epoch:
            continue
        fork = name.removesuffix("_FORK_EPOCH")
        newest = max(newest, (start, str(values.get(f"{fork}_FORK_VERSION", "")).lower(), fork.lower()))
    return newest[2]


def state_layout(values: Mapping[str, object], fork: str) -> StateLayout:
    """Return the layout of the states of a fork (lower case), from the `data` of `config/spec`.

    Raises UnknownForkError for a fork that is not known here, among them phase0, whose states hold
    attestations in place of participation flags, and SpecificationError when a value is missing.
    """
    if fork not in _FORKS:
        raise UnknownForkError(
            f"the states of fork {fork[:40]!r} cannot be read",
            mend=f"forks that can be read are {', '.join(_FORKS)}; a newer stakewatch may know more",
        )
    position = 0
    positions: dict[str, int] = {}
    lists: list[ListField] = []
    for field in _fields(values, _FORKS.index(fork)):
        positions[field.name] = position
        if isinstance(field, _Fixed):
            position += field.size
        else:
            lists.append(ListField(field.name, position, field.element_bytes, field.most_elements))
            position += OFFSET_BYTES
    if position > _LARGEST_FIXED_BYTES:
        raise SpecificationError(f"config/spec makes a state of {position} bytes before its first validator")
    return StateLayout(
        fork=fork,
        fork_version=_fork_version(values, fork),
        slots_per_epoch=specification_number(values, "SLOTS_PER_EPOCH"),
        effective_balance_increment=specification_number(values, "EFFECTIVE_BALANCE_INCREMENT"),
        sync_committee_size=specification_number(values, "SYNC_COMMITTEE_SIZE"),
        fixed_bytes=position,
        positions=MappingProxyType(positions),
        lists=tuple(lists),
    )


_FORKS = ("altair", "bellatrix", "capella", "deneb", "electra", "fulu", "gloas")
_BELLATRIX, _CAPELLA, _ELECTRA, _FULU, _GLOAS = (
    _FORKS.index(fork) for fork in ("bellatrix", "capella", "electra", "fulu", "gloas")
)


def _fork_version(values: Mapping[str, object], fork: str) -> bytes:
    name = f"{fork.upper()}_FORK_VERSION"
    text = str(values.get(name, "missing"))
    try:
        version = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        version = b""
    if len(version) != OFFSET_BYTES:
        raise SpecificationError(f"{name} of config/spec cannot be used: {text[:60]}")
    return version


def _fields(values: Mapping[str, object], fork: int) -> tuple[_Field, ...]:
    sync_committee = PUBKEY_BYTES * (specification_number(values, "SYNC_COMMITTEE_SIZE") + 1)
    historical_roots = specification_number(values, "SLOTS_PER_HISTORICAL_ROOT")
    roots_limit = specification_number(values, "HISTORICAL_ROOTS_LIMIT")
    return (
        _Fixed("genesis_time", 8),
        _Fixed("genesis_validators_root", _ROOT_BYTES),
        _Fixed("slot", 8),
        _Fixed("previous_version", 4),
        _Fixed("current_version", 4),
        _Fixed("fork_epoch", 8),
        _Fixed("latest_block_header", 8 + 8 + 3 * _ROOT_BYTES),
        _Fixed("block_roots", _ROOT_BYTES * historical_roots),
        _Fixed("state_roots", _ROOT_BYTES * historical_roots),
        _Variable("historical_roots", _ROOT_BYTES, roots_limit),
        _Fixed("eth1_data", _ROOT_BYTES + 8 + _ROOT_BYTES),
        _Variable("eth1_data_votes", _ROOT_BYTES + 8 + _ROOT_BYTES),
        _Fixed("eth1_deposit_index", 8),
        _Variable("validators", VALIDATOR_BYTES),
        _Variable("balances", 8),
        _Fixed("randao_mixes", _ROOT_BYTES * specification_number(values, "EPOCHS_PER_HISTORICAL_VECTOR")),
        _Fixed("slashings", 8 * specification_number(values, "EPOCHS_PER_SLASHINGS_VECTOR")),
        _Variable("previous_epoch_participation", 1),
        _Variable("current_epoch_participation", 1),
        _Fixed("justification_bits", 1),
        _Fixed("previous_justified_checkpoint", CHECKPOINT_BYTES),
        _Fixed("current_justified_checkpoint", CHECKPOINT_BYTES),
        _Fixed("finalized_checkpoint", CHECKPOINT_BYTES),
        _Variable("inactivity_scores", 8),
        _Fixed("current_sync_committee", sync_committee),
        _Fixed("next_sync_committee", sync_committee),
        *_execution_fields(fork, roots_limit),
        *_queue_fields(fork),
        *(_lookahead_fields(values) if fork >= _FULU else ()),
        *(_builder_fields(values, historical_roots) if fork >= _GLOAS else ()),
    )


def _execution_fields(fork: int, roots_limit: int) -> tuple[_Field, ...]:
    if fork < _BELLATRIX:
        return ()
    payload: tuple[_Field, ...] = (
        (_Fixed("latest_block_hash", _ROOT_BYTES),)
        if fork >= _GLOAS
        else (_Variable("latest_execution_payload_header", _OPAQUE),)
    )
    if fork < _CAPELLA:
        return payload
    return (
        *payload,
        _Fixed("next_withdrawal_index", 8),
        _Fixed("next_withdrawal_validator_index", 8),
        _Variable("historical_summaries", 2 * _ROOT_BYTES, roots_limit),
    )


def _queue_fields(fork: int) -> tuple[_Field, ...]:
    if fork < _ELECTRA:
        return ()
    return (
        _Fixed("deposit_requests_start_index", 8),
        _Fixed("deposit_balance_to_consume", 8),
        _Fixed("exit_balance_to_consume", 8),
        _Fixed("earliest_exit_epoch", 8),
        _Fixed("consolidation_balance_to_consume", 8),
        _Fixed("earliest_consolidation_epoch", 8),
        _Variable("pending_deposits", PUBKEY_BYTES + _ROOT_BYTES + 8 + 96 + 8),
        _Variable("pending_partial_withdrawals", 24),
        _Variable("pending_consolidations", 16),
    )


def _lookahead_fields(values: Mapping[str, object]) -> tuple[_Field, ...]:
    epochs = specification_number(values, "MIN_SEED_LOOKAHEAD") + 1
    return (_Fixed("proposer_lookahead", 8 * epochs * specification_number(values, "SLOTS_PER_EPOCH")),)


def _builder_fields(values: Mapping[str, object], historical_roots: int) -> tuple[_Field, ...]:
    slots = specification_number(values, "SLOTS_PER_EPOCH")
    epochs = _PTC_WINDOW_EPOCHS + specification_number(values, "MIN_SEED_LOOKAHEAD")
    # A pending payment: weight, withdrawal (fee recipient, amount, builder), proposer.
    payment = 8 + (20 + 8 + 8) + 8
    return (
        _Variable("builders", _OPAQUE),
        _Fixed("next_withdrawal_builder_index", 8),
        _Fixed("execution_payload_availability", (historical_roots + 7) // 8),
        _Fixed("builder_pending_payments", payment * 2 * slots),
        _Variable("builder_pending_withdrawals", _OPAQUE),
        _Variable("latest_execution_payload_bid", _OPAQUE),
        _Variable("payload_expected_withdrawals", 8 + 8 + 20 + 8),
        _Fixed("ptc_window", 8 * specification_number(values, "PTC_SIZE") * epochs * slots),
    )
