"""Publishing to a strict fake workspace, over HTTP and signed."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from stakewatch.errors import StakewatchError
from stakewatch.publishing import pace
from stakewatch.publishing.amp_objects import DEFINITION, NAMESPACE
from stakewatch.publishing.applying import Outcome, apply_changes, make_plan
from stakewatch.publishing.aws import Patience
from stakewatch.publishing.objects import Fact
from stakewatch.publishing.pace import Pace
from stakewatch.publishing.plans import Action, Plan
from stakewatch.publishing.target import UnusableTargetError
from tests.unit.publishing.amp_scene import DEFINITION as ROUTES
from tests.unit.publishing.amp_scene import Scene, amp_scene, rules, unheard
from tests.unit.publishing.aws_server import REGION, Cut, Reply

CHANGING = ("Create", "Put", "Delete", "Tag")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with amp_scene(tmp_path) as made:
        yield made


def actions(plan: Plan) -> dict[str, Action]:
    return {str(change.item): change.action for change in plan.changes}


def errors(outcomes: list[Outcome]) -> list[str]:
    return [str(outcome.error) for outcome in outcomes if outcome.error is not None]


def writes(scene: Scene) -> list[str]:
    return [name for name in scene.fake.operations if name.startswith(CHANGING)]


def failing_once(
    operation: str, happens: Reply | Cut, times: int = 1
) -> Callable[[int, str], Reply | Cut | None]:
    left = [times]

    def fault(_number: int, name: str) -> Reply | Cut | None:
        if name == operation and left[0]:
            left[0] -= 1
            return happens
        return None

    return fault


def test_an_empty_workspace_gets_a_namespace_for_each_file_and_the_definition(scene: Scene) -> None:
    assert actions(scene.plan()) == {
        f"{DEFINITION} default": Action.CREATE,
        f"{NAMESPACE} stakewatch-beacon": Action.CREATE,
        f"{NAMESPACE} stakewatch-storage": Action.CREATE,
    }
    assert writes(scene) == []
    outcomes = scene.apply()
    assert errors(outcomes) == []
    assert {one.done for one in outcomes} == {"created"}
    assert set(scene.fake.namespaces) == {"stakewatch-beacon", "stakewatch-storage"}
    assert scene.fake.namespaces["stakewatch-beacon"].tags["managed-by"] == "stakewatch"
    assert scene.fake.definition is not None
    assert scene.fake.definition.data.startswith(b"# managed-by: stakewatch\n# Built.\n")


def test_what_is_published_needs_no_call_that_changes_anything(scene: Scene) -> None:
    scene.apply()
    scene.fake.calls.clear()
    assert not scene.plan().drift
    assert scene.apply() == []
    assert writes(scene) == []


def test_what_our_tag_vouches_for_is_not_read_again(scene: Scene) -> None:
    scene.apply()
    scene.fake.calls.clear()
    scene.plan()
    assert scene.fake.operations.count("DescribeRuleGroupsNamespace") == 0
    scene.fake.write("stakewatch-beacon", rules("beacon", 7))
    scene.fake.calls.clear()
    assert actions(scene.plan())[f"{NAMESPACE} stakewatch-beacon"] is Action.CHANGE
    assert scene.fake.operations.count("DescribeRuleGroupsNamespace") == 1


def test_a_change_of_somebody_else_is_shown_and_undone(scene: Scene) -> None:
    scene.apply()
    scene.fake.write("stakewatch-beacon", rules("beacon", 7))
    change = next(change for change in scene.plan().changes if change.action is Action.CHANGE)
    lines = list(change.differences())
    assert "-      and on (instance) vector(7)" in lines
    assert "+      and on (instance) vector(1)" in lines
    assert [outcome.done for outcome in scene.apply()] == ["changed"]
    assert not scene.plan().drift


def test_another_way_of_writing_the_same_is_no_difference(scene: Scene) -> None:
    scene.apply()
    text = scene.fake.namespaces["stakewatch-beacon"].data.decode()
    scene.fake.write("stakewatch-beacon", "# by hand\n" + json.dumps(yaml.safe_load(text), indent=1))
    assert not scene.plan().drift


def test_an_object_of_our_name_that_is_not_ours_is_left_alone_unless_adopted(scene: Scene) -> None:
    scene.fake.write("stakewatch-beacon", rules("theirs"))
    scene.fake.write_definition(ROUTES.replace("pager", "theirs"))
    outcomes = scene.apply()
    assert [str(one.change.item) for one in outcomes] == [f"{NAMESPACE} stakewatch-storage"]
    plan = actions(scene.plan())
    assert plan[f"{NAMESPACE} stakewatch-beacon"] is Action.REFUSED
    assert plan[f"{DEFINITION} default"] is Action.REFUSED
    assert errors(scene.apply(adopt=True)) == []
    assert not scene.plan().drift
    assert scene.fake.namespaces["stakewatch-beacon"].tags["managed-by"] == "stakewatch"


def test_adopting_what_is_the_same_only_marks_it(scene: Scene) -> None:
    scene.fake.write("stakewatch-beacon", rules("beacon"))
    scene.fake.calls.clear()
    assert f"{NAMESPACE} stakewatch-beacon" not in [str(one.change.item) for one in scene.apply()]
    outcomes = scene.apply(adopt=True)
    assert [one.done for one in outcomes] == ["is ours now"]
    assert "PutRuleGroupsNamespace" not in scene.fake.operations


def test_prune_removes_only_what_carries_our_tag(scene: Scene) -> None:
    scene.apply()
    scene.fake.write("theirs", rules("theirs"))
    scene.fake.write("stakewatch-theirs", rules("theirs"), tags={"managed-by": "terraform"})
    scene.remove_rules("storage.yaml")
    plan = scene.plan()
    assert [str(one.item) for one in plan.leftovers] == [f"{NAMESPACE} stakewatch-storage"]
    assert plan.drift
    assert [one.done for one in scene.prune()] == ["deleted"]
    assert set(scene.fake.namespaces) == {"stakewatch-beacon", "theirs", "stakewatch-theirs"}
    assert scene.prune() == []


def test_prune_does_not_remove_what_was_changed_after_the_plan(scene: Scene) -> None:
    scene.apply()
    scene.remove_rules("storage.yaml")
    with scene.target() as target:
        leftover = make_plan("amp", "amp", target, unheard, adopt=False).leftovers[0]
        assert leftover.live is not None
        scene.fake.write("stakewatch-storage", rules("storage", 9))
        with pytest.raises(StakewatchError, match="changed by somebody else"):
            target.remove(leftover.live, unheard)
    assert "stakewatch-storage" in scene.fake.namespaces


def test_what_is_gone_already_counts_as_removed(scene: Scene) -> None:
    scene.apply()
    scene.remove_rules("storage.yaml")
    with scene.target() as target:
        leftover = make_plan("amp", "amp", target, unheard, adopt=False).leftovers[0]
        del scene.fake.namespaces["stakewatch-storage"]
        assert leftover.live is not None
        assert target.remove(leftover.live, unheard) == "was gone already"


def test_changes_that_take_a_while_are_waited_for(scene: Scene) -> None:
    scene.fake.looks = 3
    heard: list[str] = []
    with scene.target() as target:
        plan = make_plan("amp", "amp", target, unheard, adopt=False)
        outcomes = list(apply_changes(target, plan.applied, lambda _change, what: heard.append(what)))
    assert errors(outcomes) == []
    assert "CREATING" in heard
    assert {one.status for one in scene.fake.namespaces.values()} == {"ACTIVE"}
    scene.write_rules("beacon.yaml", rules("beacon", 2))
    assert [one.done for one in scene.apply()] == ["changed"]
    scene.remove_rules("beacon.yaml")
    assert [one.done for one in scene.prune()] == ["deleted"]
    assert set(scene.fake.namespaces) == {"stakewatch-storage"}


def test_a_namespace_under_way_is_waited_for_and_not_sent_again(scene: Scene) -> None:
    scene.apply()
    stored = scene.fake.namespaces["stakewatch-beacon"]
    stored.status, stored.looks, stored.modified = "UPDATING", 4, scene.fake.now()
    plan = scene.plan()
    assert actions(plan)[f"{NAMESPACE} stakewatch-beacon"] is Action.WAIT
    scene.fake.calls.clear()
    assert [one.done for one in scene.apply()] == ["is so already"]
    assert "PutRuleGroupsNamespace" not in scene.fake.operations


def test_a_late_failure_names_the_rule_that_caused_it(scene: Scene) -> None:
    scene.fake.looks = 2
    reason = 'group "beacon", rule 1, "beaconDown": the ruler cannot take it'
    scene.fake.fails = lambda name, _text: reason if name.endswith("beacon") else ""
    found = errors(scene.apply())
    assert len(found) == 1
    assert found[0].startswith(f"{scene.folder}/rules/beacon.yaml:5: ")
    assert "CREATION_FAILED" in found[0]
    assert "the ruler cannot take it" in found[0]
    assert actions(scene.plan())[f"{NAMESPACE} stakewatch-beacon"] is Action.REPAIR
    scene.fake.fails = lambda _name, _text: ""
    assert [one.done for one in scene.apply()] == ["changed"]
    assert not scene.plan().drift


def test_a_refusal_at_once_names_the_rule_and_keeps_no_other_object_from_being_tried(scene: Scene) -> None:
    scene.write_rules("beacon.yaml", rules("beacon").replace("up{", "unheard_of(up){"))
    outcomes = scene.apply()
    found = errors(outcomes)
    assert len(outcomes) == 3
    assert len(found) == 1
    assert found[0].startswith(f"{scene.folder}/rules/beacon.yaml:5: ")
    assert "could not parse expression" in found[0]
    assert set(scene.fake.namespaces) == {"stakewatch-storage"}


def test_a_failed_definition_says_why_and_is_mended_by_the_next(scene: Scene) -> None:
    scene.fake.fails = lambda name, _text: "" if name else "no route provided in config"
    assert any("no route provided" in one for one in errors(scene.apply()))
    assert actions(scene.plan())[f"{DEFINITION} default"] is Action.REPAIR
    scene.fake.fails = lambda _name, _text: ""
    assert errors(scene.apply()) == []
    assert not scene.plan().drift


@pytest.mark.parametrize(
    "happens",
    [
        Reply(429, "ThrottlingException", "slow down", {"Retry-After": "0"}),
        Reply(500, "InternalServerException", "oh"),
        Reply(503, "", "", page="<html>busy</html>"),
        Cut(after=False),
        Cut(after=True),
    ],
)
@pytest.mark.parametrize(
    "operation", ["CreateRuleGroupsNamespace", "CreateAlertManagerDefinition", "TagResource"]
)
def test_what_fails_on_the_way_is_asked_again_as_one_and_the_same_call(
    scene: Scene, happens: Reply | Cut, operation: str
) -> None:
    scene.fake.fault = failing_once(operation, happens, times=2)
    assert errors(scene.apply()) == []
    assert not scene.plan().drift


def test_retry_after_is_honoured(scene: Scene) -> None:
    slow_down = Reply(429, "ThrottlingException", "slow down", {"Retry-After": "1"})
    scene.fake.fault = failing_once("DescribeWorkspace", slow_down)
    started = time.monotonic()
    scene.plan()
    assert 1.0 <= time.monotonic() - started < 20


def test_a_pause_longer_than_our_patience_is_an_error_at_once(scene: Scene) -> None:
    slow_down = Reply(429, "ThrottlingException", "slow down", {"Retry-After": "3600"})
    scene.fake.fault = failing_once("DescribeWorkspace", slow_down)
    with pytest.raises(StakewatchError, match="asked too often: slow down"):
        scene.plan()


def test_a_conflict_while_somebody_else_changes_it_is_waited_out(scene: Scene) -> None:
    scene.apply()
    scene.write_rules("beacon.yaml", rules("beacon", 2))
    busy = Reply(409, "ConflictException", "is being changed")
    scene.fake.fault = failing_once("PutRuleGroupsNamespace", busy, times=3)
    assert [one.done for one in scene.apply()] == ["changed"]


def test_a_used_up_quota_is_said_with_its_code_and_not_tried_again(scene: Scene) -> None:
    full = Reply(402, "ServiceQuotaExceededException", "too many rules", more={"quotaCode": "L-3D15CDB4"})
    scene.fake.fault = failing_once("CreateRuleGroupsNamespace", full)
    found = errors(scene.apply())
    assert len(found) == 1
    assert "too many rules" in found[0]
    assert "L-3D15CDB4" in found[0]
    assert scene.fake.operations.count("CreateRuleGroupsNamespace") == 2


def test_somebody_who_changes_it_after_the_plan_is_not_overwritten(scene: Scene) -> None:
    scene.apply()
    scene.write_rules("beacon.yaml", rules("beacon", 2))
    with scene.target() as target:
        plan = make_plan("amp", "amp", target, unheard, adopt=False)
        scene.fake.write("stakewatch-beacon", rules("beacon", 3))
        outcomes = list(apply_changes(target, plan.applied, lambda _change, _what: None))
    assert "changed by somebody else" in errors(outcomes)[0]
    assert "vector(3)" in scene.fake.namespaces["stakewatch-beacon"].data.decode()


def test_somebody_who_creates_it_after_the_plan_is_not_overwritten(scene: Scene) -> None:
    with scene.target() as target:
        plan = make_plan("amp", "amp", target, unheard, adopt=False)
        scene.fake.write("stakewatch-beacon", rules("beacon", 3))
        outcomes = list(apply_changes(target, plan.applied, lambda _change, _what: None))
    assert len(errors(outcomes)) == 1
    assert "changed by somebody else" in errors(outcomes)[0]


def test_what_was_removed_after_the_plan_is_created(scene: Scene) -> None:
    scene.apply()
    scene.write_rules("beacon.yaml", rules("beacon", 2))
    with scene.target() as target:
        plan = make_plan("amp", "amp", target, unheard, adopt=False)
        del scene.fake.namespaces["stakewatch-beacon"]
        outcomes = list(apply_changes(target, plan.applied, lambda _change, _what: None))
    assert [one.done for one in outcomes] == ["created"]
    assert scene.fake.namespaces["stakewatch-beacon"].tags["managed-by"] == "stakewatch"


def test_without_an_end_to_a_change_the_wait_ends_and_says_how_far_it_is(scene: Scene) -> None:
    scene.fake.looks = 10**9
    impatient = Patience(look_seconds=0.01, retry_seconds=0.01, altogether_seconds=0.2)
    with scene.target(patience=impatient) as target:
        plan = make_plan("amp", "amp", target, unheard, adopt=False)
        outcomes = list(apply_changes(target, plan.applied[:1], lambda _change, _what: None))
    assert "not done within 0.2 s, last it was: CREATING" in errors(outcomes)[0]


def test_a_namespace_that_is_being_deleted_is_as_good_as_gone(scene: Scene) -> None:
    scene.apply()
    stored = scene.fake.namespaces["stakewatch-beacon"]
    stored.status, stored.looks, stored.then = "DELETING", 4, ""
    assert actions(scene.plan())[f"{NAMESPACE} stakewatch-beacon"] is Action.CREATE
    assert [one.done for one in scene.apply()] == ["created"]
    assert not scene.plan().drift


def test_groups_that_another_prometheus_evaluates_are_not_published(scene: Scene) -> None:
    both = rules("beacon") + rules("local_prometheus").removeprefix("groups:\n")
    scene.write_rules("beacon.yaml", both)
    scene.write_rules("storage.yaml", rules("local_prometheus"))
    with scene.target() as target:
        items = {item.name: item for item in target.desired()}
    assert set(items) == {"stakewatch-beacon", "default"}
    assert "local_prometheus" not in items["stakewatch-beacon"].payload


def test_without_the_definition_the_workspace_keeps_its_own(scene: Scene) -> None:
    scene.fake.write_definition(ROUTES)
    with scene.target({"alertmanager": False}) as target:
        plan = make_plan("amp", "amp", target, unheard, adopt=False)
    assert {change.item.kind for change in plan.changes} == {NAMESPACE}


def test_many_namespaces_are_read_page_by_page(scene: Scene) -> None:
    scene.fake.page = 3
    for number in range(10):
        scene.write_rules(f"more/file-{number}.yaml", rules(f"more{number}"))
    assert errors(scene.apply()) == []
    assert "stakewatch-more-file-3" in scene.fake.namespaces
    scene.fake.calls.clear()
    assert not scene.plan().drift
    assert scene.fake.operations.count("ListRuleGroupsNamespaces") == 4


def test_every_call_waits_for_its_turn_at_the_documented_rate(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[int] = []
    turns: list[int] = []

    class Counting(Pace):
        def __init__(self, calls: int) -> None:
            super().__init__(1_000_000)
            rates.append(calls)

        def turn(self) -> None:
            turns.append(1)
            super().turn()

    monkeypatch.setattr(pace, "Pace", Counting)
    with scene.target(calls_per_second=10) as target:
        plan = make_plan("amp", "amp", target, unheard, adopt=False)
        list(apply_changes(target, plan.applied, lambda _change, _what: None))
    # One for the workspace and one for Service Quotas, which counts by itself.
    assert rates == [10, 10]
    assert len(turns) == len(scene.fake.calls) > 10


def test_two_workspaces_of_one_region_share_its_rate(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[int] = []

    def counted(calls: int) -> Pace:
        rates.append(calls)
        return Pace(calls)

    monkeypatch.setattr(pace, "Pace", counted)
    with scene.target() as one, scene.target({"prefix": "other-"}) as other:
        assert one.where == other.where
    # One for the workspaces and one for Service Quotas.
    assert len(rates) == 2


def test_two_files_that_come_to_one_name_are_told(scene: Scene) -> None:
    scene.write_rules("a/b.yaml", rules("one"))
    scene.write_rules("a-b.yaml", rules("two"))
    with pytest.raises(StakewatchError, match="two objects are one rule namespace stakewatch-a-b"):
        scene.plan()


PAGE = "<!DOCTYPE html><html><body>Forbidden by VPC policy</body></html>"
UNUSABLE = [
    (Reply(403, "ExpiredTokenException", "The security token included in the request is expired"), "expired"),
    (
        Reply(403, "UnrecognizedClientException", "The security token is invalid"),
        "does not know these credentials",
    ),
    (
        Reply(403, "AccessDeniedException", "User: u is not authorized to perform: aps:X"),
        "not authorized to perform",
    ),
    (Reply(403, page=PAGE), "web page"),
    (Reply(403, "InvalidSignatureException", "Signature expired: 2026 is now earlier than"), "clock"),
    (Reply(403, "SubscriptionRequiredException", "needs a subscription"), "not enabled"),
]


@pytest.mark.parametrize(("reply", "said"), UNUSABLE)
def test_what_keeps_us_out_is_one_clear_line_and_nothing_is_written(
    scene: Scene, reply: Reply, said: str
) -> None:
    scene.fake.fault = lambda _number, _name: reply
    with pytest.raises(UnusableTargetError) as raised:
        scene.apply()
    assert said in str(raised.value)
    assert "VPC policy" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 2
    assert scene.fake.texts() == {}


@pytest.mark.parametrize(("reply", "said"), UNUSABLE)
def test_credentials_that_end_half_way_stop_all_and_the_next_run_goes_on(
    scene: Scene, reply: Reply, said: str
) -> None:
    scene.fake.fault = lambda _number, name: reply if name == "CreateRuleGroupsNamespace" else None
    outcomes = scene.apply()
    assert any(said in one for one in errors(outcomes))
    assert scene.fake.namespaces == {}
    scene.fake.fault = lambda _number, _name: None
    assert errors(scene.apply()) == []
    assert not scene.plan().drift


@pytest.mark.parametrize("options", [{"workspace": "ws-another"}, {"workspace": "no such"}])
def test_a_wrong_workspace_is_named_with_its_region(scene: Scene, options: dict[str, str]) -> None:
    with pytest.raises(UnusableTargetError) as raised, scene.target(options):
        pass
    assert "there is no workspace" in str(raised.value)
    assert REGION in str(raised.value)
    assert "stakewatch.yaml:3" in str(raised.value)
    scene.fake.mistakes.clear()


def test_a_wrong_region_is_one_clear_line(scene: Scene) -> None:
    with pytest.raises(UnusableTargetError, match="region"), scene.target({"region": "eu-north-1"}):
        pass


def test_a_server_that_is_not_there_is_one_clear_line(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnusableTargetError, match="no connection"), scene.target():
        pass


def test_a_missing_profile_and_missing_credentials_are_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnusableTargetError, match="profile"), scene.target({"profile": "nobody"}):
        pass
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(UnusableTargetError, match="no credentials"), scene.target():
        pass


def test_a_workspace_that_is_not_ready_is_told(scene: Scene) -> None:
    scene.fake.workspace_status = "CREATION_FAILED"
    with pytest.raises(UnusableTargetError, match="CREATION_FAILED"), scene.target():
        pass


def test_quotas_are_checked_before_anything_is_sent(scene: Scene) -> None:
    scene.fake.quotas["L-3D15CDB4"] = ("Rules per workspace", 1.0, "None")
    scene.fake.quotas["L-C62641E3"] = ("Rule group namespace definition file size", 100.0, "Bytes")
    plan = scene.plan()
    said = [flaw.what for flaw in plan.flaws if flaw.fatal]
    assert "2 rules, and the quota “Rules per workspace” is 1" in said
    assert sum("bytes, and the quota" in one for one in said) == 2
    assert writes(scene) == []


def test_quotas_that_may_not_be_read_are_a_remark(scene: Scene) -> None:
    denied = Reply(403, "AccessDeniedException", "not authorized")
    scene.fake.fault = lambda _number, name: denied if name.endswith("ServiceQuotas") else None
    plan = scene.plan()
    assert [flaw.fatal for flaw in plan.flaws] == [False]
    assert "servicequotas:ListServiceQuotas" in plan.flaws[0].mend


def test_status_shows_what_fails_and_what_fires(scene: Scene) -> None:
    scene.apply()
    scene.fake.write("theirs", rules("theirs"))
    rule = {"name": "beaconDown", "health": "err", "lastError": "many-to-many", "type": "alerting"}
    firing = {
        "name": "Lost",
        "health": "ok",
        "labels": {"severity": "critical"},
        "alerts": [{"state": "firing", "activeAt": "2026-01-02T03:04:05Z"}, {"state": "pending"}],
    }
    scene.fake.rules["data"]["groups"] = [{"name": "g", "file": "stakewatch-beacon", "rules": [rule, firing]}]
    with scene.target() as target:
        facts = {fact.subject: fact for fact in target.status(unheard)}
    assert facts[f"{NAMESPACE} stakewatch-beacon"].state == "ACTIVE"
    assert facts[f"{NAMESPACE} theirs"].detail == "not ours"
    assert facts[DEFINITION].state == "ACTIVE"
    assert facts["rules"].state == "2 in 1 groups"
    assert facts["rule beaconDown in stakewatch-beacon/g"].detail == "many-to-many"
    assert not facts["rule beaconDown in stakewatch-beacon/g"].healthy
    assert facts["alert Lost"].state == "fires for 1"
    assert facts["alert Lost"].detail == "critical, since 2026-01-02T03:04:05Z"


def test_status_before_the_first_apply_says_what_to_do(scene: Scene) -> None:
    with scene.target() as target:
        (fact,) = target.status(unheard)
    assert fact == Fact("published", "nothing yet", "`stakewatch apply amp` publishes it", healthy=False)
    scene.fake.write("theirs", rules("theirs"))
    scene.fake.write_definition("alertmanager_config: |\n  route: {receiver: a}\n")
    with scene.target() as target:
        facts = {fact.subject: fact for fact in target.status(unheard)}
    assert facts["published"] == fact
    assert facts[DEFINITION].detail == facts[f"{NAMESPACE} theirs"].detail == "not ours"


def test_status_without_a_definition_says_that_nobody_would_be_told(scene: Scene) -> None:
    scene.apply()
    scene.fake.definition = None
    with scene.target() as target:
        facts = {fact.subject: fact for fact in target.status(unheard)}
    assert "published" not in facts
    assert facts[DEFINITION].state == "missing"
    assert not facts[DEFINITION].healthy


def test_an_address_for_queries_that_is_not_secure_is_not_asked(scene: Scene) -> None:
    scene.apply()
    scene.fake.endpoint = "http://workspaces.example/"
    with scene.target() as target, pytest.raises(StakewatchError, match="no secure address"):
        target.status(unheard)
    assert "ListRules" not in scene.fake.operations
