"""Whatever happened before: one good run makes a Grafana right, and the next changes nothing."""

from pathlib import Path

import pytest

from tests.unit.publishing.grafana_scene import UIDS, grafana_scene
from tests.unit.publishing.grafana_sequences import run_sequence
from tests.unit.publishing.publishing_to import publish


@pytest.mark.parametrize("seed", range(40))
def test_any_sequence_of_edits_and_failures_ends_right(seed: int, tmp_path: Path) -> None:
    verdict = run_sequence(seed, tmp_path)
    assert verdict.wrong == (), verdict.steps
    assert verdict.second_round == (), verdict.steps


def test_what_is_not_right_is_seen(tmp_path: Path) -> None:
    with grafana_scene(tmp_path) as scene:
        assert set(scene.differences()) == {
            "geth is not there",
            "lighthouse is not there",
            "the folder is not right",
            "the data source is not right",
        }
        assert publish(scene.target()).errors == []
        assert list(scene.differences()) == []
        scene.there.save_in_browser(UIDS[0], title="edited")
        scene.there.dashboards[UIDS[1]].folder = ""
        scene.there.save_in_browser("theirs", title="edited")
        assert list(scene.differences()) == [
            "geth is another",
            "lighthouse is another",
            "somebody else's dashboard was changed",
        ]
