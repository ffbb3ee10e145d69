"""The checks of a node: does it pass, and why (not); a check that cannot be made does not pass."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from stakewatch.bundle.configuration import Health
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.nodes import BeaconWatch, ExecutionWatch


@dataclass(frozen=True)
class Check:
    """One check's result and its reason in a sentence."""

    passes: bool
    reason: str


def _unknown(watch: BeaconWatch | ExecutionWatch, what: str) -> Check:
    return Check(passes=False, reason=f"{what} is unknown: {watch.contact.failure or 'it does not say'}")


def _peers(watch: BeaconWatch | ExecutionWatch, minimum: int) -> Check:
    peers = watch.peers.get()
    if peers is None:
        return _unknown(watch, "the number of peers")
    return Check(passes=peers >= minimum, reason=f"{peers} peers, at least {minimum} are wanted")


def _beacon_same_chain(watch: BeaconWatch, chain: Chain | None) -> Check:
    own = watch.chain.get()
    if own is None:
        return _unknown(watch, "its chain")
    if chain is None:
        return Check(
            passes=False,
            reason=f"its genesis validators root {own.validators_root} is not the configured network's",
        )
    if own.identity != chain.identity:
        return Check(
            passes=False,
            reason=f"it follows another chain: genesis validators root {own.validators_root}, "
            f"ours is {chain.validators_root}",
        )
    return Check(passes=True, reason=f"genesis validators root {own.validators_root}")


def _beacon_execution(watch: BeaconWatch, pair: ExecutionWatch | None) -> Check:
    syncing = watch.syncing.get()
    if syncing is None:
        return _unknown(watch, "its execution node's state")
    if syncing.execution_offline:
        return Check(passes=False, reason="it cannot reach its execution node")
    if syncing.is_optimistic:
        return Check(passes=False, reason="its head is optimistic: the execution node has not verified it")
    if pair is not None and pair.contact.is_tried:
        name = pair.node.instance
        # Only where the beacon node does not say it itself: an unreachable RPC port proves less.
        if syncing.execution_offline is None and not pair.contact.is_up:
            return Check(passes=False, reason=f"its execution node {name} does not answer")
        pair_syncing = pair.syncing.get()
        if pair_syncing is not None and pair_syncing.is_syncing:
            return Check(passes=False, reason=f"its execution node {name} is syncing")
    return Check(passes=True, reason="its execution node has verified its head")


def beacon_checks(
    watch: BeaconWatch, *, chain: Chain | None, pair: ExecutionWatch | None, health: Health
) -> Mapping[str, Check]:
    """Return the five checks of a beacon node by name."""
    same_chain = _beacon_same_chain(watch, chain)
    syncing = watch.syncing.get()
    head = watch.head.get()
    if chain is None or not same_chain.passes:
        synced = advancing = Check(passes=False, reason="there is no clock of its chain to judge by")
    elif head is None or syncing is None:
        synced = advancing = _unknown(watch, "its head")
    else:
        distance = chain.clock.slot_at(time.time()) - head.slot
        age = f"its head is slot {head.slot}, {max(distance, 0)} slots behind our clock"
        if syncing.is_syncing:
            synced = Check(passes=False, reason=f"it is syncing; {age}")
        else:
            synced = Check(passes=distance <= chain.specification.slots_per_epoch, reason=age)
        advancing = Check(passes=distance <= health.maximum_head_age_slots, reason=age)
    return {
        "synced": synced,
        "execution_synced": _beacon_execution(watch, pair),
        "peers": _peers(watch, health.minimum_beacon_peers),
        "head_advancing": advancing,
        "same_chain": same_chain,
    }


def execution_checks(
    watch: ExecutionWatch, *, chain: Chain | None, health: Health, usual_chain_id: int | None
) -> Mapping[str, Check]:
    """Return the five checks of an execution node by name; `usual_chain_id` is what most of them say."""
    syncing = watch.syncing.get()
    head = watch.head.get()
    chain_id = watch.chain_id.get()
    if syncing is None:
        synced = _unknown(watch, "whether it syncs")
    elif syncing.is_syncing:
        synced = Check(
            passes=False,
            reason=f"it is syncing: block {syncing.current_block} of {syncing.highest_block}",
        )
    else:
        synced = Check(passes=True, reason="it says that it is in sync")
    if head is None:
        advancing = _unknown(watch, "its newest block")
    elif chain is None:
        advancing = Check(passes=False, reason="no beacon node has told the length of a slot")
    else:
        age = int(time.time()) - head.timestamp
        advancing = Check(
            # A block is as old as its slot's start, so the running slot comes on top.
            passes=age <= (health.maximum_head_age_slots + 1) * chain.clock.slot_seconds,
            reason=f"its newest block {head.number} is {age} s old",
        )
    wanted = None if chain is None else chain.specification.deposit_chain_id
    wanted = usual_chain_id if wanted is None else wanted
    if chain_id is None:
        same_chain = _unknown(watch, "its chain id")
    else:
        same_chain = Check(passes=chain_id == wanted, reason=f"chain id {chain_id}, ours is {wanted}")
    return {
        "synced": synced,
        "execution_synced": synced,
        "peers": _peers(watch, health.minimum_execution_peers),
        "head_advancing": advancing,
        "same_chain": same_chain,
    }
