"""Cohorts: groups of keys compared by any of their labels, and whether a difference is more than noise."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.cohorts import (
    VARIABLES,
    by_cohort,
    counted,
    difference,
    mean,
    of_side,
    paired_score,
    recorded,
    share,
    standard_error,
    z_score,
    z_score_of_each,
)
from stakewatch.grafana.groups import of_networks
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import chosen_link
from stakewatch.grafana.panels import BarGauge, Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.text_panels import Text
from stakewatch.grafana.thresholds import Step

FIRING = 'ALERTS{alertstate="firing",area="validators",network=~"$network"}'

FIRST = "{{network}} ${first:text}"
SECOND = "{{network}} others: ${second:text}"
NETWORK = "{{network}}"
HEAD = 'vote="head"'
WRONG = 'result="wrong"'
ITS_GROUPS = chosen_link("validators", "All groups of these networks", ("network",))

MISSED = counted("stakewatch_attestation_missed_total")
DUTIES = counted("stakewatch_attestation_duties_total")
ALL_PROPOSALS = counted("stakewatch_proposals_total")
MISSED_PROPOSALS = counted("stakewatch_proposals_total", 'result=~"missed|orphaned"')
IDEAL = counted("stakewatch_attestation_ideal_reward_gwei_total")
REWARD = counted("stakewatch_attestation_reward_gwei_total")
EXECUTION_REWARD = counted("stakewatch_proposal_execution_reward_gwei_total")
PROPOSED = counted("stakewatch_proposals_total", 'result="proposed"')
MISSED_IN_AN_HOUR = recorded("group:stakewatch_attestation_missed:ratio1h")
DISTANCE_IN_AN_HOUR = recorded("group:stakewatch_inclusion_distance:mean1h")
WRONG_HEADS = of_networks("group:stakewatch_wrong_votes:ratio1h", HEAD)
WRONG_HEADS_IN_AN_HOUR = f"max by (network, group) ({WRONG_HEADS})"
ACTIVE = recorded("group:stakewatch_validators_active:sum")
# A difference of this many standard errors is found in four of five comparisons, at a z score of 2.
FOUND_IN_FOUR_OF_FIVE = 2.8

NOISE = (
    Step(None, "red"),
    Step(-3, "orange"),
    Step(-2, "green"),
    Step(2, "orange"),
    Step(3, "red"),
)
HOW_TO_READ = (
    "Normal: between -2 and 2, which chance gives in 19 of 20 comparisons of equals; beyond 3 in one of 400."
)
TAKES_HOURS = "It takes hours: a day gives 24, a week 168."


def votes(vote: str, *matchers: str) -> str:
    """Return the votes of each group in the time range."""
    return counted("stakewatch_attestation_votes_total", f'vote="{vote}"', *matchers)


def both(of_sides: str, scale: str = "") -> tuple[Query, ...]:
    """Return both sides as two queries with the names of the cohorts."""
    return (
        Query(of_side(of_sides, "first") + scale, FIRST),
        Query(of_side(of_sides, "second") + scale, SECOND),
    )


IS_IT_NOISE = row(
    "Is it noise?",
    Stat(
        title="Missed by the cohort",
        description="Share of the attestation duties of the time range that the cohort missed. Normal: below "
        "0.01, and what the others miss.",
        unit="percentunit",
        queries=(Query(of_side(share(MISSED, DUTIES), "first"), FIRST),),
        colour="none",
        decimals=3,
        links=(ITS_GROUPS,),
    ),
    Stat(
        title="Missed by the others",
        description="Share of the attestation duties of the time range that those missed whom the cohort is "
        "compared with. Normal: below 0.01.",
        unit="percentunit",
        queries=(Query(of_side(share(MISSED, DUTIES), "second"), SECOND),),
        colour="none",
        decimals=3,
        links=(ITS_GROUPS,),
    ),
    Stat(
        title="Difference",
        description="What the cohort misses less what the others miss; above 0, the cohort is worse. Normal: "
        "near 0. Whether it means anything is said by the numbers beside it.",
        unit="percentunit",
        queries=(Query(difference(share(MISSED, DUTIES)), NETWORK),),
        colour="none",
        decimals=3,
    ),
    Stat(
        title="z score, duty by duty",
        description="The difference in units of what chance makes (a two-proportion z test on duties and "
        f"misses). {HOW_TO_READ} It takes every duty for itself, while keys of one node miss together: "
        "believe it only if the score hour by hour says so too.",
        unit="none",
        queries=(Query(z_score(MISSED, DUTIES), NETWORK),),
        steps=NOISE,
        decimals=1,
    ),
    Stat(
        title="Score, hour by hour",
        description="The mean of the hourly differences in units of what chance makes of it. "
        f"{HOW_TO_READ} One bad hour of one node does not move it far. {TAKES_HOURS}",
        unit="none",
        queries=(Query(paired_score(MISSED_IN_AN_HOUR), NETWORK),),
        steps=NOISE,
        decimals=1,
        no_value="too few hours",
    ),
    Stat(
        title="Smallest difference to be found",
        description="A true difference of this size would be found in four of five such comparisons, by the "
        "duties alone. Normal: below 0.001. If what you look for is smaller: a longer time range, or more "
        "keys. Finding nothing then proves nothing.",
        unit="percentunit",
        queries=(Query(f"{FOUND_IN_FOUR_OF_FIVE} * {standard_error(MISSED, DUTIES)}", NETWORK),),
        colour="none",
        decimals=3,
    ),
    width=4,
    height=6,
)

READING = row(
    "How to read it",
    Text(
        title="What the scores mean",
        description="Normal: read once.",
        content="""Choose a label, a cohort, and what to compare it with. Labels are those of the
