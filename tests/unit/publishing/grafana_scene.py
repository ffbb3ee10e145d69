"""A bundle of boards, a fake Grafana, and whether the one holds what the other says."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from stakewatch.publishing import json_api
from stakewatch.publishing.grafana_objects import MARK, dashboard_text
from stakewatch.publishing.target import Target
from tests.unit.publishing.fake_grafana import ADMIN, FakeGrafana, serving
from tests.unit.publishing.publishing_to import make, prune, publish, write_board

UIDS = ("geth", "lighthouse", "network", "prysm")
THEIRS = "theirs"
METRICS = "http://prometheus:9090"


@dataclass(frozen=True)
class Scene:
    """The folder of a bundle, and the Grafana that it is published to."""

    root: Path
    there: FakeGrafana

    def target(self) -> Target:
        """Return the target, not entered yet."""
        return make(self.root, "grafana", url=self.there.url, data_source={"url": METRICS})

    def wrong_after_publishing(self) -> Iterator[str]:
        """Publish and prune, and yield what is not as it should be then."""
        yield from publish(self.target()).errors
        yield from (str(one.error) for one in prune(self.target()).outcomes if one.error is not None)
        yield from self.differences()

    def changes_when_repeated(self) -> tuple[str, ...]:
        """Publish and prune; return the calls that change something."""
        before = len(self.there.writes)
        publish(self.target())
        prune(self.target())
        return tuple(self.there.writes[before:])

    def differences(self) -> Iterator[str]:
        """Yield what this Grafana holds that it should not, and what it does not hold."""
        yield from self.there.wrong
        wanted = {item.name: item for item in self._desired()}
        # What somebody took out of our folder and the bundle no longer has is theirs.
        held = {
            uid: one
            for uid, one in self.there.dashboards.items()
            if MARK in one.content["tags"] and (one.folder == "stakewatch" or uid in wanted)
        }
        for uid in sorted(wanted.keys() | held.keys()):
            if uid not in held or uid not in wanted:
                yield f"{uid} is {'not ' if uid not in held else ''}there"
                continue
            stored = held[uid]
            # What a later version of Grafana makes of a board is not compared.
            content = {**stored.content, "schemaVersion": 39}
            content.pop("preload", None)
            if dashboard_text(content, stored.folder) != wanted[uid].text:
                yield f"{uid} is another"
        if self.there.folders.get("stakewatch", {}).get("title") != "Stakewatch":
            yield "the folder is not right"
        if self.there.data_sources.get("stakewatch", {}).get("url") != METRICS:
            yield "the data source is not right"
        if THEIRS in self.there.dashboards and self.there.dashboards[THEIRS].history != [""]:
            yield "somebody else's dashboard was changed"

    def _desired(self) -> Iterator[Any]:
        with self.target() as target:
            yield from (item for item in target.desired() if item.kind == "dashboard")


@contextlib.contextmanager
def grafana_scene(root: Path) -> Iterator[Scene]:
    """Serve a fake Grafana, in which there is somebody else's board, for a bundle with two boards."""
    token = patch.dict(os.environ, {"GRAFANA_TOKEN": ADMIN})
    with serving(FakeGrafana()) as there, token, unpausing():
        for uid in UIDS[:2]:
            write_board(root, uid)
        there.save_in_browser(THEIRS, title="Theirs")
        yield Scene(root, there)


@contextlib.contextmanager
def unpausing() -> Iterator[None]:
    """Let nobody pause before asking again."""
    with patch.object(json_api, "_FIRST_PAUSE_SECONDS", 0.0):
        yield
