"""The workspace of Amazon Managed Service for Prometheus that a cluster sends its samples to."""

from dataclasses import dataclass

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import skipped_groups, workspace_url


@dataclass(frozen=True)
class Workspace:
    """Where remote write goes; `skipped_groups` are the rule groups that its ruler does not evaluate.

    The first role is that of Prometheus' service account, the second one is assumed to send; None is none.
    """

    identity: str
    region: str
    skipped_groups: frozenset[str]
    service_account_role_arn: str | None
    assume_role_arn: str | None

    @property
    def remote_write_url(self) -> str:
        """Where samples are posted to."""
        return f"{workspace_url(self.region, self.identity)}/api/v1/remote_write"


def workspace_of(configuration: Configuration) -> Workspace | None:
    """Return the workspace that `kubernetes.remote_write` names, None where nothing is sent."""
    remote_write = configuration.kubernetes.remote_write
    if remote_write is None:
        return None
    (destination,) = (one for one in configuration.publish if one.name == remote_write.destination)
    return Workspace(
        identity=destination.options["workspace"],
        region=destination.options["region"],
        skipped_groups=skipped_groups(destination),
        service_account_role_arn=remote_write.service_account_role_arn,
        assume_role_arn=remote_write.assume_role_arn,
    )
