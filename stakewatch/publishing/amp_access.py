"""Who may do what in a workspace of Amazon Managed Service for Prometheus: a policy for each command.

Sources: the service authorization reference, "Actions, resources, and condition keys for Amazon Managed
Service for Prometheus"; the user guide's page on remote write.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from stakewatch.bundle.destinations import Destination, workspace_url
from stakewatch.publishing.amp_objects import Naming

_READ_WORKSPACE = (
    "aps:DescribeWorkspace",
    "aps:ListRuleGroupsNamespaces",
    "aps:DescribeAlertManagerDefinition",
)
_READ_NAMESPACES = ("aps:DescribeRuleGroupsNamespace",)
_QUOTAS = ("servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas")
_QUERY = ("aps:QueryMetrics", "aps:GetSeries", "aps:GetLabels", "aps:GetMetricMetadata")

# As JSON.
Policy: TypeAlias = Mapping[str, Any]


def policies(destination: Destination) -> Mapping[str, Policy]:
    """Return an IAM policy by command (`plan`, `apply`, `prune`, `status`), and for those around it.

    `remote-write` is for a Prometheus that sends samples, `query` for a Grafana that reads them. They name
    the workspace of any account: the policy belongs to one account, and so does the id.
    """
    plan = (
        _allow("ReadWorkspace", _READ_WORKSPACE, _workspace(destination)),
        _allow("ReadRules", _READ_NAMESPACES, _namespaces(destination, "*")),
        _allow("ReadQuotas", _QUOTAS, "*"),
    )
    ours = _namespaces(destination, f"{Naming.of(destination).prefix}*")
    return {
        "plan": _policy(*plan),
        "apply": _policy(
            *plan,
            _allow(
                "WriteRules",
                ("aps:CreateRuleGroupsNamespace", "aps:PutRuleGroupsNamespace", "aps:TagResource"),
                ours,
            ),
            _allow(
                "WriteRoutes",
                ("aps:CreateAlertManagerDefinition", "aps:PutAlertManagerDefinition"),
                _workspace(destination),
            ),
        ),
        "prune": _policy(
            *plan,
            _allow("RemoveRules", ("aps:DeleteRuleGroupsNamespace",), ours),
            _allow("RemoveRoutes", ("aps:DeleteAlertManagerDefinition",), _workspace(destination)),
        ),
        "status": _policy(
            _allow("ReadWorkspace", (*_READ_WORKSPACE, "aps:ListRules"), _workspace(destination)),
        ),
        "remote-write": _policy(_allow("Send", ("aps:RemoteWrite",), _workspace(destination))),
        "query": _policy(_allow("Query", _QUERY, _workspace(destination))),
    }


def remote_write(destination: Destination) -> Mapping[str, Any]:
    """Return the section of prometheus.yaml that sends samples to the workspace.

    The queue is what the user guide recommends. A Prometheus needs `external_labels` besides: `cluster`, and
    `__replica__` where two send the same.
    """
    options = destination.options
    signature = {"region": options["region"]}
    if options.get("role_arn"):
        signature["role_arn"] = options["role_arn"]
    return {
        "remote_write": [
            {
                "url": f"{workspace_url(options['region'], options['workspace'])}/api/v1/remote_write",
                "sigv4": signature,
                "queue_config": {"max_samples_per_send": 1000, "max_shards": 200, "capacity": 2500},
            }
        ]
    }


def _policy(*statements: Mapping[str, object]) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(name: str, actions: Sequence[str], resource: str) -> Mapping[str, object]:
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": resource}


def _workspace(destination: Destination) -> str:
    return f"{_arn(destination)}:workspace/{destination.options['workspace']}"


def _namespaces(destination: Destination, names: str) -> str:
    return f"{_arn(destination)}:rulegroupsnamespace/{destination.options['workspace']}/{names}"


def _arn(destination: Destination) -> str:
    region = destination.options["region"]
    partition = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    found = next((name for start, name in partition.items() if region.startswith(start)), "aws")
    return f"arn:{found}:aps:{region}:*"