groups in stakewatch.yaml: a client's version, MEV or not, a region, an experiment.

| score | means |
|---|---|
| below 2 | noise: two equal cohorts differ that much in 19 of 20 comparisons |
| 2 to 3 | look again with a longer time range, before anything is changed |
| above 3 | no chance: one in 400 comparisons of equals |

Say beforehand what you look for, and look once: of 20 labels one scores 2 by chance. A cohort on one beacon
node shows that node, not its label.
""",
    ),
    firing_alerts(
        "Alerts on groups of the chosen networks, for what is broken in one cohort is no comparison",
        FIRING,
        "group",
        "beacon_node",
    ),
    width=12,
    height=9,
)

EACH = row(
    "Each cohort against all the others",
    Table(
        title="Cohorts",
        description="Each value of the label with its keys, what it missed in the time range, and "
        f"the z score of that against all the others together. {HOW_TO_READ}",
        unit="none",
        queries=(
            Query(by_cohort(ACTIVE)),
            Query(by_cohort(DUTIES)),
            Query(f"{by_cohort(MISSED)} / ({by_cohort(DUTIES)} > 0)"),
            Query(z_score_of_each(MISSED, DUTIES)),
            Query(f"{by_cohort(votes('head', WRONG))} / ({by_cohort(votes('head'))} > 0)"),
            Query(f"{by_cohort(REWARD)} / ({by_cohort(IDEAL)} > 0)"),
        ),
        columns=headed("network", cohort="Cohort"),
        values=(
            Value("Active keys", "none", 0),
            Value("Duties", "none", 0),
            Value("Missed", "percentunit", 3),
            Value("z score of it", "none", 1),
            Value("Wrong head votes", "percentunit"),
            Value("Rewards of the ideal", "percentunit"),
        ),
        decimals=2,
    ),
    width=24,
)

OVER_TIME = row(
    "The cohort and the others over time",
    Timeseries(
        title="Attestations missed",
        description="Share of the attestations of the last hour that each side missed. Normal: two lines "
        "that cross. A step in one of them: look at what happened then, and leave it out of the comparison.",
        unit="percentunit",
        queries=both(mean(MISSED_IN_AN_HOUR)),
        decimals=3,
    ),
    Timeseries(
        title="Inclusion distance",
        description="Mean slots between an attestation and the block that has it, in the last hour. Normal: "
        "two lines below 1.1 that cross.",
        unit="suffix: slots",
        queries=both(mean(DISTANCE_IN_AN_HOUR)),
        decimals=3,
        minimum=None,
    ),
    Timeseries(
        title="Wrong head votes",
        description="Share of the votes of the last hour for a head that was not the chain's. Normal: 0.01 "
        "to 0.03, two lines that cross. Higher: blocks reach that side later.",
        unit="percentunit",
        queries=both(mean(WRONG_HEADS_IN_AN_HOUR)),
        decimals=3,
    ),
    width=8,
)

OTHER_MEASURES = row(
    "Other measures, and their scores",
    BarGauge(
        title="z scores, duty by duty",
        description="The cohort less the others for each measure, in units of what chance makes. "
        f"{HOW_TO_READ} With few proposals nothing can be said of them.",
        unit="none",
        queries=(
            Query(z_score(MISSED, DUTIES), "{{network}} attestations missed"),
            Query(z_score(votes("head", WRONG), votes("head")), "{{network}} wrong head votes"),
            Query(z_score(votes("target", WRONG), votes("target")), "{{network}} wrong target votes"),
            Query(z_score(MISSED_PROPOSALS, ALL_PROPOSALS), "{{network}} proposals missed"),
        ),
        steps=NOISE,
        decimals=1,
        minimum=-5,
        maximum=5,
    ),
    BarGauge(
        title="Scores, hour by hour",
        description="The mean of the hourly differences for each measure, in units of what chance makes of "
        f"it. {HOW_TO_READ} {TAKES_HOURS}",
        unit="none",
        queries=(
            Query(paired_score(MISSED_IN_AN_HOUR), "{{network}} attestations missed"),
            Query(paired_score(DISTANCE_IN_AN_HOUR), "{{network}} inclusion distance"),
        ),
        steps=NOISE,
        decimals=1,
        minimum=-5,
        maximum=5,
        no_value="too few hours",
    ),
    Timeseries(
        title="Rewards of the ideal",
        description="Rewards for attestations in the time range before each point, as a share of what "
        "perfect ones would have brought. Normal: above 0.98, two lines side by side.",
        unit="percentunit",
        queries=both(share(REWARD, IDEAL)),
        decimals=3,
        maximum=1,
        minimum=None,
    ),
    Timeseries(
        title="Execution reward per block",
        description="Mean fees or builder's payment of the blocks in the time range before each point. "
        "Normal: single blocks decide, so compare months. This is where MEV or not shows.",
        unit="suffix: ETH",
        queries=both(share(EXECUTION_REWARD, PROPOSED), " / 1e9"),
        no_value="no blocks",
    ),
    width=12,
)

dashboard = Board(
    uid="cohorts",
    title="Cohorts",
    description="Two cohorts of groups compared, by any label of the groups: a client's version, MEV or not, "
    "a region, an experiment. Says whether a difference is more than noise, and how small a one could be "
    "found at all.",
    variables=VARIABLES,
    rows=(IS_IT_NOISE, READING, EACH, OVER_TIME, OTHER_MEASURES),
    firing=FIRING,
    tags=("validators", "statistics"),
    start="now-24h",
    refresh="5m",
)
