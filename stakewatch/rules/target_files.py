"""Target files that a bundle's owner writes, `targets/<kind>/*.yaml`, held to the label contract."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stakewatch.bundle.configuration import Role
from stakewatch.bundle.document import read_document, read_text
from stakewatch.bundle.problems import Problem, as_error
from stakewatch.bundle.validation import schema_problems

_PLACE: Mapping[str, dict[str, Any]] = {
    "cluster": {"type": "string", "minLength": 1, "description": "the cluster it belongs to"},
    "region": {"type": "string", "minLength": 1, "description": "the region it runs in"},
}
_PROCESS: Mapping[str, dict[str, Any]] = {
    **_PLACE,
    "network": {"type": "string", "minLength": 1, "description": "mainnet, hoodi, or as in stakewatch.yaml"},
    "role": {"enum": [role.value for role in Role], "description": "what it does, such as beacon"},
    "implementation": {"type": "string", "minLength": 1, "description": "which client, such as lighthouse"},
    "instance": {"type": "string", "minLength": 1, "description": "its stable name, as in stakewatch.yaml"},
}
_ADDRESSES: Mapping[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "string",
        "pattern": r"^[^\s/]+$",
        "mend": "write HOST:PORT, and the path as __metrics_path__",
    },
    "description": "a list of HOST:PORT",
}


def _schema(labels: Mapping[str, Any], addresses: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a file of file_sd_configs whose targets carry `labels` and maybe more."""
    return {
        # A file with nothing but comments is as good as none.
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["targets", "labels"],
            "properties": {
                "targets": dict(addresses),
                "labels": {
                    "type": "object",
                    "required": list(labels),
                    "properties": dict(labels),
                    "additionalProperties": {"type": "string"},
                    "description": f"with {', '.join(labels)}",
                },
            },
        },
    }


_SCHEMAS: Mapping[str, dict[str, Any]] = {
    # `instance` names one process: two addresses under it would send one and the same series.
    "staking": _schema(
        _PROCESS, {**_ADDRESSES, "maxItems": 1, "mend": "write an entry for each process: instance names one"}
    ),
    "platform": _schema(_PLACE, _ADDRESSES),
}
KINDS: Sequence[str] = tuple(_SCHEMAS)


def target_files(root: Path, kind: str) -> list[Path]:
    """Return the target files of `kind`, one of KINDS, in the bundle folder `root`.

    Raises InputError when one is no list of targets, or a target lacks a label: its alerts could never fire.
    """
    paths = sorted((root / "targets" / kind).glob("*.yaml"))
    problems: list[Problem] = []
    for path in paths:
        document = read_document(read_text(path), path)
        problems += (*document.problems, *schema_problems(document, _SCHEMAS[kind]))
    if problems:
        raise as_error(problems)
    return paths
