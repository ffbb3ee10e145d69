"""Beacon states for tests: presets, random columns, and their SSZ form by any layout."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.state_layout import StateLayout, state_layout
from stakewatch.ethereum.state_stream import BeaconState, StateReader
from tests.bench.mainnet_state import SPECIFICATION as MAINNET

SAMPLES = Path("tests/samples/beacon-api")
FORKS = ("altair", "bellatrix", "capella", "deneb", "electra", "fulu", "gloas")
NETWORK = bytes(range(32))
GWEI = 10**9
FAR_FUTURE_EPOCH = 2**64 - 1
NO_KEYS = KeyIndices(frozenset())
MINIMAL = MAINNET | {
    "PRESET_BASE": "minimal",
    "SLOTS_PER_EPOCH": "8",
    "SLOTS_PER_HISTORICAL_ROOT": "64",
    "EPOCHS_PER_HISTORICAL_VECTOR": "64",
    "EPOCHS_PER_SLASHINGS_VECTOR": "64",
    "SYNC_COMMITTEE_SIZE": "32",
    "PTC_SIZE": "16",
}
GNOSIS = MAINNET | {"PRESET_BASE": "gnosis", "SLOTS_PER_EPOCH": "16", "BASE_REWARD_FACTOR": "25"}


def sample_json(name: str) -> Any:  # noqa: ANN401  the samples have no common form
    """Return the `data` of a sample."""
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))["data"]


@dataclass(frozen=True)
class Validator:
    """A validator as it stands in a state, with its balance, flags and score; amounts in gwei."""

    pubkey: bytes
    effective_balance: int = 32 * GWEI
    balance: int = 32 * GWEI
    is_slashed: bool = False
    eligibility_epoch: int = 0
    activation_epoch: int = 0
    exit_epoch: int = FAR_FUTURE_EPOCH
    withdrawable_epoch: int = FAR_FUTURE_EPOCH
    prefix: int = 1
    previous: int = 7
    current: int = 7
    score: int = 0

    def ssz(self) -> bytes:
        """Return the 121 bytes of the registry."""
        return b"".join(
            (
                self.pubkey,
                bytes((self.prefix,)) + bytes(31),
                uint64(self.effective_balance),
                bytes((self.is_slashed,)),
                *(
                    uint64(epoch)
                    for epoch in (
                        self.eligibility_epoch,
                        self.activation_epoch,
                        self.exit_epoch,
                        self.withdrawable_epoch,
                    )
                ),
            )
        )


@dataclass(frozen=True)
class Plan:
    """What a state shall say; `justified_bits` has the newest epoch first."""

    slot: int
    validators: tuple[Validator, ...]
    justified_bits: tuple[bool, bool, bool, bool] = (True, True, True, True)
    previous_justified: int = 0
    current_justified: int = 0
    finalized: int = 0
    lists: dict[str, bytes] = field(default_factory=dict)


def uint64(number: int) -> bytes:
    """Return a number's SSZ form."""
    return number.to_bytes(8, "little")


def pubkey(number: int) -> bytes:
    """Return a public key of a number's own."""
    return np.random.default_rng(number).bytes(48)


def ssz(layout: StateLayout, plan: Plan) -> bytes:
    """Return a state's SSZ form."""
    everybody = plan.validators
    contents = {
        "historical_roots": bytes(32 * 3),
        "eth1_data_votes": bytes(72 * 2),
        "validators": b"".join(validator.ssz() for validator in everybody),
        "balances": b"".join(uint64(validator.balance) for validator in everybody),
        "previous_epoch_participation": bytes(validator.previous for validator in everybody),
        "current_epoch_participation": bytes(validator.current for validator in everybody),
        "inactivity_scores": b"".join(uint64(validator.score) for validator in everybody),
        "latest_execution_payload_header": bytes(600),
        "historical_summaries": bytes(64),
        "pending_deposits": bytes(192 * 5),
        "pending_partial_withdrawals": bytes(24 * 2),
        "pending_consolidations": b"",
        "payload_expected_withdrawals": bytes(44),
    } | plan.lists
    part = bytearray(np.random.default_rng(plan.slot).bytes(layout.fixed_bytes))
    bits = sum(1 << place for place, bit in enumerate(plan.justified_bits) if bit)
    for name, content in (
        ("genesis_validators_root", NETWORK),
        ("slot", uint64(plan.slot)),
        ("current_version", layout.fork_version),
        ("justification_bits", bytes((bits,))),
        ("previous_justified_checkpoint", uint64(plan.previous_justified)),
        ("current_justified_checkpoint", uint64(plan.current_justified)),
        ("finalized_checkpoint", uint64(plan.finalized)),
    ):
        position = layout.positions[name]
        part[position : position + len(content)] = content
    offset = layout.fixed_bytes
    for one in layout.lists:
        part[one.position : one.position + 4] = offset.to_bytes(4, "little")
        offset += len(contents.get(one.name, b""))
    return bytes(part) + b"".join(contents.get(one.name, b"") for one in layout.lists)


