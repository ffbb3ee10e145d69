"""The whole fleet: does everything work, and if not, on which node, group or machine to look."""

from stakewatch.grafana import usage
from stakewatch.grafana.board import Board
from stakewatch.grafana.groups import CHOSEN_NETWORK, of_networks, per_group, per_network
from stakewatch.grafana.joins import CHOSEN, Process, either, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, chosen_link, row_link
from stakewatch.grafana.node_panels import healthy_over_time
from stakewatch.grafana.nodes import answers, peers_of_beacon, peers_of_execution, with_board
from stakewatch.grafana.panels import Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.topology import LINK, in_use
from stakewatch.grafana.variables import contract_variables

ALL = Process()
NODE = Process(role="beacon|execution")
BEACON = Process(role="beacon")
EXECUTION = Process(role="execution")

# Alerts on keys and networks have no cluster, those on groups no instance: without the label they are shown.
# The Watchdog fires always, and says nothing about the fleet.
FIRING_MATCHERS = (
    'alertstate="firing",alertname!="Watchdog",'
    'cluster=~"$cluster|",network=~"$network|",instance=~"$instance|"'
)
FIRING = f"ALERTS{{{FIRING_MATCHERS}}}"

THIS_NODE = board_link("fleet_overview", "Only this node", ("cluster", "instance"))
THIS_GROUP = board_link("validators", "This group of keys", ("network", "group"))
THESE_GROUPS = chosen_link("validators", "All keys of these networks", ("network",))
THESE_MACHINES = chosen_link("eks_node", "Machines of these clusters", ("cluster",))


EARNED_PER_SECOND = f"deriv({of_networks('stakewatch_validators_earned_gwei')}[1h])"
PROPOSALS = f"increase({of_networks('stakewatch_proposals_total')}[$__rate_interval])"

CRITICAL = Stat(
    title="Critical alerts",
    description="Alerts that page somebody and fire now for what is chosen. Normal: 0. The table below has "
    "them with their runbooks.",
    unit="none",
    queries=(Query(f'count(ALERTS{{{FIRING_MATCHERS},severity="critical"}}) or vector(0)', "critical"),),
    steps=steps(start="green", red=1),
)

NODES_DOWN = Stat(
    title="Nodes down",
    description="Beacon and execution nodes whose API does not answer the exporter; where no exporter "
    "watches a node, whose metrics port does not answer Prometheus. Normal: 0.",
    unit="none",
    alerts=("BeaconNodeDown", "ExecutionNodeDown"),
    queries=(Query(f"sum(1 - ({answers(NODE)}))", "down"),),
    steps=steps(start="green", red=1),
)

NODES_UNHEALTHY = Stat(
    title="Nodes not healthy",
    description="Nodes that fail one of the exporter's checks: synced, enough peers, head advancing, the "
    "right chain. Normal: 0; one for some minutes after a restart.",
    unit="none",
    queries=(Query(f"sum(1 - {newest(NODE.series('stakewatch_node_healthy'))})", "not healthy"),),
    steps=steps(start="green", orange=1),
)

NOT_EARNING = Stat(
    title="Keys not earning",
    description="Active keys that earned nothing in the last two settled epochs. Normal: 0; single keys now "
    "and then. No data: the exporter settles no epochs.",
    unit="none",
    queries=(
        Query(
            f"sum by (network) ({of_networks('group:stakewatch_validators_not_earning:max')})", "{{network}}"
        ),
    ),
    steps=steps(start="green", orange=1, red=5),
    links=(THESE_GROUPS,),
)

ACTIVE = Stat(
    title="Keys active",
    description="Keys of all groups that have duties now. Normal: all keys that you run. The colour says "
    "nothing: only you know how many there should be.",
    unit="none",
    queries=(
        Query(f"sum by (network) ({of_networks('group:stakewatch_validators_active:sum')})", "{{network}}"),
    ),
    colour="none",
    links=(THESE_GROUPS,),
)

FINALITY = Stat(
    title="Finality delay",
    description="Epochs between the previous one and the last finalised one, of the whole network. Normal: 1 "
    "or 2. From 4 on stakes begin to leak: that is the network's trouble, unless only your nodes say so.",
    unit="suffix: epochs",
    alerts=("NetworkFinalityDelayed",),
    queries=(Query(per_network(of_networks("stakewatch_network_finality_delay_epochs")), "{{network}}"),),
)

