"""Policies that allow what each command does, and nothing more; settings of remote write."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.publishing.amp_access import policies, remote_write
from stakewatch.publishing.targets import build_amp_access
from tests.unit.publishing.amp_scene import Scene, amp_scene, rules, unheard
from tests.unit.publishing.aws_server import REGION
from tests.unit.publishing.fake_amp import WORKSPACE


def destination(**options: str) -> Destination:
    return Destination("amp", "amp", MappingProxyType({"region": REGION, "workspace": WORKSPACE, **options}))


def actions(policy: Any) -> set[str]:  # noqa: ANN401 - JSON
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def publish(scene: Scene) -> None:
    scene.apply()
    scene.write_rules("beacon.yaml", rules("beacon", 2))
    scene.write_definition((scene.folder / "build/amp-alertmanager/definition.yaml").read_text() + "# more\n")
    definition = scene.folder / "build/amp-alertmanager/definition.yaml"
    definition.write_text(definition.read_text().replace(":pager", ":other"))
    scene.apply()


def prune(scene: Scene) -> None:
    scene.remove_rules("storage.yaml")
    (scene.folder / "build/amp-alertmanager/definition.yaml").unlink()
    scene.prune()


def status(scene: Scene) -> None:
    with scene.target() as target:
        target.status(unheard)


@pytest.mark.parametrize(
    ("command", "before", "does"),
    [
        ("plan", [], lambda scene: scene.plan()),
        (
            "plan",
            [publish],
            lambda scene: scene.fake.write("stakewatch-beacon", "groups: []") or scene.plan(),
        ),
        ("apply", [], publish),
        ("prune", [publish], prune),
        ("status", [publish], status),
    ],
)
def test_a_command_s_policy_allows_what_it_asks_for(
    command: str, before: list[Callable[[Scene], object]], does: Callable[[Scene], object], tmp_path: Path
) -> None:
    with amp_scene(tmp_path) as scene:
        for one in before:
            one(scene)
        scene.fake.calls.clear()
        does(scene)
        asked = {
            f"servicequotas:{name}" if name.endswith("ServiceQuotas") else f"aps:{name}"
            for name in scene.fake.operations
        }
    allowed = actions(policies(destination())[command])
    assert asked <= allowed
    changing = {one for one in allowed if re.search(":(Create|Put|Delete|Tag)", one)}
    assert {one for one in asked if re.search(":(Create|Put|Delete|Tag)", one)} == changing


def test_only_apply_and_prune_may_change_anything_and_only_what_is_ours() -> None:
    made = policies(destination(prefix="mine-"))
    for command, policy in made.items():
        text = json.dumps(policy)
        assert ("Delete" in text) == (command == "prune")
        assert ("Create" in text) == (command == "apply")
        assert '"aps:*"' not in text
        for statement in policy["Statement"]:
            namespaces = ":rulegroupsnamespace/" in statement["Resource"]
            if namespaces and any(re.search("Create|Put|Delete|Tag", one) for one in statement["Action"]):
                assert statement["Resource"].endswith(f"/{WORKSPACE}/mine-*")


@pytest.mark.parametrize(
    ("region", "partition", "host"),
    [
        ("eu-west-1", "aws", "aps-workspaces.eu-west-1.amazonaws.com"),
        ("cn-north-1", "aws-cn", "aps-workspaces.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "aps-workspaces.us-gov-west-1.amazonaws.com"),
    ],
)
def test_other_partitions_have_other_names(region: str, partition: str, host: str) -> None:
    one = destination(region=region)
    assert f'"arn:{partition}:aps:{region}:*:workspace/{WORKSPACE}"' in json.dumps(policies(one)["status"])
    (target,) = remote_write(one)["remote_write"]
    assert target["url"] == f"https://{host}/workspaces/{WORKSPACE}/api/v1/remote_write"


def test_the_build_has_a_folder_for_each_workspace(tmp_path: Path) -> None:
    role = "arn:aws:iam::111122223333:role/sender"
    configuration = Configuration(
        publish=(destination(role_arn=role), Destination("g", "grafana", MappingProxyType({})))
    )
    build_amp_access(Bundle(tmp_path), configuration, tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == {
        "amp/iam-apply.json",
        "amp/iam-plan.json",
        "amp/iam-prune.json",
        "amp/iam-query.json",
        "amp/iam-remote-write.json",
        "amp/iam-status.json",
        "amp/remote-write.yaml",
    }
    written = yaml.safe_load((tmp_path / "amp" / "remote-write.yaml").read_text())
    assert written["remote_write"][0]["sigv4"] == {"region": REGION, "role_arn": role}
