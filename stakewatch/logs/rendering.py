"""Rendering: the files of `loki/` that are made of its pipelines, and what starts the shippers."""

from collections.abc import Mapping
from types import MappingProxyType

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.printing import as_yaml
from stakewatch.kubernetes.relabelling import place
from stakewatch.logs.alloy import alloy_configuration
from stakewatch.logs.collection import Shipping
from stakewatch.logs.daemonsets import alloy_manifests, promtail_manifests
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.positions import REWIND
from stakewatch.logs.promtail import END_OF_LIFE, promtail_configuration

MAKER = "its pipeline"
_HEADING = "Rendered from loki/pipelines.yaml: change that, then `stakewatch logs render`."


def rendered(pipelines: Pipelines, configuration: Configuration) -> Mapping[str, str]:
    """Return the text of each file by its path below `loki/`.

    Raises InputError when a configuration does not fit into a ConfigMap.
    """
    here = place(configuration)
    shipping = Shipping(place=MappingProxyType({**here, "network": configuration.network}))
    return {
        REWIND.name: REWIND.read_text(encoding="utf-8"),
        "alloy/config.alloy": alloy_configuration(pipelines, shipping),
        "promtail/promtail.yaml": promtail_configuration(pipelines, shipping),
        "kubernetes/alloy.yaml": as_yaml(*alloy_manifests(pipelines, configuration), heading=_HEADING),
        "kubernetes/promtail.yaml": as_yaml(
            *promtail_manifests(pipelines, configuration), heading=END_OF_LIFE
        ),
    }
