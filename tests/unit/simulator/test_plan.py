"""Plans of a fleet: what is read, and what is refused with the mend."""

from pathlib import Path

import msgspec
import pytest
import yaml

from stakewatch.errors import InputError
from stakewatch.simulator.plan import DEMO, FleetPlan, check_plan, load_plan
from tests.unit.simulator.small import SMALL


def written(folder: Path, **changes: object) -> Path:
    content = msgspec.to_builtins(SMALL) | changes
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_written_plan_is_read_as_it_was(tmp_path: Path) -> None:
    assert load_plan(written(tmp_path)) == SMALL


def test_the_demo_is_the_fleet_of_the_documentation() -> None:
    check_plan(DEMO)
    assert (DEMO.network, DEMO.cluster, DEMO.region) == ("demonet", "demo-1", "eu-west-1")
    assert {group.name: group.keys for group in DEMO.groups} == {
        "alpha": 300,
        "bravo": 200,
        "charlie": 300,
        "delta": 150,
        "echo": 50,
    }
    assert DEMO.keys == 1000
    assert DEMO.machines == ("machine-1", "machine-2", "machine-3")
    backups = {client.instance: client.beacon_nodes[1:] for client in DEMO.validator_clients}
    assert backups == {"validators-1": ("beacon-2",), "validators-2": (), "validators-3": ("beacon-4",)}


def test_groups_hold_the_lowest_indices_in_their_order() -> None:
    assert DEMO.indices("alpha") == range(300)
    assert DEMO.indices("charlie") == range(500, 800)


BEACON = {"instance": "b", "implementation": "teku", "execution_node": "execution-1", "machine": "m"}
GROUP = {"name": "a", "validator_client": "validators-1", "keys": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown field `colour`"),
        ({"beacon_nodes": [BEACON | {"implementation": "mosaic"}]}, "Invalid enum value 'mosaic'"),
        ({"beacon_nodes": [BEACON | {"instance": 'x"}\n'}]}, "matching regex"),
        ({"beacon_nodes": [BEACON | {"execution_node": "nowhere"}]}, "no execution node named 'nowhere'"),
        ({"beacon_nodes": [BEACON, BEACON]}, "the instance 'b' stands twice"),
        ({"beacon_nodes": []}, "no beacon node named 'beacon-1'"),
        ({"groups": [GROUP | {"validator_client": "x"}]}, "no validator client named 'x'"),
        (
            {"groups": [{"name": "a", "validator_client": "validators-1", "keys": 257}]},
            "257 keys on a network",
        ),
        ({"groups": [GROUP | {"keys": "3"}]}, "Expected `int`"),
        ({"groups": []}, "0 keys on a network"),
        ({"seconds_per_slot": 0}, "Expected `int` >= 1"),
        ({"validators": 10**9}, "Expected `int` <= 4000000"),
    ],
)
def test_a_wrong_plan_is_refused_with_the_place(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as caught:
        load_plan(path)
    assert caught.value.where == str(path)
    assert caught.value.mend


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"a: &a [*a]", b"42", b"x" * (2 << 20)])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_plan(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_plan(tmp_path / "none.yaml")


def test_an_unknown_group_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="alpha, bravo, charlie"):
        FleetPlan.indices(SMALL, "zulu")
