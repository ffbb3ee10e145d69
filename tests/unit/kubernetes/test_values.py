"""The values of kube-prometheus-stack, and the keys that it knows."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.kubernetes.chart import chart_schema
from stakewatch.kubernetes.checks import values as check_values
from stakewatch.kubernetes.values import chart_values, values_path
from tests.unit.kubernetes.conftest import Fleet

REPOSITORY = Path(__file__).parents[3]
PLACE = [
    {"targetLabel": "cluster", "replacement": "c1"},
    {"targetLabel": "region", "replacement": "r1"},
]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Return a bundle that has routes and no values."""
    root = tmp_path / "bundle"
    (root / "kubernetes").mkdir(parents=True)
    shutil.copytree(REPOSITORY / "alertmanager", root / "alertmanager")
    return Bundle(root)


def write(bundle: Bundle, text: str) -> None:
    values_path(bundle).write_text(text, encoding="utf-8")


def relabelings(content: Any, place: str = "") -> Iterator[tuple[str, list[Mapping[str, Any]]]]:  # noqa: ANN401 - values
    """Yield each list of relabelings with its place."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if key.lower().endswith("relabelings"):
            yield f"{place}{key}", value
        else:
            yield from relabelings(value, f"{place}{key}.")


def test_every_target_of_the_platform_says_which_cluster_it_is_of(bundle: Bundle, fleet: Fleet) -> None:
    found = dict(relabelings(chart_values(bundle, fleet())))
    assert set(found) == {
        "alertmanager.serviceMonitor.relabelings",
        "coreDns.serviceMonitor.relabelings",
        "kube-state-metrics.prometheus.monitor.http.relabelings",
        "kubeApiServer.serviceMonitor.relabelings",
        "kubelet.serviceMonitor.cAdvisorRelabelings",
        "kubelet.serviceMonitor.probesRelabelings",
        "kubelet.serviceMonitor.relabelings",
        "prometheus-node-exporter.prometheus.monitor.relabelings",
        "prometheus.serviceMonitor.relabelings",
        "prometheusOperator.serviceMonitor.relabelings",
    }
    assert all(one in rules for rules in found.values() for one in PLACE)


def test_the_pages_of_one_kubelet_stay_apart(bundle: Bundle, fleet: Fleet) -> None:
    kubelet = chart_values(bundle, fleet())["kubelet"]["serviceMonitor"]
    path = {"sourceLabels": ["__metrics_path__"], "targetLabel": "metrics_path"}
    assert all(path in rules for rules in kubelet.values())


def test_the_cluster_may_be_another_one_than_that_of_the_first_node(bundle: Bundle, fleet: Fleet) -> None:
    content = chart_values(bundle, fleet(kubernetes={"cluster": "hub", "region": "r9"}))
    assert content["prometheus"]["prometheusSpec"]["externalLabels"] == {"cluster": "hub", "region": "r9"}


def test_samples_are_kept_for_90_days_where_nobody_else_keeps_them(bundle: Bundle, fleet: Fleet) -> None:
    specification = chart_values(bundle, fleet())["prometheus"]["prometheusSpec"]
    assert specification["retention"] == "90d"
    assert "remoteWrite" not in specification


def test_samples_are_sent_to_the_workspace_that_is_published_to(bundle: Bundle, sending: Fleet) -> None:
    prometheus = chart_values(bundle, sending())["prometheus"]
    (remote_write,) = prometheus["prometheusSpec"]["remoteWrite"]
    assert remote_write["url"] == (
        "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"
    )
    assert remote_write["sigv4"] == {"region": "eu-west-1"}
    assert "serviceAccount" not in prometheus


def test_china_has_a_domain_of_its_own(bundle: Bundle, sending: Fleet) -> None:
    content = chart_values(bundle, sending(region="cn-north-1"))
    (remote_write,) = content["prometheus"]["prometheusSpec"]["remoteWrite"]
    assert remote_write["url"].startswith("https://aps-workspaces.cn-north-1.amazonaws.com.cn/")


def test_the_roles_stand_where_the_chart_and_prometheus_look(bundle: Bundle, fleet: Fleet) -> None:
    own, other = "arn:aws:iam::123456789012:role/own", "arn:aws:iam::210987654321:role/other"
    configuration = fleet(
        publish={"production": {"type": "amp", "region": "eu-west-1", "workspace": "ws-1"}},
        kubernetes={
            "remote_write": {
                "destination": "production",
                "service_account_role_arn": own,
                "assume_role_arn": other,
            }
        },
    )
    prometheus = chart_values(bundle, configuration)["prometheus"]
    assert prometheus["serviceAccount"]["annotations"] == {"eks.amazonaws.com/role-arn": own}
    assert prometheus["prometheusSpec"]["remoteWrite"][0]["sigv4"]["roleArn"] == other


def test_samples_of_nobody_knows_which_cluster_are_not_sent(bundle: Bundle, fleet: Fleet) -> None:
    configuration = fleet(
        fleet=None,
        publish={"production": {"type": "amp", "region": "eu-west-1", "workspace": "ws-1"}},
        kubernetes={"remote_write": {"destination": "production"}},
    )
    with pytest.raises(InputError, match="nothing says which cluster"):
        chart_values(bundle, configuration)


def test_what_a_person_wrote_is_kept_and_lists_are_joined(bundle: Bundle, fleet: Fleet) -> None:
    write(
        bundle,
        "prometheus:\n  prometheusSpec:\n    replicas: 2\n    externalLabels: {team: blue}\n"
        "  serviceMonitor:\n    relabelings: [{targetLabel: team, replacement: blue}]\n"
        "alertmanager:\n",
    )
    content = chart_values(bundle, fleet())
    assert content["prometheus"]["prometheusSpec"]["replicas"] == 2
    assert content["prometheus"]["prometheusSpec"]["externalLabels"] == {
        "team": "blue",
        "cluster": "c1",
        "region": "r1",
    }
    assert content["prometheus"]["serviceMonitor"]["relabelings"][-1]["targetLabel"] == "team"
    assert "route" in content["alertmanager"]["config"]


def test_what_follows_from_the_configuration_is_not_set_by_hand(bundle: Bundle, fleet: Fleet) -> None:
    write(bundle, "prometheus:\n  prometheusSpec:\n    retention: 1d\n")
    with pytest.raises(InputError, match=r"prometheus.prometheusSpec.retention follows from stakewatch.yaml"):
        chart_values(bundle, fleet())


@pytest.mark.parametrize("text", ["", "# nothing\n", "prometheus:\n"])
def test_a_file_that_says_nothing_is_as_good_as_none(bundle: Bundle, fleet: Fleet, text: str) -> None:
    expected = chart_values(bundle, fleet())
    write(bundle, text)
    assert chart_values(bundle, fleet()) == expected


def test_routes_that_are_broken_are_named(bundle: Bundle, fleet: Fleet) -> None:
    (bundle.alertmanager / "alertmanager.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"alertmanager.yaml: this cannot be read"):
        chart_values(bundle, fleet())


def test_a_bundle_without_routes_leaves_those_of_the_chart(bundle: Bundle, fleet: Fleet) -> None:
    shutil.rmtree(bundle.alertmanager)
    assert "config" not in chart_values(bundle, fleet())["alertmanager"]


@pytest.mark.parametrize(
    ("text", "line", "message", "mend"),
    [
        # The two that the sample of AWS carries to this day.
        ("alertmaanger:\n  enabled: false\n", 1, '"alertmaanger"', "did you mean alertmanager?"),
        ("a: 1\npromtheusOperator: {}\n", 2, '"promtheusOperator"', "did you mean prometheusOperator?"),
        (
            "prometheus:\n  prometheusSpec:\n    remotewrite: []\n",
            3,
            '"remotewrite"',
            "did you mean remoteWrite?",
        ),
        (
            "kube-state-metrics:\n  metricLabelsAllowList: []\n",
            2,
            "metricLabels",
            "did you mean metricLabels",
        ),
        ("prometheus:\n  prometheusSpec: {}\n  prometheusSpec: {}\n", 3, "second time", "remove one"),
        ("- prometheus\n", 1, "must be keys with values", ""),
    ],
)
def test_a_key_that_the_chart_would_ignore_is_found(
    bundle: Bundle, text: str, line: int, message: str, mend: str
) -> None:
    write(bundle, text)
    findings = list(check_values(bundle, Configuration()))
    assert any(
        (one.line, message in one.message, mend in one.mend) == (line, True, True) for one in findings
    ), findings


def test_values_below_what_is_not_looked_into_are_left_alone(bundle: Bundle) -> None:
    write(bundle, "grafana:\n  anything: {goes: 1}\nprometheus:\n  prometheusSpec:\n    thanos: {x: 1}\n")
    assert list(check_values(bundle, Configuration())) == []


def test_a_bundle_without_values_has_no_findings(bundle: Bundle) -> None:
    assert list(check_values(bundle, Configuration())) == []


def test_all_that_is_built_is_known_to_the_chart(fleet: Fleet) -> None:
    role = "arn:aws:iam::123456789012:role/own"
    configuration = fleet(
        publish={"production": {"type": "amp", "region": "eu-west-1", "workspace": "ws-1"}},
        kubernetes={"remote_write": {"destination": "production", "service_account_role_arn": role}},
    )
    content = chart_values(Bundle(REPOSITORY), configuration)
    assert [one.message for one in Draft202012Validator(chart_schema()).iter_errors(content)] == []
    assert list(check_values(Bundle(REPOSITORY), configuration)) == []
    specification = content["prometheus"]["prometheusSpec"]
    # Both are needed for the workspace to keep one of two replicas.
    assert specification["replicaExternalLabelName"] == "__replica__"
    assert "cluster" in specification["externalLabels"]


def test_nothing_that_is_built_is_a_template_to_helm(fleet: Fleet) -> None:
    content = chart_values(Bundle(REPOSITORY), fleet())
    # The routes and their templates are for Alertmanager; the chart hands them on as they are.
    assert content["alertmanager"].pop("templateFiles")
    content["alertmanager"].pop("config")
    assert "{{" not in json.dumps(content)


def test_the_volume_of_prometheus_has_a_class_where_the_cluster_has_no_default(fleet: Fleet) -> None:
    def claim(**settings: str) -> dict[str, Any]:
        content = chart_values(Bundle(REPOSITORY), fleet(kubernetes=settings))
        found: dict[str, Any] = content["prometheus"]["prometheusSpec"]["storageSpec"]["volumeClaimTemplate"][
            "spec"
        ]
        return found

    assert "storageClassName" not in claim()
    chosen = claim(storage_class="stakewatch-gp3-baseline")
    assert chosen["storageClassName"] == "stakewatch-gp3-baseline"
    assert chosen["resources"] == {"requests": {"storage": "100Gi"}}
