"""A choice with which no query can be read is refused, with the way to write it."""

from typing import Any

import pytest

from stakewatch.errors import InputError
from stakewatch.grafana.preview.choices import read_choices

Boards = dict[str, dict[str, Any]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cluster", "chooses nothing"),
        ("=x", "chooses nothing"),
        ("clutser=a", "did you mean cluster"),
        ("group=a", 'no board has a variable "group"'),
        ("cluster=[", "missing closing ]"),
        ("cluster=a\\", "a value, or a regular expression of values"),
        ("cluster=a|(", "--choose cluster: "),
        ("iops=many", '--choose iops: "many" is no number'),
        ("iops=", "write --choose iops=3000"),
    ],
)
def test_what_cannot_be_chosen_is_refused(boards: Boards, text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_choices([text], [boards["geth_node"], boards["eks_storage"]])
    assert message in str(refused.value)
    assert str(refused.value).startswith("--choose")
    assert refused.value.mend


def test_values_are_patterns_or_numbers_and_stand_as_in_a_string_of_promql(boards: Boards) -> None:
    chosen = read_choices(
        ['cluster=eu-"1"|us\\.2', "iops=16e3", "instance=", "datasource=any"], list(boards.values())
    )
    assert chosen == {
        "cluster": 'eu-\\"1\\"|us\\\\.2',
        "iops": "16e3",
        "instance": "",
        "datasource": "any",
    }


def test_a_choice_is_held_against_the_boards_that_are_shown(boards: Boards) -> None:
    with pytest.raises(InputError, match="no board has a variable"):
        read_choices(["iops=1"], [boards["geth_node"]])
    assert read_choices(["iops=1"], [boards["eks_storage"]]) == {"iops": "1"}
    assert read_choices([], []) == {}
