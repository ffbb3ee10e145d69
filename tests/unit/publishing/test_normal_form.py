"""Normal forms: one text for one meaning, and whatever cannot be read stays what it is."""

import json
import random

import pytest
import yaml

from stakewatch.publishing.normal_form import normal_alertmanager, normal_rules
from tests.unit.publishing.amp_scene import DEFINITION, rules


def test_order_of_keys_quotes_comments_and_layout_do_not_count() -> None:
    text = rules("beacon")
    data = yaml.safe_load(text)
    backwards = {"groups": [dict(reversed(group.items())) for group in data["groups"]]}
    for same in (
        json.dumps(data),
        "# a comment\n" + text,
        yaml.safe_dump(backwards, sort_keys=False, default_style='"'),
        yaml.safe_dump(data, width=20),
        text.replace("\n", "\r\n"),
    ):
        assert normal_rules(same) == normal_rules(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("5m", "6m"),
        ("== 0", "== 1"),
        ("critical", "warning"),
        ("beaconDown", "BeaconDown"),
        ("  and", "   and"),
    ],
)
def test_whatever_means_something_counts(old: str, new: str) -> None:
    text = rules("beacon")
    assert old in text
    assert normal_rules(text.replace(old, new)) != normal_rules(text)


def test_the_order_of_rules_and_groups_counts() -> None:
    two = rules("one") + rules("two").removeprefix("groups:\n")
    turned = rules("two") + rules("one").removeprefix("groups:\n")
    assert normal_rules(two) != normal_rules(turned)


def test_a_normal_form_is_its_own_normal_form() -> None:
    for text in (rules("beacon"), "a: [1, {b: c}]", "groups: []"):
        assert normal_rules(normal_rules(text)) == normal_rules(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just text",
        "- a\n- list",
        "{unclosed",
        "\x00",
        "a: &x [1]\nb: [*x, *x]",
        "[" * 5000,
        "a: !!python/object:os.system {}",
        "? {a: b}\n: c",
        "a: b\n---\nc: d",
    ],
)
def test_what_cannot_be_read_stays_as_it_is(text: str) -> None:
    assert normal_rules(text) == text or yaml.safe_load(normal_rules(text)) is not None
    assert normal_alertmanager(text) == normal_rules(text)


def test_aliases_that_would_unfold_without_end_are_not_unfolded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    text = "\n".join(lines)
    assert normal_rules(text) == text


def test_random_bytes_are_survived() -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    for _ in range(300):
        text = "".join(chance.choice("a:-{}[]&*!|>'\"%@`#\n\t ?,\x85\ufeff") for _ in range(30))
        assert isinstance(normal_rules(text), str)


def test_the_configuration_inside_a_definition_is_compared_as_what_it_says() -> None:
    inside = yaml.safe_load(DEFINITION)
    inside["alertmanager_config"] = json.dumps(yaml.safe_load(inside["alertmanager_config"]))
    assert normal_alertmanager(json.dumps(inside)) == normal_alertmanager(DEFINITION)
    assert "alertmanager_config:\n  receivers:" in normal_alertmanager(DEFINITION)
    assert normal_alertmanager(DEFINITION.replace("pager", "other")) != normal_alertmanager(DEFINITION)
    broken = DEFINITION.replace("route:", "route: [")
    assert normal_alertmanager(broken) != normal_alertmanager(DEFINITION)
