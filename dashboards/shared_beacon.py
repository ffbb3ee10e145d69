"""Shared beacon nodes: which of them makes its validators suffer, who uses it, and what stands in for it."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.groups import of_networks, per_group, per_network
from stakewatch.grafana.joins import Process, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, row_link
from stakewatch.grafana.node_panels import healthy_over_time
from stakewatch.grafana.nodes import answers
from stakewatch.grafana.panels import Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.topology import LINK, in_use
from stakewatch.grafana.variables import contract_variables

BEACON = Process(role="beacon")

# Alerts on a beacon node and on its groups carry the same label, so that they are seen together.
FIRING = (
    'ALERTS{alertstate="firing",beacon_node=~"$instance",beacon_node!="",'
    'cluster=~"$cluster|",network=~"$network|"}'
)

THIS_NODE = board_link("shared_beacon", "Only this beacon node", ("cluster", "instance"))
ITS_GROUPS = row_link("validators", "This group", {"network": "Network", "group": "Group"})

CHOSEN_CAUSE = of_networks("group:stakewatch_cause:info", 'beacon_node=~"$instance"')
CHOSEN_LINK = 'beacon_node=~"$instance"'


def of_groups(metric: str) -> str:
    """Return a series of the groups with their client and beacon node, for the chosen beacon nodes."""
    selector = of_networks(metric)
    return f"{selector}\n* on (network, group) group_left (validator_client, beacon_node)\n{CHOSEN_CAUSE}"


def topology(metric: str, *labels: str) -> str:
    """Return one value per validator client and beacon node of the configured or observed topology."""
    return per_network(of_networks(metric, CHOSEN_LINK), *LINK, *labels)


ACTIVE = of_groups("group:stakewatch_validators_active:sum")
NOT_EARNING = of_groups("group:stakewatch_validators_not_earning:max")
SHARE_NOT_EARNING = (
    f"sum by (network, beacon_node) ({NOT_EARNING})\n/ sum by (network, beacon_node) ({ACTIVE})"
)
EARNED = of_networks("stakewatch_validators_earned_gwei")
EARNED_PER_SECOND = f"deriv({EARNED}[1h])"
PRIMARY = 'priority="primary"'
BACKUP = 'priority="backup"'
WITH_PRIMARY = of_networks("stakewatch_topology_info", PRIMARY)
WITH_BACKUP = of_networks("stakewatch_topology_info", BACKUP)
NONE = f"0 * count by (network) ({of_networks('stakewatch_topology_info')})"

IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Beacon nodes down",
        description="Chosen beacon nodes whose API does not answer the exporter. Normal: 0.",
        unit="none",
        alerts=("BeaconNodeDown",),
        queries=(Query(f"sum(1 - ({answers(BEACON)}))", "down"),),
        steps=steps(start="green", red=1),
    ),
    Stat(
        title="Worst share not earning",
        description="Of the beacon nodes, the greatest share of the keys behind one that earned nothing in "
        "two epochs. Normal: near 0. Much more on one node than on the others: that node is the cause.",
        unit="percentunit",
        queries=(Query(f"max by (network) ({SHARE_NOT_EARNING})", "{{network}}"),),
        steps=steps(start="green", orange=0.01, red=0.05),
        decimals=1,
    ),
    Stat(
        title="Keys on one beacon node",
        description="Most active keys that depend on one beacon node first. Normal: as you planned; the "
        "loss per epoch if it fails grows with it. The colour says nothing.",
        unit="none",
        queries=(Query(f"max by (network) (sum by (network, beacon_node) ({ACTIVE}))", "{{network}}"),),
        colour="none",
    ),
    Stat(
        title="Clients without backup",
        description="Validator clients that have no second beacon node configured. Normal: 0. Their keys "
        "miss every duty while their only node is away.",
        unit="none",
        alerts=("SharedBeaconBackupMissing",),
        queries=(
            Query(
                "count by (network) (\n"
                f"  count by (network, validator_client) ({WITH_PRIMARY})\n"
                f"  unless on (network, validator_client) {WITH_BACKUP}\n"
                f") or {NONE}",
                "{{network}}",
            ),
        ),
        steps=steps(start="green", orange=1),
    ),
    Stat(
        title="Clients on a backup",
        description="Validator clients that use another beacon node than their primary, as far as the "
        "exporter can tell. Normal: 0.",
        unit="none",
        alerts=("ValidatorClientOnBackup",),
        queries=(
            Query(
                "sum by (network) (\n"
                f"  {topology('stakewatch_topology_active')}\n"
                f"  and on (network, validator_client, beacon_node) "
                f"{WITH_BACKUP}\n"
                f") or {NONE}",
                "{{network}}",
            ),
        ),
        steps=steps(start="green", orange=1),
    ),
    Stat(
        title="Furthest behind the clock",
        description="Slots between the clock and the head of the chosen beacon node that is worst. Normal: "
        "0 or 1.",
        unit="suffix: slots",
        alerts=("BeaconNodeBehindClock",),
        queries=(
            Query(
                f"max by (network) ({BEACON.series('stakewatch_beacon_sync_distance_slots')})", "{{network}}"
            ),
        ),
    ),
    width=4,
    height=5,
)

WHO_IS_TO_BLAME = row(
    "Which node is to blame?",
    Timeseries(
        title="Keys not earning by beacon node",
        description="Share of the keys behind each beacon node that earned nothing in two epochs. "
        "Normal: all near 0. One line up: that node. All lines up: the network, or something that "
        "all nodes share.",
        unit="percentunit",
        queries=(Query(SHARE_NOT_EARNING, "{{beacon_node}}"),),
        maximum=1,
    ),
    Timeseries(
        title="Behind the clock",
        description="Slots between the clock and the head of each beacon node. Normal: 0 or 1. A "
        "node that climbs before its keys stop earning is the cause.",
        unit="suffix: slots",
        alerts=("BeaconNodeBehindClock",),
        queries=(Query(newest(BEACON.series("stakewatch_beacon_sync_distance_slots"))),),
        links=(THIS_NODE,),
    ),
    healthy_over_time(
        BEACON,
        "Healthy over time",
        "Whether each beacon node passes all checks of the exporter. Normal: all green.",
        THIS_NODE,
    ),
    firing_alerts(
        "Alerts that name the chosen beacon nodes as their own or as their cause",
        FIRING,
        "beacon_node",
        "validator_client",
        "group",
    ),
    width=12,
)

ATTESTATIONS = row(
    "How the alert on shared nodes sees it",
    Timeseries(
        title="Untimely attestations above the others",
        description="Share of the attestations behind each beacon node that earn too little, above that of "
        "the other nodes of its implementation and of the fleet. Normal: near 0. The dashed line is the "
        "alert's threshold.",
        unit="percentunit",
        queries=(
            Query(
                per_network(
                    of_networks("beacon_node:stakewatch_attestations_untimely:above_others", CHOSEN_LINK),
                    "beacon_node",
                ),
                "{{beacon_node}}",
            ),
        ),
        alerts=("SharedBeaconNodeFault",),
        no_value="no node stands out",
        minimum=None,
    ),
    Timeseries(
        title="Untimely attestations by beacon node",
        description="How many keys behind each beacon node had an attestation that earned too little in the "
        "newest epoch. Normal: few, alike on all nodes.",
        unit="none",
        queries=(
            Query(
                per_network(
                    of_networks("beacon_node:stakewatch_attestations_untimely:keys", CHOSEN_LINK),
                    "beacon_node",
                ),
                "{{beacon_node}}",
            ),
        ),
        no_value="no node stands out",
    ),
    width=12,
)

WHO_USES_IT = row(
    "Who uses which node, and what stands in?",
    Table(
        title="Groups behind each beacon node",
        description="Each group with its client, its primary beacon node, and how many of its keys "
        "are active and do not earn. Normal: none that does not earn.",
        unit="none",
        queries=(Query(ACTIVE), Query(NOT_EARNING)),
        columns=headed("network", "beacon_node", "validator_client", "group"),
        values=(Value("Active", "none"), Value("Not earning", "none")),
        column_links={"Group": (ITS_GROUPS,)},
    ),
    Table(
        title="Primary and backup",
        description="Beacon nodes of each validator client as configured, and which one is in use. "
        "Normal: the primary. `assumed`: the client does not tell, so the first healthy node is "
        "taken.",
        unit="none",
        queries=(
            in_use(
                topology("stakewatch_topology_info", "priority"),
                topology("stakewatch_topology_active", "source"),
            ),
        ),
        columns=headed("network", "validator_client", "beacon_node", "priority", "source"),
        values=(Value("In use", "bool_yes_no"),),
    ),
    Table(
        title="Pairs",
        description="The execution node of each beacon node, as configured, and where the beacon "
        "node runs. Normal: a backup in another zone, with another implementation than the primary.",
        unit="none",
        alerts=(
            "SharedBeaconPairColocated",
            "SharedBeaconPairDiffers",
            "SharedBeaconPairMaintainedTogether",
        ),
        queries=(
            Query(
                "max by (cluster, network, instance, implementation, execution_node) "
                f"({BEACON.series('stakewatch_beacon_execution_pair_info')})\n"
                "* on (cluster, instance) group_left (machine, zone)\n"
                "topk by (cluster, instance) (1, max by (cluster, instance, machine, zone) "
                f"({BEACON.series('stakewatch_node_location_info')}))"
            ),
        ),
        columns={
            "cluster": "Cluster",
            "instance": "Beacon",
            "implementation": "Implementation",
            "execution_node": "Execution",
            "machine": "Machine",
            "zone": "Zone",
        },
        column_links={
            "Execution": (
                row_link(
                    "fleet_overview",
                    "This execution node",
                    {"cluster": "Cluster", "instance": "Execution"},
                ),
            ),
        },
    ),
    Timeseries(
        title="Earned per key and hour by group",
        description="Consensus rewards of an average key of each group at the pace of the last "
        "hour. Normal: one line for all groups, about 100,000 gwei for 32 ETH on mainnet.",
        unit="suffix: gwei",
        queries=(
            Query(
                f"{per_group(EARNED_PER_SECOND)} * 3600\n/ on (network, group) group_right ()\n{ACTIVE}",
                "{{beacon_node}} {{group}}",
            ),
        ),
        minimum=None,
    ),
    width=12,
)

dashboard = Board(
    uid="shared_beacon",
    title="Shared beacon nodes",
    description="Many keys depend on each beacon node: which node makes its keys suffer, who uses it, and "
    "what stands in for it.",
    variables=contract_variables("beacon"),
    rows=(IS_IT_WELL, WHO_IS_TO_BLAME, ATTESTATIONS, WHO_USES_IT),
    firing=FIRING,
    tags=("beacon", "validators"),
)