def read(
    content: bytes, layout: StateLayout, slot: int, *, chunk: int = 1 << 22, keys: KeyIndices = NO_KEYS
) -> BeaconState:
    """Return the state that a reader finds in chunks of some size."""
    reader = StateReader(
        layout, slot=slot, genesis_validators_root=NETWORK, content_length=len(content), keys=keys
    )
    for first in range(0, len(content), chunk):
        reader.feed(content[first : first + chunk])
    return reader.finish()


def minimal(fork: str = "electra") -> StateLayout:
    """Return the layout of the minimal preset."""
    return state_layout(MINIMAL, fork)


def plain(count: int = 20) -> Plan:
    """Return a state of epoch 4 in which all validators attest and finality is as fresh as it gets."""
    validators = tuple(Validator(pubkey(number)) for number in range(count))
    return Plan(slot=39, validators=validators, previous_justified=2, current_justified=3, finalized=2)


def random_plan(seed: int) -> Plan:
    """Return a state in which validators are pending, exited, slashed, compounding or leaking."""
    random = np.random.default_rng(seed)
    epoch = int(random.integers(1, 40))
    base = int(random.integers(1, 2049))
    reliability = random.choice([0.2, 0.6, 0.7, 0.99])
    highest_score = int(random.choice([1, 40, 10**4, 2**32 - 1]))

    def moment(*, late: bool) -> int:
        chosen = [epoch - 2, epoch - 1, epoch, epoch + 1, epoch + 2, FAR_FUTURE_EPOCH, 0]
        return max(int(chosen[random.integers(2 if late else 0, len(chosen) - late)]), 0)

    def flags() -> int:
        return 7 if random.random() < reliability else int(random.integers(0, 8))

    def validator(number: int) -> Validator:
        plainly = random.random() < 0.6
        return Validator(
            pubkey=pubkey(number),
            effective_balance=GWEI * int(random.choice([base, 32, 0, int(random.integers(0, 2049))])),
            balance=int(random.integers(0, 2048 * GWEI)),
            is_slashed=bool(random.random() < 0.15),
            eligibility_epoch=0 if plainly else moment(late=False),
            activation_epoch=0 if plainly else moment(late=False),
            exit_epoch=FAR_FUTURE_EPOCH if plainly else moment(late=True),
            withdrawable_epoch=moment(late=True),
            prefix=int(random.integers(0, 4)),
            previous=flags(),
            current=flags(),
            score=int(random.integers(0, highest_score, endpoint=True)),
        )

    bits = tuple(bool(bit) for bit in random.integers(0, 2, 4))
    return Plan(
        slot=epoch * 8 + int(random.integers(0, 8)),
        validators=tuple(validator(number) for number in range(int(random.integers(1, 60)))),
        justified_bits=(bits[0], bits[1], bits[2], bits[3]),
        previous_justified=max(epoch - int(random.integers(1, 5)), 0),
        current_justified=max(epoch - int(random.integers(1, 3)), 0),
        finalized=max(epoch - int(random.integers(1, 9)), 0),
    )


def with_validator(plan: Plan, index: int, **changes: Any) -> Plan:  # noqa: ANN401  fields of Validator
    """Return a plan in which one validator differs."""
    validators = list(plan.validators)
    validators[index] = replace(validators[index], **changes)
    return replace(plan, validators=tuple(validators))
