"""Validator clients: do they run, do they reach a synced beacon node, and do they do their duties."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.groups import of_networks, per_network
from stakewatch.grafana.joins import CHOSEN, Process, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, row_link
from stakewatch.grafana.nodes import first_of
from stakewatch.grafana.panels import Gauge, Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.sections import resources
from stakewatch.grafana.tables import Table, firing_alerts, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

ALL = Process(role="validator")
LIGHTHOUSE = Process(role="validator", implementation="lighthouse")
PRYSM = Process(role="validator", implementation="prysm")
TEKU = Process(role="validator", implementation="teku")
LODESTAR = Process(role="validator", implementation="lodestar")
NIMBUS = Process(role="validator", implementation="nimbus")

# Alerts on groups of keys name their client; it is the instance of the process.
FIRING = (
    'ALERTS{alertstate="firing",cluster=~"$cluster|",network=~"$network|",'
    'validator_client=~"$instance",validator_client!=""}'
)
THIS_CLIENT = board_link("validator_clients", "Only this client", ("cluster", "instance"))

SIGNED = "vc_signed_attestations_total"
DUTIES_OF_TEKU = "validator_duties_performed_total"
OF_CLIENT = 'validator_client=~"$instance"'
REQUESTS_OF_LIGHTHOUSE = LIGHTHOUSE.per_second("bn_endpoint_requests")
BEACON_REQUESTS_OF_TEKU = "validator_remote_beacon_nodes_requests_total"
SIGNED_WELL = 'status="success"'
SUCCESS = 'type="attestation",result="success"'
FAILED = 'type="attestation",result="failed"'
NOT_SUCCESS = 'status!="success"'

DONE = first_of(
    f"sum by (cluster, instance) ({LIGHTHOUSE.per_second(SIGNED, SIGNED_WELL)})",
    f"sum by (cluster, instance) ({PRYSM.per_second('validator_successful_attestations')})",
    f"sum by (cluster, instance) ({TEKU.per_second(DUTIES_OF_TEKU, SUCCESS)})",
    f"sum by (cluster, instance) ({LODESTAR.per_second('vc_published_attestations_total')})",
    f"sum by (cluster, instance) ({NIMBUS.per_second('beacon_attestations_sent_total')})",
)
FAILURES = first_of(
    f"sum by (cluster, instance) ({PRYSM.per_second('validator_failed_attestations')})",
    f"sum by (cluster, instance) ({TEKU.per_second(DUTIES_OF_TEKU, FAILED)})",
    f"sum by (cluster, instance) ({LODESTAR.per_second('vc_attestation_service_errors')})",
)
CAUSE = of_networks("group:stakewatch_cause:info", OF_CLIENT)


def per_client(metric: str) -> str:
    """Return the sum of a recorded series of groups over the groups of each client."""
    return (
        "sum by (network, validator_client) (\n"
        f"  {of_networks(metric)}\n"
        f"  * on (network, group) group_left (validator_client) {CAUSE}\n"
        ")"
    )


IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Runs",
        description="Whether the client's metrics port answers Prometheus; validator clients have no API "
        "that the exporter asks. Normal: up. If it is down: do not start a second client with its keys.",
        unit="none",
        alerts=("ValidatorClientDown",),
        queries=(Query(newest(ALL.series("up"))),),
        states={0: State("Down", "red"), 1: State("Up", "green")},
        no_value="unknown",
        links=(THIS_CLIENT,),
    ),
    Stat(
        title="Attestations per minute",
        description="Attestations that each client signed or published per minute, by its own count. "
        "Normal: its keys divided by 6.4 on mainnet. 0: its keys earn nothing.",
        unit="suffix: per min",
        queries=(Query(f"60 * ({DONE})"),),
        steps=steps(start="red", green=0.001),
        decimals=1,
        links=(THIS_CLIENT,),
    ),
    Stat(
        title="Keys not earning",
        description="Active keys of each client that earned nothing in the last two settled epochs, by the "
        "exporter. Normal: 0.",
        unit="none",
        queries=(Query(per_client("group:stakewatch_validators_not_earning:max"), "{{validator_client}}"),),
        steps=steps(start="green", orange=1, red=5),
    ),
    Stat(
        title="Keys active",
        description="Active keys of the groups of each client. Normal: as you planned. The colour says "
        "nothing.",
        unit="none",
        queries=(Query(per_client("group:stakewatch_validators_active:sum"), "{{validator_client}}"),),
        colour="none",
    ),
    Gauge(
        title="Memory used",
        description="Memory that cannot be taken back, as a share of the container's limit. Normal: below "
        "the alert's threshold. No data: it runs in no container with a limit.",
        unit="percentunit",
        queries=(Query(newest(ALL.of_container(f"container:memory_used:ratio{{{CHOSEN}}}"))),),
        alerts=("ContainerMemoryHigh",),
        links=(THIS_CLIENT,),
    ),
    Stat(
        title="Up for",
        description="Time since the client started. Normal: since the last upgrade. Minutes, again and "
        "again: it crashes, or is killed.",
        unit="s",
        queries=(Query(f"time() - {newest(ALL.series('process_start_time_seconds'))}"),),
        colour="none",
        decimals=0,
        links=(THIS_CLIENT,),
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is wrong",
    firing_alerts(
        "Alerts on the groups of the chosen clients that fire now",
        FIRING,
        "group",
        "validator_client",
        "beacon_node",
    ),
    StateTimeline(
        title="Runs over time",
        description="Whether each client's metrics port answers. Normal: all bands green.",
        unit="none",
        queries=(
            Query(
                f"max by (cluster, instance, implementation) ({ALL.series('up')})",
                "{{instance}} ({{implementation}})",
            ),
        ),
        states={0: State("down", "red"), 1: State("up", "green")},
        links=(THIS_CLIENT,),
    ),
    width=12,
)

DUTIES = row(
    "Do they do their duties?",
    Timeseries(
        title="Attestations done",
        description="Attestations per second that each client signed (Lighthouse) or published (the "
        "others), by its own count. Normal: level. Whether they came in a block is on the board of "
        "validators.",
        unit="cps",
        queries=(Query(DONE),),
    ),
    Timeseries(
        title="Attestations failed",
        description="Attestations per second that failed by the client's own count (Prysm, Teku, "
        "Lodestar). Normal: 0. Otherwise: its beacon node, or slashing protection, refused.",
        unit="cps",
        queries=(Query(FAILURES),),
    ),
    Timeseries(
        title="Not signed by Lighthouse",
        description="Attestations that Lighthouse refused to sign, by reason. Normal: none; same_data "
        "after a restart. slashable: another client may hold the same keys; stop, and read the runbook "
        "before any restart.",
        unit="cps",
        alerts=("SlashingProtectionRefusal",),
        queries=(
            Query(
                f"sum by (cluster, instance, status) ({LIGHTHOUSE.per_second(SIGNED, NOT_SUCCESS)})",
                "{{instance}} {{status}}",
            ),
        ),
        no_value="none refused",
    ),
    links=(THIS_CLIENT,),
)

BEACON_NODES = row(
    "Do they reach a synced beacon node?",
    Timeseries(
        title="Beacon nodes of Lighthouse",
        description="Beacon nodes that are configured, reachable and synced, as Lighthouse sees "
        "them. Normal: three equal lines. Synced at 0: its keys earn nothing.",
        unit="none",
        alerts=("ValidatorClientWithoutSyncedBeacon",),
        queries=tuple(
            Query(
                newest(LIGHTHOUSE.series(f"vc_beacon_nodes_{kind}_count")),
                f"{{{{instance}}}} {legend}",
            )
            for kind, legend in (
                ("total", "configured"),
                ("available", "reachable"),
                ("synced", "synced"),
            )
        ),
        links=(THIS_CLIENT,),
    ),
    Timeseries(
        title="Requests to beacon nodes",
        description="Requests per second to each beacon node, of Lighthouse and Teku. Normal: the "
        "first node leads. A second one that takes over: the first is out of reach.",
        unit="reqps",
        queries=(
            Query(
                f"sum by (cluster, instance, endpoint) ({REQUESTS_OF_LIGHTHOUSE})",
                "{{instance}} {{endpoint}}",
            ),
            Query(
                f"sum by (cluster, instance, endpoint, outcome) ({TEKU.per_second(BEACON_REQUESTS_OF_TEKU)})",
                "{{instance}} {{endpoint}} {{outcome}}",
            ),
        ),
        links=(THIS_CLIENT,),
    ),
    Timeseries(
        title="Calls of Prysm by outcome",
        description="Calls of Prysm to its beacon node by outcome. Normal: OK. Unavailable: the "
        "beacon node is out of reach, and Prysm has no other.",
        unit="reqps",
        queries=(
            Query(
                f"sum by (cluster, instance, grpc_code) ({PRYSM.per_second('grpc_client_handled_total')})",
                "{{instance}} {{grpc_code}}",
            ),
        ),
        links=(THIS_CLIENT,),
    ),
    Table(
        title="Beacon node in use",
        description="The beacon node that each client uses, as far as the exporter can tell. "
        "Normal: its primary. `assumed`: the client does not tell, so the first healthy node is "
        "taken.",
        unit="none",
        alerts=("ValidatorClientOnBackup",),
        queries=(
            Query(
                per_network(
                    of_networks("stakewatch_topology_active", OF_CLIENT),
                    "validator_client",
                    "beacon_node",
                    "source",
                )
                + " == 1"
            ),
        ),
        columns=headed("network", "validator_client", "beacon_node", "source"),
        column_links={
            "Beacon": (row_link("shared_beacon", "This beacon node", {"instance": "Beacon"}),),
        },
    ),
    width=(8, 8, 8, 24),
    height=(8, 8, 8, 7),
)

SIGNER = Process(role="signer|validator")


def of_signers(recorded: str) -> Query:
    """Return what is recorded of signing by remote signers, as signers and their clients tell."""
    return Query(newest(SIGNER.series(recorded)))


CALLS = row(
    "Calls to beacon nodes, and remote signers",
    Timeseries(
        title="Calls to beacon nodes that fail",
        description="Share of each client's calls to its beacon nodes that failed in 5 minutes. Normal: near "
        "0. The dashed line is the alert's threshold. Absent for clients that do not count them.",
        unit="percentunit",
        queries=(Query(newest(ALL.series("instance:stakewatch_beacon_api_errors:ratio5m"))),),
        alerts=("ValidatorClientApiErrors",),
        no_value="not told",
        links=(THIS_CLIENT,),
    ),
    Timeseries(
        title="Time to sign",
        description="Mean time that a remote signer takes to sign, over 10 minutes, as it says itself or as "
        "its client does. Normal: below 0.1 s. The dashed line is the alert's threshold.",
        unit="s",
        queries=(of_signers("instance:remote_signing_duration_seconds:mean10m"),),
        alerts=("RemoteSignerSlow",),
        no_value="no remote signer",
        links=(THIS_CLIENT,),
    ),
    Timeseries(
        title="Signatures that fail",
        description="Share of the signatures by remote signers that failed in 10 minutes. Normal: 0. The "
        "dashed lines are the alerts' thresholds; above the upper one nearly nothing is signed.",
        unit="percentunit",
        queries=(of_signers("instance:remote_signing_errors:ratio10m"),),
        alerts=("RemoteSignerErrors", "RemoteSigningFailing"),
        maximum=1,
        no_value="no remote signer",
        links=(THIS_CLIENT,),
    ),
    StateTimeline(
        title="Remote signers run",
        description="Whether each remote signer's metrics port answers Prometheus. Normal: all bands green. "
        "If it is down: do not start a second one with its keys.",
        unit="none",
        queries=(
            Query(
                f"max by (cluster, instance, implementation) ({Process(role='signer').series('up')})",
                "{{instance}} ({{implementation}})",
            ),
        ),
        alerts=("RemoteSignerDown", "RemoteSignerKeysMissing"),
        states={0: State("down", "red"), 1: State("up", "green")},
        no_value="no remote signer",
    ),
    width=12,
    collapsed=True,
)

dashboard = Board(
    uid="validator_clients",
    title="Validator clients",
    description="Validator clients of all implementations: do they run, do they do their duties, do they "
    "reach a synced beacon node. Never start a second client with the same keys.",
    variables=contract_variables("validator"),
    rows=(IS_IT_WELL, WHAT_IS_WRONG, DUTIES, BEACON_NODES, CALLS, resources(ALL)),
    firing=FIRING,
    tags=("validators",),
)
