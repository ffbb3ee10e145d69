"""Presets of the consensus specification: the constants that the simulated chain obeys and serves.

Written down here a second time on purpose, independent of `stakewatch.ethereum`: a fake that shares the
constants of the code it tests would hide a wrong one. Source: consensus-specs, presets/ and configs/.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

GWEI = 10**9
EFFECTIVE_BALANCE_INCREMENT = 10**9
FAR_FUTURE_EPOCH = 2**64 - 1


@dataclass(frozen=True)
class Preset:
    """Sizes and limits in which the presets differ; epochs, slots and counts."""

    name: str
    slots_per_epoch: int
    maximum_committees_per_slot: int
    target_committee_size: int
    sync_committee_size: int
    epochs_per_sync_committee_period: int
    withdrawals_per_payload: int
    validators_per_sweep: int
    withdrawability_delay_epochs: int


MINIMAL = Preset(
    name="minimal",
    slots_per_epoch=8,
    maximum_committees_per_slot=4,
    target_committee_size=4,
    sync_committee_size=32,
    epochs_per_sync_committee_period=8,
    withdrawals_per_payload=4,
    validators_per_sweep=16,
    withdrawability_delay_epochs=2,
)
MAINNET = Preset(
    name="mainnet",
    slots_per_epoch=32,
    maximum_committees_per_slot=64,
    target_committee_size=128,
    sync_committee_size=512,
    epochs_per_sync_committee_period=256,
    withdrawals_per_payload=16,
    validators_per_sweep=16384,
    withdrawability_delay_epochs=256,
)
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in (MINIMAL, MAINNET)})

# Names by which the preset's fields appear in /eth/v1/config/spec.
_SPECIFICATION_NAMES = {
    "SLOTS_PER_EPOCH": "slots_per_epoch",
    "MAX_COMMITTEES_PER_SLOT": "maximum_committees_per_slot",
    "TARGET_COMMITTEE_SIZE": "target_committee_size",
    "SYNC_COMMITTEE_SIZE": "sync_committee_size",
    "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": "epochs_per_sync_committee_period",
    "MAX_WITHDRAWALS_PER_PAYLOAD": "withdrawals_per_payload",
    "MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP": "validators_per_sweep",
    "MIN_VALIDATOR_WITHDRAWABILITY_DELAY": "withdrawability_delay_epochs",
}
_MAINNET_ONLY = {
    "SLOTS_PER_HISTORICAL_ROOT": "8192",
    "EPOCHS_PER_HISTORICAL_VECTOR": "65536",
    "EPOCHS_PER_SLASHINGS_VECTOR": "8192",
    "EPOCHS_PER_ETH1_VOTING_PERIOD": "64",
    "SHUFFLE_ROUND_COUNT": "90",
    "UPDATE_TIMEOUT": "8192",
    "SHARD_COMMITTEE_PERIOD": "256",
    "ETH1_FOLLOW_DISTANCE": "2048",
    "MAX_VALIDATORS_PER_COMMITTEE": "2048",
}


def specification(
    preset: Preset,
    *,
    network: str,
    seconds_per_slot: int,
    genesis_time: int,
    chain_id: int,
    fork_versions: Mapping[str, tuple[str, int]],
) -> dict[str, str]:
    """Return the answer of /eth/v1/config/spec: every value a string.

    `fork_versions` maps a fork's lower-case name to its version (0x and 8 hex characters) and its epoch.
    The keys are those of a real client (Lodestar 1.22), held in `specification.json`.
    """
    values: dict[str, str] = json.loads(
        resources.files(__package__).joinpath("specification.json").read_text(encoding="utf-8")
    )
    if preset.name == "mainnet":
        values |= _MAINNET_ONLY
    values |= {name: str(getattr(preset, field)) for name, field in _SPECIFICATION_NAMES.items()}
    values |= {
        "PRESET_BASE": preset.name,
        "CONFIG_NAME": network,
        "SECONDS_PER_SLOT": str(seconds_per_slot),
        "MIN_GENESIS_TIME": str(genesis_time),
        "DEPOSIT_CHAIN_ID": str(chain_id),
        "DEPOSIT_NETWORK_ID": str(chain_id),
    }
    for fork, (version, epoch) in fork_versions.items():
        values[f"{fork.upper()}_FORK_VERSION"] = version
        if fork != "genesis":
            values[f"{fork.upper()}_FORK_EPOCH"] = str(epoch)
    return values
