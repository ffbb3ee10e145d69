"""A fleet in a cluster, and what is built for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from stakewatch.bundle.configuration import Configuration, load_configuration_text
from stakewatch.bundle.folder import Bundle
from stakewatch.kubernetes.targets import build_kubernetes

REPOSITORY = Path(__file__).parents[3]
FLEET = """\
network: hoodi
fleet:
  cluster: staking-1
  region: eu-west-1
  beacon_nodes:
    - {instance: lighthouse-0, implementation: lighthouse, url: "http://lighthouse-0.lighthouse.staking:5052"}
  validator_clients:
    - instance: prysm-validator-0
      implementation: prysm
      beacon_nodes: [lighthouse-0]
      keymanager: {url: "https://prysm-validator-0.prysm.staking", token_file: secrets/prysm.token}
  groups:
    - {name: alpha, validator_client: prysm-validator-0, keys: {file: alpha.keys}}
publish:
  production: {type: amp, region: eu-west-1, workspace: ws-00000000-0000-0000-0000-000000000000}
kubernetes:
  staking_namespaces: [staking]
  remote_write:
    destination: production
    service_account_role_arn: arn:aws:iam::123456789012:role/ingest
    assume_role_arn: arn:aws:iam::210987654321:role/workspace
"""


def fleet(folder: Path, text: str = FLEET) -> Configuration:
    """Return the configuration of a fleet whose key file stands in `folder`."""
    (folder / "alpha.keys").write_text("1\n2\n", encoding="utf-8")
    path = folder / "stakewatch.yaml"
    path.write_text(text, encoding="utf-8")
    return load_configuration_text(text, path)


def built(folder: Path, configuration: Configuration) -> Path:
    """Return the folder with what is built of this repository's bundle for this configuration."""
    target = folder / "built"
    target.mkdir()
    build_kubernetes(Bundle(REPOSITORY), configuration, target)
    return target


def objects(path: Path) -> Sequence[dict[str, Any]]:
    """Return the manifests of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
