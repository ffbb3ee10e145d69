"""Publishing to a Grafana: what is there afterwards, what is left alone, and what each refusal tells."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from stakewatch.errors import InputError, StakewatchError
from stakewatch.grafana.links import TAG as BOARDS_TAG
from stakewatch.publishing import grafana_target, json_api
from stakewatch.publishing.grafana_objects import MARK, TAG
from stakewatch.publishing.plans import Action
from stakewatch.publishing.target import Target
from tests.unit.publishing.fake_grafana import ADMIN, EDITOR, VIEWER, FakeGrafana, Reply, page, serving
from tests.unit.publishing.publishing_to import make, plan, prune, publish, write_board

SOURCE = {"url": "http://prometheus.internal:9090/"}
AMP = {"url": "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/", "region": "eu-west-1"}


@pytest.fixture
def there() -> Iterator[FakeGrafana]:
    """Return a Grafana; what its documentation does not know of our requests fails the test."""
    with serving(FakeGrafana()) as grafana:
        yield grafana
    assert grafana.wrong == []


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a bundle with two boards, and the token in the environment."""
    monkeypatch.setenv("GRAFANA_TOKEN", ADMIN)
    monkeypatch.setattr(json_api, "_FIRST_PAUSE_SECONDS", 0.001)
    write_board(tmp_path, "lighthouse")
    write_board(tmp_path, "geth")
    return tmp_path


def target(bundle: Path, there: FakeGrafana, **options: object) -> Target:
    return make(bundle, "grafana", url=there.url, **options)


def test_the_fake_does_not_judge_a_request_whose_sender_was_killed_before_its_body(
    there: FakeGrafana,
) -> None:
    address = urlsplit(there.url)
    head = "POST /api/dashboards/db HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{"
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as sender:
        sender.sendall(head.encode())
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(1) == b""
    assert there.wrong == []


def test_all_is_there_after_the_first_time_and_nothing_changes_the_second(
    bundle: Path, there: FakeGrafana
) -> None:
    first = publish(target(bundle, there, data_source=SOURCE))
    assert first.changed == [
        "folder stakewatch",
        "data source stakewatch",
        "dashboard geth",
        "dashboard lighthouse",
    ]
    assert first.errors == []
    assert first.done["dashboard geth"] == "saved as version 1"
    assert there.folders["stakewatch"]["title"] == "Stakewatch"
    assert there.data_sources["stakewatch"]["type"] == "prometheus"
    assert there.data_sources["stakewatch"]["jsonData"] == {"httpMethod": "POST", "timeInterval": "15s"}
    stored = there.dashboards["lighthouse"]
    assert stored.folder == "stakewatch"
    assert stored.content["tags"] == ["stakewatch", "beacon", MARK]
    writes = len(there.writes)
    second = publish(target(bundle, there, data_source=SOURCE))
    assert (second.changed, second.plan.drift, len(there.writes)) == ([], False, writes)
    assert stored.version == 1


def test_a_changed_board_is_one_new_version_of_that_board_alone(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there))
    write_board(bundle, "geth", description="new")
    assert publish(target(bundle, there)).changed == ["dashboard geth"]
    assert (there.dashboards["geth"].version, there.dashboards["lighthouse"].version) == (2, 1)
    assert there.dashboards["geth"].content["description"] == "new"


def test_what_somebody_saved_in_the_browser_is_shown_and_replaced(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there))
    there.save_in_browser("geth", title="Mine", tags=[])
    made = plan(target(bundle, there))
    (change,) = made.applied
    assert any("Mine" in line for line in change.differences())
    assert publish(target(bundle, there)).errors == []
    assert there.dashboards["geth"].content["title"] == "Geth"
    assert publish(target(bundle, there)).changed == []


def test_a_board_that_was_moved_goes_back_to_its_folder(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there))
    there.dashboards["geth"].folder = ""
    assert publish(target(bundle, there)).changed == ["dashboard geth"]
    assert there.dashboards["geth"].folder == "stakewatch"


def test_a_board_that_was_deleted_comes_back(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there))
    del there.dashboards["geth"]
    assert publish(target(bundle, there)).changed == ["dashboard geth"]


