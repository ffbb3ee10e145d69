"""The network: does it finalise, does it attest, and do all our nodes see the same of it."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.groups import of_networks, per_network
from stakewatch.grafana.joins import Process
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, chosen_link
from stakewatch.grafana.panels import Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import firing_alerts
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

BEACON = Process(role="beacon")

FIRING = 'ALERTS{alertstate="firing",area="network",network=~"$network"}'
NEEDS_ATTESTATIONS = "Needs an exporter that serves the contract's section on attestations."
NEEDS_NETWORK = "Needs an exporter that serves the rest of the contract's section on the network."

THIS_NODE = board_link("fleet_overview", "This node", ("cluster", "instance"))
OUR_KEYS = chosen_link("validators", "Our keys on these networks", ("network",))


def of_network(metric: str, *matchers: str) -> str:
    """Return a selector of what the exporter says of the chosen networks."""
    return of_networks(f"stakewatch_network_{metric}", *matchers)


def of_nodes(metric: str) -> str:
    """Return the greatest value that our beacon nodes have of each network."""
    return per_network(BEACON.series(metric))


def share(part: str, whole: str) -> str:
    """Return the share that one counter of the networks has of another over the time range."""
    return f"max by (network) (increase({part}[$__range]))\n/ max by (network) (increase({whole}[$__range]))"


IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Finality delay",
        description="Epochs between the previous one and the last finalised one. Normal: 1 or 2. From 4 on "
        "stakes begin to leak.",
        unit="suffix: epochs",
        alerts=("NetworkFinalityDelayed",),
        queries=(Query(per_network(of_network("finality_delay_epochs")), "{{network}}"),),
    ),
    Stat(
        title="Inactivity leak",
        description="Whether stakes leak because the network does not finalise. Normal: no. While it does, "
        "perfect attesters earn nothing, and alerts on earnings are silent.",
        unit="none",
        alerts=("NetworkInactivityLeak",),
        queries=(Query(per_network(of_network("inactivity_leak")), "{{network}}"),),
        states={0: State("no", "green"), 1: State("yes", "red")},
        links=(OUR_KEYS,),
    ),
    Stat(
        title="Age of the newest block",
        description="Seconds since the slot of the newest block that any of our beacon nodes has. Normal: "
        "one or two slots. Minutes: the network stands still, or none of our nodes hears it.",
        unit="s",
        queries=(Query(f"time() - {of_nodes('stakewatch_beacon_head_timestamp_seconds')}", "{{network}}"),),
        steps=steps(start="green", orange=60, red=180),
        decimals=0,
    ),
    Stat(
        title="Nodes that disagree",
        description="Our beacon nodes that have another block than the others two slots back. Normal: 0. "
        "With two nodes both count.",
        unit="none",
        alerts=("BeaconNodeRootDisagreement",),
        queries=(
            Query(
                "sum by (network) (max by (network, cluster, instance) "
                f"({BEACON.series('stakewatch_beacon_root_disagreement')}))",
                "{{network}}",
            ),
        ),
        steps=steps(start="green", red=1),
    ),
    Stat(
        title="Active validators",
        description="Validators of the whole network that are active, as our beacon nodes say. Normal: "
        "about a million on mainnet, with slow changes.",
        unit="none",
        queries=(Query(of_nodes("beacon_current_active_validators"), "{{network}}"),),
        colour="none",
    ),
    Stat(
        title="Reorganisations",
        description="Changes of the head to another branch in the time range, of our node that had the "
        "fewest: these are the network's, not a node's. Normal: a few per hour.",
        unit="none",
        queries=(
            Query(
                f"round(min by (network) (increase({BEACON.series('beacon_reorgs_total')}[$__range])))",
                "{{network}}",
            ),
        ),
        colour="none",
    ),
    width=4,
    height=5,
)

FINALITY = row(
    "Does it finalise?",
    Timeseries(
        title="Finality delay over time",
        description="Epochs between the previous one and the last finalised one. Normal: 1 or 2, with a "
        "step of 1 now and then. A line that climbs: a third of the stake is away.",
        unit="suffix: epochs",
        alerts=("NetworkFinalityDelayed",),
        queries=(Query(per_network(of_network("finality_delay_epochs")), "{{network}}"),),
    ),
    Timeseries(
        title="Finalised epoch by node",
        description="Finalised epoch of the head of each of our beacon nodes. Normal: one stair for all. A "
        "node below the others is behind; one that goes another way is on another branch.",
        unit="none",
        queries=(
            Query(
                f"max by (network, cluster, instance) ({BEACON.series('stakewatch_beacon_finalized_epoch')})",
            ),
        ),
        calculations=("lastNotNull",),
        links=(THIS_NODE,),
        minimum=None,
    ),
    width=12,
)

OUR_VIEW = row(
    "Do our nodes see the same?",
    firing_alerts("Alerts on the networks that fire now", FIRING, "network"),
    StateTimeline(
        title="Another block than the others",
        description="Whether a beacon node has another block than the others two slots back. Normal: no "
        "node. Half of the nodes: the network has split, or two implementations disagree; stop no key, ask "
        "first.",
        unit="none",
        alerts=("BeaconNodeRootDisagreement",),
        queries=(
            Query(
                "max by (cluster, instance, implementation) "
                f"({BEACON.series('stakewatch_beacon_root_disagreement')})",
                "{{instance}} ({{implementation}})",
            ),
        ),
        states={0: State("no", "green"), 1: State("yes", "red")},
        links=(THIS_NODE,),
    ),
    Timeseries(
        title="Head slot behind the clock",
        description="Slots between the clock and the head of each of our beacon nodes. Normal: 0 or 1. All "
        "together: blocks are missed by the network. One alone: the node.",
        unit="suffix: slots",
        alerts=("BeaconNodeBehindClock",),
        queries=(
            Query(f"max by (cluster, instance) ({BEACON.series('stakewatch_beacon_sync_distance_slots')})"),
        ),
        links=(THIS_NODE,),
    ),
)

ATTESTING = row(
    "Does it attest and propose?",
    Timeseries(
        title="Participation",
        description="Share of the stake whose votes were right and in time in the settled epoch. Normal: "
        f"target above 0.98. Below two thirds nothing is finalised. {NEEDS_NETWORK}",
        unit="percentunit",
        alerts=("NetworkParticipationLow",),
        queries=(Query(per_network(of_network("participation_ratio"), "vote"), "{{network}} {{vote}}"),),
        maximum=1,
        minimum=None,
    ),
    Timeseries(
        title="Attestations missed",
        description="Share of the network's attestation duties of the time range that are not on the "
        f"chain. Normal: below 0.01. {NEEDS_ATTESTATIONS}",
        unit="percentunit",
        queries=(
            Query(
                share(of_network("attestation_missed_total"), of_network("attestation_duties_total")),
                "{{network}}",
            ),
        ),
    ),
    Timeseries(
        title="Inclusion distance",
        description="Mean slots between an attestation and the block that has it. Normal: below 1.1. "
        f"Higher when blocks are missed. {NEEDS_ATTESTATIONS}",
        unit="suffix: slots",
        queries=(
            Query(
                share(
                    of_network("attestation_inclusion_distance_slots_sum"),
                    of_network("attestation_inclusion_distance_slots_count"),
                ),
                "{{network}}",
            ),
        ),
        minimum=None,
    ),
    Timeseries(
        title="Blocks of the last 64 slots",
        description="Proposals of the network in the last 64 slots by result. Normal: 60 or more proposed. "
        "Needs an exporter that serves stakewatch_network_proposals_recent.",
        unit="suffix: blocks",
        queries=(Query(per_network(of_network("proposals_recent"), "result"), "{{network}} {{result}}"),),
        stack=True,
    ),
    Timeseries(
        title="Slashings of the last 64 slots",
        description="Slashings in the network's blocks of the last 64 slots, by kind. Normal: 0. Many at "
        "once: an operator or a client is in trouble; look at what runs here too. Needs an exporter that "
        "serves stakewatch_network_slashings_recent.",
        unit="none",
        alerts=("NetworkSlashingBurst",),
        queries=(Query(per_network(of_network("slashings_recent"), "kind"), "{{network}} {{kind}}"),),
    ),
    Timeseries(
        title="Queues",
        description="Validators, deposits and withdrawals that wait. Normal: they change slowly; a long "
        f"exit queue means weeks until stake is free. {NEEDS_NETWORK}",
        unit="none",
        queries=(Query(per_network(of_network("queue_length"), "queue"), "{{network}} {{queue}}"),),
    ),
    Timeseries(
        title="Active stake",
        description=f"Stake of all active validators. Normal: it changes slowly. {NEEDS_NETWORK}",
        unit="suffix: ETH",
        queries=(Query(f"{per_network(of_network('active_balance_gwei'))} / 1e9", "{{network}}"),),
        minimum=None,
    ),
    collapsed=True,
)

dashboard = Board(
    uid="network",
    title="Network",
    description="The chain that all of it stands on: does it finalise, do all our nodes see the same, does "
    "it attest and propose. What is wrong here is nobody's fault in the fleet.",
    variables=contract_variables("beacon"),
    rows=(IS_IT_WELL, FINALITY, OUR_VIEW, ATTESTING),
    firing=FIRING,
    tags=("network",),
    start="now-6h",
)
