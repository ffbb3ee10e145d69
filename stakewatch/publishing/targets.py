"""Build target of publishing: what has to be allowed and set elsewhere before anything can be published."""

import json
from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.printing import as_yaml
from stakewatch.bundle.targets import target
from stakewatch.publishing.amp_access import policies, remote_write

_HEADING = """\
Built from publish.{name} of stakewatch.yaml: put it into prometheus.yaml, beside external_labels with the
label cluster (and __replica__ where two send the same).
"""


@target("amp-access", "IAM policies per command and remote_write, for each workspace under publish")
def build_amp_access(_bundle: Bundle, configuration: Configuration, folder: Path) -> None:
    """Write `<name>/iam-<command>.json` and `<name>/remote-write.yaml` for each destination of type `amp`."""
    for destination in configuration.publish:
        if destination.type != "amp":
            continue
        place = folder / destination.name
        place.mkdir()
        for command, policy in policies(destination).items():
            text = json.dumps(policy, indent=2) + "\n"
            (place / f"iam-{command}.json").write_text(text, encoding="utf-8")
        heading = _HEADING.format(name=destination.name)
        (place / "remote-write.yaml").write_text(
            as_yaml(remote_write(destination), heading=heading), encoding="utf-8"
        )