IS_IT_WELL = row(
    "Is it well?", CRITICAL, NODES_DOWN, NODES_UNHEALTHY, NOT_EARNING, ACTIVE, FINALITY, width=4, height=5
)

WHAT_IS_WRONG = row(
    "What is wrong",
    firing_alerts(
        "Alerts that fire for what is chosen now", FIRING, "cluster", "instance", "group", "beacon_node"
    ),
    healthy_over_time(
        NODE,
        "Nodes over time",
        "Whether each node passes all checks of the exporter. Normal: all bands green. Nodes of "
        "a pair that turn red together have one cause: look at the execution node first.",
        THIS_NODE,
    ),
    width=12,
    height=9,
)

KEYS = row(
    "Keys: do they earn?",
    Timeseries(
        title="Keys not earning by group",
        description="Active keys of each group that earned nothing in the last two epochs. Normal: 0. "
        "All of a group: its validator client or beacon node; some of each: look at the network first.",
        unit="none",
        queries=(Query(of_networks("group:stakewatch_validators_not_earning:max"), "{{network}} {{group}}"),),
        alerts=("ValidatorGroupNotEarning",),
        links=(THIS_GROUP,),
    ),
    Timeseries(
        title="Earned per key and hour",
        description="Consensus rewards of an average key of each group at the pace of the last hour. Normal: "
        "about 10,000 gwei per epoch for 32 ETH on mainnet, which is 100,000 per hour, and all groups on one "
        "line. A line below the others is a group that loses money.",
        unit="suffix: gwei",
        queries=(
            Query(
                f"{per_group(EARNED_PER_SECOND)} * 3600\n"
                f"/ on (network, group) {of_networks('group:stakewatch_validators_active:sum')}",
                "{{network}} {{group}}",
            ),
        ),
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Blocks proposed and missed",
        description="Proposals of your keys as they settle, by result. Normal: all proposed. A missed one "
        "costs as much as weeks of attestations.",
        unit="suffix: blocks",
        queries=(
            Query(
                f"sum by (network, result) ({per_group(PROPOSALS, 'result')})",
                "{{network}} {{result}}",
            ),
        ),
        draw="bars",
        stack=True,
        links=(THESE_GROUPS,),
    ),
)

BEACON_NODES = row(
    "Beacon nodes: do they follow?",
    Timeseries(
        title="Behind the clock",
        description="Slots between the clock and the head of each beacon node, by the exporter. Normal: 0 or "
        "1; higher for a moment after missed slots, then for all nodes at once.",
        unit="suffix: slots",
        alerts=("BeaconNodeBehindClock", "BeaconNodeHeadStalled", "BeaconNodeSyncing"),
        queries=(Query(newest(BEACON.series("stakewatch_beacon_sync_distance_slots"))),),
        links=(THIS_NODE,),
    ),
    Timeseries(
        title="Peers of beacon nodes",
        description="Connected peers, by the exporter or by the node. Normal: 60 to 200. The dashed line is "
        "the alert's threshold.",
        unit="none",
        queries=(Query(peers_of_beacon(BEACON)),),
        alerts=("BeaconNodePeersLow",),
        links=(THIS_NODE,),
    ),
    StateTimeline(
        title="Can validators attest?",
        description="Whether a beacon node's head is unverified (optimistic), or its execution node out of "
        "reach: its validators then attest to nothing. Normal: neither.",
        unit="none",
        alerts=("BeaconNodeExecutionOffline", "BeaconNodeOptimistic"),
        queries=(
            Query(newest(BEACON.series("stakewatch_beacon_optimistic")), "{{instance}} optimistic"),
            Query(
                newest(BEACON.series("stakewatch_beacon_execution_offline")), "{{instance}} execution offline"
            ),
        ),
        states={0: State("no", "green"), 1: State("yes", "red")},
        links=(THIS_NODE,),
    ),
    StateTimeline(
        title="On the same chain?",
        description="Whether a node has another block than the others two slots back, or another fork "
        "schedule. Normal: neither. A single node: stop it and look. With two nodes both say yes.",
        unit="none",
        alerts=("BeaconNodeRootDisagreement", "BeaconNodeForkScheduleMismatch"),
        queries=(
            Query(newest(BEACON.series("stakewatch_beacon_root_disagreement")), "{{instance}} other block"),
            Query(
                newest(BEACON.series("stakewatch_beacon_fork_schedule_mismatch")),
                "{{instance}} other fork schedule",
            ),
        ),
        states={0: State("no", "green"), 1: State("yes", "red")},
        links=(THIS_NODE,),
    ),
    Timeseries(
        title="Answers of beacon APIs",
        description="95 % of the exporter's requests were answered faster, by node. Normal: below 0.25 s; "
        "requests for whole states take seconds. From 1 s on validator clients are late too.",
        unit="s",
        alerts=("BeaconApiSlow",),
        queries=(
            Query(
                "histogram_quantile(0.95, sum by (network, instance, le) (\n"
                "  rate(stakewatch_request_duration_seconds_bucket"
                f'{{{CHOSEN_NETWORK},role="beacon",instance=~"$instance"}}[$__rate_interval])\n'
                "))"
            ),
        ),
    ),
    Timeseries(
        title="Reorganisations",
        description="Changes of the head to another branch, by node. Normal: a few per hour, on all nodes at "
        "once. On one node only: it hears blocks late.",
        unit="none",
        queries=(Query(newest(f"increase({BEACON.series('beacon_reorgs_total')}[$__rate_interval])")),),
        draw="bars",
        links=(THIS_NODE,),
    ),
)

