"""Which labels lines get: rules of relabelling, carried out as Prometheus does."""

import re
from collections.abc import Mapping, Sequence

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.logs.collection import Rule, journal_rules, pod_rules
from stakewatch.logs.pipelines import Pipelines

POD = "__meta_kubernetes_pod"
LABEL = f"{POD}_label"


def relabelled(rules: Sequence[Rule], labels: Mapping[str, str]) -> dict[str, str] | None:
    """Return the labels of a target after the rules, None where it is dropped.

    Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config
    """
    found = dict(labels)
    for rule in rules:
        value = ";".join(found.get(name, "") for name in rule.get("source_labels", ()))
        matched = re.fullmatch(rule.get("regex", "(.*)"), value)
        if rule.get("action") == "keep":
            if not matched:
                return None
            continue
        if matched:
            template = re.sub(r"\$(\d)", r"\\\1", rule.get("replacement", "$1"))
            found[rule["target_label"]] = matched.expand(template)
    kept = {name: value for name, value in found.items() if value and not name.startswith("__meta")}
    return {name: value for name, value in kept.items() if not name.startswith("__journal")}


def of_unit(pipelines: Pipelines, unit: str, **more: str) -> dict[str, str] | None:
    fields = {"__journal__systemd_unit": unit, "__journal__hostname": "machine-1", "network": "hoodi"}
    return relabelled(journal_rules(pipelines), {**fields, **more})


@pytest.mark.parametrize(
    ("unit", "role", "implementation", "instance"),
    [
        ("geth.service", "execution", "geth", "geth"),
        ("nethermind-hoodi.service", "execution", "nethermind", "nethermind-hoodi"),
        ("lighthouse-beacon.service", "beacon", "lighthouse", "lighthouse-beacon"),
        ("lighthouse-validator.service", "validator", "lighthouse", "lighthouse-validator"),
        ("lighthouse-vc.service", "validator", "lighthouse", "lighthouse-vc"),
        ("prysm-beacon@1.service", "beacon", "prysm", "prysm-beacon@1"),
        ("prysm-validators@2.service", "validator", "prysm", "prysm-validators@2"),
        ("teku.service", "beacon", "teku", "teku"),
        ("web3signer.service", "signer", "web3signer", "web3signer"),
        ("mev-boost.service", "relay", "mev-boost", "mev-boost"),
        ("haproxy.service", "proxy", "haproxy", "haproxy"),
    ],
)
def test_a_unit_named_after_its_client_is_known(
    unit: str, role: str, implementation: str, instance: str, pipelines: Pipelines
) -> None:
    assert of_unit(pipelines, unit) == {
        "network": "hoodi",
        "role": role,
        "implementation": implementation,
        "instance": instance,
    }


@pytest.mark.parametrize("unit", ["ssh.service", "gethostname.service", "my-geth.service", "geth.timer", ""])
def test_other_units_are_left_out(unit: str, pipelines: Pipelines) -> None:
    assert of_unit(pipelines, unit) is None


def test_the_platform_has_the_machine_as_instance_and_no_network(pipelines: Pipelines) -> None:
    assert of_unit(pipelines, "kubelet.service", __journal_priority_keyword="info") == {
        "implementation": "kubelet",
        "instance": "machine-1",
    }


def test_only_the_kernels_priority_is_its_level(pipelines: Pipelines) -> None:
    kernel = {"__journal__transport": "kernel", "__journal_priority_keyword": "err"}
    assert of_unit(pipelines, "", **kernel) == {
        "implementation": "kernel",
        "instance": "machine-1",
        "priority": "err",
    }
    geth = of_unit(pipelines, "geth.service", __journal_priority_keyword="info")
    assert geth is not None
    assert "priority" not in geth


def of_pod(**labels: str) -> dict[str, str] | None:
    meta = {
        "__meta_kubernetes_namespace": "staking",
        f"{POD}_name": "beacon-0",
        f"{POD}_uid": "0b1c-2d",
        f"{POD}_container_name": "node",
        f"{POD}_node_name": "machine-1",
    }
    named = {f"{LABEL}_{name}": value for name, value in labels.items()}
    return relabelled(pod_rules(Configuration()), {**meta, **named})


def test_a_labelled_pod_carries_the_contract_and_its_file() -> None:
    found = of_pod(stakewatch_role="beacon", stakewatch_implementation="teku", stakewatch_network="hoodi")
    assert found == {
        "network": "hoodi",
        "role": "beacon",
        "implementation": "teku",
        "instance": "beacon-0",
        "namespace": "staking",
        "pod": "beacon-0",
        "container": "node",
        "runtime": "cri",
        "__host__": "machine-1",
        "__path__": "/var/log/pods/*0b1c-2d/node/*.log",
    }


def test_a_pod_of_a_known_chart_is_known_by_its_name() -> None:
    found = of_pod(app_kubernetes_io_name="lighthouse-validator")
    assert found is not None
    assert (found["role"], found["implementation"]) == ("validator", "lighthouse")


@pytest.mark.parametrize("labels", [{}, {"app_kubernetes_io_name": "coredns"}])
def test_pods_that_stake_nothing_are_left_out(labels: dict[str, str]) -> None:
    assert of_pod(**labels) is None


def test_a_labelled_pod_of_another_chart_is_what_its_labels_say() -> None:
    found = of_pod(
        app_kubernetes_io_name="coredns", stakewatch_role="relay", stakewatch_implementation="mev-boost"
    )
    assert found is not None
    assert (found["role"], found["implementation"]) == ("relay", "mev-boost")
