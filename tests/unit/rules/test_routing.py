"""The routes with every receiver a webhook."""

from pathlib import Path

import pytest
import yaml

from stakewatch.errors import InputError
from stakewatch.rules.routing import routes_to_webhook

ROUTES = """
route:
  receiver: tickets
  group_wait: 10s
  repeat_interval: 12h
  routes:
    - {receiver: pager, matchers: ['severity = "critical"'], group_interval: 2m}
receivers:
  - {name: pager, webhook_configs: [{url_file: /secret/pager}]}
  - {name: tickets, webhook_configs: [{url_file: /secret/tickets}]}
templates: ['*.tmpl']
inhibit_rules:
  - {source_matchers: [a = "b"], target_matchers: [c = "d"], equal: [cluster]}
"""


def test_receivers_become_webhooks_and_all_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yaml"
    file.write_text(ROUTES, encoding="utf-8")
    content = yaml.safe_load(routes_to_webhook(file, url="http://127.0.0.1:1/notify", factor=1.0))
    original = yaml.safe_load(ROUTES)
    assert [receiver["name"] for receiver in content["receivers"]] == ["pager", "tickets"]
    assert "secret" not in str(content)
    assert content["inhibit_rules"] == original["inhibit_rules"]
    assert content["templates"] == [str(tmp_path / "*.tmpl")]
    assert content["route"] == original["route"]


def test_times_are_scaled_to_at_least_a_second(tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yaml"
    file.write_text(ROUTES, encoding="utf-8")
    route = yaml.safe_load(routes_to_webhook(file, url="http://127.0.0.1:1/", factor=1 / 48))["route"]
    assert (route["group_wait"], route["repeat_interval"]) == ("1s", "15m")
    assert route["routes"][0]["group_interval"] == "2s500ms"


@pytest.mark.parametrize("text", ["", "[]", "receivers: []", "{"])
def test_what_is_no_configuration_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "alertmanager.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"alertmanager\.yaml"):
        routes_to_webhook(file, url="http://127.0.0.1:1/", factor=1.0)
