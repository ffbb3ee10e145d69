"""Loki, Promtail, Prometheus and Alertmanager, wired as an operator wires them, in one folder on loopback."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stakewatch.logs.collection import Shipping
from stakewatch.logs.loki_api import Address
from stakewatch.logs.pipelines import Pipelines, load_pipelines
from stakewatch.logs.positions import REWIND
from stakewatch.logs.promtail import promtail_configuration
from stakewatch.programs.log_servers import Loki, Promtail, loki, promtail
from stakewatch.programs.process import free_port
from stakewatch.programs.servers import Alertmanager, Prometheus, alertmanager, prometheus

REPOSITORY = Path(__file__).parents[3]
_LOKI = REPOSITORY / "loki"
PIPELINES = _LOKI / "pipelines.yaml"
_REWIND_SECONDS = 60


@dataclass(frozen=True)
class Stack:
    """What runs, and how to start it again; nothing runs before it is started."""

    folder: Path
    loki_port: int
    prometheus_port: int

    @property
    def address(self) -> Address:
        """Where Loki is asked."""
        return Address(f"http://127.0.0.1:{self.loki_port}")

    @property
    def logs(self) -> Path:
        """Where programs write their logs."""
        return self.folder / "logs"

    @property
    def positions(self) -> Path:
        """Where Promtail notes how far it has read each file."""
        return self.folder / "positions.yaml"

    def log_file(self, name: str, labels: Mapping[str, str], *, runtime: str = "") -> Path:
        """Return an empty file that Promtail reads as the log of one program."""
        path = self.logs / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        labels = {**labels, **({"runtime": runtime} if runtime else {}), "__path__": str(path)}
        targets = self.folder / "targets" / f"{name}.yaml"
        targets.parent.mkdir(exist_ok=True)
        partial = targets.with_suffix(".partial")
        partial.write_text(
            yaml.safe_dump([{"targets": ["localhost"], "labels": dict(labels)}]), encoding="utf-8"
        )
        partial.replace(targets)
        return path

    def loki(
        self,
        changes: Mapping[str, Any] | None = None,
        *,
        rule_seconds: int | None = None,
        flags: Sequence[str] = (),
    ) -> AbstractContextManager[Loki]:
        """Run the repository's Loki, with other paths and ports; `changes` are laid over its configuration.

        `rule_seconds` is how often the ruler evaluates, by default as the rules say.
        """
        text = (_LOKI / "loki.yaml").read_text(encoding="utf-8")
        text = text.replace("/var/lib/loki", str(self.folder / "loki"))
        text = text.replace("/etc/loki/rules", str(self.folder / "rules"))
        text = text.replace("http://127.0.0.1:9090", f"http://127.0.0.1:{self.prometheus_port}")
        path = self.folder / "loki.yaml"
        path.write_text(yaml.safe_dump(_overlaid(yaml.safe_load(text), changes or {})), encoding="utf-8")
        rules = self.folder / "rules" / "fake"
        rules.mkdir(parents=True, exist_ok=True)
        for source in sorted((_LOKI / "rules").glob("*.yaml")):
            content = yaml.safe_load(source.read_text(encoding="utf-8"))
            for group in content["groups"] if rule_seconds is not None else ():
                group["interval"] = f"{rule_seconds}s"
            (rules / source.name).write_text(yaml.safe_dump(content), encoding="utf-8")
        return loki(path, self.folder, port=self.loki_port, flags=flags)

    def promtail(
        self, flags: Sequence[str] = (), pipelines: Pipelines | None = None
    ) -> AbstractContextManager[Promtail]:
        """Run Promtail with these pipelines, or the repository's, on the log files; its positions outlive it.

        It goes back by what a kill may have lost, as in the DaemonSet. Flags win over the file.
        """
        shipping = Shipping(
            loki_url=self.address.url,
            targets=str(self.folder / "targets" / "*.yaml"),
            positions=str(self.positions),
        )
        path = self.folder / "promtail.yaml"
        content = yaml.safe_load(promtail_configuration(pipelines or load_pipelines(PIPELINES), shipping))
        # New log files are looked for every 10 seconds by default.
        content["target_config"] = {"sync_period": "1s"}
        # The journal of this machine is not ours to read.
        content["scrape_configs"] = [one for one in content["scrape_configs"] if "journal" not in one]
        path.write_text(json.dumps(content), encoding="utf-8")
        subprocess.run(["/bin/sh", REWIND, self.positions], check=True, timeout=_REWIND_SECONDS)
        return promtail(path, self.folder, flags=flags)

    @contextmanager
    def alerting(
        self, rule_files: Sequence[Path], *, evaluation_seconds: int = 30
    ) -> Iterator[tuple[Prometheus, Alertmanager]]:
        """Run a Prometheus that takes what Loki writes, and the Alertmanager that hears of its alerts."""
        quiet = self.folder / "alertmanager.yaml"
        quiet.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", encoding="utf-8")
        with ExitStack() as running:
            manager = running.enter_context(alertmanager(quiet, self.folder))
            content = {
                "global": {"evaluation_interval": f"{evaluation_seconds}s"},
                "rule_files": [str(path) for path in rule_files],
                "alerting": {
                    "alertmanagers": [
                        {"static_configs": [{"targets": [manager.url.removeprefix("http://")]}]}
                    ]
                },
            }
            path = self.folder / "prometheus.yaml"
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
            server = running.enter_context(
                prometheus(
                    path, self.folder, port=self.prometheus_port, flags=["--web.enable-remote-write-receiver"]
                )
            )
            yield server, manager


def new_stack(folder: Path) -> Stack:
    """Return a stack in an empty folder, on free ports."""
    return Stack(folder, loki_port=free_port(), prometheus_port=free_port())


def _overlaid(below: Any, above: Any) -> Any:  # noqa: ANN401 - YAML
    """Return a mapping with another laid over it, at all depths."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _overlaid(below.get(key), value) for key, value in above.items()}}
