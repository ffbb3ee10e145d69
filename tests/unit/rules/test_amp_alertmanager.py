"""The Alertmanager definition for the managed service."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.errors import InputError
from stakewatch.rules.amp_alertmanager import amp_definition, amp_flaws

REPOSITORY = Path(__file__).parents[3]
ROUTES = """\
templates: [templates/*.tmpl]
route: {receiver: pager, repeat_interval: 5d}
time_intervals: [{name: maintenance, time_intervals: [{years: ["2000"]}]}]
inhibit_rules: [{source_matchers: [a = b], target_matchers: [c = d], equal: [cluster]}]
receivers: [{name: pager, webhook_configs: [{url_file: /secret}]}]
"""
RECEIVERS = """\
receivers:
  - name: pager
    sns_configs: [{topic_arn: "arn:aws:sns:eu-west-1:123456789012:pager", sigv4: {region: eu-west-1}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "alertmanager.yaml").write_text(ROUTES, encoding="utf-8")
    for name in ("amp", "templates"):
        (tmp_path / name).mkdir()
    (tmp_path / "amp" / "receivers.yaml").write_text(RECEIVERS, encoding="utf-8")
    (tmp_path / "templates" / "texts.tmpl").write_text('{{ define "a" }}\n{{ end }}\n', encoding="utf-8")
    return tmp_path


def test_the_wrapper_holds_the_configuration_as_text_and_the_templates_by_name(folder: Path) -> None:
    definition = yaml.safe_load(amp_definition(folder))
    assert list(definition) == ["template_files", "alertmanager_config"]
    assert definition["template_files"] == {"texts.tmpl": '{{ define "a" }}\n{{ end }}\n'}
    inner = yaml.safe_load(definition["alertmanager_config"])
    outer = yaml.safe_load(ROUTES)
    assert inner["templates"] == ["texts.tmpl"]
    assert "webhook" not in str(inner)
    assert inner["receivers"] == yaml.safe_load(RECEIVERS)["receivers"]
    for name in ("route", "inhibit_rules", "time_intervals"):
        assert inner[name] == outer[name]


def test_the_bundle_has_such_a_form_with_a_receiver_for_every_route() -> None:
    definition = yaml.safe_load(amp_definition(REPOSITORY / "alertmanager"))
    names = {one["name"] for one in yaml.safe_load(definition["alertmanager_config"])["receivers"]}
    assert names == {"pager", "tickets", "journal", "heartbeat"}
    assert "&id" not in definition["alertmanager_config"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sns_configs", "webhook_configs", "has webhook_configs"),
        ("sns_configs", "email_configs", "has email_configs"),
        ("sigv4: {region: eu-west-1}", "sigv4: {}", "names no sigv4.region"),
        ("sigv4: {region", "api_url: x, sigv4: {region", "sets api_url"),
        ("name: pager", "name: others", "goes to pager, which is no receiver"),
        (RECEIVERS, "receivers: {}", "no list of receivers"),
        (RECEIVERS, "receivers: [{name: pager, pagerduty_configs: [{routing_key: abc}]}]", "Secrets Manager"),
    ],
)
def test_a_receiver_that_the_service_refuses_is_an_error(
    folder: Path, old: str, new: str, message: str
) -> None:
    path = folder / "amp" / "receivers.yaml"
    path.write_text(RECEIVERS.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        amp_definition(folder)


def test_a_repetition_after_more_than_five_days_is_an_error_however_deep(folder: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(ROUTES)
    content["route"]["routes"] = [{"receiver": "pager", "routes": [{"repeat_interval": "5d1m"}]}]
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match="5d1m is longer than 5 days"):
        amp_definition(folder)


def test_a_key_for_pagerduty_in_the_secrets_manager_is_let_through() -> None:
    key = {"aws_secrets_manager": {"secret_arn": "arn", "secret_key": "key"}}
    receivers = [{"name": "pager", "pagerduty_configs": [{"routing_key": key}]}]
    assert list(amp_flaws({"route": {"receiver": "pager"}, "receivers": receivers})) == []
    assert list(amp_flaws({"global": {}, "route": {"receiver": "pager"}, "receivers": receivers})) != []


@pytest.mark.parametrize("name", ["alertmanager.yaml", "amp/receivers.yaml"])
@pytest.mark.parametrize("text", ["[", "[]", "\x00"])
def test_a_broken_file_is_an_error_that_names_it(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=Path(name).name):
        amp_definition(folder)
