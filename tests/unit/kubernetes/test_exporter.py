"""The exporter's objects."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stakewatch.bundle.configuration import Configuration, load_configuration_text
from stakewatch.errors import InputError
from stakewatch.kubernetes.exporter import TOKENS, exporter_manifests
from tests.unit.kubernetes.conftest import Fleet

FLEET = {
    "cluster": "c1",
    "region": "r1",
    "beacon_nodes": [
        {"instance": "a-0", "implementation": "lighthouse", "url": "http://a:5052"},
        {"instance": "b-0", "implementation": "teku", "url": "https://b.example"},
    ],
    "execution_nodes": [{"instance": "g-0", "implementation": "geth", "url": "http://[fd00::1]:8545/x"}],
    "validator_clients": [
        {
            "instance": "v-0",
            "implementation": "lighthouse",
            "beacon_nodes": ["a-0"],
            "keymanager": {"url": "http://v:5062", "token_file": "/run/../secrets/v.token"},
        },
        {
            "instance": "w-0",
            "implementation": "teku",
            "beacon_nodes": ["b-0"],
            "keymanager": {"url": "http://w"},
        },
    ],
    "signers": [{"instance": "s-0", "implementation": "web3signer", "url": "http://s:9000"}],
    "groups": [
        {"name": "Alpha", "validator_client": "v-0", "keys": {"file": "keys/alpha.keys"}},
        {"name": "beta", "validator_client": "v-0", "keys": [9, "0x" + "ab" * 48]},
        {"name": "alpha", "validator_client": "w-0", "keys": {"file": "other.keys"}},
    ],
}


def found(configuration: Configuration) -> Mapping[str, Any]:
    """Return the objects by kind and name."""
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in exporter_manifests(configuration)}


@pytest.fixture
def objects(fleet: Fleet, tmp_path: Path) -> Mapping[str, Any]:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "alpha.keys").write_text("# mine\n1\n2\n", encoding="utf-8")
    (tmp_path / "other.keys").write_text("3\n", encoding="utf-8")
    return found(
        fleet(
            fleet=FLEET,
            exporter={"listen": "127.0.0.1:9999", "state_file": "state/mine.json"},
            publish={"p": {"type": "amp", "region": "eu-west-1", "workspace": "ws-1"}},
            kubernetes={"namespace": "watch"},
        )
    )


def mounted(objects: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of the ConfigMaps by the path at which they are mounted."""
    volumes = objects["Deployment/stakewatch-exporter"]["spec"]["template"]["spec"]["volumes"]
    return {
        item["path"]: objects[f"ConfigMap/{source['configMap']['name']}"]["data"][item["key"]]
        for source in volumes[0]["projected"]["sources"]
        if "configMap" in source
        for item in source["configMap"]["items"]
    }


def test_what_is_mounted_is_the_fleet_that_was_written(
    objects: Mapping[str, Any], fleet: Fleet, tmp_path: Path
) -> None:
    folder = tmp_path / "mounted"
    for name, text in mounted(objects).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    path = folder / "stakewatch.yaml"
    inside = load_configuration_text(path.read_text(encoding="utf-8"), path)
    written = fleet(fleet=FLEET)
    assert (inside.network, inside.nodes, inside.signers) == (written.network, written.nodes, written.signers)
    assert inside.groups == written.groups
    assert [group.keys for group in inside.groups] == [("1", "2"), ("9", "0x" + "ab" * 48), ("3",)]
    assert inside.exporter.state_file == "/var/lib/stakewatch/exporter.json"
    assert [client.keymanager and client.keymanager.token_file for client in inside.validator_clients] == [
        str(folder / "tokens" / "v-0.token"),
        None,
    ]
    assert inside.publish == ()


def test_a_token_is_mounted_from_a_secret_for_its_group_only(objects: Mapping[str, Any]) -> None:
    pod = objects["Deployment/stakewatch-exporter"]["spec"]["template"]["spec"]
    (secret,) = [one["secret"] for one in pod["volumes"][0]["projected"]["sources"] if "secret" in one]
    assert secret == {
        "name": TOKENS,
        "items": [{"key": "v-0.token", "path": "tokens/v-0.token", "mode": 0o440}],
    }
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"]
    assert not any(one["kind"] == "Secret" for one in objects.values())


