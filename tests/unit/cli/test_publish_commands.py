"""`stakewatch plan`, `apply`, `prune` and `status` against a fake workspace."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.unit.cli.conftest import Run
from tests.unit.publishing.amp_scene import Scene, amp_scene, rules
from tests.unit.publishing.aws_server import CREDENTIALS, REGION, Reply
from tests.unit.publishing.fake_amp import WORKSPACE

CONFIGURATION = f"""\
publish:
  workspace:
    type: amp
    region: {REGION}
    workspace: {WORKSPACE}
    alertmanager: false
"""
PUT_BY_HAND = """\
groups:
- name: beacon
  rules:
  - alert: beaconDown
    expr: up == 0
    labels: {webhook_token: hunter2}
    annotations: {note: "\\e[31mred"}
"""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with amp_scene(tmp_path) as made:
        (tmp_path / "stakewatch.yaml").write_text(CONFIGURATION)
        yield made


@pytest.fixture
def run_here(scene: Scene, run: Run) -> Run:
    return lambda *words: run(*words, "--bundle", scene.folder)


def test_plan_exits_2_while_there_is_a_difference_and_0_without(scene: Scene, run_here: Run) -> None:
    answer = run_here("plan")
    assert answer.code == 2
    assert f"workspace (amp): {WORKSPACE} in {REGION}" in answer.out
    assert "  + rule namespace stakewatch-beacon is created (10 lines)" in answer.out
    assert answer.out.endswith("workspace: 2 to create\n")
    assert scene.fake.namespaces == {}
    assert run_here("apply", "--yes").code == 0
    answer = run_here("plan")
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "workspace: 2 unchanged")


def test_apply_says_what_it_did_to_each_object(run_here: Run) -> None:
    answer = run_here("apply", "--yes")
    assert answer.code == 0
    assert "done: rule namespace stakewatch-beacon created" in answer.out
    assert answer.out.endswith("workspace: 2 of 2 done\n")
    assert run_here("apply", "--yes").out.endswith("nothing to apply\n")


def test_a_plan_shows_what_differs_without_secrets_and_without_control_characters(
    scene: Scene, run_here: Run
) -> None:
    scene.fake.write("stakewatch-beacon", PUT_BY_HAND, tags={"managed-by": "stakewatch"})
    for words in (("plan",), ("plan", "--json")):
        answer = run_here(*words)
        assert answer.code == 2
        assert "hunter2" not in answer.out + answer.err
        assert "\x1b" not in answer.out
        assert "webhook_token: (hidden)" in answer.out
        assert "up == 0" in answer.out


def test_new_objects_are_shown_in_full_when_asked(run_here: Run) -> None:
    assert "+      up{job=" not in run_here("plan").out
    answer = run_here("plan", "--full")
    assert '    +      up{job="beacon"} == 0' in answer.out


def test_plan_as_json_tells_programs_the_same(run_here: Run) -> None:
    answer = run_here("plan", "--json")
    assert answer.code == 2
    (target,) = json.loads(answer.out)
    assert target["drift"] is True
    assert target["summary"]["create"] == 2
    assert [change["name"] for change in target["changes"]] == ["stakewatch-beacon", "stakewatch-storage"]
    assert any("up{job=" in line for line in target["changes"][0]["diff"])


def test_plan_as_json_says_why_an_object_failed(scene: Scene, run_here: Run) -> None:
    scene.fake.fails = lambda _name, _text: "no room\x1b[31m"
    assert run_here("apply", "--yes").code == 1
    (target,) = json.loads(run_here("plan", "--json").out)
    assert [change["reason"] for change in target["changes"]] == ["no room?[31m"] * 2
    assert [change["action"] for change in target["changes"]] == ["repair"] * 2


def test_an_error_of_plan_is_1_and_never_taken_for_a_difference(scene: Scene, run_here: Run) -> None:
    denied = Reply(403, "AccessDeniedException", "not authorized to perform: aps:DescribeWorkspace")
    scene.fake.fault = lambda _number, _name: denied
    answer = run_here("plan")
    assert answer.code == 1
    assert "stakewatch: workspace: " in answer.err
    assert "not authorized to perform: aps:DescribeWorkspace" in answer.err
    assert run_here("plan", "nobody").code == 1
    assert run_here("plan", "--no-such-option").code == 1
    (scene.folder / "stakewatch.yaml").write_text("publish: {a: {type: amp}}")
    assert run_here("plan").code == 1
    (scene.folder / "stakewatch.yaml").unlink()
    answer = run_here("plan")
    assert answer.code == 1
    assert "names no target" in answer.err


@pytest.mark.parametrize("command", ["plan", "status"])
def test_debug_shows_how_a_target_that_cannot_be_asked_failed(
    scene: Scene, run_here: Run, command: str
) -> None:
    scene.fake.fault = lambda _number, _name: Reply(403, "AccessDeniedException", "not authorized")
    answer = run_here(command)
    assert "Traceback" not in answer.err
    with_traceback = run_here("--debug", command)
    assert (with_traceback.code, with_traceback.out) == (answer.code, answer.out)
    assert with_traceback.err.startswith("Traceback")
    assert with_traceback.err.endswith(answer.err)
    assert CREDENTIALS.secret_key not in with_traceback.err


def test_debug_shows_how_an_object_that_cannot_be_put_failed(scene: Scene, run_here: Run) -> None:
    scene.fake.fails = lambda _name, _text: "no"
    assert "Traceback" not in run_here("apply", "--yes").err
    answer = run_here("--debug", "apply", "--yes")
    assert answer.out.count("\n  FAILED: ") == 2
    assert answer.err.count("Traceback") >= 2


def test_a_target_of_an_unknown_name_is_met_with_the_nearest(run_here: Run) -> None:
    answer = run_here("apply", "wrkspace")
    assert answer.code == 2
    assert "did you mean workspace?" in answer.err


def test_without_a_person_and_without_yes_nothing_is_changed(scene: Scene, run_here: Run) -> None:
    answer = run_here("apply")
    assert answer.code == 2
    assert "give --yes" in answer.err
    assert scene.fake.namespaces == {}
    assert run_here("apply", "--json").code == 2


@pytest.mark.parametrize("agreed", [True, False])
def test_a_person_is_asked(
    scene: Scene, run_here: Run, monkeypatch: pytest.MonkeyPatch, *, agreed: bool
) -> None:
    asked: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return agreed

    monkeypatch.setattr(click, "confirm", confirm)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    answer = run_here("apply")
    assert asked == ["apply 2 of these?"]
    assert answer.code == (0 if agreed else 1)
    assert len(scene.fake.namespaces) == (2 if agreed else 0)


def test_an_object_that_fails_is_told_with_its_rule_and_the_others_are_done(
    scene: Scene, run_here: Run
) -> None:
    scene.fake.fails = lambda name, _text: (
        'group "beacon", rule 1, "beaconDown": no' if name.endswith("beacon") else ""
    )
    answer = run_here("apply", "--yes")
    assert answer.code == 1
    assert "FAILED: " in answer.out
    assert "rules/beacon.yaml:5: rule namespace stakewatch-beacon: CREATION_FAILED" in answer.out
    assert "workspace: 1 of 2 done, 1 failed" in answer.out
    assert scene.fake.namespaces["stakewatch-storage"].status == "ACTIVE"


def test_credentials_that_end_half_way_leave_the_rest_untried_and_say_so(scene: Scene, run_here: Run) -> None:
    expired = Reply(403, "ExpiredTokenException", "expired")
    scene.fake.fault = lambda _number, name: expired if name.startswith("Create") else None
    for number in range(20):
        scene.write_rules(f"more{number}.yaml", rules(f"more{number}"))
    answer = run_here("apply", "--yes", "--json")
    assert answer.code == 1
    (target,) = json.loads(answer.out)
    assert 1 <= len(target["outcomes"]) < 22
    assert len(target["outcomes"]) + len(target["not_finished"]) == 22
    assert "the credentials have expired" in target["outcomes"][0]["error"]


def test_what_is_over_a_quota_is_not_sent(scene: Scene, run_here: Run) -> None:
    scene.fake.quotas["L-3D15CDB4"] = ("Rules per workspace", 1.0, "None")
    answer = run_here("apply", "--yes")
    assert answer.code == 1
    assert "2 rules, and the quota “Rules per workspace” is 1" in answer.out
    assert "nothing is sent" in answer.err
    assert scene.fake.namespaces == {}
    assert run_here("plan").code == 1


def test_what_is_not_ours_is_left_alone_until_adopted(scene: Scene, run_here: Run) -> None:
    scene.fake.write("stakewatch-beacon", rules("theirs"))
    answer = run_here("apply", "--yes")
    assert answer.code == 1
    assert "! rule namespace stakewatch-beacon is not ours and differs" in answer.out
    assert "theirs" in scene.fake.namespaces["stakewatch-beacon"].data.decode()
    assert run_here("apply", "--yes", "--adopt").code == 0
    assert run_here("plan").code == 0


def test_prune_removes_what_the_bundle_no_longer_has(scene: Scene, run_here: Run) -> None:
    run_here("apply", "--yes")
    scene.remove_rules("storage.yaml")
    answer = run_here("plan")
    assert answer.code == 2
    assert "- rule namespace stakewatch-storage is ours and no longer in the bundle" in answer.out
    assert run_here("apply", "--yes").out.endswith("nothing to apply\n")
    scene.write_rules("beacon.yaml", rules("beacon", 2))
    answer = run_here("prune", "--yes")
    assert (answer.code, list(scene.fake.namespaces)) == (0, ["stakewatch-beacon"])
    # What else differs is not its matter.
    assert "stakewatch-beacon" not in answer.out
    assert "workspace: 1 left over\n" in answer.out
    assert "done: rule namespace stakewatch-storage deleted" in answer.out
    assert run_here("prune", "--yes").out == "nothing to prune\n"
    (target,) = json.loads(run_here("prune", "--yes", "--json").out)
    assert (target["changes"], target["outcomes"], target["drift"]) == ([], [], False)


def test_a_name_that_somebody_chose_cannot_steer_the_terminal(scene: Scene, run_here: Run) -> None:
    hostile = "stakewatch-\x1b[2Jold"
    scene.fake.write(hostile, rules("old"), tags={"managed-by": "stakewatch"})
    for words in (("plan",), ("prune", "--yes"), ("status",)):
        answer = run_here(*words)
        assert "stakewatch-?[2Jold" in answer.out or hostile not in scene.fake.namespaces
        assert "\x1b" not in answer.out + answer.err
    assert scene.fake.namespaces == {}


def test_a_name_in_brackets_is_no_markup(scene: Scene, run_here: Run) -> None:
    scene.fake.write("stakewatch-[/red]", rules("old"), tags={"managed-by": "stakewatch"})
    answer = run_here("prune", "--yes")
    assert (answer.code, scene.fake.namespaces) == (0, {})
    assert "done: rule namespace stakewatch-[/red] deleted" in answer.out


def test_what_a_rule_s_error_says_cannot_steer_the_terminal(scene: Scene, run_here: Run) -> None:
    run_here("apply", "--yes")
    rule = {"name": "beacon\x1b[2JDown", "lastError": "bad \x1b[31m label", "type": "alerting"}
    scene.fake.rules["data"]["groups"] = [{"name": "beacon", "file": "f", "rules": [rule]}]
    answer = run_here("status")
    assert "bad ?[31m label" in answer.out
    assert "\x1b" not in answer.out + answer.err


def test_status_shows_what_is_live_and_fails_for_what_does_not_work(scene: Scene, run_here: Run) -> None:
    run_here("apply", "--yes")
    scene.fake.write_definition("alertmanager_config: |\n  route: {receiver: a}\n")
    rule = {"name": "beaconDown", "health": "ok", "type": "alerting"}
    group = {"name": "beacon", "file": "stakewatch-beacon", "rules": [rule]}
    scene.fake.rules["data"]["groups"] = [group]
    answer = run_here("status")
    assert answer.code == 0
    assert re.search("^rule namespace stakewatch-beacon +ACTIVE", answer.out, re.MULTILINE)
    rule["lastError"] = "vector contains metrics with the same labelset"
    answer = run_here("status", "--json")
    assert answer.code == 1
    (target,) = json.loads(answer.out)
    assert target["healthy"] is False
    scene.fake.workspace_status = "CREATING"
    answer = run_here("status")
    assert answer.code == 1
    assert "the workspace is CREATING" in answer.err


def test_credentials_are_nowhere_in_what_is_printed(scene: Scene, run_here: Run) -> None:
    printed = ""
    for words in (("plan",), ("apply", "--yes"), ("status",)):
        answer = run_here(*words)
        printed += answer.out + answer.err
    scene.fake.fault = lambda _number, _name: Reply(403, "ExpiredTokenException", "expired")
    answer = run_here("--debug", "apply")
    printed += answer.out + answer.err
    assert "Traceback" in printed
    assert "an-example-secret" not in printed
    assert "an-example-token" not in printed


def test_a_target_that_cannot_be_asked_hides_no_other_plan_and_keeps_all_from_being_changed(
    scene: Scene, run_here: Run
) -> None:
    more = f"  elsewhere: {{type: amp, region: {REGION}, workspace: ws-elsewhere}}\n"
    (scene.folder / "stakewatch.yaml").write_text(CONFIGURATION + more)
    answer = run_here("plan")
    assert answer.code == 1
    assert "workspace: 2 to create" in answer.out
    assert "there is no workspace ws-elsewhere" in answer.err
    answer = run_here("plan", "--json")
    assert [sorted(target)[:2] for target in json.loads(answer.out)] == [
        ["changes", "drift"],
        ["error", "target"],
    ]
    answer = run_here("apply", "--yes")
    assert answer.code == 1
    assert "there is no workspace ws-elsewhere" in answer.err
    assert scene.fake.namespaces == {}
    assert run_here("apply", "--yes", "workspace").code == 0
    assert run_here("status", "workspace", "elsewhere").code == 1
