"""What the tests of logs share: the bundle's pipelines, compiled once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stakewatch.logs.compilation import stages_of
from stakewatch.logs.interpretation import Entry, interpret
from stakewatch.logs.pipelines import Pipelines, load_pipelines
from stakewatch.logs.stages import Stage

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def pipelines() -> Pipelines:
    return load_pipelines(ROOT / "loki" / "pipelines.yaml")


@pytest.fixture(scope="session")
def stages(pipelines: Pipelines) -> tuple[Stage, ...]:
    return stages_of(pipelines)


@pytest.fixture(scope="session")
def read(stages: tuple[Stage, ...]) -> Callable[..., Entry]:
    """Return what makes an entry of a line of a program, as the bundle's pipelines do."""

    def interpreted(line: str, implementation: str = "geth", **labels: str) -> Entry:
        known = {"implementation": implementation, "instance": "node-1", **labels}
        return interpret(stages, Entry(line, known))

    return interpreted
