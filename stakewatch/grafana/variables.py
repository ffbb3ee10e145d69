"""Variables of a board: the data source, and the labels of the contract that a reader chooses from."""

from dataclasses import dataclass
from typing import Any

from stakewatch.grafana.queries import DATASOURCE, DATASOURCE_VARIABLE, LOGS_VARIABLE

_ALL = "$__all"
# The kinds of questions in the query editor of Grafana 10 and later.
_LABEL_NAMES = 0
_LABEL_VALUES = 1


@dataclass(frozen=True)
class DatasourceVariable:
    """The choice of the Prometheus that a board reads; of a source of another `kind` where one is given."""

    name: str = DATASOURCE_VARIABLE
    label: str = "Data source"
    kind: str = "prometheus"

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
            "query": self.kind,
            "refresh": 1,
            "regex": "",
            "skipUrlSync": False,
            "type": "datasource",
        }


@dataclass(frozen=True)
class LabelVariable:
    """The values of `label` on the series that `selector` finds; several of them may be chosen.

    "All", unless `everything` is false, is every value, also none, so that a series without the label is
    shown until somebody chooses. Without it, Grafana chooses the first.
    """

    name: str
    label: str
    selector: str
    description: str
    title: str = ""
    everything: bool = True

    @property
    def query(self) -> str:
        """The query that fills the list."""
        return f"label_values({self.selector}, {self.label})"

    def to_json_data(self) -> dict[str, Any]:
        """Return Grafana's form."""
        chosen = {"selected": True, "text": ["All"], "value": [_ALL]} if self.everything else {}
        return {
            **_query_variable(self.name, self.title, self.description, self.query, kind=_LABEL_VALUES),
            **({"allValue": ".*"} if self.everything else {}),
            "current": chosen,
            "includeAll": self.everything,
            "multi": True,
        }


@dataclass(frozen=True)
class LabelNameVariable:
    """A name of a label of the series that `selector` finds, of those that `pattern` matches.

    `default` is chosen until a reader chooses another. In a query, the name may only stand where PromQL takes
    a string (`label_replace`), so that the query can be parsed without knowing it.
    """

    name: str
    selector: str
    pattern: str
    default: str
    description: str
    title: str = ""

    def to_json_data(self) -> dict[str, Any]:
        """Return Grafana's form."""
        query = f"label_names({self.selector})"
        return {
            **_query_variable(self.name, self.title, self.description, query, kind=_LABEL_NAMES),
            "current": {"selected": True, "text": self.default, "value": self.default},
            "includeAll": False,
            "multi": False,
            "regex": f"/^(?:{self.pattern})$/",
        }


@dataclass(frozen=True)
class TextVariable:
    """What a reader types in, for what no metric tells; until then it is `default`."""

    name: str
    default: str
    description: str
    title: str

    def to_json_data(self) -> dict[str, Any]:
        """Return Grafana's form."""
        chosen = {"selected": True, "text": self.default, "value": self.default}
        return {
            "current": chosen,
            "description": self.description,
            "hide": 0,
            "label": self.title,
            "name": self.name,
            "options": [chosen],
            "query": self.default,
            "skipUrlSync": False,
            "type": "textbox",
        }


Variable = DatasourceVariable | LabelVariable | LabelNameVariable | TextVariable

LOGS: Variable = DatasourceVariable(LOGS_VARIABLE, "Logs", "loki")

GROUP_VARIABLES: tuple[Variable, ...] = (
    DatasourceVariable(),
    LabelVariable("network", "network", "stakewatch_group_info", "Networks that an exporter watches keys on"),
    LabelVariable(
        "group",
        "group",
        'stakewatch_group_info{network=~"$network"}',
        "Groups of keys on the chosen networks",
    ),
)


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


def _query_variable(name: str, title: str, description: str, query: str, *, kind: int) -> dict[str, Any]:
    """Return what all variables that Prometheus fills have in common, in Grafana's form."""
    return {
        "datasource": DATASOURCE,
        "description": description,
        "hide": 0,
        "label": title or name.capitalize(),
        "name": name,
        "options": [],
        "query": {
            "qryType": kind,
            "query": query,
            "refId": "PrometheusVariableQueryEditor-VariableQuery",
        },
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
        "type": "query",
    }
