"""A fleet in a cluster."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.bundle.configuration import Configuration, load_configuration_text

NODE = '{instance: lighthouse-0, implementation: lighthouse, url: "http://lighthouse-0.staking:5052"}'
WORKSPACE = {"type": "amp", "region": "eu-west-1", "workspace": "ws-1"}
Fleet = Callable[..., Configuration]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Return a function that gives the configuration of one node with these sections beside it."""

    def configuration(**sections: Any) -> Configuration:  # noqa: ANN401 - whatever the file may hold
        content = {
            "network": "hoodi",
            "fleet": {"cluster": "c1", "region": "r1", "beacon_nodes": [yaml.safe_load(NODE)]},
            **sections,
        }
        text = yaml.safe_dump(content, sort_keys=False)
        path = tmp_path / "stakewatch.yaml"
        path.write_text(text, encoding="utf-8")
        return load_configuration_text(text, path)

    return configuration


@pytest.fixture
def sending(fleet: Fleet) -> Fleet:
    """Return a function that gives a configuration whose cluster sends to a workspace with these options."""

    def configuration(**options: Any) -> Configuration:  # noqa: ANN401 - whatever the workspace may have
        return fleet(
            publish={"production": {**WORKSPACE, **options}},
            kubernetes={"remote_write": {"destination": "production"}},
        )

    return configuration