def test_a_grafana_that_stores_boards_in_another_form_gets_no_new_versions(
    bundle: Path, there: FakeGrafana
) -> None:
    there.stores = lambda content: {**content, "schemaVersion": 42, "preload": False, "weekStart": ""}
    publish(target(bundle, there))
    again = publish(target(bundle, there))
    assert (again.changed, there.dashboards["geth"].version) == ([], 1)
    # What somebody changes there is still seen, and what changes here too.
    there.save_in_browser("geth", title="Mine")
    write_board(bundle, "lighthouse", description="new")
    assert publish(target(bundle, there)).changed == ["dashboard geth", "dashboard lighthouse"]
    assert publish(target(bundle, there)).changed == []


def test_an_older_grafana_lists_versions_without_an_object_around_them(
    bundle: Path, there: FakeGrafana
) -> None:
    there.version = "10.4.19"
    there.stores = lambda content: {**content, "liveNow": False}
    publish(target(bundle, there))
    assert publish(target(bundle, there)).changed == []


def test_permissions_and_other_peoples_boards_in_the_folder_are_left_alone(
    bundle: Path, there: FakeGrafana
) -> None:
    publish(target(bundle, there))
    there.save_in_browser("mine", tags=["stakewatch"])
    there.dashboards["mine"].folder = "stakewatch"
    assert plan(target(bundle, there)).drift is False
    assert not [one for one in there.requests if "permissions" in one]
    assert prune(target(bundle, there)).outcomes == ()
    assert "mine" in there.dashboards


def test_a_board_that_is_no_longer_built_is_left_over_and_pruned(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there))
    (bundle / "build" / "dashboards" / "geth.json").unlink()
    applied = publish(target(bundle, there))
    assert [str(change.item) for change in applied.plan.leftovers] == ["dashboard geth"]
    assert "geth" in there.dashboards
    assert prune(target(bundle, there)).done == {"dashboard geth": "deleted"}
    assert set(there.dashboards) == {"lighthouse"}
    assert plan(target(bundle, there)).drift is False


def test_a_grafana_that_searches_all_folders_loses_nothing_of_another_bundle(
    bundle: Path, there: FakeGrafana
) -> None:
    there.version = "9.4.17"
    publish(target(bundle, there, folder="Other"))
    there.dashboards["theirs"] = there.dashboards.pop("geth")
    publish(target(bundle, there))
    assert prune(target(bundle, there)).outcomes == ()
    assert prune(target(bundle, there, folder="Other")).done == {"dashboard theirs": "deleted"}


def test_what_is_gone_already_is_no_error_when_pruned(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there))
    (bundle / "build" / "dashboards" / "geth.json").unlink()
    opened = target(bundle, there)
    with opened:
        live = [one for one in opened.live([], lambda _: None) if one.identity == "geth"]
        del there.dashboards["geth"]
        assert opened.remove(live[0], lambda _: None) == "was gone already"


def test_somebody_elses_board_of_the_same_uid_is_not_touched_until_we_are_told(
    bundle: Path, there: FakeGrafana
) -> None:
    there.save_in_browser("geth", title="Theirs")
    first = publish(target(bundle, there))
    (refused,) = first.plan.refused
    assert refused.live is not None
    assert "somebody else" in refused.live.reason
    assert there.dashboards["geth"].content["title"] == "Theirs"
    publish(target(bundle, there), adopt=True)
    assert there.dashboards["geth"].content["title"] == "Geth"


def test_a_board_that_was_imported_by_hand_is_taken_over(bundle: Path, there: FakeGrafana) -> None:
    there.save_in_browser("geth", title="Geth", tags=["stakewatch"])
    assert publish(target(bundle, there)).errors == []
    assert there.dashboards["geth"].folder == "stakewatch"
    assert TAG == BOARDS_TAG


def test_a_provisioned_board_is_explained_in_the_plan_and_at_the_attempt(
    bundle: Path, there: FakeGrafana
) -> None:
    there.save_in_browser("geth", title="Geth", tags=["stakewatch"])
    there.dashboards["geth"].provisioned = "boards/geth.json"
    (refused,) = plan(target(bundle, there)).refused
    assert refused.live is not None
    assert refused.live.reason == "Grafana loads it from boards/geth.json (provisioning)"
    (error,) = publish(target(bundle, there), adopt=True).errors
    assert "dashboard geth" in error
    assert "Cannot save provisioned dashboard" in error
    assert "publish it in one way only" in error