EXECUTION_NODES = row(
    "Execution nodes: do they follow?",
    Timeseries(
        title="Behind the beacon chain",
        description="Blocks between each execution node's head and the newest payload of the beacon chain. "
        "Normal: 0 or 1.",
        unit="suffix: blocks",
        alerts=("ExecutionBehindBeacon",),
        queries=(Query(newest(EXECUTION.series("stakewatch_execution_behind_blocks"))),),
    ),
    Timeseries(
        title="Age of the head block",
        description="Seconds since the timestamp of each execution node's head. Normal: a saw-tooth of 1 or "
        "two slots. A straight line upwards is a node that stands still.",
        unit="s",
        alerts=("ExecutionHeadStalled",),
        queries=(
            Query(f"time() - {newest(EXECUTION.series('stakewatch_execution_head_timestamp_seconds'))}"),
        ),
    ),
    Timeseries(
        title="Time to check a payload",
        description="Mean time that the execution node of each beacon node takes to check a payload, as the "
        "beacon node tells. Normal: 0.05 to 0.4 s. The dashed line is the alert's threshold.",
        unit="s",
        queries=(Query(newest(BEACON.series("beacon_node:engine_new_payload_seconds:avg"))),),
        alerts=("EngineApiSlow",),
    ),
    Timeseries(
        title="Peers of execution nodes",
        description="Connected peers, by the exporter or by the node. Normal: 25 to 50. The dashed line is "
        "the alert's threshold.",
        unit="none",
        queries=(Query(peers_of_execution(EXECUTION)),),
        alerts=("ExecutionPeersLow",),
    ),
    links=(THIS_NODE,),
)


