"""Real Prometheus and Alertmanager start, answer, and stop."""

import math
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import requests

from stakewatch.errors import StakewatchError
from stakewatch.programs import servers
from stakewatch.programs.process import free_port
from stakewatch.programs.servers import Target, alertmanager, prometheus

PROMETHEUS = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: itself
    static_configs: [{targets: ["127.0.0.1:%(port)d"], labels: {cluster: demo}}]
  - job_name: nobody
    static_configs: [{targets: ["127.0.0.1:1"]}]
alerting:
  alertmanagers: [{static_configs: [{targets: ["127.0.0.1:%(alertmanager)d"]}]}]
"""
RULES = """
groups:
  - name: test
    rules:
      - record: one
        expr: vector(1)
      - alert: Cause
        expr: vector(2)
        labels: {severity: critical, node: a}
        annotations: {summary: "The cause is {{ $value }}"}
      - alert: Symptom
        expr: vector(1)
        labels: {severity: warning, node: a}
      - alert: Later
        expr: vector(1)
        for: 1h
"""
_Answer = TypeVar("_Answer")
ALERTMANAGER = """
route: {receiver: nobody, group_wait: 1s}
receivers: [{name: nobody}]
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity="warning"]
    equal: [node]
"""


def _until(ask: Callable[[], _Answer], good: Callable[[_Answer], bool]) -> _Answer:
    """Ask until the answer is good, for half a minute at most."""
    deadline = time.monotonic() + 60
    while not good(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer}"
        time.sleep(0.1)
    return answer


def _write(folder: Path, port: int, alertmanager_port: int) -> Path:
    (folder / "rules.yaml").write_text(RULES)
    path = folder / "prometheus.yaml"
    path.write_text(PROMETHEUS % {"port": port, "alertmanager": alertmanager_port})
    return path


def _all_scraped(found: tuple[Target, ...]) -> bool:
    # Discovery hands the targets over some seconds after Prometheus is ready.
    return len(found) == 2 and all(target.health != "unknown" for target in found)


def test_rules_and_alerts_go_all_the_way_and_a_cause_inhibits_its_symptom(tmp_path: Path) -> None:
    routes = tmp_path / "alertmanager.yaml"
    routes.write_text(ALERTMANAGER)
    port, alertmanager_port = free_port(), free_port()
    with (
        alertmanager(routes, tmp_path, port=alertmanager_port) as manager,
        prometheus(_write(tmp_path, port, alertmanager_port), tmp_path, port=port) as server,
    ):
        assert server.url == f"http://127.0.0.1:{port}"
        alerts = {alert.name: alert for alert in _until(server.alerts, lambda found: len(found) == 3)}
        assert (alerts["Cause"].state, alerts["Later"].state) == ("firing", "pending")
        assert alerts["Cause"].value == 2
        assert alerts["Cause"].annotations == {"summary": "The cause is 2"}

        received = {
            alert.name: alert
            for alert in _until(manager.alerts, lambda found: any(alert.inhibited_by for alert in found))
        }
        assert received["Symptom"].inhibited_by == (received["Cause"].fingerprint,)
        assert (received["Symptom"].state, received["Cause"].state) == ("suppressed", "active")
        assert received["Cause"].receivers == ("nobody",)

        rules = {rule.name: rule for rule in server.rules()}
        assert rules["one"].state == ""
        assert {rule.health for rule in rules.values()} == {"ok"}

        targets = {target.labels["job"]: target for target in _until(server.targets, _all_scraped)}
        assert (targets["itself"].health, targets["itself"].labels["cluster"]) == ("up", "demo")
        assert targets["nobody"].health == "down"
        assert "connection refused" in targets["nobody"].error
    assert not server.process.running
    assert not manager.process.running


def test_an_alert_that_nobody_heard_is_said_again_soon(tmp_path: Path) -> None:
    routes = tmp_path / "alertmanager.yaml"
    routes.write_text(ALERTMANAGER)
    port, alertmanager_port = free_port(), free_port()
    with prometheus(_write(tmp_path, port, alertmanager_port), tmp_path, port=port) as server:
        refused = "prometheus_notifications_errors_total > 0"
        _until(lambda: server.query(refused), bool)
        with alertmanager(routes, tmp_path, port=alertmanager_port) as manager:
            assert "Cause" in {alert.name for alert in _until(manager.alerts, bool)}


def test_queries_give_vectors_and_scalars_and_refusals(tmp_path: Path) -> None:
    with prometheus(_write(tmp_path, 1, 1), tmp_path) as server:
        [sample] = _until(lambda: server.query("one"), bool)
        assert (sample.labels["__name__"], sample.value) == ("one", 1)
        assert server.query("42")[0].value == 42
        assert server.query("vector(7)", at=1000.5)[0].time == 1000.5
        assert server.query("no_such_metric") == ()
        assert math.isnan(server.query("vector(0/0)")[0].value)
        assert server.query("vector(1/0)")[0].value == math.inf
        with pytest.raises(StakewatchError, match="parse error"):
            server.query("sum(")


def test_a_broken_configuration_is_told_with_the_end_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yaml"
    path.write_text("scrape_configs: nonsense")

    with pytest.raises(StakewatchError, match="cannot unmarshal") as caught, prometheus(path, tmp_path):
        pass

    assert caught.value.where == str(tmp_path / "prometheus.log")


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = _write(tmp_path, port, 1)

        with (
            pytest.raises(StakewatchError, match="address already in use"),
            prometheus(path, tmp_path, port=port),
        ):
            pass


def test_a_free_port_that_somebody_took_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(servers, "free_port", lambda: next(ports))

        with prometheus(_write(tmp_path, 1, 1), tmp_path) as server:
            assert requests.get(f"{server.url}/-/ready", timeout=5).ok


def test_a_server_that_does_not_become_ready_is_stopped(tmp_path: Path) -> None:
    with (
        pytest.raises(StakewatchError, match="not ready after 0 s"),
        prometheus(_write(tmp_path, 1, 1), tmp_path, ready_seconds=0),
    ):
        pass


def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    routes = tmp_path / "alertmanager.yaml"
    routes.write_text(ALERTMANAGER)
    with alertmanager(routes, tmp_path) as manager:
        manager.process.kill()
        with pytest.raises(StakewatchError, match="no good answer"):
            manager.alerts()


def test_the_proxy_of_the_environment_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with prometheus(_write(tmp_path, 1, 1), tmp_path) as server:
        assert server.query("1")
        assert server.rules()
