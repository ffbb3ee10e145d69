"""`docs/configuration.md` and the schema it is written from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from stakewatch.bundle.reference import configuration_reference
from stakewatch.bundle.validation import schema

ROOT = Path(__file__).parents[3]


def properties(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in rule.get("properties", {}).items():
        yield name, one
        yield from properties(one)
        for below in ("items", "additionalProperties"):
            if isinstance(one.get(below), dict):
                yield from properties(one[below])


def test_the_committed_page_is_what_the_schema_gives() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == configuration_reference(), "run: stakewatch config --reference > docs/configuration.md"


def test_every_key_is_described_and_has_a_row() -> None:
    page = configuration_reference()
    rows = list(properties(schema()))
    assert len(rows) > 50
    for name, rule in rows:
        assert rule["description"].endswith("."), name
        assert f"| `{name}` | {rule['description']} |" in page


def test_the_schema_is_a_sound_schema_and_lets_no_unknown_key_pass() -> None:
    Draft202012Validator.check_schema(schema())
    for name, rule in properties(schema()):
        if "properties" in rule:
            assert rule["additionalProperties"] is False, name
