"""Trends: what became of keys, nodes, machines and alerts over the last 90 days."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.group_panels import GROUP_LEGEND, GWEI
from stakewatch.grafana.groups import group_series, of_networks
from stakewatch.grafana.joins import CHOSEN
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, chosen_link
from stakewatch.grafana.panels import Gauge, Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, firing_alerts, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import GROUP_VARIABLES, LabelVariable

FIRING = (
    'ALERTS{alertstate="firing",severity="critical",cluster=~"$cluster|",network=~"$network|",'
    'group=~"$group|"}'
)
# A sample of an hour is found for this long behind it.
NEWEST = "[90m]"
DAY = "[1d]"
WEEK = "[7d]"
RANGE = "[$__range]"
FROM_TRENDS = "From samples of an hour (rules/trends.yaml): before these rules ran there is nothing."
OF_NODES = f'{CHOSEN},network=~"$network"'
# Alerts on keys have no cluster, those on machines no network.
OF_ALERTS = 'cluster=~"$cluster|",network=~"$network|"'
NOT_ON_THE_CHAIN = 'result=~"missed|orphaned"'
NODE_LABELS = "cluster, network, instance"
VOLUME_LABELS = "cluster, namespace, persistentvolumeclaim, instance, device"
VOLUME_LEGEND = "{{namespace}}/{{persistentvolumeclaim}} {{instance}} {{device}}"

THIS_GROUP = board_link("validators", "This group now", ("network", "group"))
THIS_NODE = board_link("fleet_overview", "This node now", ("cluster", "instance"))
THIS_MACHINE = board_link("eks_node", "This machine now", ("cluster", "instance"))
THE_FLEET = chosen_link("fleet_overview", "The fleet now", ("cluster", "network"))
THE_KEYS = chosen_link("validators", "The keys now", ("network", "group"))


def of_groups(metric: str, *matchers: str) -> str:
    """Return a selector of an hourly series of the chosen groups."""
    return group_series(f"group:stakewatch_{metric}:hourly", *matchers)


def of_network(metric: str) -> str:
    """Return a selector of an hourly series of the chosen networks."""
    return of_networks(f"network:stakewatch_{metric}:hourly")


def of_nodes(metric: str) -> str:
    """Return a selector of an hourly series of the nodes of the chosen clusters and networks."""
    return f"instance:stakewatch_{metric}:hourly{{{OF_NODES}}}"


def of_clusters(metric: str) -> str:
    """Return a selector of an hourly series of the chosen clusters."""
    return f"{metric}:hourly{{{CHOSEN}}}"


def summed(selector: str, window: str, *labels: str) -> str:
    """Return what hourly samples come to in a window, per network and `labels`."""
    return f"sum by ({', '.join(('network', *labels))}) (sum_over_time({selector}{window}))"


def included(part: str, whole: str, window: str, *labels: str) -> str:
    """Return the share of duties in a window that were not missed."""
    return f"1 - {summed(part, window, *labels)}\n/ ({summed(whole, window, *labels)} > 0)"


MISSED = of_groups("attestation_missed")
DUTIES = of_groups("attestation_duties")
PROPOSALS = of_groups("proposals")
MISSED_PROPOSALS = of_groups("proposals", NOT_ON_THE_CHAIN)
EARNED = of_groups("earned_gwei")
EXECUTION = of_groups("execution_reward_gwei")
UP = of_nodes("node_up")
HEALTHY = of_nodes("node_healthy")
VOLUMES = of_clusters("volume:used")
CRITICAL = f'alert:firing_minutes:hourly{{{OF_ALERTS},severity="critical"}}'
ALL_ALERTS = f"alert:firing_minutes:hourly{{{OF_ALERTS}}}"

IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Attestations included",
        description="Share of the attestations of the time range that are on the chain. Normal: above 0.99. "
        f"{FROM_TRENDS}",
        unit="percentunit",
        queries=(Query(included(MISSED, DUTIES, RANGE), "{{network}}"),),
        steps=steps(start="red", orange=0.98, green=0.99),
        decimals=3,
        links=(THE_KEYS,),
    ),
    Stat(
        title="Proposals missed",
        description="Blocks of the time range that your keys were to propose and that are not on the chain. "
        "Normal: one in a hundred, or less.",
        unit="none",
        queries=(Query(f"round({summed(MISSED_PROPOSALS, RANGE)})", "{{network}}"),),
        steps=steps(start="green", orange=1),
        links=(THE_KEYS,),
    ),
    Stat(
        title="Earned",
        description="Consensus rewards less penalties, fees and builders' payments of the time range. "
        "Normal: about 0.08 ETH per month for a key with 32 ETH on mainnet.",
        unit="suffix: ETH",
        queries=(
            Query(
                f"({summed(EARNED, RANGE)} + ({summed(EXECUTION, RANGE)} or 0 * {summed(EARNED, RANGE)}))"
                f" / {GWEI:g}",
                "{{network}}",
            ),
        ),
        steps=steps(start="red", green=0),
        decimals=3,
        links=(THE_KEYS,),
    ),
    Stat(
        title="Nodes answered",
        description="Share of the time range in which nodes answered the exporter, all together. Normal: "
        "above 0.999, upgrades included.",
        unit="percentunit",
        queries=(Query(f"avg by (network) (avg_over_time({UP}{RANGE}))", "{{network}}"),),
        steps=steps(start="red", orange=0.99, green=0.999),
        decimals=2,
        links=(THE_FLEET,),
    ),
    Stat(
        title="Hours of critical alerts",
        description="For how many hours of the time range critical alerts fired, added up over all of them. "
        "Normal: below one a week. The table below says which.",
        unit="h",
        queries=(Query(f"sum(sum_over_time({CRITICAL}{RANGE})) / 60 or vector(0)", "critical"),),
        steps=steps(start="green", orange=13, red=100),
        decimals=1,
        links=(THE_FLEET,),
    ),
    Gauge(
        title="Fullest volume",
        description="The fullest claim or disk of each cluster in the last hour. Normal: below the alert's "
        "threshold, with months to go in the table below.",
        unit="percentunit",
        queries=(Query(f"max by (cluster) (last_over_time({VOLUMES}{NEWEST}))", "{{cluster}}"),),
        alerts=("VolumeAlmostFull",),
        links=(chosen_link("eks_storage", "Volumes now", ("cluster",)),),
    ),
    width=4,
    height=5,
)

ALERTS = row(
    "Which alerts keep us busy?",
    Table(
        title="Alerts by the time that they fired",
        description="The 20 alerts that fired longest in the time range, over all that they fired "
        "for. Normal: short. An alert that nobody acted on for days: mend the cause, or change its "
        "threshold in stakewatch.yaml.",
        unit="h",
        queries=(Query(f"topk(20, sum by (alertname, severity) (sum_over_time({ALL_ALERTS}{RANGE}))) / 60"),),
        columns=headed("alertname", "severity"),
        value="Hours",
        no_value="none fired",
    ),
    Timeseries(
        title="Hours of alerts by day",
        description="For how many hours alerts fired in the day before each point, by severity, "
        "added up over all of them. Normal: near 0; falling from month to month.",
        unit="h",
        queries=(Query(f"sum by (severity) (sum_over_time({ALL_ALERTS}{DAY})) / 60", "{{severity}}"),),
        no_value="none fired",
    ),
    firing_alerts("Critical alerts that fire now", FIRING, "instance"),
    height=9,
)

KEYS = row(
    "Keys",
    Timeseries(
        title="Attestations included by group",
        description="Share of the attestations of the day before each point that are on the chain, of each "
        "group and of the whole network. Normal: above 0.99 and above the network's line.",
        unit="percentunit",
        queries=(
            Query(included(MISSED, DUTIES, DAY, "group"), GROUP_LEGEND),
            Query(
                included(of_network("attestation_missed"), of_network("attestation_duties"), DAY),
                "{{network}} all",
            ),
        ),
        maximum=1,
        decimals=3,
        calculations=("lastNotNull", "min"),
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Inclusion distance by group",
        description="Mean slots between an attestation and the block that has it, over the day before each "
        "point. Normal: below 1.1, level. A slow climb: a machine or a line gets worse.",
        unit="suffix: slots",
        queries=(
            Query(
                f"max by (network, group) (avg_over_time({of_groups('inclusion_distance')}{DAY}))",
                GROUP_LEGEND,
            ),
        ),
        decimals=3,
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Earned per key and day",
        description="Consensus rewards less penalties of an average key of each group, over the day before "
        "each point. Normal: about 2,300,000 gwei for 32 ETH on mainnet, all groups on one line. It falls "
        "as more stake joins the network.",
        unit="suffix: gwei",
        queries=(
            Query(
                f"{summed(EARNED, DAY, 'group')}\n"
                "/ (max by (network, group) "
                f"(avg_over_time({of_groups('validators_active')}{DAY})) > 0)",
                GROUP_LEGEND,
            ),
        ),
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Proposals by week",
        description="Blocks of the seven days before each point, by what became of them. Normal: proposed "
        "ones go up and down by chance, missed ones stay below one in a hundred.",
        unit="suffix: blocks",
        queries=(Query(summed(PROPOSALS, WEEK, "result"), "{{network}} {{result}}"),),
        links=(THE_KEYS,),
    ),
    Timeseries(
        title="Execution rewards by week",
        description="Fees and builders' payments of the seven days before each point. Normal: it follows the "
        "number of proposals and the traffic on the chain, with single large blocks.",
        unit="suffix: ETH",
        queries=(Query(f"{summed(EXECUTION, WEEK)} / {GWEI:g}", "{{network}}"),),
        links=(THE_KEYS,),
    ),
    Timeseries(
        title="Keys active",
        description="Keys of each group that have duties. Normal: steps that you ordered.",
        unit="none",
        queries=(
            Query(
                f"max by (network, group) (last_over_time({of_groups('validators_active')}{NEWEST}))",
                GROUP_LEGEND,
            ),
        ),
        stack=True,
        links=(THIS_GROUP,),
    ),
)

NETWORK = row(
    "The network",
    Timeseries(
        title="Participation",
        description="Share of the network's stake whose votes were right and in time, mean of the day before "
        "each point. Normal: target above 0.98. The dashed line is the alert's threshold.",
        unit="percentunit",
        queries=(
            Query(
                f"max by (network, vote) (avg_over_time({of_network('network_participation')}{DAY}))",
                "{{network}} {{vote}}",
            ),
        ),
        alerts=("NetworkParticipationLow",),
        maximum=1,
        calculations=("lastNotNull", "min"),
        minimum=None,
    ),
    Timeseries(
        title="Longest finality delay by day",
        description="The longest delay of finality in the day before each point. Normal: 2 epochs. The "
        "dashed line is the alert's threshold.",
        unit="suffix: epochs",
        queries=(
            Query(
                f"max by (network) (max_over_time({of_network('network_finality_delay_epochs')}{DAY}))",
                "{{network}}",
            ),
        ),
        alerts=("NetworkFinalityDelayed",),
    ),
    width=12,
)

NODES = row(
    "Nodes",
    Timeseries(
        title="Answered by day",
        description="Share of the day before each point in which each node answered the exporter. Normal: 1, "
        "with notches for upgrades. The same node again and again: mend or replace it.",
        unit="percentunit",
        queries=(Query(f"max by ({NODE_LABELS}) (avg_over_time({UP}{DAY}))"),),
        maximum=1,
        calculations=("lastNotNull", "mean", "min"),
    ),
    Timeseries(
        title="Healthy by day",
        description="Share of the day before each point in which each node passed all checks of the "
        "exporter. Normal: above 0.99.",
        unit="percentunit",
        queries=(Query(f"max by ({NODE_LABELS}) (avg_over_time({HEALTHY}{DAY}))"),),
        maximum=1,
        calculations=("lastNotNull", "mean", "min"),
    ),
    Timeseries(
        title="Peers by day",
        description="Mean number of peers of each node over the day before each point. Normal: level. A slow "
        "fall: a port that is closed now, or an old version that others leave.",
        unit="none",
        queries=(Query(f"max by ({NODE_LABELS}) (avg_over_time({of_nodes('node_peers')}{DAY}))"),),
    ),
    links=(THIS_NODE,),
)

MACHINES = row(
    "Machines and volumes",
    Timeseries(
        title="Memory peak by day",
        description="The most memory in use in the day before each point, page cache not counted. "
        "Normal: level. The dashed line is the alert's threshold: act before a climb reaches it.",
        unit="percentunit",
        queries=(
            Query(f"max by (cluster, instance) (max_over_time({of_clusters('machine:memory_used')}{DAY}))"),
        ),
        alerts=("NodeMemoryHigh",),
        maximum=1,
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="CPU by day",
        description="Mean share of CPU time in use over the day before each point. Normal: level; it "
        "grows with the number of validators in the network and with gas limits.",
        unit="percentunit",
        queries=(
            Query(f"max by (cluster, instance) (avg_over_time({of_clusters('machine:cpu_used')}{DAY}))"),
        ),
        maximum=1,
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Volumes used",
        description="How full each claim and disk was. Normal: a straight climb; steps down are "
        "pruning, or a larger volume. The dashed line is the alert's threshold.",
        unit="percentunit",
        queries=(
            Query(
                f"max by ({VOLUME_LABELS}) (last_over_time({VOLUMES}{NEWEST}))",
                VOLUME_LEGEND,
            ),
        ),
        alerts=("VolumeAlmostFull",),
        maximum=1,
    ),
    Table(
        title="Days until full",
        description="When each claim and disk is full at its pace of the whole time range, the next "
        "ones first. Normal: months. Order what it takes before it is weeks.",
        unit="d",
        queries=(
            Query(
                "bottomk(20,\n"
                f"  (1 - max by ({VOLUME_LABELS}) (last_over_time({VOLUMES}{NEWEST})))\n"
                f"  / (max by ({VOLUME_LABELS}) (deriv({VOLUMES}{RANGE})) > 0)\n"
                "  / 86400\n"
                ")"
            ),
        ),
        columns={
            "cluster": "Cluster",
            "namespace": "Namespace",
            "persistentvolumeclaim": "Claim",
            "instance": "Machine",
            "device": "Device",
        },
        value="Days",
        decimals=0,
        no_value="nothing grows",
    ),
    width=(8, 8, 8, 24),
    height=(8, 8, 8, 7),
)

dashboard = Board(
    uid="trends",
    title="Trends",
    description="The last 90 days: which alerts kept somebody busy, whether keys did better or worse, which "
    "node fails again and again, what will be full when. From samples of an hour, so that it opens in a "
    "second.",
    variables=(
        GROUP_VARIABLES[0],
        LabelVariable("cluster", "cluster", 'up{role!=""}', "Clusters that run staking processes"),
        *GROUP_VARIABLES[1:],
    ),
    rows=(IS_IT_WELL, ALERTS, KEYS, NETWORK, NODES, MACHINES),
    firing=FIRING,
    tags=("fleet", "trends"),
    start="now-90d",
    refresh="1h",
)
