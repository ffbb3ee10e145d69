"""`publish` of `stakewatch.yaml`: where the bundle is published to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stakewatch.bundle.document import Document

# What is about the Prometheus that evaluates it.
_SKIPPED_GROUPS = ("local_prometheus",)


@dataclass(frozen=True)
class Destination:
    """One entry of `publish`: its name, its type, and what else the schema knows of that type.

    Options that name a file or folder of this machine end in `_file` or `_path` and are absolute or relative
    to the current folder. `place` is where a person wrote it.
    """

    name: str
    type: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    place: str = field(default="stakewatch.yaml", compare=False)


def destinations(document: Document, data: Mapping[str, Any]) -> tuple[Destination, ...]:
    """Return the entries of `publish` in the order of the file; `data` is a document without problems."""
    folder = document.path.parent
    return tuple(
        Destination(
            name=name,
            type=entry["type"],
            options=MappingProxyType(
                {key: _option(key, value, folder) for key, value in entry.items() if key != "type"}
            ),
            place=f"{document.path}:{document.line(('publish', name))}",
        )
        for name, entry in (data.get("publish") or {}).items()
    )


def _option(key: str, value: Any, folder: Path) -> Any:  # noqa: ANN401 - whatever the schema allows
    return str(folder / value) if key.endswith(("_file", "_path")) else value


def skipped_groups(destination: Destination) -> frozenset[str]:
    """Return the rule groups that a workspace's ruler does not evaluate: another Prometheus does."""
    return frozenset(destination.options.get("skip_groups", _SKIPPED_GROUPS))


def workspace_url(region: str, workspace: str) -> str:
    """Return the base address of a workspace of Amazon Managed Service for Prometheus, before `/api/v1`."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://aps-workspaces.{region}.{domain}/workspaces/{workspace}"