RESOURCES = row(
    "Resources",
    Timeseries(
        title="Memory of the limit",
        description="Memory that cannot be taken back, as a share of the container's limit; at 1 the "
        "container is killed. The dashed line is the alert's threshold. Absent off Kubernetes and without "
        "a limit.",
        unit="percentunit",
        queries=(Query(newest(usage.memory_of_limit(ALL))),),
        alerts=("ContainerMemoryHigh",),
        links=(THIS_NODE,),
    ),
    Timeseries(
        title="CPU of the processes",
        description="Cores in use by each staking process, as it says itself or as the container runtime "
        "measures it. Normal: execution and beacon nodes below 2 each at the head.",
        unit="suffix: cores",
        queries=(
            Query(
                either(
                    newest(usage.cpu_of_container(ALL)),
                    newest(f"rate({ALL.series('process_cpu_seconds_total')}[$__rate_interval])"),
                )
            ),
        ),
        links=(THIS_NODE,),
    ),
    Timeseries(
        title="Memory of machines",
        description="Memory in use on each machine, page cache not counted. The dashed line is the alert's "
        "threshold.",
        unit="percentunit",
        queries=(
            Query(
                newest(
                    f"1 - node_memory_MemAvailable_bytes{{{CHOSEN}}} / node_memory_MemTotal_bytes{{{CHOSEN}}}"
                )
            ),
        ),
        alerts=("NodeMemoryHigh",),
        maximum=1,
        links=(board_link("eks_node", "This machine", ("cluster", "instance")),),
    ),
    Timeseries(
        title="Disk of machines",
        description="The fullest file system of each machine. Normal: below 0.8; execution nodes add some GB "
        "per day.",
        unit="percentunit",
        alerts=("VolumeAlmostFull",),
        queries=(
            Query(
                newest(
                    f'1 - node_filesystem_avail_bytes{{{CHOSEN},fstype!~"tmpfs|ramfs|overlay|squashfs"}}'
                    f' / node_filesystem_size_bytes{{{CHOSEN},fstype!~"tmpfs|ramfs|overlay|squashfs"}}'
                )
            ),
        ),
        maximum=1,
        links=(THESE_MACHINES,),
    ),
    width=12,
)

WHAT_RUNS = row(
    "What runs where",
    Table(
        title="Nodes",
        description="Each node, its version and whether it passes all checks. Normal: all healthy. A "
        "click on the last column opens the board of its implementation.",
        unit="none",
        alerts=("ClientVersionOutdated", "ClientVersionsDrift"),
        queries=(
            Query(
                with_board(
                    "max by (cluster, network, instance, role, implementation) "
                    f"({NODE.series('stakewatch_node_healthy')})\n"
                    "* on (cluster, instance) group_left (version)\n"
                    "topk by (cluster, instance) (1, max by (cluster, instance, version) "
                    f"({NODE.series('stakewatch_node_info')}))"
                )
            ),
        ),
        columns=headed(
            "cluster", "network", "instance", "role", "implementation", "version", board="Details"
        ),
        values=(Value("Healthy", "bool_yes_no"),),
        column_links={
            "Details": (
                {
                    "title": "Board of this implementation",
                    "url": "/d/${__value.raw}?var-cluster=${__data.fields.Cluster}"
                    "&var-instance=${__data.fields.Instance}&${datasource:queryparam}&${__url_time_range}",
                    "targetBlank": False,
                },
            ),
        },
    ),
    Table(
        title="Who uses which beacon node",
        description="Beacon nodes of each validator client as configured, and the one that the "
        "exporter sees or assumes in use. Normal: the primary in use, and a backup beside it.",
        unit="none",
        queries=(
            in_use(
                per_network(of_networks("stakewatch_topology_info"), *LINK, "priority"),
                per_network(of_networks("stakewatch_topology_active"), *LINK, "source"),
            ),
        ),
        columns=headed("network", "validator_client", "beacon_node", "priority", "source"),
        values=(Value("In use", "bool_yes_no"),),
    ),
    Table(
        title="Groups of keys",
        description="Each group with its validator client and primary beacon node, and how many of "
        "its keys are active. Normal: no group without a client. A click on a group opens its board.",
        unit="none",
        queries=(
            Query(
                f"{of_networks('group:stakewatch_validators_active:sum')}\n"
                "* on (network, group) group_left (validator_client, beacon_node)\n"
                f"{of_networks('group:stakewatch_cause:info')}"
            ),
        ),
        columns=headed("network", "group", "validator_client", "beacon_node"),
        value="Active keys",
        column_links={
            "Group": (row_link("validators", "This group", {"network": "Network", "group": "Group"}),),
        },
    ),
    width=(14, 10, 24),
    height=(9, 9, 8),
)

dashboard = Board(
    uid="fleet_overview",
    title="Fleet overview",
    description="Everything at once: alerts, nodes, keys, machines, each with a way to the board that says "
    "more. Top to bottom: is it well, what is wrong, keys, beacon nodes, execution nodes, resources.",
    variables=contract_variables(),
    rows=(IS_IT_WELL, WHAT_IS_WRONG, KEYS, BEACON_NODES, EXECUTION_NODES, RESOURCES, WHAT_RUNS),
    firing=FIRING,
    tags=("fleet",),
)
