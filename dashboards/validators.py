"""Groups of keys: do they earn, do they propose, and if not, which keys and which beacon node."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.group_panels import (
    EXPECTED_TIME,
    GROUP_LEGEND,
    GWEI,
    KEYS_SLASHED,
    NEXT_DUTIES,
    PROPOSALS_BY_RESULT,
    PROPOSALS_MISSED,
    REWARDS_OF_PROPOSALS,
    SEATS,
    sync_committee_participation,
    wrong_fee_recipient,
)
from stakewatch.grafana.groups import (
    gained,
    group_series,
    of_networks,
    per_group,
    per_network,
    share_of,
    total,
)
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, chosen_link, row_link
from stakewatch.grafana.panels import Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import GROUP_VARIABLES

FIRING = 'ALERTS{alertstate="firing",network=~"$network",group=~"$group",group!=""}'

ACTIVE = group_series("group:stakewatch_validators_active:sum")
NOT_EARNING = group_series("group:stakewatch_validators_not_earning:max")
CAUSE = group_series("group:stakewatch_cause:info")
WITH_CAUSE = f"* on (network, group) group_left (validator_client, beacon_node)\n{CAUSE}"
MISSED = "stakewatch_attestation_missed_total"
DUTIES = "stakewatch_attestation_duties_total"
STATUSES = group_series("stakewatch_validators")
EARNED = group_series("stakewatch_validators_earned_gwei")
EARNED_BY_KEY = group_series("stakewatch_validator_earned_gwei")

KEY_LABELS = ("validator_index", "pubkey")
ONLY_WATCHED_KEYS = "Absent beyond the exporter's limit of keys shown one by one (10,000)."
NEEDS_ATTESTATIONS = "Needs an exporter that serves the contract's section on attestations."

THIS_GROUP = board_link("validators", "Only this group", ("network", "group"))
THIS_BEACON_NODE = board_link("fleet_overview", "This beacon node", ("cluster", "instance"))
THE_FLEET = chosen_link("fleet_overview", "The fleet of these networks", ("network",))


IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Keys not earning",
        description="Active keys that earned nothing in the last two settled epochs. Normal: 0; single keys "
        "now and then. No data: the exporter settles no epochs.",
        unit="none",
        queries=(Query(total(NOT_EARNING), "{{network}}"),),
        steps=steps(start="green", orange=1, red=5),
        links=(THE_FLEET,),
    ),
    Stat(
        title="Keys active",
        description="Keys of the chosen groups that have duties now. Normal: all that you run. The colour "
        "says nothing: only you know how many there should be.",
        unit="none",
        queries=(Query(total(ACTIVE), "{{network}}"),),
        colour="none",
    ),
    KEYS_SLASHED,
    Stat(
        title="Earned",
        description="Consensus rewards less penalties in the time range, withdrawals and deposits taken out. "
        "Normal: it grows with each epoch. Below 0: penalties outweigh. An exporter that lost its state file "
        "starts to count again.",
        unit="suffix: ETH",
        queries=(Query(f"{total(per_group(f'delta({EARNED}[$__range])'))} / {GWEI:g}", "{{network}}"),),
        steps=steps(start="red", green=0),
        decimals=4,
    ),
    PROPOSALS_MISSED,
    Stat(
        title="Age of the figures",
        description="Time since the exporter last took in the state of the network. Normal: up to one epoch "
        "(6.4 minutes) and a little. Older: what this board says of keys is of then, and alerts on them are "
        "silent.",
        unit="s",
        queries=(
            Query(
                "time() - "
                + per_network(of_networks("stakewatch_last_update_timestamp_seconds", 'source="state"')),
                "{{network}}",
            ),
        ),
        steps=steps(start="green", orange=600, red=1200),
        decimals=0,
        links=(chosen_link("monitoring", "The exporter", ("network",)),),
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is wrong, and who is to blame",
    firing_alerts(
        "Alerts that fire for keys of the chosen groups now",
        FIRING,
        "group",
        "validator_index",
        "validator_client",
        "beacon_node",
    ),
    Table(
        title="Groups",
        description="Each group with its validator client and that client's primary beacon node. "
        "Normal: no key that does not earn. Several groups of one beacon node that do not earn: look "
        "at that node.",
        unit="none",
        queries=(
            Query(f"{ACTIVE}\n{WITH_CAUSE}"),
            Query(f"{NOT_EARNING}\n{WITH_CAUSE}"),
        ),
        columns=headed("network", "group", "validator_client", "beacon_node"),
        values=(Value("Active", "none"), Value("Not earning", "none")),
        column_links={
            "Group": (row_link("validators", "Only this group", {"network": "Network", "group": "Group"}),),
            "Beacon": (row_link("fleet_overview", "This beacon node", {"instance": "Beacon"}),),
            "Client": (row_link("fleet_overview", "This validator client", {"instance": "Client"}),),
        },
    ),
    Timeseries(
        title="Not earning by group",
        description="Active keys of each group that earned nothing in the last two settled epochs. "
        "Normal: none. All of a group: its client or beacon node; some of each: the network.",
        unit="none",
        queries=(Query(NOT_EARNING, GROUP_LEGEND),),
        alerts=("ValidatorGroupNotEarning",),
        links=(THIS_GROUP,),
    ),
    Timeseries(
        title="Their beacon nodes behind the clock",
        description="Slots between the clock and the head of the beacon nodes that the chosen groups "
        "use first. Normal: 0 or 1. A node that climbs as its groups stop earning is the cause.",
        unit="suffix: slots",
        alerts=("BeaconNodeBehindClock",),
        queries=(
            Query(
                "max by (network, cluster, instance) (\n"
                '  stakewatch_beacon_sync_distance_slots{network=~"$network"}\n'
                ")\n"
                "and on (network, instance)\n"
                f'label_replace({CAUSE}, "instance", "$1", "beacon_node", "(.+)")'
            ),
        ),
        links=(THIS_BEACON_NODE,),
    ),
    width=12,
)

EARNING = row(
    "Do they earn?",
    Timeseries(
        title="Earned per key and hour",
        description="Consensus rewards of an average key of each group at the pace of the last hour. Normal: "
        "about 100,000 gwei for 32 ETH on mainnet, and all groups on one line. A line below the others is a "
        "group that loses money; all lines together: the network does not attest well.",
        unit="suffix: gwei",
        queries=(
            Query(f"{per_group(f'deriv({EARNED}[1h])')} * 3600 / on (network, group) {ACTIVE}", GROUP_LEGEND),
        ),
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Yearly return",
        description="Consensus rewards at the pace of the last 6 hours as a share of the effective balance. "
        "Normal: 2.5 to 3 % on mainnet, proposals and sync committees make peaks. Execution rewards are not "
        "in it.",
        unit="percentunit",
        queries=(
            Query(
                f"{per_group(f'deriv({EARNED}[6h])')} * 31557600\n"
                f"/ {per_group(group_series('stakewatch_validators_effective_balance_gwei'))}",
                GROUP_LEGEND,
            ),
        ),
        decimals=2,
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Earned since the exporter's first epoch",
        description="Consensus rewards less penalties of each group, from the first epoch that the exporter "
        "saw. Normal: a straight line upwards. A bend is when something began.",
        unit="suffix: ETH",
        queries=(Query(f"{per_group(EARNED)} / {GWEI:g}", GROUP_LEGEND),),
        decimals=4,
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Balance",
        description="Sum of the balances of each group. Normal: a saw-tooth with steps down, which are "
        "withdrawals: what a group earns is in the panels beside.",
        unit="suffix: ETH",
        queries=(
            Query(
                f"{per_group(group_series('stakewatch_validators_balance_gwei'))} / {GWEI:g}", GROUP_LEGEND
            ),
        ),
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Withdrawn and deposited",
        description="ETH that left the balances for their withdrawal addresses, and that "
        "came in as deposits, as it settles. Normal: withdrawals once per sweep (some days) for keys with "
        "more than their maximum.",
        unit="suffix: ETH",
        queries=(
            Query(
                f"{total(gained('stakewatch_withdrawals_gwei_total'))} / {GWEI:g}", "{{network}} withdrawn"
            ),
            Query(f"{total(gained('stakewatch_deposits_gwei_total'))} / {GWEI:g}", "{{network}} deposited"),
        ),
        draw="bars",
    ),
    Timeseries(
        title="Keys by status",
        description="Keys of the chosen groups by their status on the beacon chain. Normal: all "
        "active_ongoing; pending ones after deposits. Exiting ones that nobody ordered: read the runbook of "
        "slashings first.",
        unit="none",
        queries=(
            Query(
                f"sum by (network, status) ({per_group(STATUSES, 'status')}) > 0", "{{network}} {{status}}"
            ),
        ),
        stack=True,
    ),
)

KEYS = row(
    "Which keys?",
    Table(
        title="Keys that earned least",
        description="The 20 keys of the chosen groups that earned least in the time range. Normal: all "
        "within a few per cent of each other. Below 0: the key is offline, or votes wrongly. "
        f"{ONLY_WATCHED_KEYS}",
        unit="suffix: gwei",
        alerts=("ValidatorBalanceNotGrowing",),
        queries=(
            Query(
                f"bottomk(20, {per_group(f'delta({EARNED_BY_KEY}[$__range])', *KEY_LABELS)}\n"
                f"and {per_group(group_series('stakewatch_validator_active'), *KEY_LABELS)} == 1)"
            ),
        ),
        columns=headed("network", "group", "validator_index", "pubkey"),
        value="Earned",
    ),
    Table(
        title="Keys with the lowest balance",
        description="The 20 active keys of the chosen groups with the lowest balance. Normal: at least 32 "
        f"ETH. From 31.75 ETH down a key's effective balance, and with it its rewards, shrinks. "
        f"{ONLY_WATCHED_KEYS}",
        unit="suffix: ETH",
        queries=(
            Query(
                f"bottomk(20, {per_group(group_series('stakewatch_validator_balance_gwei'), *KEY_LABELS)}\n"
                f"and {per_group(group_series('stakewatch_validator_active'), *KEY_LABELS)} == 1) / {GWEI:g}"
            ),
        ),
        columns=headed("network", "group", "validator_index", "pubkey"),
        value="Balance",
    ),
    Table(
        title="Keys that miss in a row now",
        description="Keys that missed two or more attestations in a row, the worst first. Normal: none; one "
        "or two a day among 10,000. A group that has an alert of its own is not listed key by key.",
        unit="none",
        queries=(Query(f"topk(20, {group_series('validator:stakewatch_consecutive_misses:max')})"),),
        columns=headed("network", "group", "validator_index", "pubkey"),
        value="Missed",
        alerts=("ValidatorConsecutiveMisses", "ValidatorMissingRepeatedly"),
        no_value="none",
    ),
    width=12,
    height=10,
)

PROPOSING = row(
    "Do they propose?",
    PROPOSALS_BY_RESULT,
    REWARDS_OF_PROPOSALS,
    wrong_fee_recipient(THIS_GROUP),
)

ATTESTING = row(
    "Attestations: are they included, and in time?",
    Timeseries(
        title="Attestations included",
        description="Share of attestation duties of the time range that are on the chain, by group. "
        f"Normal: above 0.99. {NEEDS_ATTESTATIONS}",
        unit="percentunit",
        queries=(
            Query(
                f"1 - {share_of(MISSED, DUTIES)}",
                GROUP_LEGEND,
            ),
        ),
        maximum=1,
        minimum=None,
    ),
    Timeseries(
        title="Inclusion distance against the network",
        description="Mean slots between an attestation's slot and the block that has it, of each group and "
        "of the whole network. Normal: the network's line, below 1.1. Above it: the beacon node hears blocks "
        f"late or its peers are bad. {NEEDS_ATTESTATIONS}",
        unit="suffix: slots",
        queries=(
            Query(
                share_of(
                    "stakewatch_attestation_inclusion_distance_slots_sum",
                    "stakewatch_attestation_inclusion_distance_slots_count",
                ),
                GROUP_LEGEND,
            ),
            Query(
                "sum by (network) (increase("
                'stakewatch_network_attestation_inclusion_distance_slots_sum{network=~"$network"}[$__range]))\n'
                "/ sum by (network) (increase("
                'stakewatch_network_attestation_inclusion_distance_slots_count{network=~"$network"}[$__range]))',
                "{{network}} all",
            ),
        ),
        minimum=None,
    ),
    Timeseries(
        title="Wrong votes",
        description="Share of included attestations of the time range with a wrong head or target vote. "
        "Normal: head 0.01 to 0.03, target below 0.01. Head alone: blocks reach the beacon node late. "
        f"{NEEDS_ATTESTATIONS}",
        unit="percentunit",
        queries=tuple(
            Query(
                share_of(
                    "stakewatch_attestation_votes_total",
                    DUTIES,
                    f'vote="{vote}"',
                    'result="wrong"',
                ),
                f"{GROUP_LEGEND} {vote}",
            )
            for vote in ("head", "target")
        ),
    ),
    Timeseries(
        title="Keys that miss in a row",
        description="Keys of each group that missed at least so many attestations in a row. Normal: none "
        f"with 2 or more. {NEEDS_ATTESTATIONS}",
        unit="none",
        queries=(
            Query(
                per_group(group_series("stakewatch_validators_missing"), "epochs"),
                f"{GROUP_LEGEND}, {{{{epochs}}}} or more",
            ),
        ),
    ),
    width=12,
    collapsed=True,
    links=(THIS_GROUP,),
)

AGAINST_THE_NETWORK = row(
    "Against the network and the objective",
    Timeseries(
        title="Missed more than the network",
        description="Share of the attestations of six hours that each group missed, less the network's. "
        "Normal: near 0, or below. The dashed line is the alert's threshold. Absent for the first six hours.",
        unit="percentunit",
        queries=(
            Query(group_series("group:stakewatch_attestation_missed_above_network:ratio6h"), GROUP_LEGEND),
        ),
        alerts=("ValidatorGroupBelowNetwork",),
        decimals=2,
        minimum=None,
    ),
    Timeseries(
        title="Included later than the network",
        description="Mean inclusion distance of six hours of each group, less the network's. Normal: within "
        "0.05. The dashed line is the alert's threshold.",
        unit="suffix: slots",
        queries=(
            Query(group_series("group:stakewatch_inclusion_distance_above_network:mean6h"), GROUP_LEGEND),
        ),
        alerts=("ValidatorInclusionDistanceAboveNetwork",),
        decimals=2,
        minimum=None,
    ),
    Timeseries(
        title="Wrong more often than the network",
        description="Share of wrong votes of six hours of each group, less the network's, by vote. Normal: "
        "within 0.02. The dashed line is the alert's threshold.",
        unit="percentunit",
        queries=(
            Query(
                group_series("group:stakewatch_wrong_votes_above_network:ratio6h"),
                f"{GROUP_LEGEND} {{{{vote}}}}",
            ),
        ),
        alerts=("ValidatorWrongVotesAboveNetwork",),
        decimals=2,
        minimum=None,
    ),
    Timeseries(
        title="Budget of the objective burnt",
        description="How many times faster than the objective allows a group misses attestations, for an "
        "hour (fast) and for six (slow). Normal: absent, or below 1. The dashed lines are the alerts' "
        "thresholds. Absent where the network is to blame, or somebody was paged already.",
        unit="none",
        queries=(
            Query(group_series("group:stakewatch_attestation_budget:burn_fast"), f"{GROUP_LEGEND} fast"),
            Query(group_series("group:stakewatch_attestation_budget:burn_slow"), f"{GROUP_LEGEND} slow"),
        ),
        alerts=("ValidatorAttestationBudgetBurnFast", "ValidatorAttestationBudgetBurnSlow"),
        no_value="nothing burns",
    ),
    width=12,
    collapsed=True,
    links=(THIS_GROUP,),
)

RARE_DUTIES = row(
    "Sync committees and what comes next",
    sync_committee_participation(THIS_GROUP),
    SEATS,
    NEXT_DUTIES,
    EXPECTED_TIME,
    width=12,
    collapsed=True,
)

dashboard = Board(
    uid="validators",
    title="Validators",
    description="Groups of keys: is it well, who is to blame, do they earn, which keys, do they propose, do "
    "they attest. All of it is what the exporter reads from the chain, whatever the clients say.",
    variables=GROUP_VARIABLES,
    rows=(IS_IT_WELL, WHAT_IS_WRONG, EARNING, KEYS, PROPOSING, ATTESTING, AGAINST_THE_NETWORK, RARE_DUTIES),
    firing=FIRING,
    tags=("validators",),
    start="now-6h",
)
