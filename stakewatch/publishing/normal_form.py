"""Normal forms of what services give back: the same text for the same meaning, whoever wrote it and how.

What comes from a service may be anything that somebody put there: what cannot be read stays as it is, and so
differs from everything of ours.
"""

from typing import Any

import yaml
from yaml.events import AliasEvent

from stakewatch.bundle.printing import as_yaml

# Keys in the order in which people write them; all others follow by their names.
_FIRST = (
    "name",
    "interval",
    "query_offset",
    "limit",
    "record",
    "alert",
    "expr",
    "for",
    "keep_firing_for",
    "labels",
    "annotations",
    "rules",
    "alertmanager_config",
    "template_files",
)
_RANK = {key: number for number, key in enumerate(_FIRST)}
_DEEPEST = 50
_LOADER = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader


def normal_rules(text: str) -> str:
    """Return a rule file in its normal form; comments, order of keys and ways of quoting do not count."""
    return _normal(text, inside="")


def normal_alertmanager(text: str) -> str:
    """Return a definition of the managed Alertmanager in its normal form, its configuration unwrapped."""
    return _normal(text, inside="alertmanager_config")


def _normal(text: str, *, inside: str) -> str:
    try:
        data = _load(text)
        if inside and isinstance(data, dict) and isinstance(data.get(inside), str):
            data[inside] = _load(data[inside])
    except (yaml.YAMLError, RecursionError):
        return text
    if not isinstance(data, dict):
        return text
    return as_yaml(_ordered(data))


def _load(text: str) -> Any:  # noqa: ANN401 - YAML
    """Return data whose scalars are texts. Raises YAMLError for aliases, which could unfold without end."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, AliasEvent):
            raise yaml.YAMLError("an alias")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.YAMLError("too deep")
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - the base loader makes texts, lists and mappings


def _ordered(data: Any) -> Any:  # noqa: ANN401 - YAML
    if isinstance(data, dict):
        keys = sorted(data, key=lambda key: (_RANK.get(key, len(_FIRST)), str(key)))
        return {key: _ordered(data[key]) for key in keys}
    if isinstance(data, list):
        return [_ordered(one) for one in data]
    # Whether a text ends with a line feed depends on how it is written: those of several lines do.
    text = str(data).rstrip()
    return f"{text}\n" if "\n" in text else text
