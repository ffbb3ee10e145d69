"""What becomes of each object, given what should be there and what is."""

import itertools

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.publishing.objects import Flaw, Item, LiveItem, State
from stakewatch.publishing.plans import Action, Change, Plan, plan_changes

KINDS = ("folder", "board")


def item(name: str, text: str = "as wished", kind: str = "board") -> Item:
    return Item(kind, name, text)


def action(desired: Item | None, live: LiveItem | None, *, adopt: bool = False) -> Action | None:
    changes = plan_changes([desired] if desired else [], [live] if live else [], KINDS, adopt=adopt)
    return changes[0].action if changes else None


def test_a_plan_of_what_is_left_over_tells_of_nothing_else() -> None:
    flaw = Flaw("board new", "too long", "shorten it")
    plan = Plan(
        "a", "b", "c", plan_changes([item("new")], [LiveItem(item("old"), owned=True)], KINDS), (flaw,)
    )
    alone = plan.only(plan.leftovers)
    assert [(change.action, change.item.name) for change in alone.changes] == [(Action.LEFTOVER, "old")]
    assert (alone.flaws, alone.drift, alone.where) == ((), True, "c")
    assert not alone.only(()).drift


@pytest.mark.parametrize(
    ("text", "owned", "state", "adopt", "expected"),
    [
        ("as wished", True, State.READY, False, Action.KEEP),
        ("as wished", True, State.CHANGING, False, Action.WAIT),
        ("as wished", True, State.FAILED, False, Action.REPAIR),
        ("otherwise", True, State.READY, False, Action.CHANGE),
        ("otherwise", True, State.CHANGING, False, Action.CHANGE),
        ("otherwise", True, State.FAILED, False, Action.CHANGE),
        ("as wished", False, State.READY, False, Action.KEEP),
        ("as wished", False, State.READY, True, Action.ADOPT),
        ("otherwise", False, State.READY, False, Action.REFUSED),
        ("otherwise", False, State.READY, True, Action.ADOPT),
        ("otherwise", True, State.READY, True, Action.CHANGE),
    ],
)
def test_what_stands_there_decides(
    text: str, state: State, expected: Action, *, owned: bool, adopt: bool
) -> None:
    assert action(item("a"), LiveItem(item("a", text), owned, state=state), adopt=adopt) is expected


def test_what_is_missing_is_created_and_what_is_left_over_is_only_ours() -> None:
    assert action(item("a"), None) is Action.CREATE
    assert action(None, LiveItem(item("a"), owned=True)) is Action.LEFTOVER
    assert action(None, LiveItem(item("a"), owned=False)) is None
    assert action(None, None) is None


def test_what_others_need_comes_first_and_goes_last() -> None:
    desired = [item("b"), item("a"), item("z", kind="folder")]
    live = [LiveItem(item("old", kind="folder"), owned=True), LiveItem(item("old"), owned=True)]
    for some in itertools.permutations(desired):
        changes = plan_changes(some, live, KINDS)
        assert [str(change.item) for change in changes] == [
            "folder z",
            "board a",
            "board b",
            "board old",
            "folder old",
        ]


def test_one_name_in_two_kinds_is_two_objects_and_twice_in_one_is_an_error() -> None:
    assert len(plan_changes([item("a"), item("a", kind="folder")], [], KINDS)) == 2
    with pytest.raises(StakewatchError, match="two objects are one board a"):
        plan_changes([item("a"), item("a", "otherwise")], [], KINDS)


def test_a_plan_says_what_apply_and_prune_do_and_whether_anything_differs() -> None:
    desired = [item("new"), item("same"), item("theirs")]
    live = [
        LiveItem(item("same"), owned=True),
        LiveItem(item("theirs", "otherwise"), owned=False),
        LiveItem(item("old"), owned=True),
    ]
    plan = Plan("there", "any", "somewhere", plan_changes(desired, live, KINDS))
    assert [change.item.name for change in plan.applied] == ["new"]
    assert [change.item.name for change in plan.leftovers] == ["old"]
    assert [change.item.name for change in plan.refused] == ["theirs"]
    assert plan.drift
    kept = Plan("there", "any", "somewhere", plan_changes([item("same")], live[:1], KINDS))
    assert not kept.drift
    assert kept.count(Action.KEEP) == 1


def test_the_difference_of_an_object_goes_from_what_is_there_to_what_should() -> None:
    live = LiveItem(item("a", "one\ntwo\n"), owned=True)
    change = Change(Action.CHANGE, item("a", "one\nthree\n"), live)
    assert list(change.differences()) == ["@@ -1,2 +1,2 @@", " one", "-two", "+three"]
    assert list(Change(Action.CREATE, item("a", "x")).differences()) == ["@@ -0,0 +1 @@", "+x"]
    assert list(Change(Action.LEFTOVER, live.item, live).differences())[-2:] == ["-one", "-two"]
