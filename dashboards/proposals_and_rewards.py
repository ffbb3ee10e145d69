"""Proposals and rewards: which blocks were ours, what they brought, and what was left on the table."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.group_panels import (
    EXPECTED_TIME,
    GROUP_LEGEND,
    GWEI,
    NEEDS_SYNC_COMMITTEE,
    NEXT_DUTIES,
    PROPOSALS_BY_RESULT,
    PROPOSALS_MISSED,
    REWARDS_OF_PROPOSALS,
    SEATS,
    sync_committee_participation,
    wrong_fee_recipient,
)
from stakewatch.grafana.groups import (
    CHOSEN_NETWORK,
    gained,
    group_series,
    of_networks,
    per_group,
    since,
    total,
)
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, chosen_link
from stakewatch.grafana.panels import Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import firing_alerts
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import GROUP_VARIABLES

# Alerts on relays name a process and a network, no group.
FIRING = (
    'ALERTS{alertstate="firing",network=~"$network",group=~"$group|",alertname=~"ValidatorProposal.+|'
    "ValidatorFeeRecipientWrong|SyncCommittee.+|ValidatorDutyUpcoming|RelayErrors|AllRelaysFailing|"
    'BuilderBlocksFallBack"}'
)

THIS_GROUP = board_link("proposals_and_rewards", "Only this group", ("network", "group"))
ITS_KEYS = chosen_link("validators", "Keys of these groups", ("network", "group"))

PROPOSALS = "stakewatch_proposals_total"
CONSENSUS = "stakewatch_proposal_consensus_reward_gwei_total"
EXECUTION = "stakewatch_proposal_execution_reward_gwei_total"
EXPECTED = "stakewatch_proposals_expected_total"
REWARD = "stakewatch_attestation_reward_gwei_total"
PENALTY = "stakewatch_attestation_penalty_gwei_total"
IDEAL = "stakewatch_attestation_ideal_reward_gwei_total"
SYNC_REWARD = "stakewatch_sync_committee_reward_gwei_total"
SYNC_PENALTY = "stakewatch_sync_committee_penalty_gwei_total"

PROPOSED = 'result="proposed"'
NOT_ON_THE_CHAIN = 'result=~"missed|orphaned"'
RESULT = ("result",)
SOURCE = ("source",)
KIND = ("kind",)
SECONDS_PER_YEAR = 31_557_600
NEEDS_REWARDS = "Needs a beacon node that gives the exporter states or rewards."
NEEDS_MEV = "Absent without mev-boost."

FROM_PROPOSALS = f"({total(since(CONSENSUS))} + {total(since(EXECUTION, labels=SOURCE))})"
FROM_ATTESTATIONS = f"({total(since(REWARD))} - {total(since(PENALTY, labels=KIND))})"
FROM_SYNC_COMMITTEES = f"({total(since(SYNC_REWARD))} - {total(since(SYNC_PENALTY))})"
EFFECTIVE_BALANCE = total(per_group(group_series("stakewatch_validators_effective_balance_gwei")))


def of_relays(metric: str) -> str:
    """Return a series of mev-boost's relays on the chosen networks."""
    return of_networks(metric)


def failed_builders(metric: str, *matchers: str) -> str:
    """Return how often nodes did without a builder's block in the time range, by a counter of theirs."""
    return f"increase({of_networks(metric, *matchers)}[$__range])"


