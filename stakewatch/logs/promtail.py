"""Promtail: its configuration, with the pipelines' stages."""

from collections.abc import Iterable, Mapping
from typing import Any

from stakewatch.bundle.printing import as_yaml
from stakewatch.logs.collection import AUDIT_LOGS, BATCH_BYTES, Rule, Shipping, journal_rules
from stakewatch.logs.compilation import stages_of
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.stages import (
    Cri,
    Decolorize,
    Docker,
    Fixed,
    Hexadecimal,
    Json,
    Labels,
    LabelsKept,
    Limit,
    Match,
    Regex,
    Replace,
    Stage,
    StructuredMetadata,
    Timestamp,
    WithoutSeparators,
    Words,
    template,
)

END_OF_LIFE = """\
Rendered from loki/pipelines.yaml: change that, then `stakewatch logs render`.

PROMTAIL'S LIFE ENDED ON 2026-03-02: no security fixes any more, and Loki 3.7.3 and later come without it.
This file is for those who still run it, 3.4 to 3.6. Move to Alloy: its configuration does the same to every
line, and docs/logs.md says how to take the positions along.
"""
_STAGES = "*stages"


def promtail_configuration(pipelines: Pipelines, shipping: Shipping) -> str:
    """Return the configuration of a Promtail on a machine: files that targets name, and the journal."""
    return configuration_text(
        shipping,
        [
            {
                "job_name": "processes",
                "file_sd_configs": [{"files": [shipping.targets], "refresh_interval": "10s"}],
                "pipeline_stages": stages_as_data(pipelines),
            },
            journal_job(journal_rules(pipelines), shipping.place),
        ],
    )


def journal_job(rules: Iterable[Rule], place: Mapping[str, str]) -> dict[str, Any]:
    """Return the job that reads the journal of systemd; it begins where the shipper was first started."""
    return {
        "job_name": "journal",
        "journal": {"max_age": "12h", "labels": {"job": "journal", **place}},
        "relabel_configs": [dict(rule) for rule in rules],
        "pipeline_stages": _STAGES,
    }


def audit_job(place: Mapping[str, str]) -> dict[str, Any]:
    """Return the job that reads the audit log of a control plane that is one's own."""
    labels = {"implementation": "kubernetes-audit", "instance": "kube-apiserver", **place}
    return {
        "job_name": "audit",
        "static_configs": [{"targets": ["localhost"], "labels": {**labels, "__path__": AUDIT_LOGS}}],
        "pipeline_stages": _STAGES,
    }


def configuration_text(shipping: Shipping, jobs: list[dict[str, Any]]) -> str:
    """Return a configuration with these jobs; the first has the stages, the others name them."""
    content = {
        "server": {
            "http_listen_address": shipping.listen_address,
            "http_listen_port": shipping.listen_port,
            "grpc_listen_port": 0,
            "log_level": "warn",
        },
        "positions": {"filename": shipping.positions, "sync_period": "5s"},
        "clients": [
            {
                "url": shipping.push_url,
                "batchwait": "1s",
                "batchsize": BATCH_BYTES,
                "timeout": "10s",
                # 0: it tries for ever. Lines wait in their files, and nothing is lost while Loki is away.
                "backoff_config": {"min_period": "500ms", "max_period": "10s", "max_retries": 0},
            }
        ],
        "scrape_configs": jobs,
    }
    text = as_yaml(content, heading=END_OF_LIFE)
    return text.replace("pipeline_stages:\n", f"pipeline_stages: &{_STAGES[1:]}\n").replace(
        f"pipeline_stages: '{_STAGES}'", f"pipeline_stages: {_STAGES}"
    )


def stages_as_data(pipelines: Pipelines) -> list[dict[str, Any]]:
    """Return `pipeline_stages` of all pipelines, as the data that Promtail's YAML holds."""
    return promtail_stages(stages_of(pipelines))


def promtail_stages(stages: Iterable[Stage]) -> list[dict[str, Any]]:
    """Return stages as the data that Promtail's YAML holds."""
    return [_stage(stage) for stage in stages]


def _stage(stage: Stage) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912 - one case a stage
    match stage:
        case Cri():
            return {"cri": {}}
        case Docker():
            return {"docker": {}}
        case Decolorize():
            return {"decolorize": None}
        case Replace():
            return {"replace": {"expression": stage.expression, "replace": stage.replacement}}
        case Json():
            return {"json": {"expressions": dict(stage.paths)}}
        case Regex():
            return {"regex": {"expression": stage.expression, **_source(stage.source)}}
        case Words() | WithoutSeparators() | Hexadecimal() | Fixed():
            return {"template": {"source": stage.source, "template": template(stage)}}
        case Timestamp():
            how = {"source": stage.source, "format": stage.layout, "action_on_failure": "skip"}
            return {"timestamp": how}
        case Labels():
            return {"labels": _named(stage.names)}
        case LabelsKept():
            return {"labelallow": list(stage.names)}
        case StructuredMetadata():
            return {"structured_metadata": _named(stage.names)}
        case Limit():
            bounds = {"rate": stage.rate, "burst": stage.burst, "drop": True, "by_label_name": stage.label}
            return {"limit": bounds}
        case Match():
            return {"match": {"selector": stage.selector.text(), "stages": promtail_stages(stage.stages)}}


def _source(source: str) -> Mapping[str, str]:
    return {"source": source} if source else {}


def _named(names: Iterable[str]) -> dict[str, str]:
    return {name: name for name in names}
