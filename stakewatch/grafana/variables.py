"""Variables of a board: the data source, and the labels of the contract that a reader chooses from."""

from dataclasses import dataclass
from typing import Any

from stakewatch.grafana.queries import DATASOURCE, DATASOURCE_VARIABLE

_ALL = "$__all"


@dataclass(frozen=True)
class DatasourceVariable:
    """The choice of the Prometheus that a board reads; every board has it."""

    name: str = DATASOURCE_VARIABLE
    label: str = "Data source"

    def to_json_data(self) -> dict[str, Any]:
        """Return Grafana's form."""
        return {
            "current": {},
            "hide": 0,
            "includeAll": False,
            "label": self.label,
            "multi": False,
            "name": self.name,
            "options": [],
            "query": "prometheus",
            "refresh": 1,
            "regex": "",
            "skipUrlSync": False,
            "type": "datasource",
        }


@dataclass(frozen=True)
class LabelVariable:
    """The values of `label` on the series that `selector` finds; several or all of them may be chosen.

    "All" is every value, also none, so that a series without the label is shown until somebody chooses.
    """

    name: str
    label: str
    selector: str
    description: str
    title: str = ""

    @property
    def query(self) -> str:
        """The query that fills the list."""
        return f"label_values({self.selector}, {self.label})"

    def to_json_data(self) -> dict[str, Any]:
        """Return Grafana's form."""
        return {
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": [_ALL]},
            "datasource": DATASOURCE,
            "description": self.description,
            "hide": 0,
            "includeAll": True,
            "label": self.title or self.name.capitalize(),
            "multi": True,
            "name": self.name,
            "options": [],
            # 1 is "label values" in the query editor of Grafana 10 and later.
            "query": {
                "qryType": 1,
                "query": self.query,
                "refId": "PrometheusVariableQueryEditor-VariableQuery",
            },
            "refresh": 2,
            "regex": "",
            "skipUrlSync": False,
            "sort": 1,
            "type": "query",
        }


GROUP_VARIABLES: tuple[DatasourceVariable | LabelVariable, ...] = (
    DatasourceVariable(),
    LabelVariable("network", "network", "stakewatch_group_info", "Networks that an exporter watches keys on"),
    LabelVariable(
        "group",
        "group",
        'stakewatch_group_info{network=~"$network"}',
        "Groups of keys on the chosen networks",
    ),
)

Variable = DatasourceVariable | LabelVariable


def kind_of_process(role: str = "", implementation: str = "") -> str:
    """Return label matchers for a kind of staking process; `a|b` is either, nothing given is any."""
    parts = [
        f'{label}{"=~" if "|" in value else "="}"{value}"'
        for label, value in (("role", role), ("implementation", implementation))
        if value
    ]
    return ",".join(parts) or 'role!=""'


def contract_variables(role: str = "", implementation: str = "") -> tuple[Variable, ...]:
    """Return the data source, cluster, network and instance of the processes that a board is about.

    They are filled from `up`, which each target of the label contract has from its first scrape, down or not.
    """
    process = kind_of_process(role, implementation)
    return (
        DatasourceVariable(),
        LabelVariable("cluster", "cluster", f"up{{{process}}}", "Clusters that run such a process"),
        LabelVariable(
            "network", "network", f'up{{{process},cluster=~"$cluster"}}', "Networks of the chosen clusters"
        ),
        LabelVariable(
            "instance",
            "instance",
            f'up{{{process},cluster=~"$cluster",network=~"$network"}}',
            "Processes of the chosen clusters and networks",
        ),
    )
