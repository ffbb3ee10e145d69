"""What the chain and the exporter said while the run went on, side by side.

A Lodestar node keeps the states of the last few epochs only, so balances are noted slot by slot.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import requests

from tests.e2e.chain import Validator, ask, encoded_state, head_slot, validators_at
from tests.e2e.devnet import SLOTS_PER_EPOCH, Pair
from tests.e2e.scrape import Scrape, scrape

_INTERVAL_SECONDS = 0.4


@dataclass
class Recording:
    """What was noted: all by slot but the exporter's pages, which are in order.

    `states` has the validators after each slot that has a block, `encoded` the SSZ form of those that may be
    the last of their epoch; `proposers` has who has the duty of each slot, `specification` is `config/spec`.
    `unanswered` are the scrapes that the exporter left without a right answer.
    """

    states: dict[int, tuple[Validator, ...]] = field(default_factory=dict)
    encoded: dict[int, bytes] = field(default_factory=dict)
    specification: dict[str, object] = field(default_factory=dict)
    genesis_validators_root: str = ""
    proposers: dict[int, int] = field(default_factory=dict)
    scrapes: list[Scrape] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


@contextmanager
def recording(pair: Pair, exporter: str) -> Iterator[Recording]:
    """Record the chain as `pair` sees it and the page at `exporter` until the block ends."""
    record = Recording()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_INTERVAL_SECONDS):
            # What the chain does not answer on a busy machine is asked again at the next turn.
            for note in (_note_proposers, _note_states, _note_encoded):
                with suppress(requests.RequestException):
                    note(pair, record)
            try:
                record.scrapes.append(scrape(f"{exporter}/metrics"))
            except (requests.RequestException, ValueError) as error:
                record.unanswered.append(f"{time.time():.0f}: {error}")

    thread = threading.Thread(target=watch, name="recording", daemon=True)
    thread.start()
    try:
        yield record
    finally:
        ended.set()
        thread.join()
    # The last page may speak of a block that came after the last look at the chain.
    _note_states(pair, record)
    _note_proposers(pair, record)


def _note_states(pair: Pair, record: Recording) -> None:
    head = head_slot(pair)
    for slot in range(max(record.states, default=-1) + 1, head + 1):
        validators = validators_at(pair, str(slot))
        if validators is not None:
            record.states[slot] = validators


def _note_encoded(pair: Pair, record: Recording) -> None:
    newest = max(record.states, default=-1)
    for slot in record.states:
        is_last = slot % SLOTS_PER_EPOCH >= SLOTS_PER_EPOCH // 2
        if is_last and slot not in record.encoded and slot > newest - 2 * SLOTS_PER_EPOCH:
            record.encoded[slot] = encoded_state(pair, slot)
    if not record.specification:
        record.genesis_validators_root = ask(pair, "beacon/genesis")["genesis_validators_root"]
        record.specification = ask(pair, "config/spec")


def _note_proposers(pair: Pair, record: Recording) -> None:
    running = head_slot(pair) // SLOTS_PER_EPOCH
    # The running epoch first: a duty of the past that the node does not tell must not hide the others.
    for epoch in reversed(range(max(0, running - 1), running + 1)):
        if epoch * SLOTS_PER_EPOCH + 1 in record.proposers:
            continue
        for duty in ask(pair, f"validator/duties/proposer/{epoch}"):
            # Nobody proposes the genesis block.
            if int(duty["slot"]) > 0:
                record.proposers[int(duty["slot"])] = int(duty["validator_index"])
