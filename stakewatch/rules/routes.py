"""Alertmanager's files in a bundle: what a person wrote, as plain data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from stakewatch.errors import InputError


def read_routes(path: Path) -> dict[str, Any]:
    """Return the content of an Alertmanager configuration, or of a part of one.

    Raises InputError when the file is missing, or holds no YAML or something else than keys and values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"this cannot be read: {error}", where=str(path)) from error
    if not isinstance(content, dict):
        raise InputError("this is no Alertmanager configuration", where=str(path))
    return content


def read_templates(content: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return the texts of the templates that a configuration in `folder` names, by file name.

    Raises InputError when one cannot be read.
    """
    paths = [
        path
        for pattern in content.get("templates") or []
        for path in sorted(folder.glob(str(pattern)))
        if path.is_file()
    ]
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"a template cannot be read: {error}", where=str(folder)) from error
