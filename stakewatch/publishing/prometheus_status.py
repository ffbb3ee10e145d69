"""The status of a Prometheus: what it has loaded of our files, which rules fail and which alerts fire."""

from collections.abc import Iterator, Sequence

import yaml

from stakewatch.publishing.json_api import JsonApi, UnusableApiError
from stakewatch.publishing.objects import Fact
from stakewatch.publishing.prometheus_files import (
    CONFIGURATION,
    LOADED_KINDS,
    RULE_FILE,
    Folder,
    kind_of,
)
from stakewatch.publishing.prometheus_server import (
    NAME,
    LoadedGroup,
    latest_loading,
    loaded_groups,
    server_version,
)


def file_facts(folder: Folder, ours: Sequence[str]) -> Iterator[Fact]:
    """Yield whether the files `ours` are there. Raises StakewatchError when that cannot be seen."""
    missing = [name for name in ours if folder.read(name) is None]
    yield Fact("files", f"{len(ours) - len(missing)} there")
    yield from (Fact(name, "missing", healthy=False) for name in missing)


def server_facts(api: JsonApi, folder: Folder, ours: Sequence[str], *, how_to_load: str) -> Iterator[Fact]:
    """Yield what Prometheus has loaded of the files `ours`; `how_to_load` is said where it has not.

    That it does not answer is a fact too. Raises StakewatchError.
    """
    try:
        yield Fact(NAME, server_version(api))
        configuration = _loading(api, folder, [name for name in ours if kind_of(name) in LOADED_KINDS])
        groups = loaded_groups(api)
    except UnusableApiError as error:
        yield Fact(NAME, "does not answer", error.what, healthy=False)
        return
    if ours or not configuration.healthy:
        yield configuration
    yield from _rules(groups, ours)
    # While the configuration is refused or old, that is what there is to say.
    if configuration.healthy:
        yield from _not_loaded(groups, folder, ours, how_to_load)


def _loading(api: JsonApi, folder: Folder, names: Sequence[str]) -> Fact:
    loading = latest_loading(api)
    if not loading.succeeded:
        detail = "it goes on with what it had loaded before; its log says why"
        return Fact(CONFIGURATION, "refused", detail, healthy=False)
    if loading.after(folder.changed_at(names), noted=True):
        return Fact(CONFIGURATION, "loaded")
    return Fact(CONFIGURATION, "older than the files", "`stakewatch apply` has it loaded", healthy=False)


def _rules(groups: Sequence[LoadedGroup], ours: Sequence[str]) -> Iterator[Fact]:
    for group in groups:
        if not any(group.stands_in(name) for name in ours):
            continue
        for rule in group.rules:
            if rule.health == "err":
                yield Fact(f"rule {rule.name} of {group.name}", "fails", rule.error, healthy=False)
            if rule.firing:
                yield Fact(f"alert {rule.name}", "fires")


def _not_loaded(
    groups: Sequence[LoadedGroup], folder: Folder, ours: Sequence[str], how_to_load: str
) -> Iterator[Fact]:
    """Yield of which rule files of ours a Prometheus that loaded its configuration has no group."""
    missing = [
        name
        for name in ours
        if kind_of(name) == RULE_FILE
        and not any(group.stands_in(name) for group in groups)
        and _has_groups(folder.read(name))
    ]
    if missing:
        detail = f"{missing[0]}{', …' if len(missing) > 1 else ''}: {how_to_load}"
        yield Fact("rule files", f"{len(missing)} not loaded", detail, healthy=False)


def _has_groups(text: str | None) -> bool:
    try:
        return bool(yaml.safe_load(text or "")["groups"])
    except (yaml.YAMLError, KeyError, TypeError):
        return False
