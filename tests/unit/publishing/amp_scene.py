"""A bundle whose products stand in build/, a fake workspace, and the target between them."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from unittest.mock import patch

from botocore.loaders import Loader

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.publishing.amp import Amp
from stakewatch.publishing.applying import Outcome, apply_changes, make_plan, prune_changes
from stakewatch.publishing.aws import Patience
from stakewatch.publishing.pace import forget_paces
from stakewatch.publishing.plans import Plan
from stakewatch.publishing.target import Source
from tests.unit.publishing.aws_server import REGION
from tests.unit.publishing.fake_amp import ACCOUNT, WORKSPACE, FakeAmp, serving

_LOADER = Loader()
_SEARCH_PATHS = len(_LOADER.search_paths)
QUICK = Patience(look_seconds=0.002, retry_seconds=0.001, altogether_seconds=20.0)
RULES = """\
groups:
- name: {name}
  rules:
  - alert: {name}Down
    expr: |
      up{{job="{name}"}} == 0
      and on (instance) vector({number})
    for: 5m
    labels: {{severity: critical}}
"""
DEFINITION = f"""\
# Built.
template_files:
  one.tmpl: |
    {{{{ define "one" }}}}{{{{ end }}}}
alertmanager_config: |
  route:
    receiver: pager
  receivers:
  - name: pager
    sns_configs:
    - topic_arn: arn:aws:sns:{REGION}:{ACCOUNT}:pager
      sigv4:
        region: {REGION}
"""


def rules(name: str, number: int = 1) -> str:
    """Return a rule file with one alert; another number is another expression."""
    return RULES.format(name=name, number=number)


@dataclass(frozen=True)
class Scene:
    """A bundle in a folder, and the workspace that it is published to."""

    folder: Path
    fake: FakeAmp

    def write_rules(self, name: str, text: str) -> None:
        """Write a rule file, and what is built of it."""
        for place in (self.folder / "rules", self.folder / "build" / "rules"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")

    def remove_rules(self, name: str) -> None:
        """Remove a rule file."""
        (self.folder / "rules" / name).unlink()
        (self.folder / "build" / "rules" / name).unlink()

    def write_definition(self, text: str) -> None:
        """Write the Alertmanager definition that is built."""
        folder = self.folder / "build" / "amp-alertmanager"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "definition.yaml").write_text(text, encoding="utf-8")

    def target(
        self,
        options: Mapping[str, object] = MappingProxyType({}),
        *,
        patience: Patience = QUICK,
        calls_per_second: int = 100_000,
    ) -> Amp:
        """Return the target, not entered yet."""
        chosen = {"region": REGION, "workspace": WORKSPACE, **options}
        destination = Destination("amp", "amp", MappingProxyType(chosen), place="stakewatch.yaml:3")
        source = Source(Bundle(self.folder), Configuration(), destination)
        return Amp(source, patience=patience, calls_per_second=calls_per_second)

    def plan(self, *, adopt: bool = False) -> Plan:
        """Return what would change."""
        with self.target() as target:
            return make_plan("amp", "amp", target, unheard, adopt=adopt)

    def apply(self, *, adopt: bool = False, patience: Patience = QUICK) -> list[Outcome]:
        """Change what differs and return what came of it."""
        with self.target(patience=patience) as target:
            plan = make_plan("amp", "amp", target, unheard, adopt=adopt)
            return list(apply_changes(target, plan.applied, lambda _change, _what: None))

    def prune(self, *, patience: Patience = QUICK) -> list[Outcome]:
        """Remove what is left over and return what came of it."""
        with self.target(patience=patience) as target:
            plan = make_plan("amp", "amp", target, unheard, adopt=False)
            return list(prune_changes(target, plan.leftovers, lambda _change, _what: None))


def unheard(_awaited: str) -> None:
    """Take a report that nobody waits for."""


@contextlib.contextmanager
def amp_scene(folder: Path) -> Iterator[Scene]:
    """Serve a fake workspace, in this process's environment, for a bundle with two rule files and routes."""
    fake = FakeAmp()
    # What another test has asked is no reason to wait.
    forget_paces()
    with serving(fake) as environment, _environment(environment), _one_loader():
        scene = Scene(folder, fake)
        scene.write_rules("beacon.yaml", rules("beacon"))
        scene.write_rules("storage.yaml", rules("storage"))
        scene.write_definition(DEFINITION)
        yield scene
        assert fake.mistakes == []


@contextlib.contextmanager
def unserved_scene(folder: Path) -> Iterator[Scene]:
    """Return the scene of a folder whose workspace is served by another process, named by the environment."""
    with _one_loader():
        yield Scene(folder, FakeAmp())


@contextlib.contextmanager
def _one_loader() -> Iterator[None]:
    """Let all sessions read botocore's models through one loader: each would take a quarter of a second."""
    with patch("botocore.session.create_loader", lambda _paths: _LOADER):
        yield
    del _LOADER.search_paths[_SEARCH_PATHS:]


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in os.environ if name.startswith("AWS_")} | {
        name: os.environ.get(name) for name in values
    }
    for name in before:
        os.environ.pop(name, None)
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
