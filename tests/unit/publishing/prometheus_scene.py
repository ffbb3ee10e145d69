"""A bundle of rule files, the folder of a fake Prometheus, and whether the one holds what the other says."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import yaml

from stakewatch.publishing.target import Target
from stakewatch.rules import promtool
from stakewatch.rules.promtool import Outcome
from tests.unit.publishing.fake_prometheus import FakePrometheus, serving
from tests.unit.publishing.publishing_to import make, prune, publish

NAMES = ("beacon", "validator", "storage")


@dataclass(frozen=True)
class Scene:
    """The folder of a bundle, and the Prometheus whose folder it is published to."""

    root: Path
    there: FakePrometheus

    @property
    def built(self) -> Path:
        """Where the rule files of the bundle are built."""
        return self.root / "build" / "prometheus" / "rules"

    def target(self) -> Target:
        """Return the target, not entered yet."""
        return make(self.root, "prometheus", config_path=str(self.there.folder), url=self.there.url)

    def wrong_after_publishing(self) -> Iterator[str]:
        """Publish and prune, and yield what is not as it should be then."""
        yield from publish(self.target(), adopt=True).errors
        yield from (str(one.error) for one in prune(self.target()).outcomes if one.error is not None)
        yield from self.differences()

    def changes_when_repeated(self) -> tuple[str, ...]:
        """Publish and prune; return what was done."""
        return tuple(
            f"{one.change.item} {one.done}"
            for published in (publish(self.target(), adopt=True), prune(self.target()))
            for one in published.outcomes
        )

    def differences(self) -> Iterator[str]:
        """Yield what is not in the folder or not loaded; what is of a lost note is nobody's, and stays."""
        yield from self.there.wrong
        loaded = {group["name"]: group["rules"][0]["name"] for group in self.there.groups}
        for path in sorted(self.built.glob("*.yaml")):
            held = self.there.folder / "rules" / path.name
            if not held.is_file() or held.read_bytes() != path.read_bytes():
                yield f"{path.name} is not there"
            wanted = yaml.safe_load(path.read_bytes())["groups"][0]
            if loaded.get(wanted["name"]) != wanted["rules"][0]["alert"]:
                yield f"{path.name} is not loaded"


def write_rules(root: Path, name: str, number: int) -> None:
    """Write a rule file as `stakewatch build prometheus` would; another number is another alert."""
    path = root / "build" / "prometheus" / "rules" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    rule = {"alert": f"A{number}", "expr": f"vector({number})"}
    path.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": [rule]}]}), encoding="utf-8")


def write_bundle(root: Path) -> None:
    """Write a bundle with a rule file."""
    write_rules(root, "beacon", 0)
    main = root / "build" / "prometheus" / "prometheus.yaml"
    main.write_text("scrape_configs: [{job_name: a}]\n", encoding="utf-8")


@contextlib.contextmanager
def unchecked() -> Iterator[list[str]]:
    """Let promtool find nothing; gives the list of which one was asked."""
    programs: list[str] = []

    def check(path: Path, program: str) -> Outcome:
        programs.append(program)
        return Outcome(path, program, "0", (), "", 0.0)

    with patch.object(promtool, "check_config", check):
        yield programs


@contextlib.contextmanager
def prometheus_scene(root: Path) -> Iterator[Scene]:
    """Serve a fake Prometheus for a bundle with a rule file."""
    write_bundle(root)
    with unchecked(), serving(FakePrometheus(root / "there")) as there:
        yield Scene(root, there)