def test_the_container_may_do_nothing_but_run(objects: Mapping[str, Any]) -> None:
    pod = objects["Deployment/stakewatch-exporter"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "livenessProbe", "readinessProbe", "resources"} <= set(container)
    # All that it writes to: its state, and what is forgotten with the pod.
    assert {one["name"] for one in container["volumeMounts"] if not one.get("readOnly")} == {
        "state",
        "temporary",
    }


def test_the_policy_lets_prometheus_in_and_the_exporter_out_to_the_ports_of_its_nodes(
    objects: Mapping[str, Any],
) -> None:
    policy = objects["NetworkPolicy/stakewatch-exporter"]["spec"]
    names, nodes = policy["egress"]
    assert {(one["protocol"], one["port"]) for one in names["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert [one["port"] for one in nodes["ports"]] == [80, 443, 5052, 5062, 8545, 9000]
    ((source,),) = [one["from"] for one in policy["ingress"]]
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "watch"}
    assert source["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}


def test_every_selector_finds_the_pod(objects: Mapping[str, Any]) -> None:
    deployment = objects["Deployment/stakewatch-exporter"]["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    service = objects["Service/stakewatch-exporter"]
    assert deployment["selector"]["matchLabels"].items() <= labels
    assert service["spec"]["selector"].items() <= labels
    assert (
        objects["NetworkPolicy/stakewatch-exporter"]["spec"]["podSelector"]["matchLabels"].items() <= labels
    )
    monitor = objects["ServiceMonitor/stakewatch-exporter"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
    assert monitor["endpoints"][0]["honorLabels"] is True


def test_a_changed_configuration_restarts_the_pod_and_a_changed_key_does_not(
    fleet: Fleet, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("keys/alpha.keys", "other.keys"):
        (tmp_path / name).write_text(f"{len(name)}\n", encoding="utf-8")

    def annotations(**sections: object) -> object:
        deployment = found(fleet(fleet=FLEET, **sections))["Deployment/stakewatch-exporter"]
        return deployment["spec"]["template"]["metadata"]["annotations"]

    before = annotations()
    (tmp_path / "other.keys").write_text("77\n", encoding="utf-8")
    assert annotations() == before
    # What other commands read is not the exporter's.
    assert annotations(kubernetes={"namespace": "elsewhere"}) == before
    assert annotations(health={"minimum_beacon_peers": 3}) != before


def test_a_fleet_without_nodes_has_no_exporter_as_it_would_not_start(fleet: Fleet) -> None:
    assert found(Configuration()) == {}
    assert found(fleet(fleet={"cluster": "c1"})) == {}


def test_a_key_file_that_no_config_map_holds_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "alpha.keys").write_text("# " + "x" * 1024 * 1024 + "\n1\n", encoding="utf-8")
    (tmp_path / "other.keys").write_text("3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"keys/alpha.keys: has 1,\d+,\d+ bytes") as raised:
        found(fleet(fleet=FLEET))
    assert "divide the group" in str(raised.value)


@pytest.mark.parametrize(
    ("configured", "argument", "port"),
    [
        ("127.0.0.1:9999", "0.0.0.0:9999", 9999),
        ("localhost:0", "0.0.0.0:9120", 9120),
        # A cluster whose pods have addresses of version 6 only.
        ("[::]:9120", "[::]:9120", 9120),
    ],
)
def test_it_listens_where_prometheus_reaches_it(
    fleet: Fleet, configured: str, argument: str, port: int
) -> None:
    objects = found(fleet(exporter={"listen": configured}))
    (container,) = objects["Deployment/stakewatch-exporter"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][-1] == argument
    assert container["ports"][0]["containerPort"] == port
    assert objects["Service/stakewatch-exporter"]["spec"]["ports"][0]["port"] == port


def test_the_image_runs_as_the_user_that_the_deployment_asks_for(objects: Mapping[str, Any]) -> None:
    recipe = (Path(__file__).parents[3] / "kubernetes" / "exporter.Dockerfile").read_text(encoding="utf-8")
    security = objects["Deployment/stakewatch-exporter"]["spec"]["template"]["spec"]["securityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}\n" in recipe


def test_its_volume_has_the_class_that_is_chosen_or_the_clusters_default(fleet: Fleet) -> None:
    name = "PersistentVolumeClaim/stakewatch-exporter-state"
    assert "storageClassName" not in found(fleet())[name]["spec"]
    assert found(fleet(kubernetes={"storage_class": "fast"}))[name]["spec"]["storageClassName"] == "fast"