def test_what_is_saved_between_plan_and_apply_is_not_overwritten(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there))
    write_board(bundle, "geth", description="new")
    opened = target(bundle, there)
    with opened:
        desired = {str(item): item for item in opened.desired()}
        live = {str(one.item): one for one in opened.live(list(desired.values()), lambda _: None)}
        there.save_in_browser("geth", title="Mine")
        with pytest.raises(StakewatchError, match=r"changed by someone else[^\n]*\n.*plan again"):
            opened.put(desired["dashboard geth"], live["dashboard geth"], lambda _: None)
    assert there.dashboards["geth"].content["title"] == "Mine"


def test_a_folder_that_was_renamed_gets_its_title_back(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there))
    there.folders["stakewatch"] |= {"title": "Mine", "version": 2}
    assert publish(target(bundle, there)).done == {"folder stakewatch": "renamed"}
    assert there.folders["stakewatch"]["title"] == "Stakewatch"


def test_a_title_that_another_folder_has_is_explained(bundle: Path, there: FakeGrafana) -> None:
    there.folders["theirs"] = {"uid": "theirs", "title": "Stakewatch", "version": 1}
    errors = publish(target(bundle, there)).errors
    assert (
        "another folder has this title: rename it, or write another folder in stakewatch.yaml:9" in errors[0]
    )
    assert all('the folder "Stakewatch" has to be there first' in error for error in errors[1:])
    assert len(errors) == 3


def test_folders_with_other_titles_have_their_own_uid(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there, folder="Zürich: Staking"))
    (uid,) = there.folders
    assert uid.startswith("zurich-staking-")
    assert there.dashboards["geth"].folder == uid


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("9.4.17", "prometheus"),
        ("10.4.19", "prometheus"),
        ("11.6.0+security-01", "prometheus"),
        ("12.0.0", "grafana-amazonprometheus-datasource"),
        ("13.1.0-pre", "grafana-amazonprometheus-datasource"),
    ],
)
def test_the_data_source_for_amazon_has_the_type_that_this_version_needs(
    bundle: Path, there: FakeGrafana, version: str, kind: str
) -> None:
    there.version = version
    publish(target(bundle, there, data_source=AMP))
    source = there.data_sources["stakewatch"]
    assert source["type"] == kind
    assert source["jsonData"] == {
        "httpMethod": "POST",
        "timeInterval": "15s",
        "sigV4Auth": True,
        "sigV4AuthType": "default",
        "sigV4Region": "eu-west-1",
    }


def test_a_data_source_of_another_account_assumes_its_role(bundle: Path, there: FakeGrafana) -> None:
    role = "arn:aws:iam::111122223333:role/reads-metrics"
    publish(target(bundle, there, data_source={**AMP, "role_arn": role}))
    assert there.data_sources["stakewatch"]["jsonData"]["sigV4AssumeRoleArn"] == role
    with pytest.raises(InputError, match=r"stakewatch\.yaml:9: data_source has a role_arn and no region"):
        target(bundle, there, data_source={**SOURCE, "role_arn": role})


def test_a_grafana_that_hides_its_version_tells_it_to_who_is_signed_in(
    bundle: Path, there: FakeGrafana
) -> None:
    there.hides_version = True
    publish(target(bundle, there, data_source=AMP))
    assert there.data_sources["stakewatch"]["type"] == "grafana-amazonprometheus-datasource"


def test_an_upgrade_of_grafana_changes_the_type_and_nothing_else_of_the_data_source(
    bundle: Path, there: FakeGrafana
) -> None:
    there.version = "10.4.19"
    publish(target(bundle, there, data_source=AMP))
    there.data_sources["stakewatch"]["isDefault"] = True
    there.data_sources["stakewatch"]["jsonData"]["exemplarTraceIdDestinations"] = [{"name": "trace"}]
    there.version = "12.4.1"
    assert publish(target(bundle, there, data_source=AMP)).changed == ["data source stakewatch"]
    source = there.data_sources["stakewatch"]
    assert source["type"] == "grafana-amazonprometheus-datasource"
    assert source["isDefault"] is True
    assert source["jsonData"]["exemplarTraceIdDestinations"] == [{"name": "trace"}]
    assert publish(target(bundle, there, data_source=AMP)).changed == []