IS_IT_WELL = row(
    "Is it well?",
    PROPOSALS_MISSED,
    Stat(
        title="Blocks proposed",
        description="Blocks of your keys that are on the chain, in the time range. Normal: as many as the "
        "table of expected times below says. The colour says nothing: it is a lottery.",
        unit="none",
        queries=(Query(f"round({total(since(PROPOSALS, PROPOSED, labels=RESULT))})", "{{network}}"),),
        colour="none",
    ),
    Stat(
        title="Earned by proposals",
        description="What these blocks brought in the time range, consensus rewards and fees or a builder's "
        "payment together. Normal: 0.05 to 0.15 ETH per block on mainnet.",
        unit="suffix: ETH",
        queries=(Query(f"{FROM_PROPOSALS} / {GWEI:g}", "{{network}}"),),
        colour="none",
        decimals=4,
    ),
    Stat(
        title="Attestation rewards got",
        description="Rewards less penalties of attestations in the time range, as a share of what perfect "
        f"ones would have brought. Normal: above 0.98. {NEEDS_REWARDS}",
        unit="percentunit",
        queries=(Query(f"{FROM_ATTESTATIONS} / {total(since(IDEAL))}", "{{network}}"),),
        steps=steps(start="red", orange=0.95, green=0.98),
        decimals=2,
        links=(ITS_KEYS,),
    ),
    Stat(
        title="Fees to others",
        description="Proposed blocks of the time range that paid none of the expected fee recipients. "
        "Normal: 0. Otherwise: check the validator client's fee recipient at once.",
        unit="suffix: blocks",
        queries=(
            Query(
                f"round({total(since('stakewatch_proposal_fee_recipient_mismatch_total'))})", "{{network}}"
            ),
        ),
        alerts=("ValidatorFeeRecipientWrong",),
        steps=steps(start="green", red=1),
    ),
    Stat(
        title="Seats in the sync committee",
        description="Seats that your keys have now. Normal: 0 for most of the time. Each is worth much for "
        "27 hours on mainnet: plan no maintenance while there are some. The colour says nothing.",
        unit="none",
        queries=(
            Query(
                total(per_group(group_series("stakewatch_sync_committee_seats", 'period="current"'))),
                "{{network}}",
            ),
        ),
        colour="none",
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is wrong, and what comes next",
    firing_alerts(
        "Alerts on proposals, sync committees and relays that fire now",
        FIRING,
        "group",
        "validator_client",
        "beacon_node",
        "instance",
        normal="none, or the information that a duty comes",
    ),
    NEXT_DUTIES,
    EXPECTED_TIME,
    width=(12, 6, 6),
)

PROPOSING = row(
    "Do they propose?",
    PROPOSALS_BY_RESULT,
    Timeseries(
        title="Missed in a week",
        description="Share of the blocks of the last 7 days that are not on the chain, by group. Normal: "
        "below 0.01. Of some blocks only, single ones decide; the alert speaks from three on. The dashed "
        "line is its threshold. Absent for groups younger than a week.",
        unit="percentunit",
        queries=(
            Query(
                f"{group_series('group:stakewatch_proposals_missed:week')}\n"
                "/ sum by (network, group) ("
                f"{per_group(group_series('exporter:stakewatch_proposals_total:week'), 'result')} > 0)",
                GROUP_LEGEND,
            ),
        ),
        alerts=("ValidatorProposalRateLow",),
        links=(THIS_GROUP,),
    ),
    Timeseries(
        title="Missed against the network",
        description="Share of the blocks of the time range that are not on the chain, of your keys and of "
        "the whole network. Normal: the network misses about 0.01, well-run keys less.",
        unit="percentunit",
        queries=(
            Query(
                f"{total(since(PROPOSALS, NOT_ON_THE_CHAIN, labels=RESULT))}\n"
                f"/ ({total(since(PROPOSALS, labels=RESULT))} > 0)",
                "{{network}} ours",
            ),
            Query(
                "sum by (network) (increase(stakewatch_network_proposals_total"
                f"{{{CHOSEN_NETWORK},{NOT_ON_THE_CHAIN}}}[$__range]))\n"
                "/ sum by (network) (increase(stakewatch_network_proposals_total"
                f"{{{CHOSEN_NETWORK}}}[$__range]))",
                "{{network}} all",
            ),
        ),
    ),
    Timeseries(
        title="Assigned against expected",
        description="Proposals that your keys were given in the time range, and how many chance gives keys "
        "of this stake. Normal: one line around the other; with few keys far around it. What differs is "
        "luck, not work.",
        unit="suffix: blocks",
        queries=(
            Query(total(since(PROPOSALS, labels=RESULT)), "{{network}} assigned"),
            Query(total(since(EXPECTED)), "{{network}} expected"),
        ),
    ),
    width=12,
)

BLOCKS = row(
    "What do blocks bring, and who builds them?",
    REWARDS_OF_PROPOSALS,
    Timeseries(
        title="Reward per block",
        description="Mean reward of a block in the time range: consensus rewards, and fees or a builder's "
        "payment. Normal: on mainnet about 0.04 ETH consensus, execution 0.02 to 0.1 ETH with a long tail.",
        unit="suffix: ETH",
        queries=tuple(
            Query(
                f"{reward} / ({total(since(PROPOSALS, PROPOSED, labels=RESULT))} > 0) / {GWEI:g}",
                f"{{{{network}}}} {legend}",
            )
            for legend, reward in (
                ("consensus", total(since(CONSENSUS))),
                ("execution", total(since(EXECUTION, labels=SOURCE))),
            )
        ),
    ),
    Timeseries(
        title="Execution rewards by source",
        description="Share of the execution rewards of the time range that came from builders, from own "
        "(local) blocks, or from where the exporter cannot tell. Normal: builders lead where mev-boost runs.",
        unit="percentunit",
        queries=(
            Query(
                f"sum by (network, source) ({since(EXECUTION, labels=SOURCE)})\n"
                f"/ on (network) group_left () ({total(since(EXECUTION, labels=SOURCE))} > 0)",
                "{{network}} {{source}}",
            ),
        ),
        stack=True,
        maximum=1,
    ),
    wrong_fee_recipient(THIS_GROUP),
    Timeseries(
        title="Calls to relays that fail",
        description="Share of mev-boost's calls to each relay that failed in 10 minutes. Normal: below "
        f"0.05. The dashed lines are the alerts' thresholds, the upper one for all relays. {NEEDS_MEV}",
        unit="percentunit",
        queries=(
            Query(
                "max by (network, cluster, instance, relay) ("
                f"{of_relays('relay:mev_boost_calls_failed:ratio10m')})",
                "{{instance}} {{relay}}",
            ),
        ),
        alerts=("RelayErrors", "AllRelaysFailing"),
        maximum=1,
        no_value="no mev-boost",
    ),
    Timeseries(
        title="Blocks without a builder",
        description="How often a beacon node, or Vouch, wanted a builder's block in the time range and had "
        "to do without. Normal: below 3 in six hours, which is the alert's threshold. Blocks that are local "
        "by choice do not count.",
        unit="suffix: blocks",
        queries=(
            Query(
                "round(sum by (network, cluster, instance, implementation) (\n"
                + "\nor\n".join(
                    (
                        failed_builders(
                            "",
                            '__name__=~"execution_layer_get_payload_builder_rejections|'
                            "builder_get_payload_miss_count|"
                            'beacon_block_builder_missed_with_fallback_total"',
                        ),
                        failed_builders(
                            "beacon_execution_payload_source_total",
                            'fallback_reason=~"validator_not_registered|builder_not_available|builder_error"',
                        ),
                        failed_builders(
                            "beacon_block_production_selection_results_total",
                            'reason=~"builder_error|builder_timeout|builder_pending"',
                        ),
                        failed_builders("vouch_relay_builder_bid_total", 'result="failed"'),
                    )
                )
                + "\n))",
                "{{instance}} ({{implementation}})",
            ),
        ),
        alerts=("BuilderBlocksFallBack",),
        no_value="none",
    ),
)

ATTESTING = row(
    "Do attestations bring what they could?",
    Timeseries(
        title="Rewards of the ideal by group",
        description="Rewards less penalties of attestations in the time range, as a share of what perfect "
        "ones would have brought. Normal: above 0.98, all groups on one line. A group below the others: its "
        f"client or beacon node. {NEEDS_REWARDS}",
        unit="percentunit",
        queries=(
            Query(
                f"({since(REWARD)} - sum by (network, group) ({since(PENALTY, labels=KIND)}))\n"
                f"/ {since(IDEAL)}",
                GROUP_LEGEND,
            ),
        ),
        maximum=1,
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Rewards that were missed",
        description="What perfect attestations would have brought more, as it settles. Normal: some per "
        f"cent of the rewards, level. Penalties come on top of it. {NEEDS_REWARDS}",
        unit="suffix: gwei",
        queries=(Query(f"{gained(IDEAL)} - {gained(REWARD)}", GROUP_LEGEND),),
        draw="bars",
        stack=True,
        links=(THIS_GROUP,),
    ),
    Timeseries(
        title="Penalties by kind",
        description="What wrong, late or missing votes cost, as it settles. Normal: near 0. inactivity: the "
        f"network does not finalise, and the keys are away. {NEEDS_REWARDS}",
        unit="suffix: gwei",
        queries=(Query(f"sum by (network, kind) ({gained(PENALTY, labels=KIND)})", "{{network}} {{kind}}"),),
        draw="bars",
        stack=True,
    ),
)

SYNC_COMMITTEES = row(
    "Sync committees",
    sync_committee_participation(THIS_GROUP),
    Timeseries(
        title="Missed more than the whole committee",
        description="By how much a group misses more of its sync committee duties of half an hour than the "
        "whole committee does. Normal: near 0. The dashed line is the alert's threshold. Absent while a "
        f"group has no seat. {NEEDS_SYNC_COMMITTEE}",
        unit="percentunit",
        queries=(
            Query(group_series("group:stakewatch_sync_committee_missed_above_network:ratio"), GROUP_LEGEND),
        ),
        alerts=("SyncCommitteeParticipationLow",),
        links=(THIS_GROUP,),
        minimum=None,
    ),
    Timeseries(
        title="Rewards and penalties of sync committees",
        description="What seats in sync committees brought and cost, as it settles. Normal: 0 without a "
        f"seat; with one about 0.1 ETH in 27 hours on mainnet, and no penalties. {NEEDS_REWARDS}",
        unit="suffix: gwei",
        queries=(
            Query(total(gained(SYNC_REWARD)), "{{network}} rewards"),
            Query(total(gained(SYNC_PENALTY)), "{{network}} penalties"),
        ),
        draw="bars",
    ),
    SEATS,
    width=12,
)

IN_TOTAL = row(
    "All of it together",
    Timeseries(
        title="Earned by source",
        description="What your keys earned in the time range, by source, penalties taken off. Normal: "
        "attestations bring four fifths, steadily; the rest comes in pieces.",
        unit="suffix: ETH",
        queries=(
            Query(f"{FROM_ATTESTATIONS} / {GWEI:g}", "{{network}} attestations"),
            Query(f"{total(since(CONSENSUS))} / {GWEI:g}", "{{network}} proposals"),
            Query(f"{total(since(EXECUTION, labels=SOURCE))} / {GWEI:g}", "{{network}} fees and builders"),
            Query(f"{FROM_SYNC_COMMITTEES} / {GWEI:g}", "{{network}} sync committees"),
        ),
        stack=True,
        decimals=4,
        minimum=None,
    ),
    Timeseries(
        title="Yearly return with execution rewards",
        description="All that was earned in the time range, as a share of the effective balance and of a "
        "year. Normal: 2.8 to 3.5 % on mainnet over weeks; over a day one block makes a peak. "
        f"{NEEDS_REWARDS}",
        unit="percentunit",
        queries=(
            Query(
                f"({FROM_ATTESTATIONS} + {FROM_PROPOSALS} + {FROM_SYNC_COMMITTEES})\n"
                f"/ {EFFECTIVE_BALANCE} * {SECONDS_PER_YEAR} / $__range_s",
                "{{network}}",
            ),
        ),
        decimals=2,
        minimum=None,
    ),
    Timeseries(
        title="Proposals done by group",
        description="Share of the blocks of the time range that are on the chain, by group. Normal: 1. "
        "Absent for groups that had none to propose.",
        unit="percentunit",
        queries=(
            Query(
                f"sum by (network, group) ({since(PROPOSALS, PROPOSED, labels=RESULT)})\n"
                f"/ (sum by (network, group) ({since(PROPOSALS, labels=RESULT)}) > 0)",
                GROUP_LEGEND,
            ),
        ),
        maximum=1,
        links=(THIS_GROUP,),
        minimum=None,
    ),
)

dashboard = Board(
    uid="proposals_and_rewards",
    title="Proposals and rewards",
    description="Blocks that your keys were to propose, what they and all other duties brought, and what was "
    "left on the table. Top to bottom: alerts and next duties, proposals, blocks, attestations, sync "
    "committees, everything together.",
    variables=GROUP_VARIABLES,
    rows=(IS_IT_WELL, WHAT_IS_WRONG, PROPOSING, BLOCKS, ATTESTING, SYNC_COMMITTEES, IN_TOTAL),
    firing=FIRING,
    tags=("validators", "rewards"),
    start="now-24h",
)
