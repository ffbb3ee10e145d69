"""Rule namespaces at a second opinion: moto's server, which is somebody else's idea of the service."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import boto3
import pytest
from moto.server import ThreadedMotoServer

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.publishing.amp import Amp
from stakewatch.publishing.applying import apply_changes, make_plan, prune_changes
from stakewatch.publishing.target import Source
from tests.unit.publishing.amp_scene import QUICK, rules, unheard


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


def test_namespaces_are_created_changed_and_pruned(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    amp = boto3.client("amp", region_name="eu-west-1")
    workspace = amp.create_workspace(alias="w")["workspaceId"]
    amp.create_rule_groups_namespace(workspaceId=workspace, name="theirs", data=rules("theirs").encode())
    built = tmp_path / "build" / "rules"
    built.mkdir(parents=True)
    (built / "one.yaml").write_text(rules("one"))
    (built / "two.yaml").write_text(rules("two"))
    options = {"region": "eu-west-1", "workspace": workspace, "alertmanager": False}
    destination = Destination("amp", "amp", MappingProxyType(options))
    target = Amp(
        Source(Bundle(tmp_path), Configuration(), destination), patience=QUICK, calls_per_second=1000
    )

    def held() -> dict[str, bytes]:
        listed = amp.list_rule_groups_namespaces(workspaceId=workspace)["ruleGroupsNamespaces"]
        names = [one["name"] for one in listed]
        described = [amp.describe_rule_groups_namespace(workspaceId=workspace, name=name) for name in names]
        return {name: one["ruleGroupsNamespace"]["data"] for name, one in zip(names, described, strict=True)}

    def publish() -> list[str]:
        plan = make_plan("amp", "amp", target, unheard, adopt=False)
        outcomes = [*apply_changes(target, plan.applied, lambda _change, _what: None)]
        outcomes += prune_changes(target, plan.leftovers, lambda _change, _what: None)
        return [str(one.error) if one.error else f"{one.change.item.name} {one.done}" for one in outcomes]

    with target:
        assert sorted(publish()) == ["stakewatch-one created", "stakewatch-two created"]
        assert publish() == []
        (built / "one.yaml").write_text(rules("one", 2))
        (built / "two.yaml").unlink()
        assert publish() == ["stakewatch-one changed", "stakewatch-two deleted"]
        assert set(held()) == {"stakewatch-one", "theirs"}
        assert b"vector(2)" in held()["stakewatch-one"]
        assert publish() == []
