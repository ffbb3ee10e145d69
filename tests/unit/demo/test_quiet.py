"""The demo without a fault."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stakewatch.bundle.folder import Bundle
from stakewatch.demo import quiet
from stakewatch.errors import StakewatchError


class _Parts:
    """A stack whose parts die after some looks at them."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.stops = 0

    def expect_running(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise StakewatchError("the exporter has died")


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[_Parts], list[float]]:
    """Give a function that plays a stack, and the seconds that are slept meanwhile."""

    def played(parts: _Parts) -> list[float]:
        slept: list[float] = []

        @contextmanager
        def running(*_: object) -> Iterator[_Parts]:
            try:
                yield parts
            finally:
                parts.stops += 1

        monkeypatch.setattr(quiet, "running", running)
        monkeypatch.setattr(time, "sleep", slept.append)
        return slept

    return played


def test_it_waits_until_there_is_something_to_see_and_says_so(
    play: Callable[[_Parts], list[float]], tmp_path: Path
) -> None:
    parts = _Parts(1000)
    slept = play(parts)
    said: list[str] = []
    with quiet.warmed_up(Bundle(tmp_path), tmp_path, said.append):
        assert sum(slept) == quiet.WARM_UP_SECONDS
        assert parts.stops == 0
    assert parts.stops == 1
    assert said[0].startswith("waiting 100 s")
    assert len(said) == 10


def test_a_part_that_dies_meanwhile_ends_it(play: Callable[[_Parts], list[float]], tmp_path: Path) -> None:
    parts = _Parts(3)
    slept = play(parts)
    used: list[bool] = []
    with pytest.raises(StakewatchError, match="the exporter has died"):  # noqa: SIM117 - the outer one is what is tested
        with quiet.warmed_up(Bundle(tmp_path), tmp_path, lambda _: None):
            used.append(True)
    assert not used
    assert sum(slept) == 3
    assert parts.stops == 1
