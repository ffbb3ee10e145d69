"""Rule files as objects of the kind PrometheusRule, which the operator hands to Prometheus."""

from collections.abc import Iterable, Iterator

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.printing import as_yaml
from stakewatch.errors import InputError
from stakewatch.kubernetes.manifests import OPERATOR_API, Manifest, manifest, own_name, selected
from stakewatch.kubernetes.workspace import workspace_of
from stakewatch.rules.files import Group, RuleFile, rule_file_data

# The operator puts no more than half of what a ConfigMap holds into one, and a rule file is never divided.
_LARGEST_BYTES = 512 * 1024


def prometheus_rules(rule_files: Iterable[RuleFile], configuration: Configuration) -> Iterator[Manifest]:
    """Yield an object for each rule file, with the groups that this cluster evaluates.

    A group has one evaluator: where all samples go to a workspace, its ruler evaluates what is published
    there, and the cluster only the groups that are not.
    Raises InputError when two files would have one name, or a file is too large for the operator.
    """
    taken: dict[str, str] = {}
    for rule_file in rule_files:
        groups = [group for group in rule_file.groups if _is_evaluated_here(group, configuration)]
        if not groups:
            continue
        name = own_name(rule_file.path.stem, str(rule_file.path), taken)
        spec = rule_file_data(groups)
        size = len(as_yaml(spec).encode())
        if size > _LARGEST_BYTES:
            raise InputError(
                f"has {size:,} bytes as it is built; the operator takes {_LARGEST_BYTES:,}",
                where=str(rule_file.path),
                mend="move groups into another file",
            )
        yield manifest(
            OPERATOR_API, "PrometheusRule", name, configuration, labels=selected(configuration), spec=spec
        )


def _is_evaluated_here(group: Group, configuration: Configuration) -> bool:
    workspace = workspace_of(configuration)
    return workspace is None or group.name in workspace.skipped_groups
