"""Texts of alerts filled in by the real promtool."""

from pathlib import Path

import pytest

from stakewatch.rules.files import load_rule_files, parse_rule_file
from stakewatch.rules.rendering import template_findings

ROOT = Path(__file__).parents[3]


def found(texts: str) -> list[str]:
    rules = f"groups: [{{name: a, rules: [{{alert: A, expr: up == 0, annotations: {{{texts}}}}}]}}]"
    return [one.message for one in template_findings([parse_rule_file(rules, Path("a.yaml"))])]


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "{{ $labels.instance }} {{ $value }}",
        '{{ or $labels.a "none" }} {{ $value | printf "%.0f" }} {{ if eq $labels.b "x" }}y{{ end }}',
        "{{ $value | humanizeDuration }} {{ $externalLabels.a }}",
        '{{ with query "up" }}{{ . | first | value }}{{ end }}',
        'curly > \\" quotes { } {{ `{{` }}',
    ],
)
def test_a_text_that_can_be_filled_in_is_none(text: str) -> None:
    assert found(f'a: "{text}"' if '"' not in text or "\\" in text else f"a: '{text}'") == []


def test_a_text_that_fails_is_said_with_the_reason_and_its_name() -> None:
    (message,) = found("right: '{{ $value }}', wrong: 'group {{ .group }} > here'")
    assert message.startswith("A: wrong cannot be filled in: <.group>: can't evaluate field group")
    assert message.endswith("(template-error)")


def test_each_text_is_judged_alone() -> None:
    messages = found("a: '{{ .x }}', b: '{{ index $labels 3 }}', c: '{{ $value }}'")
    assert [one.split()[1] for one in messages] == ["a", "b"]


def test_our_own_texts_can_all_be_filled_in() -> None:
    assert list(template_findings(load_rule_files(ROOT / "rules"))) == []
