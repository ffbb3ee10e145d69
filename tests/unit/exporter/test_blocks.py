"""The tree of blocks above what is settled."""

import pytest

from stakewatch_exporter.blocks import Anchor, BlockTree, root_at

from .conftest import block, root


def _tree() -> BlockTree:
    tree = BlockTree(Anchor(8, root(8)))
    tree.add([block(9, 8), block(11, 9), block(10, 9, name="fork"), block(12, "fork", name="fork2")])
    return tree


def test_a_branch_runs_from_the_anchor_to_its_head() -> None:
    assert [one.slot for one in _tree().branch(root(11))] == [9, 11]
    assert [one.slot for one in _tree().branch(root("fork2"))] == [9, 10, 12]


def test_the_anchor_is_a_branch_without_blocks() -> None:
    assert _tree().branch(root(8)) == ()
    assert root(8) in _tree()


def test_a_head_that_is_not_connected_has_no_branch() -> None:
    tree = _tree()
    tree.add([block(20, 19)])
    with pytest.raises(KeyError):
        tree.branch(root(20))


def test_blocks_in_a_circle_have_no_branch() -> None:
    tree = BlockTree(Anchor(8, root(8)), [block(9, 10), block(10, 9)])
    with pytest.raises(KeyError):
        tree.branch(root(10))


def test_moving_the_anchor_forgets_what_lies_below() -> None:
    tree = _tree()
    tree.advance(Anchor(10, root(9)))
    assert [one.slot for one in tree.branch(root(11))] == [11]
    assert root("fork") not in tree
    assert tree.newest_slot == 12


def test_the_newest_slot_of_an_empty_tree_is_the_anchors() -> None:
    assert BlockTree(Anchor(8, root(8))).newest_slot == 8


def test_an_empty_slot_has_the_root_of_the_block_before() -> None:
    tree = _tree()
    branch = tree.branch(root(11))
    assert [root_at(tree.anchor, branch, slot) for slot in (8, 9, 10, 11, 50)] == [
        root(name) for name in (8, 9, 9, 11, 11)
    ]
