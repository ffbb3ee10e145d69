"""The values of a chain that a node tells in `/eth/v1/config/spec`, and the networks known by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

FAR_FUTURE_EPOCH = 2**64 - 1

# Source: the config.yaml of each network and its genesis state, as the clients ship them.
GENESIS_VALIDATORS_ROOTS: Mapping[str, str] = MappingProxyType(
    {
        "mainnet": "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
        "sepolia": "0xd8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078",
        "holesky": "0x9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1",
        "hoodi": "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f",
        "gnosis": "0xf5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47",
        "chiado": "0x9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e",
    }
)

_PRESET_SLOTS_PER_EPOCH: Mapping[str, int] = MappingProxyType({"mainnet": 32, "minimal": 8, "gnosis": 16})
_LONGEST_SLOT_MILLISECONDS = 3_600_000
_MOST_SLOTS_PER_EPOCH = 1024
_DEFAULT_LEAK_EPOCHS = 4


@dataclass(frozen=True)
class Specification:
    """What we need of `config/spec`; `fork_epochs` by upper-case fork name, only forks that are scheduled.

    `epochs_to_inactivity_penalty` is MIN_EPOCHS_TO_INACTIVITY_PENALTY: a longer finality delay is a leak.
    `values` is all that the node said, for those who read states.
    """

    slot_milliseconds: int
    slots_per_epoch: int
    deposit_chain_id: int | None
    epochs_to_inactivity_penalty: int
    fork_epochs: Mapping[str, int]
    values: Mapping[str, object] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )

    def has_forked(self, fork: str, epoch: int) -> bool:
        """Whether a fork is active in an epoch."""
        return fork in self.fork_epochs and epoch >= self.fork_epochs[fork]


def _number(values: Mapping[str, object], name: str) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"{name} is not a number: {str(value)[:60]!r}")


def parse_specification(values: Mapping[str, object]) -> Specification:
    """Parse the `data` of `config/spec`, of any client, preset and fork.

    Raises ValueError when the length of a slot or of an epoch is missing or absurd.
    """
    milliseconds = _number(values, "SLOT_DURATION_MS")
    if milliseconds is None:
        seconds = _number(values, "SECONDS_PER_SLOT")
        if seconds is None:
            raise ValueError("neither SLOT_DURATION_MS nor SECONDS_PER_SLOT is given")
        milliseconds = seconds * 1000
    if not 0 < milliseconds <= _LONGEST_SLOT_MILLISECONDS:
        raise ValueError(f"a slot of {milliseconds} ms cannot be")
    slots_per_epoch = _number(values, "SLOTS_PER_EPOCH")
    if slots_per_epoch is None:
        slots_per_epoch = _PRESET_SLOTS_PER_EPOCH.get(str(values.get("PRESET_BASE")), 0)
    if not 0 < slots_per_epoch <= _MOST_SLOTS_PER_EPOCH:
        raise ValueError(f"an epoch of {slots_per_epoch} slots cannot be")
    leak_epochs = _number(values, "MIN_EPOCHS_TO_INACTIVITY_PENALTY")
    forks: dict[str, int] = {}
    for name in values:
        if name.endswith("_FORK_EPOCH"):
            epoch = _number(values, name)
            if epoch is not None and epoch < FAR_FUTURE_EPOCH:
                forks[name.removesuffix("_FORK_EPOCH")] = epoch
    return Specification(
        slot_milliseconds=milliseconds,
        slots_per_epoch=slots_per_epoch,
        deposit_chain_id=_number(values, "DEPOSIT_CHAIN_ID"),
        epochs_to_inactivity_penalty=_DEFAULT_LEAK_EPOCHS if leak_epochs is None else leak_epochs,
        fork_epochs=MappingProxyType(forks),
        values=MappingProxyType(dict(values)),
    )