def test_a_missing_plugin_is_found_before_anything_is_sent(bundle: Path, there: FakeGrafana) -> None:
    there.plugins = {"prometheus"}
    made = publish(target(bundle, there, data_source=AMP)).plan
    assert [flaw.what for flaw in made.flaws] == [
        "this Grafana has no plugin grafana-amazonprometheus-datasource"
    ]
    assert there.writes == []


def test_an_address_of_a_single_call_is_found_before_anything_is_sent(
    bundle: Path, there: FakeGrafana
) -> None:
    wrong = {"url": "https://aps.example/workspaces/ws-1/api/v1/remote_write"}
    (flaw,) = publish(target(bundle, there, data_source=wrong)).plan.flaws
    assert "without /api/v1" in flaw.mend
    assert there.writes == []


def test_a_token_that_travels_unencrypted_is_remarked(
    bundle: Path, there: FakeGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grafana_target, "is_loopback", lambda _: False)
    result = publish(target(bundle, there))
    assert [(flaw.what, flaw.fatal) for flaw in result.plan.flaws] == [
        ("the token travels unencrypted over http", False)
    ]


def test_boards_open_with_the_published_data_source(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there, data_source={**SOURCE, "name": "Staking metrics"}))
    assert there.data_sources["staking-metrics"]["name"] == "Staking metrics"
    (variable,) = there.dashboards["geth"].content["templating"]["list"]
    assert variable["current"] == {"selected": True, "text": "Staking metrics", "value": "staking-metrics"}


def test_a_name_that_another_data_source_has_is_explained(bundle: Path, there: FakeGrafana) -> None:
    there.data_sources["theirs"] = {"uid": "theirs", "name": "stakewatch", "type": "loki", "version": 1}
    (error,) = publish(target(bundle, there, data_source=SOURCE)).errors
    assert "another data source has this name" in error


def test_a_provisioned_data_source_is_left_alone(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there, data_source=SOURCE))
    there.data_sources["stakewatch"] |= {"readOnly": True, "url": "http://theirs"}
    made = publish(target(bundle, there, data_source=SOURCE))
    assert [str(change.item) for change in made.plan.refused] == ["data source stakewatch"]
    (error,) = publish(target(bundle, there, data_source=SOURCE), adopt=True).errors
    assert "provisioning" in error


def test_a_full_quota_is_explained_for_the_board_that_did_not_fit(bundle: Path, there: FakeGrafana) -> None:
    there.quota = 1
    result = publish(target(bundle, there))
    (error,) = result.errors
    assert "Quota reached" in error
    assert "ask for a larger quota" in error
    assert len(there.dashboards) == 1


def test_two_boards_of_one_title_are_found_before_anything_is_sent(bundle: Path, there: FakeGrafana) -> None:
    write_board(bundle, "other", title="Geth")
    (flaw,) = publish(target(bundle, there)).plan.flaws
    assert "also that of dashboard geth" in flaw.what
    assert there.writes == []


@pytest.mark.parametrize("uid", ["a" * 41, "with blank", "ünï", "../folders/x"])
def test_a_uid_that_grafana_does_not_take_is_found_before_anything_is_sent(
    bundle: Path, there: FakeGrafana, uid: str
) -> None:
    write_board(bundle, uid, title="Odd")
    flaws = publish(target(bundle, there)).plan.flaws
    assert [flaw.subject for flaw in flaws] == [f"dashboard {uid}"]
    assert there.writes == []


def test_a_file_that_is_no_board_is_named(bundle: Path, there: FakeGrafana) -> None:
    path = write_board(bundle, "broken")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.json: is no JSON"):
        plan(target(bundle, there))
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="no dashboard with a uid"):
        plan(target(bundle, there))
    path.write_text(json.dumps({"uid": "geth", "title": "x"}), encoding="utf-8")
    with pytest.raises(InputError, match="has the uid"):
        plan(target(bundle, there))


