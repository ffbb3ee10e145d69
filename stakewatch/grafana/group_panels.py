"""Panels on groups of keys that several boards share: what they proposed, and their rare duties."""

from collections.abc import Mapping

from stakewatch.grafana.groups import gained, group_series, per_group, share_of, since, total
from stakewatch.grafana.panels import Panel, Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, headed
from stakewatch.grafana.thresholds import steps

GWEI = 1e9
GROUP_LEGEND = "{{network}} {{group}}"
NEEDS_SYNC_COMMITTEE = "Needs an exporter that serves the contract's section on sync committees."
_SLASHED = 'status=~"active_slashed|exited_slashed"'
_NOT_ON_THE_CHAIN = 'result=~"missed|orphaned"'

KEYS_SLASHED = Stat(
    title="Keys slashed",
    description="Keys of the chosen groups that were slashed, those that have left included. Normal: 0. "
    "Otherwise: stop every validator client that may hold them, start none, read the runbook.",
    unit="none",
    alerts=("ValidatorSlashed",),
    queries=(
        Query(
            total(per_group(group_series("stakewatch_validators", _SLASHED), "status")),
            "{{network}}",
        ),
    ),
    steps=steps(start="green", red=1),
)

PROPOSALS_MISSED = Stat(
    title="Proposals missed",
    description="Blocks that your keys were to propose in the time range and that are not on the chain, "
    "missed or orphaned. Normal: 0.",
    unit="none",
    alerts=("ValidatorProposalMissed",),
    queries=(
        Query(
            f"round({total(since('stakewatch_proposals_total', _NOT_ON_THE_CHAIN, labels=('result',)))})",
            "{{network}}",
        ),
    ),
    steps=steps(start="green", orange=1),
)

PROPOSALS_BY_RESULT = Timeseries(
    title="Proposals by result",
    description="Proposals of the chosen groups as they settle. Normal: all proposed. Missed: the client "
    "or its beacon node was away, or late. Orphaned: the block came late; look at the relay or the disk.",
    unit="suffix: blocks",
    queries=(
        Query(
            f"sum by (network, result) ({gained('stakewatch_proposals_total', labels=('result',))})",
            "{{network}} {{result}}",
        ),
    ),
    draw="bars",
    stack=True,
)

REWARDS_OF_PROPOSALS = Timeseries(
    title="Rewards of proposals",
    description="What proposed blocks earned: from attestations and sync committees in them (consensus), "
    "and from fees or the builder (execution, by source). Normal: on mainnet about 0.04 ETH consensus, "
    "0.02 to 0.1 ETH execution per block.",
    unit="suffix: ETH",
    queries=(
        Query(
            f"{total(gained('stakewatch_proposal_consensus_reward_gwei_total'))} / {GWEI:g}",
            "{{network}} consensus",
        ),
        Query(
            "sum by (network, source) ("
            + gained("stakewatch_proposal_execution_reward_gwei_total", labels=("source",))
            + f") / {GWEI:g}",
            "{{network}} execution, {{source}}",
        ),
    ),
    draw="bars",
    stack=True,
)

SEATS = Table(
    title="Seats in sync committees",
    description="Seats that keys of each group have now and in the next period (27 hours on mainnet). "
    f"Normal: none for most groups. Plan no maintenance while there are some. {NEEDS_SYNC_COMMITTEE}",
    unit="none",
    queries=(Query(per_group(group_series("stakewatch_sync_committee_seats"), "period")),),
    columns=headed("network", "group", period="Period"),
    value="Seats",
)

_NEXT_DUTY = per_group(group_series("stakewatch_next_duty_timestamp_seconds"), "duty")
NEXT_DUTIES = Table(
    title="Next duties",
    description="Time until the next proposal and sync committee of each group. Normal: absent when none "
    "is known. Less than some minutes: do not maintain now. Needs an exporter that serves "
    "stakewatch_next_duty_timestamp_seconds.",
    unit="s",
    alerts=("ValidatorDutyUpcoming",),
    # One that has begun stays until the exporter looks again.
    queries=(Query(f"clamp_min({_NEXT_DUTY} - time(), 0)"),),
    columns=headed("network", "group", duty="Duty"),
    value="In",
)

EXPECTED_TIME = Table(
    title="Expected time between events",
    description="How often a group of this size may expect a proposal or a seat in a sync committee. "
    "Normal: twice this time without one is nothing unusual. Needs an exporter that serves "
    "stakewatch_expected_seconds_between.",
    unit="s",
    queries=(Query(per_group(group_series("stakewatch_expected_seconds_between"), "event")),),
    columns=headed("network", "group", event="Event"),
    value="Every",
)


def wrong_fee_recipient(*links: Mapping[str, object]) -> Panel:
    """Return the blocks that paid none of the expected fee recipients, by group."""
    return Timeseries(
        title="Wrong fee recipient",
        description="Proposed blocks that paid none of the expected fee recipients. Normal: 0. Otherwise "
        "your fees go to somebody else: check the validator client's fee recipient at once.",
        unit="suffix: blocks",
        queries=(Query(gained("stakewatch_proposal_fee_recipient_mismatch_total"), GROUP_LEGEND),),
        draw="bars",
        links=links,
    )


def sync_committee_participation(*links: Mapping[str, object]) -> Panel:
    """Return the share of sync committee duties that were done, by group."""
    return Timeseries(
        title="Sync committee participation",
        description="Share of sync committee duties that were done, by group. Normal: above "
        f"0.98; absent while no key has a seat. {NEEDS_SYNC_COMMITTEE}",
        unit="percentunit",
        queries=(
            Query(
                share_of(
                    "stakewatch_sync_committee_duties_total",
                    "stakewatch_sync_committee_duties_total",
                    'result="hit"',
                ),
                GROUP_LEGEND,
            ),
        ),
        maximum=1,
        links=links,
        minimum=None,
    )
