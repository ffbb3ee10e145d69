"""The target type `amg`: a workspace of Amazon Managed Grafana, by the AWS credentials of who publishes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from stakewatch.publishing.amg_workspace import ControlPlane, find_workspace, workspace_token
from stakewatch.publishing.aws import Access, Patience, client, open_session
from stakewatch.publishing.grafana_target import GrafanaAccess, GrafanaTarget
from stakewatch.publishing.json_api import Hints
from stakewatch.publishing.objects import Fact
from stakewatch.publishing.target import Source, Target, target_type

_SCHEME = "https"
# A workspace signs with its own role; core Prometheus and the plugin know it under this name.
_SIGNATURE_TYPE = "workspace-iam-role"
_PATIENCE = Patience(altogether_seconds=60.0)
_HINTS = Hints(
    unauthorized="the token of this run was deleted by somebody else: run it again",
    forbidden="the service account lost its role: delete it, so that it is made anew",
    html_forbidden=(
        "the workspace's network access control does not admit this address: "
        "add it to the workspace's prefix list, or ask through its VPC endpoint"
    ),
)


@target_type("amg", builds=("dashboards",))
def amg(source: Source) -> Target:
    """Return the target that the destination's `region`, `workspace` and `service_account` describe."""
    options = source.destination.options
    region, workspace_id = options["region"], options["workspace"]
    where = f"Amazon Managed Grafana {workspace_id} in {region}"

    @contextmanager
    def opening() -> Iterator[GrafanaAccess]:
        access = Access(region=region, profile=options.get("profile"), role_arn=options.get("role_arn"))
        session = open_session(access, where)
        with closing(client(session, "grafana", workers=1)) as asked:
            plane = ControlPlane(asked, workspace_id, where=where, patience=_PATIENCE)
            workspace = find_workspace(plane)
            with workspace_token(plane, options.get("service_account", "stakewatch")) as token:
                yield GrafanaAccess(
                    url=f"{_SCHEME}://{workspace.host}",
                    token=token.key,
                    version=workspace.version,
                    signature_type=_SIGNATURE_TYPE,
                    hints=_HINTS,
                    facts=(Fact("workspace", workspace.status, healthy=workspace.status == "ACTIVE"),),
                )

    return GrafanaTarget(source, opening, where)