def test_a_wrong_token_is_one_clear_line_and_nothing_is_written(
    bundle: Path, there: FakeGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", "glsa_wrong")
    with pytest.raises(StakewatchError, match=r"not signed in \(401\).*\n.*check token_file") as raised:
        publish(target(bundle, there))
    assert "glsa_wrong" not in str(raised.value)
    assert there.writes == []


def test_who_may_only_read_sees_the_plan_and_is_told_what_is_missing(
    bundle: Path, there: FakeGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", VIEWER)
    result = publish(target(bundle, there))
    assert len(result.changed) == 3
    assert "Permissions needed: dashboards:create" in result.errors[0]
    assert result.errors[0].startswith("folder stakewatch, POST ")
    assert (there.folders, there.dashboards) == ({}, {})


def test_an_editor_publishes_boards_but_no_data_source(
    bundle: Path, there: FakeGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", EDITOR)
    result = publish(target(bundle, there, data_source=SOURCE))
    (error,) = result.errors
    assert "datasources:create" in error
    assert set(there.dashboards) == {"geth", "lighthouse"}


@pytest.mark.parametrize("status", [401, 403])
def test_a_page_instead_of_an_answer_is_called_what_it_is(
    bundle: Path, there: FakeGrafana, status: int
) -> None:
    there.instead = lambda _method, _path, _number: page(status)
    with pytest.raises(
        StakewatchError, match=rf"refused with a page \({status}\)[^\n]*\n.*proxy or firewall"
    ):
        publish(target(bundle, there))


def test_after_a_page_in_the_middle_no_further_object_is_tried(bundle: Path, there: FakeGrafana) -> None:
    there.instead = lambda method, _path, _number: page(403) if method == "POST" else None
    result = publish(target(bundle, there))
    assert len(result.outcomes) == 1
    assert there.writes == ["POST /api/folders"]


def test_a_limit_of_requests_is_waited_for_as_long_as_asked(bundle: Path, there: FakeGrafana) -> None:
    limited = [Reply(429, {"message": "Too Many Requests"}, {"Retry-After": "1"})]

    def once(method: str, path: str, _number: int) -> Reply | None:
        return limited.pop() if method == "POST" and path == "/api/dashboards/db" and limited else None

    there.instead = once
    started = time.monotonic()
    assert publish(target(bundle, there)).errors == []
    assert time.monotonic() - started >= 1


def test_a_grafana_that_restarts_is_asked_again_but_nothing_is_written_twice(
    bundle: Path, there: FakeGrafana
) -> None:
    publish(target(bundle, there))
    write_board(bundle, "geth", description="new")
    there.instead = lambda method, path, _number: (
        Reply(0, drop=True) if method == "POST" and path == "/api/dashboards/db" else None
    )
    result = publish(target(bundle, there))
    assert [error.splitlines()[0].rpartition(": ")[0].split(": ")[-1] for error in result.errors] == [
        "no connection"
    ]
    assert there.writes.count("POST /api/dashboards/db") == 3
    there.instead = lambda _method, _path, _number: None
    assert publish(target(bundle, there)).changed == ["dashboard geth"]


def test_a_server_that_is_no_grafana_is_told_at_once(bundle: Path, there: FakeGrafana) -> None:
    there.instead = lambda _method, _path, _number: Reply(200, {"hello": "world"})
    with pytest.raises(StakewatchError, match="is not that of a Grafana"):
        publish(target(bundle, there))


def test_a_page_of_404_is_not_taken_for_an_empty_grafana(bundle: Path, there: FakeGrafana) -> None:
    there.instead = lambda _method, path, _number: None if path == "/api/health" else page(404)
    with pytest.raises(StakewatchError, match="404"):
        plan(target(bundle, there))


def test_answers_of_another_form_are_refused_not_believed(bundle: Path, there: FakeGrafana) -> None:
    wrong: list[Any] = [[], "text", {"dashboard": {}}, {"dashboard": {"version": "1"}, "meta": {}}]

    def instead(_method: str, path: str, _number: int) -> Reply | None:
        return Reply(200, wrong[0]) if path.startswith("/api/dashboards/uid/") else None

    there.instead = instead
    while wrong:
        with pytest.raises(StakewatchError, match="its answer"):
            plan(target(bundle, there))
        del wrong[0]


def test_the_token_comes_from_a_file_that_only_we_may_read(
    bundle: Path, there: FakeGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAFANA_TOKEN")
    path = bundle / "token"
    for content, mode, said in (
        (None, 0o600, "the token cannot be read"),
        (ADMIN, 0o644, "everybody on this machine"),
        ("", 0o600, "holds no token"),
        ("two words", 0o600, "holds no token"),
        ("x\x00y", 0o600, "holds no token"),
    ):
        if content is not None:
            path.write_text(content, encoding="utf-8")
            path.chmod(mode)
        with pytest.raises(InputError, match=said) as raised:
            plan(target(bundle, there, token_file=str(path)))
        assert not content or content not in str(raised.value)
    path.write_text(f"{ADMIN}\n", encoding="utf-8")
    assert len(plan(target(bundle, there, token_file=str(path))).applied) == 3


def test_without_a_token_a_person_is_told_where_to_put_it(
    bundle: Path, there: FakeGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAFANA_TOKEN")
    with pytest.raises(InputError, match=r"stakewatch\.yaml:9: there is no token[^\n]*\n.*set GRAFANA_TOKEN"):
        plan(target(bundle, there))


def test_status_before_the_first_apply_says_what_to_do(bundle: Path, there: FakeGrafana) -> None:
    with target(bundle, there, data_source=SOURCE) as opened:
        version, nothing = opened.status(lambda _: None)
    assert (version.subject, version.state) == ("Grafana", "12.4.1")
    assert (nothing.state, nothing.detail) == ("nothing yet", "`stakewatch apply there` publishes it")
    assert not nothing.healthy


def test_status_tells_version_data_source_and_boards(bundle: Path, there: FakeGrafana) -> None:
    publish(target(bundle, there, data_source=SOURCE))
    del there.dashboards["geth"]
    # It is asked of a checkout too in which nothing is built.
    for path in (bundle / "build" / "dashboards").iterdir():
        path.unlink()
    opened = target(bundle, there, data_source=SOURCE)
    with opened:
        facts = {(fact.subject, fact.state): fact for fact in opened.status(lambda _: None)}
    assert facts["Grafana", "12.4.1"].healthy
    assert facts["data source stakewatch", "answers"].detail == "Successfully queried the Prometheus API."
    assert ("dashboard geth", "there") not in facts
    assert facts["dashboard lighthouse", "there"].detail == "version 1"
    del there.folders["stakewatch"]
    with opened:
        facts = {(fact.subject, fact.state): fact for fact in opened.status(lambda _: None)}
    assert not facts["folder stakewatch", "missing"].healthy
    there.plugins.clear()
    with opened:
        facts = {(fact.subject, fact.state): fact for fact in opened.status(lambda _: None)}
    assert facts["data source stakewatch", "does not answer"].detail == "Plugin unavailable"


def test_many_boards_are_read_several_at_a_time(bundle: Path, there: FakeGrafana) -> None:
    for number in range(48):
        write_board(bundle, f"board-{number}")
    publish(target(bundle, there))
    there.delay_seconds = 0.02
    started = time.monotonic()
    assert plan(target(bundle, there)).drift is False
    assert time.monotonic() - started < 50 * 0.02
    there.delay_seconds = 0.0


@pytest.mark.parametrize("carried_out", [False, True])
def test_what_was_stopped_at_any_request_is_completed_by_the_next_run(
    bundle: Path, there: FakeGrafana, *, carried_out: bool
) -> None:
    def stop_at(position: int) -> Callable[[str, str, int], Reply | None]:
        end = Reply(0, drop=True)
        first = Reply(0, lost=True) if carried_out else end
        return lambda _method, _path, number: (
            None if number < position else first if number == position else end
        )

    options: dict[str, Any] = {"data_source": SOURCE}
    for position in range(1, 40):
        there.folders.clear()
        there.dashboards.clear()
        there.data_sources.clear()
        there.requests.clear()
        there.instead = stop_at(position)
        try:
            through = not publish(target(bundle, there, **options)).errors
        except StakewatchError:
            through = False
        there.instead = lambda _method, _path, _number: None
        assert publish(target(bundle, there, **options)).errors == []
        assert publish(target(bundle, there, **options)).plan.drift is False
        if through:
            break
    assert 8 < position < 39


def test_a_plan_of_an_empty_grafana_creates_all(bundle: Path, there: FakeGrafana) -> None:
    made = plan(target(bundle, there))
    assert {change.action for change in made.changes} == {Action.CREATE}
    assert grafana_target.GrafanaTarget.kinds == ("folder", "data source", "dashboard")
    assert f"Grafana {there.url}, folder Stakewatch" == made.where
