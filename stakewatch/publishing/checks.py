"""Checks of publishing: what a service would refuse whatever the account's quotas are."""

from collections.abc import Iterator

from stakewatch.bundle.checks import Finding, check
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import skipped_groups
from stakewatch.bundle.folder import Bundle
from stakewatch.publishing.amp_limits import namespace_flaws
from stakewatch.publishing.amp_objects import Naming, desired_namespace
from stakewatch.rules.files import load_rule_files


@check("publishing/amp", "A rule file that a workspace under `publish` would not take, by its names.")
def check_amp(bundle: Bundle, configuration: Configuration) -> Iterator[Finding]:
    """Yield rule files whose namespace no workspace takes, or whose name another one has."""
    for destination in configuration.publish:
        if destination.type != "amp":
            continue
        naming, skipped = Naming.of(destination), skipped_groups(destination)
        taken: dict[str, str] = {}
        for rule_file in load_rule_files(bundle.rules):
            item = desired_namespace(rule_file, bundle.rules, naming, skipped)
            if item is None:
                continue
            where = rule_file.path.relative_to(bundle.root).as_posix()
            for flaw in namespace_flaws(item, {}):
                if flaw.fatal:
                    yield Finding(rule_file.path, 1, f"{destination.name}: {flaw.what}", flaw.mend)
            if item.name in taken:
                message = f"{destination.name}: {item}, as {taken[item.name]}"
                yield Finding(rule_file.path, 1, message, "rename one of the two")
            taken.setdefault(item.name, where)
