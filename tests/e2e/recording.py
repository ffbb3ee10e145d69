"""What the chain and the exporter said while the run went on, side by side.

A Lodestar node keeps the states of the last few epochs only, so balances are noted block by block. They are
noted by the root of the block: one that was the head for a moment only is shown by the exporter for that
moment too, and is right then.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import requests

from tests.e2e.chain import (
    Block,
    Header,
    Validator,
    ask,
    block_of,
    encoded_state,
    head_slot,
    header_of,
    validators_at,
)
from tests.e2e.devnet import SLOTS_PER_EPOCH, Pair
from tests.e2e.scrape import Scrape, scrape

_INTERVAL_SECONDS = 0.4


@dataclass
class Recording:
    """What was noted: the exporter's pages in order, blocks of all branches and their states by block root.

    `head` is the root of the newest head. `blocks` has no genesis block. `states` has the validators after a
    block, `encoded` the SSZ form of those that may be the last of their epoch; `proposers` has who has the
    duty of each slot, `specification` is `config/spec`. `unanswered` are the scrapes that the exporter left
    without a right answer.
    """

    head: str = ""
    headers: dict[str, Header] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    states: dict[str, tuple[Validator, ...]] = field(default_factory=dict)
    encoded: dict[str, bytes] = field(default_factory=dict)
    specification: dict[str, object] = field(default_factory=dict)
    genesis_validators_root: str = ""
    proposers: dict[int, int] = field(default_factory=dict)
    scrapes: list[Scrape] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    def canonical(self) -> dict[int, str]:
        """Return the roots of the newest head and of all blocks that lead to it, by slot, upwards."""
        found: dict[int, str] = {}
        header = self.headers.get(self.head)
        while header is not None:
            found[header.slot] = header.root
            header = self.headers.get(header.parent_root)
        return dict(sorted(found.items()))


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
    new: list[Header] = []
    header = head = header_of(pair, "head")
    while header is not None and header.root not in record.headers:
        new.append(header)
        header = header_of(pair, header.parent_root) if header.slot > 0 else None
    for header in reversed(new):
        if header.slot > 0:
            record.blocks[header.root] = block_of(pair, header.root)
        validators = validators_at(pair, str(header.slot))
        if validators is not None and _is_canonical(pair, header):
            record.states[header.root] = validators
        record.headers[header.root] = header
    if head is not None:
        record.head = head.root


def _is_canonical(pair: Pair, header: Header) -> bool:
    """Whether the node has this block at its slot: then what it says of the slot is of this block."""
    return header_of(pair, str(header.slot)) == header


def _note_encoded(pair: Pair, record: Recording) -> None:
    roots = record.canonical()
    newest = max(roots, default=-1)
    for slot, root in roots.items():
        is_last = slot % SLOTS_PER_EPOCH >= SLOTS_PER_EPOCH // 2
        if is_last and root not in record.encoded and slot > newest - 2 * SLOTS_PER_EPOCH:
            content = encoded_state(pair, slot)
            if _is_canonical(pair, record.headers[root]):
                record.encoded[root] = content
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
