"""Whatever happened before: one good run makes a Prometheus right, and the next changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stakewatch.publishing.prometheus_files import Folder
from tests.unit.publishing.prometheus_scene import Scene, prometheus_scene, write_rules
from tests.unit.publishing.prometheus_sequences import run_sequence
from tests.unit.publishing.publishing_to import make, prune, publish


@pytest.mark.parametrize("seed", range(30))
def test_any_sequence_of_edits_and_failures_ends_right(seed: int, tmp_path: Path) -> None:
    verdict = run_sequence(seed, tmp_path)
    assert verdict.wrong == (), verdict.steps
    assert verdict.second_round == (), verdict.steps


def test_what_is_not_right_is_seen(tmp_path: Path) -> None:
    with prometheus_scene(tmp_path) as scene:
        assert list(scene.differences()) == ["beacon.yaml is not there", "beacon.yaml is not loaded"]
        assert publish(scene.target()).errors == []
        assert list(scene.differences()) == []
        write_rules(tmp_path, "beacon", 7)
        assert list(scene.differences()) == ["beacon.yaml is not there", "beacon.yaml is not loaded"]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Return a bundle and a Prometheus that loads in the second 1000, for ever."""
    with prometheus_scene(tmp_path) as made:
        made.there.clock = lambda: 1000.1
        yield made


@pytest.fixture
def changed_at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return when the files changed last, for a test to say."""
    moment = [1000.9]
    monkeypatch.setattr(Folder, "changed_at", lambda _self, _names: moment[0])
    return moment


@pytest.mark.usefixtures("changed_at")
def test_what_was_written_in_the_second_of_the_last_loading_is_loaded(scene: Scene) -> None:
    assert publish(scene.target()).errors == []
    assert publish(scene.target()).plan.drift is False
    write_rules(scene.root, "beacon", 7)
    # As far as a run comes that is killed before the loading.
    publish(make(scene.root, "prometheus", config_path=str(scene.there.folder)))
    assert publish(scene.target()).changed == ["loaded Prometheus"]
    assert scene.there.groups[0]["rules"][0]["name"] == "A7"
    assert publish(scene.target()).plan.drift is False


def test_after_pruning_in_the_second_of_the_last_loading_nothing_is_left_to_do(
    scene: Scene, changed_at: list[float]
) -> None:
    write_rules(scene.root, "storage", 1)
    changed_at[0] = 900.0
    assert publish(scene.target()).errors == []
    (scene.built / "storage.yaml").unlink()
    assert publish(scene.target()).changed == []
    changed_at[0] = 1000.9
    assert [one.done for one in prune(scene.target()).outcomes] == ["deleted"]
    assert [group["name"] for group in scene.there.groups] == ["beacon"]
    assert publish(scene.target()).plan.drift is False
