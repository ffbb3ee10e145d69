"""How templates are read in tests: nothing is passed over that CloudFormation would refuse."""

from pathlib import Path

import pytest
import yaml

from tests.unit.kubernetes.cloudformation import load_template


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "twice"),
        ("a: !Reff b\n", "unknown function !Reff"),
    ],
)
def test_what_is_no_template_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(yaml.constructor.ConstructorError, match=message):
        load_template(path)


def test_an_alias_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("a: &x 1\nb: *x\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        load_template(path)
