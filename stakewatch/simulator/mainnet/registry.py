"""The validators of a chain of mainnet's size: who they are, what they have, and who of them is watched."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.presets import FAR_FUTURE_EPOCH, GWEI

FULL_INCREMENTS = 32
LARGEST_INCREMENTS = 2048
PUBKEY_BYTES = 48

RECORD = np.dtype(
    [
        ("pubkey", "u1", PUBKEY_BYTES),
        ("withdrawal_credentials", "u1", 32),
        ("effective_balance", "<u8"),
        ("slashed", "u1"),
        ("activation_eligibility_epoch", "<u8"),
        ("activation_epoch", "<u8"),
        ("exit_epoch", "<u8"),
        ("withdrawable_epoch", "<u8"),
    ]
)
_COMPOUNDING_RATIO = 0.03
_PENDING = 50
_SLASHED_AND_EXITED = 1_000
_WATCHED_EXITED = 10
_WATCHED_PENDING = 2
_WITHDRAWABLE_LATER_EPOCHS = 300


@dataclass(frozen=True)
class MainnetParameters:
    """What makes two such chains differ; the same parameters give the same chain.

    `active` of the `validators` have duties, `watched` of all are ours, in `groups` of nearly equal size.
    `epochs` are made from `first_epoch` on. An `offline_ratio` of the active never attests, a `miss_ratio` of
    the others' attestations is missing at random; the other ratios are shares of attestations, too. Blocks
    carry as many `transactions` as a usual one of mainnet.
    """

    validators: int = 2_100_000
    active: int = 1_000_000
    watched: int = 10_000
    groups: int = 40
    epochs: int = 8
    first_epoch: int = 2_000
    seed: int = 1
    offline_ratio: float = 0.002
    miss_ratio: float = 0.003
    late_ratio: float = 0.01
    wrong_head_ratio: float = 0.01
    wrong_target_ratio: float = 0.001
    missed_proposal_ratio: float = 0.02
    network: str = "benchnet"
    transactions: int = 180


@dataclass(frozen=True)
class Registry:
    """Validators as the chain finds them at its beginning; every array has one entry per index.

    `records` are SSZ records (`RECORD`), `group` is the number of the watched group or -1 (int16),
    `effective` and `maximum` are effective balances in increments (int64), `balances` in gwei (int64).
    `offline` never attest; `lasting` are the indices that are active from beginning to end, `leaving` those
    of whom one exits and one is slashed per epoch, in this order.
    """

    records: npt.NDArray[np.void]
    group: npt.NDArray[np.int16]
    watched: npt.NDArray[np.int64]
    effective: npt.NDArray[np.int64]
    maximum: npt.NDArray[np.int64]
    balances: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int64]
    offline: npt.NDArray[np.bool_]
    lasting: npt.NDArray[np.int64]
    leaving: npt.NDArray[np.int64]
    index_of: dict[str, int] = field(repr=False)

    def pubkey(self, index: int) -> str:
        """Return a public key as 0x and 96 hex digits."""
        pubkey: bytes = self.records["pubkey"][index].tobytes()
        return f"0x{pubkey.hex()}"

    def watched_keys(self, group: int) -> list[str]:
        """Return the public keys of a watched group."""
        return [self.pubkey(int(index)) for index in self.watched[self.group[self.watched] == group]]


def make_registry(parameters: MainnetParameters) -> Registry:
    """Return the validators of a chain."""
    random = np.random.default_rng([parameters.seed, 1])
    count = parameters.validators
    order = random.permutation(count)
    active = np.sort(order[: parameters.active])
    exited = np.sort(order[parameters.active :])
    pending = exited[:: max(len(exited) // _PENDING, 1)][:_PENDING]
    compounding = random.random(count) < _COMPOUNDING_RATIO
    effective = np.zeros(count, dtype=np.int64)
    effective[active] = np.where(
        compounding[active],
        random.integers(FULL_INCREMENTS, LARGEST_INCREMENTS, len(active)),
        FULL_INCREMENTS,
    )
    effective[pending] = FULL_INCREMENTS
    maximum = np.where(compounding, LARGEST_INCREMENTS, FULL_INCREMENTS).astype(np.int64)
    balances = effective * GWEI
    balances[active] += random.integers(0, GWEI // 60, len(active))
    records = np.zeros(count, dtype=RECORD)
    records["pubkey"] = random.integers(0, 256, (count, PUBKEY_BYTES), dtype=np.uint8)
    records["pubkey"][:, 0] |= 0x80
    records["withdrawal_credentials"][:, 0] = np.where(compounding, 2, 1)
    records["withdrawal_credentials"][:, 12:] = records["pubkey"][:, :20]
    records["activation_eligibility_epoch"] = np.arange(count) % (parameters.first_epoch // 2)
    records["activation_epoch"] = records["activation_eligibility_epoch"] + np.uint64(5)
    records["exit_epoch"] = FAR_FUTURE_EPOCH
    records["withdrawable_epoch"] = FAR_FUTURE_EPOCH
    records["exit_epoch"][exited] = parameters.first_epoch - 600
    records["withdrawable_epoch"][exited] = parameters.first_epoch - 344
    for name in ("activation_epoch", "exit_epoch", "withdrawable_epoch"):
        records[name][pending] = FAR_FUTURE_EPOCH
    slashed = np.setdiff1d(exited[3 :: max(len(exited) // _SLASHED_AND_EXITED, 1)], pending)
    records["slashed"][slashed] = 1
    records["withdrawable_epoch"][slashed] = parameters.first_epoch + _WITHDRAWABLE_LATER_EPOCHS
    effective[slashed] = FULL_INCREMENTS - 1
    balances[slashed] = (FULL_INCREMENTS - 1) * GWEI + 5
    watched = _watched(parameters, active, exited, pending)
    group = np.full(count, -1, dtype=np.int16)
    for number, indices in enumerate(np.array_split(watched, parameters.groups)):
        group[indices] = number
    offline = np.zeros(count, dtype=np.bool_)
    offline[active] = random.random(len(active)) < parameters.offline_ratio
    offline[watched[:3]] = True
    scores = np.zeros(count, dtype=np.int64)
    recovering = active[random.random(len(active)) < parameters.offline_ratio]
    scores[recovering] = random.integers(1, 200, len(recovering))
    scores[watched[:3]] = (150, 40, 7)
    strangers = np.setdiff1d(active, watched)
    leaving = random.choice(strangers, min(2 * parameters.epochs, len(strangers)), replace=False)
    # One of ours exits in the second epoch.
    leaving[2:3] = watched[5]
    return Registry(
        records=records,
        group=group,
        watched=watched,
        effective=effective,
        maximum=maximum,
        balances=balances,
        scores=scores,
        offline=offline,
        lasting=np.setdiff1d(active, leaving),
        leaving=leaving,
        index_of={"0x" + records["pubkey"][index].tobytes().hex(): int(index) for index in watched},
    )


def _watched(
    parameters: MainnetParameters,
    active: npt.NDArray[np.int64],
    exited: npt.NDArray[np.int64],
    pending: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return watched indices: nearly all active and evenly spread, a few gone and a few waiting."""
    waiting = pending[:_WATCHED_PENDING]
    gone = np.setdiff1d(exited, pending)[: min(_WATCHED_EXITED, parameters.watched // 10)]
    wanted = max(parameters.watched - len(waiting) - len(gone), 1)
    spread = active[np.arange(wanted) * len(active) // wanted]
    return np.concatenate([spread, gone, waiting]).astype(np.int64)
