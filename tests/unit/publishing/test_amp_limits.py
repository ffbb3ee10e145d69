"""What a workspace would refuse is found before anything is sent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.bundle.folder import Bundle
from stakewatch.publishing.amp_limits import Place, Quota, flaws, read_quotas
from stakewatch.publishing.amp_objects import DEFINITION, NAMESPACE, Naming, desired_definition
from stakewatch.publishing.objects import Item
from stakewatch.rules.amp_alertmanager import amp_definition
from tests.unit.publishing.amp_scene import DEFINITION as ROUTES
from tests.unit.publishing.amp_scene import rules
from tests.unit.publishing.aws_server import REGION
from tests.unit.publishing.fake_amp import ACCOUNT

ROOT = Path(__file__).parents[3]
HERE = Place(ACCOUNT, REGION)


def namespace(text: str, name: str = "stakewatch-a") -> Item:
    return Item(NAMESPACE, name, text, payload=text)


def routes(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Item:
    content = yaml.safe_load(ROUTES)
    inside = yaml.safe_load(content["alertmanager_config"])
    change(inside)
    content["alertmanager_config"] = yaml.safe_dump(inside)
    text = yaml.safe_dump(content)
    return Item(DEFINITION, "default", text, payload=text)


def found(*items: Item, **quotas: float) -> list[str]:
    known = {
        code.replace("_", "-"): Quota(code.replace("_", "-"), f"quota {code}", value)
        for code, value in quotas.items()
    }
    return [flaw.what for flaw in flaws(items, known, HERE)]


def test_what_is_within_all_limits_has_no_flaws() -> None:
    assert found(namespace(rules("a")), routes(), L_3D15CDB4=1, L_8DEDEE8E=60, L_C62641E3=1000) == []


@pytest.mark.parametrize(
    ("code", "value", "said"),
    [
        ("L_3D15CDB4", 0, "1 rules, and the quota"),
        ("L_C62641E3", 100, "bytes, and the quota"),
        ("L_8DEDEE8E", 61, "evaluated every 1m, and the quota “quota L_8DEDEE8E” is 61 s"),
        ("L_3316EF76", 100, "bytes, and the quota"),
        ("L_0F151AA2", 0, "1 templates, and the quota"),
        ("L_E3E60B3E", 0, "1 routes, and the quota"),
        ("L_46D5E194", 0, "1 inhibition rules, and the quota"),
    ],
)
def test_each_quota_is_looked_at_and_its_exact_value_is_taken(code: str, value: float, said: str) -> None:
    inhibiting = routes(
        lambda inside: inside.update(inhibit_rules=[{"source_matchers": [], "target_matchers": []}])
    )
    (message,) = found(namespace(rules("a")), inhibiting, **{code: value})
    assert said in message
    exact = {"L_3D15CDB4": 1, "L_0F151AA2": 1, "L_E3E60B3E": 1, "L_46D5E194": 1, "L_8DEDEE8E": 60}
    if code in exact:
        assert found(namespace(rules("a")), inhibiting, **{code: exact[code]}) == []


def test_rules_of_all_namespaces_count_together() -> None:
    both = namespace(rules("a")), namespace(rules("b"), "stakewatch-b")
    assert found(*both, L_3D15CDB4=2) == []
    assert len(found(*both, L_3D15CDB4=1)) == 1


def test_an_interval_of_a_group_s_own_is_what_counts() -> None:
    quick = rules("a").replace("- name: a\n", "- name: a\n  interval: 10s\n")
    assert len(found(namespace(quick), L_8DEDEE8E=30)) == 1
    assert found(namespace(quick.replace("10s", "30s")), L_8DEDEE8E=30) == []


def test_names_that_are_too_long_are_told() -> None:
    assert found(namespace(rules("a"), "n" * 128)) == []
    assert "129 characters" in found(namespace(rules("a"), "n" * 129))[0]
    assert found(namespace(rules("g" * 709))) == []
    assert "722 bytes together" in found(namespace(rules("g" * 710)))[0]


@pytest.mark.parametrize("more", ["limit: 10", "labels: {a: b}"])
def test_what_nobody_knows_of_is_a_remark_that_keeps_nothing_back(more: str) -> None:
    text = rules("a").replace("- name: a\n", f"- name: a\n  {more}\n")
    (flaw,) = flaws([namespace(text)], {}, HERE)
    assert not flaw.fatal


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"topic_arn": f"arn:aws:sns:{REGION}:999988887777:pager"}, "of the account 999988887777"),
        ({"topic_arn": f"arn:aws:sns:{REGION}:123456789012:pager"}, "the example's account"),
        ({"topic_arn": f"arn:aws:sns:eu-west-2:{ACCOUNT}:pager"}, "in eu-west-2 and signs for eu-west-1"),
        ({"topic_arn": "pager"}, "which is no topic"),
        ({"subject": "größer"}, "printable ASCII"),
        ({"subject": "x" * 101 + "{{ .A }}"}, "more than 100 characters"),
        ({"api_url": "http://x"}, "sets api_url"),
        ({"sigv4": {}}, "names no sigv4.region"),
    ],
)
def test_a_receiver_that_sns_would_refuse_is_told(change: dict[str, Any], said: str) -> None:
    item = routes(lambda inside: inside["receivers"][0]["sns_configs"][0].update(change))
    assert any(said in one for one in found(item))


@pytest.mark.parametrize(
    "subject",
    [
        "x" * 100,
        '{{ template "a_very_long_name_of_a_template_that_nobody_would_ever_think_of" . }}' * 2,
    ],
)
def test_a_subject_is_as_long_as_what_no_template_makes(subject: str) -> None:
    item = routes(lambda inside: inside["receivers"][0]["sns_configs"][0].update(subject=subject))
    assert found(item) == []


def test_a_repeat_interval_of_more_than_five_days_is_told() -> None:
    assert found(routes(lambda inside: inside["route"].update(repeat_interval="120h"))) == []
    assert "5 days" in found(routes(lambda inside: inside["route"].update(repeat_interval="121h")))[0]


def test_the_bundle_s_own_receivers_are_refused_until_they_name_topics_of_one_s_own(tmp_path: Path) -> None:
    folder = tmp_path / "definition"
    folder.mkdir()
    text = amp_definition(Bundle(ROOT).alertmanager)
    (folder / "definition.yaml").write_text(text, encoding="utf-8")
    item = desired_definition(folder, Naming())
    assert item is not None
    assert all("the example's account 123456789012" in one for one in found(item))
    assert len(found(item)) == 4
    (folder / "definition.yaml").write_text(text.replace("123456789012", ACCOUNT), encoding="utf-8")
    own = desired_definition(folder, Naming())
    assert own is not None
    assert found(own) == []


def test_quotas_are_read_with_their_units_and_the_account_s_own_wins() -> None:
    def quota(code: str, value: object, unit: str = "None") -> dict[str, object]:
        return {"QuotaCode": code, "QuotaName": code.lower(), "Value": value, "Unit": unit}

    defaults = {"Quotas": [quota("A", 1, "Megabytes"), quota("B", 2), quota("C", None), {}]}
    own = {"Quotas": [quota("B", 20.0)]}
    assert read_quotas([defaults, own, {}]) == {
        "A": Quota("A", "a", 1024**2),
        "B": Quota("B", "b", 20),
    }
