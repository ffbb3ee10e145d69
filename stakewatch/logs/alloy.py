"""Alloy: its configuration, with the pipelines' stages; Promtail's says the same in another syntax."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from stakewatch.logs.collection import AUDIT_LOGS, BATCH_BYTES, Rule, Shipping, journal_rules
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.promtail import stages_as_data
from stakewatch.logs.river import Block, Reference, Value, print_blocks

HEADING = """\
Rendered from loki/pipelines.yaml: change that, then `stakewatch logs render`.

Alloy 1.8 or later. The stages are those of Promtail's file. docs/logs.md says what was run.
"""
_LINES = "loki.process.lines.receiver"
_OTHER_NAMES = MappingProxyType({"labelallow": "label_keep"})
# Their arguments are names, which Alloy has in one attribute.
_WITH_VALUES = frozenset({"labels", "labelallow", "structured_metadata"})


def alloy_configuration(pipelines: Pipelines, shipping: Shipping) -> str:
    """Return the configuration of an Alloy on a machine: files that targets name, and the journal.

    It keeps its positions below --storage.path and listens where --server.http.listen-addr says.
    """
    return print_blocks(
        [
            Block("logging", attributes={"level": "warn", "format": "logfmt"}),
            Block(
                "discovery.file",
                "processes",
                {"files": [shipping.targets], "refresh_interval": "10s"},
            ),
            *files_of("processes", Reference("discovery.file.processes.targets")),
            *journal(journal_rules(pipelines), shipping.place),
            *shipped(pipelines, shipping),
        ],
        heading=HEADING,
    )


def files_of(name: str, targets: Value) -> Sequence[Block]:
    """Return what reads the files of targets, from their beginning the first time."""
    return (
        Block("local.file_match", name, {"path_targets": targets, "sync_period": "10s"}),
        Block(
            "loki.source.file",
            name,
            {
                "targets": Reference(f"local.file_match.{name}.targets"),
                "forward_to": [Reference(_LINES)],
            },
        ),
    )


def journal(rules: Iterable[Rule], place: Mapping[str, str]) -> Sequence[Block]:
    """Return what reads the journal of systemd."""
    return (
        Block("loki.relabel", "journal", {"forward_to": []}, relabelling(rules)),
        Block(
            "loki.source.journal",
            "journal",
            {
                "max_age": "12h",
                "relabel_rules": Reference("loki.relabel.journal.rules"),
                "forward_to": [Reference(_LINES)],
                "labels": {"job": "journal", **place},
            },
        ),
    )


def audit(place: Mapping[str, str]) -> Sequence[Block]:
    """Return what reads the audit log of a control plane that is one's own."""
    labels = {"implementation": "kubernetes-audit", "instance": "kube-apiserver", **place}
    return files_of("audit", [{"__path__": AUDIT_LOGS, **labels}])


def relabelling(rules: Iterable[Rule]) -> tuple[Block, ...]:
    """Return rules of relabelling as blocks."""
    return tuple(Block("rule", attributes=dict(rule)) for rule in rules)


def shipped(pipelines: Pipelines, shipping: Shipping) -> Sequence[Block]:
    """Return what reads the lines and sends them."""
    stages = alloy_stages(stages_as_data(pipelines))
    endpoint: Mapping[str, Value] = {
        "url": shipping.push_url,
        "batch_wait": "1s",
        "batch_size": f"{BATCH_BYTES // 1024}KiB",
        "remote_timeout": "10s",
        "min_backoff_period": "500ms",
        "max_backoff_period": "10s",
        # It tries for ever: lines wait in their files, and nothing is lost while Loki is away.
        "max_backoff_retries": 0,
    }
    return (
        Block("loki.process", "lines", {"forward_to": [Reference("loki.write.loki.receiver")]}, stages),
        Block("loki.write", "loki", blocks=(Block("endpoint", attributes=endpoint),)),
    )


def alloy_stages(stages: Iterable[Mapping[str, Any]]) -> tuple[Block, ...]:
    """Return Promtail's stages as blocks of `loki.process`: the same stages, some of other names."""
    return tuple(_stage(name, arguments) for stage in stages for name, arguments in stage.items())


def _stage(name: str, arguments: Any) -> Block:  # noqa: ANN401 - what Promtail's YAML holds
    if name == "match":
        inside = alloy_stages(arguments["stages"])
        return Block("stage.match", attributes={"selector": arguments["selector"]}, blocks=inside)
    attributes = {"values": arguments} if name in _WITH_VALUES else arguments or {}
    return Block(f"stage.{_OTHER_NAMES.get(name, name)}", attributes=attributes)
