"""The recording of the run keeps blocks apart that a reorganisation put into the same slot."""

from dataclasses import dataclass, field

import pytest

from tests.e2e import recording
from tests.e2e.chain import Block, Header, Validator
from tests.e2e.devnet import Pair
from tests.e2e.recording import Recording
from tests.e2e.test_comparisons import PAIR


@dataclass
class Node:
    """A beacon node with these branches; `head` is the newest root of the one that it follows."""

    parents: dict[str, tuple[int, str]] = field(default_factory=lambda: {"0xa0": (0, "0x00")})
    head: str = "0xa0"
    turns: dict[str, str] = field(default_factory=dict)

    def grow(self, root: str, slot: int, parent: str) -> None:
        self.parents[root] = (slot, parent)
        self.head = root

    def header_of(self, pair: Pair, block: str) -> Header | None:
        assert pair is PAIR
        if block.startswith("0x"):
            return Header(block, *self.parents[block])
        root: str | None = self.head
        while root in self.parents:
            slot, parent = self.parents[root]
            if block in {"head", str(slot)}:
                return Header(root, slot, parent)
            root = parent
        return None

    def block_of(self, _: Pair, root: str) -> Block:
        slot, parent = self.parents[root]
        return Block(slot, 0, root, slot, parent, {0: slot})

    def validators_at(self, pair: Pair, state: str) -> tuple[Validator, ...] | None:
        header = self.header_of(pair, state)
        if header is None:
            return None
        self.head = self.turns.pop(header.root, self.head)
        return (Validator(0, header.root, "active_ongoing", header.slot, 32),)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    """Return a node that is asked in place of a real one."""
    node = Node()
    for name in ("header_of", "block_of", "validators_at"):
        monkeypatch.setattr(recording, name, getattr(node, name))
    return node


def _note(record: Recording) -> None:
    recording._note_states(PAIR, record)


def test_all_blocks_that_lead_to_the_head_are_noted(node: Node) -> None:
    record = Recording()
    node.grow("0xa1", 1, "0xa0")
    node.grow("0xa3", 3, "0xa1")
    _note(record)
    assert record.canonical() == {0: "0xa0", 1: "0xa1", 3: "0xa3"}
    assert {root: keys[0].public_key for root, keys in record.states.items()} == {
        root: root for root in ("0xa0", "0xa1", "0xa3")
    }
    assert set(record.blocks) == {"0xa1", "0xa3"}


def test_a_block_that_was_taken_back_stays_beside_the_one_that_replaced_it(node: Node) -> None:
    record = Recording()
    node.grow("0xa1", 1, "0xa0")
    _note(record)
    node.grow("0xb1", 1, "0xa0")
    _note(record)
    assert record.canonical() == {0: "0xa0", 1: "0xb1"}
    assert {root: keys[0].public_key for root, keys in record.states.items()} == {
        "0xa0": "0xa0",
        "0xa1": "0xa1",
        "0xb1": "0xb1",
    }
    node.head = "0xa1"
    _note(record)
    assert record.canonical() == {0: "0xa0", 1: "0xa1"}


def test_a_state_of_a_block_that_was_replaced_in_between_is_not_believed(node: Node) -> None:
    record = Recording()
    node.grow("0xa1", 1, "0xa0")
    node.grow("0xb1", 1, "0xa0")
    node.head, node.turns = "0xa1", {"0xa1": "0xb1"}
    _note(record)
    assert "0xa1" not in record.states
    _note(record)
    assert record.canonical() == {0: "0xa0", 1: "0xb1"}
    assert record.states["0xb1"][0].public_key == "0xb1"
