"""Prysm beacon nodes: is each well, and if not, why not."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.joins import Process, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.node_panels import peers_by_direction
from stakewatch.grafana.panels import State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.sections import beacon_chain, is_beacon_well, resources, what_is_wrong, what_runs
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

PRYSM = Process(role="beacon", implementation="prysm")

PROCESSED = Timeseries(
    title="Blocks processed",
    description="Changes of the head slot per minute, by Prysm itself. Normal: 5 on a network with slots "
    "of 12 seconds. Prysm sets its clock metric only with a block, so its own distance to the clock says "
    "nothing.",
    unit="suffix: per min",
    queries=(Query(f"changes({PRYSM.series('beacon_head_slot')}[5m]) / 5"),),
)

EXECUTION = row(
    "Execution node: does it answer in time?",
    StateTimeline(
        title="Connected to the execution node",
        description="Whether Prysm reaches its execution node. Normal: yes.",
        unit="none",
        queries=(Query(newest(PRYSM.series("powchain_sync_eth1_connected"))),),
        states={0: State("no", "red"), 1: State("yes", "green")},
    ),
    Timeseries(
        title="Engine API latency",
        description="95 % of the calls to the execution node were faster; v1 in the metrics' names stands "
        "for all versions. Normal: newPayload below 500 ms, forkchoiceUpdated below 100 ms.",
        unit="ms",
        queries=tuple(
            Query(PRYSM.quantile(0.95, f"{metric}_v1_latency_milliseconds"), f"{{{{instance}}}} {legend}")
            for metric, legend in (
                ("new_payload", "newPayload"),
                ("forkchoice_updated", "forkchoiceUpdated"),
                ("get_payload", "getPayload"),
            )
        ),
        steps=steps(start="green", orange=1000, red=4000),
    ),
    Timeseries(
        title="Answers to payloads",
        description="Payloads by what the execution node said of them. Normal: valid. optimistic: it is "
        "behind. invalid: look at its logs at once.",
        unit="cps",
        alerts=("ExecutionPayloadInvalid",),
        queries=tuple(
            Query(newest(PRYSM.per_second(f"new_payload_{status}_node_count")), f"{{{{instance}}}} {status}")
            for status in ("valid", "optimistic", "invalid")
        ),
    ),
)

BLOCKS = row(
    "Blocks: are they heard and processed in time?",
    Timeseries(
        title="Blocks arrive",
        description="95 % of the blocks were heard earlier than this after the start of their slot. "
        "Normal: below 3 s. From 4 s on attestations of that slot vote for an older head.",
        unit="ms",
        queries=(Query(PRYSM.quantile(0.95, "block_arrival_latency_milliseconds")),),
        steps=steps(start="green", orange=3000, red=4000),
    ),
    Timeseries(
        title="Time to process a block",
        description="Mean time from receiving a block to having it as head, and of the state transition in "
        "it. Normal: below 500 ms.",
        unit="ms",
        queries=(
            Query(PRYSM.mean("chain_service_processing_milliseconds"), "{{instance}} all"),
            Query(PRYSM.mean("state_transition_processing_milliseconds"), "{{instance}} state transition"),
        ),
        steps=steps(start="green", orange=1000, red=2000),
    ),
    Timeseries(
        title="Inclusion delay seen",
        description="Mean slots after which attestations of the whole network come in blocks, as this node "
        "sees them. Normal: near 1.",
        unit="suffix: slots",
        queries=(Query(PRYSM.mean("attestation_inclusion_delay_slots")),),
    ),
)

NETWORK = row(
    "Peers",
    peers_by_direction(
        PRYSM, newest(PRYSM.series("p2p_peer_count", 'state="Connected"')), "p2p_peer_count_direction_type"
    ),
    Timeseries(
        title="Peers by client",
        description="Connected peers by their implementation. Normal: a mix like the network's.",
        unit="none",
        queries=(
            Query(
                f"sum by (cluster, instance, agent) ({PRYSM.series('connected_libp2p_peers')})",
                "{{instance}} {{agent}}",
            ),
        ),
        stack=True,
    ),
    Timeseries(
        title="Bad peers",
        description="Known peers that Prysm avoids. Normal: some dozen. Most of all known ones: this node "
        "may be on another fork than they.",
        unit="none",
        queries=(Query(newest(PRYSM.series("p2p_peer_count", 'state="Bad"'))),),
    ),
)

GO = Timeseries(
    title="Goroutines",
    description="Tasks of the Go runtime. Normal: level. They grow without end when something waits for "
    "ever, until memory is short.",
    unit="none",
    queries=(Query(newest(PRYSM.series("go_goroutines"))),),
)

dashboard = Board(
    uid="prysm",
    title="Prysm",
    description="One or several Prysm beacon nodes: is each well, and if not, why not. Top to bottom: "
    "answers, alerts, chain, execution node, blocks, peers, resources.",
    variables=contract_variables("beacon", "prysm"),
    rows=(
        is_beacon_well(PRYSM, "prysm"),
        what_is_wrong(PRYSM),
        beacon_chain(PRYSM, PROCESSED),
        EXECUTION,
        BLOCKS,
        NETWORK,
        resources(PRYSM, GO),
        what_runs(PRYSM),
    ),
    firing=PRYSM.firing,
    tags=("beacon", "prysm"),
)
