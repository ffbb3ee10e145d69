"""Slashing safety: is a key in two places, did anything refuse to sign, does a key leave that should not."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.group_panels import GROUP_LEGEND, KEYS_SLASHED
from stakewatch.grafana.groups import gained, group_series, of_networks, per_group, per_network, since, total
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, chosen_link, row_link
from stakewatch.grafana.panels import Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.text_panels import Text
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import GROUP_VARIABLES

# Alerts on processes name a process and a network, no group.
FIRING = (
    'ALERTS{alertstate="firing",network=~"$network",group=~"$group|",alertname=~"ValidatorSlashed|'
    "DuplicateValidatorKey|ValidatorLiveWhileDisabled|SlashingProtectionRefusal|Doppelganger.+|Slash.+Logs|"
    'NetworkSlashingBurst|ValidatorExitedUnexpectedly|ValidatorClientKeys.+"}'
)

ITS_KEYS = row_link("validators", "This group", {"network": "Network", "group": "Group"})
THIS_CLIENT = board_link("validator_clients", "This client", ("cluster", "instance"))
THE_NETWORK = chosen_link("network", "The network", ("network",))

LIVE_WHILE_DISABLED = group_series("validator:stakewatch_live_while_disabled:last")
LEAVING = group_series("group:stakewatch_validators_leaving:increase1d")
CLIENTS = ("validator_client", "other_validator_client")
KEY_COLUMNS = {
    "network": "Network",
    "group": "Group",
    "validator_index": "Validator",
    "pubkey": "Public key",
}
NEEDS_KEYMANAGER = "Needs the keymanager API of the validator clients in stakewatch.yaml."
PROCESS = "cluster, network, instance, implementation"


def or_none(expression: str) -> str:
    """Return `expression`, and 0 for each watched network that it says nothing of."""
    return f"{expression}\nor 0 * count by (network) ({of_networks('stakewatch_group_info')})"


def refused(metric: str, implementation: str, *matchers: str) -> Query:
    """Return how often a signer or client refused to sign, from a counter of its implementation."""
    selector = of_networks(metric, f'implementation="{implementation}"', *matchers)
    return Query(
        f"sum by ({PROCESS}) (increase({selector}[$__rate_interval]))", "{{instance}} ({{implementation}})"
    )


IS_IT_WELL = row(
    "Is it well?",
    KEYS_SLASHED,
    Stat(
        title="Keys in two clients",
        description="Keys that two validator clients list at once. Normal: 0. Otherwise: stop one of the two "
        f"clients now; as soon as both sign, the keys are slashed. {NEEDS_KEYMANAGER}",
        unit="none",
        queries=(
            Query(
                or_none(
                    total(
                        per_network(
                            f"last_over_time({of_networks('stakewatch_duplicate_keys')}[1h])", *CLIENTS
                        )
                    )
                ),
                "{{network}}",
            ),
        ),
        alerts=("DuplicateValidatorKey",),
        steps=steps(start="green", red=1),
    ),
    Stat(
        title="Signing while disabled",
        description="Keys of disabled groups that somebody signs with, as the chain shows. Normal: 0. "
        "Otherwise: start nothing that holds them until you know what signs.",
        unit="none",
        queries=(Query(or_none(f"count by (network) ({LIVE_WHILE_DISABLED})"), "{{network}}"),),
        alerts=("ValidatorLiveWhileDisabled",),
        steps=steps(start="green", red=1),
    ),
    Stat(
        title="Refuse to sign",
        description="Processes whose slashing protection refused to sign in the last 15 minutes. Normal: 0. "
        "Otherwise: suspect a second signer. Lighthouse, Lodestar, Nimbus with a remote signer and "
        "Web3Signer count it; the others only log it.",
        unit="none",
        queries=(
            Query(
                or_none(f"count by (network) ({of_networks('process:stakewatch_signing_refused:recent')})"),
                "{{network}}",
            ),
        ),
        alerts=("SlashingProtectionRefusal",),
        steps=steps(start="green", red=1),
    ),
    Stat(
        title="Keys that began to leave",
        description="Keys that began to exit in the last day. Normal: those whose exit somebody ordered. The "
        "others: somebody else can order it.",
        unit="none",
        queries=(Query(or_none(total(LEAVING)), "{{network}}"),),
        alerts=("ValidatorExitedUnexpectedly",),
        steps=steps(start="green", orange=1),
    ),
    Stat(
        title="Slashed in the network",
        description="Validators of the whole network that were slashed in the last 64 slots. Normal: 0. Many "
        "at once: an operator or a client is in trouble; ask whether you run the same.",
        unit="none",
        queries=(
            Query(
                total(per_network(of_networks("stakewatch_network_slashings_recent"), "kind")), "{{network}}"
            ),
        ),
        alerts=("NetworkSlashingBurst",),
        links=(THE_NETWORK,),
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is wrong, and what not to do",
    firing_alerts(
        "Alerts on slashing, keys in the wrong place and exits that fire now",
        FIRING,
        "group",
        "validator_index",
        "validator_client",
        "instance",
    ),
    Text(
        title="Before you touch anything",
        description="Normal: nothing of this is needed.",
        content="""Better be down than slashed: an offline key loses little, one that signs twice
its stake.

1. **Start nothing.** No second validator client, no restored backup, no fail-over.
2. **Stop** every process that may hold the key, one after the other, and see on this board which one signed.
3. **Find the second signer**: old machines, backups that were started, other clusters, another operator.
4. Move slashing protection (EIP-3076) along with a key, and let three epochs pass before it signs elsewhere.
""",
    ),
    width=(14, 10),
)

WHERE_KEYS_ARE = row(
    "Is a key in two places?",
    Table(
        title="Keys in two validator clients",
        description="Pairs of clients that list the same keys, in the last hour. Normal: none. "
        f"{NEEDS_KEYMANAGER}",
        unit="none",
        queries=(
            Query(
                per_network(f"last_over_time({of_networks('stakewatch_duplicate_keys')}[1h])", *CLIENTS)
                + " > 0"
            ),
        ),
        columns=headed("network", "validator_client", other_validator_client="Other client"),
        value="Keys",
        no_value="none known",
    ),
    Table(
        title="Keys that sign although disabled",
        description="Keys of disabled groups that signed in the last half hour, as the chain shows. "
        "Normal: none.",
        unit="none",
        queries=(Query(LIVE_WHILE_DISABLED),),
        columns=KEY_COLUMNS,
        column_links={"Group": (ITS_KEYS,)},
        no_value="none",
    ),
    Table(
        title="Slashed keys",
        description="Keys that were slashed, those that have left included. Normal: none. Where the "
        "list of keys is full, the group stands here with the number of its keys.",
        unit="none",
        queries=(Query(group_series("validator:stakewatch_slashed:last")),),
        columns=KEY_COLUMNS,
        column_links={"Group": (ITS_KEYS,)},
        no_value="none",
    ),
    Table(
        title="Keys that each client lists",
        description="Keys of each validator client by its own list, and those that stakewatch.yaml "
        f"gives to it and it lacks. Normal: none missing. {NEEDS_KEYMANAGER}",
        unit="none",
        alerts=("ValidatorClientKeysMissing",),
        queries=(
            Query(per_network(of_networks("stakewatch_validator_client_keys"), "validator_client")),
            Query(per_network(of_networks("stakewatch_validator_client_keys_missing"), "validator_client")),
        ),
        columns=headed("network", "validator_client"),
        values=(Value("Keys", "none"), Value("Missing", "none")),
        column_links={
            "Client": (row_link("validator_clients", "This client", {"instance": "Client"}),),
        },
        no_value="no list",
    ),
    Timeseries(
        title="Keys in remote signers",
        description="Keys that each remote signer lists, and configured ones that it lacks. Normal: "
        "level, and none missing. Needs signers in stakewatch.yaml.",
        unit="none",
        queries=(
            Query(per_network(of_networks("stakewatch_signer_keys"), "instance"), "{{instance}}"),
            Query(
                per_network(of_networks("stakewatch_signer_keys_missing"), "instance"),
                "{{instance}} missing",
            ),
        ),
        alerts=("RemoteSignerKeysMissing",),
        no_value="no signer",
    ),
    Timeseries(
        title="Age of the key lists",
        description="Time since the exporter last heard from a keymanager API. Normal: below a "
        "minute. Older: a key in two clients, or in none, stays unseen, except on the chain. "
        f"{NEEDS_KEYMANAGER}",
        unit="s",
        queries=(
            Query(
                "time() - "
                + per_network(
                    of_networks("stakewatch_last_update_timestamp_seconds", 'source="keymanagers"')
                ),
                "{{network}}",
            ),
        ),
        alerts=("ValidatorClientKeysUnknown",),
        steps=steps(start="green", orange=300),
        no_value="no list",
    ),
    height=(7, 7, 7, 8, 8, 8),
)

REFUSALS = row(
    "Did anything refuse to sign?",
    Timeseries(
        title="Refusals of slashing protection",
        description="Signatures that slashing protection refused, by process. Normal: none, ever: each is a "
        "slashing that did not happen. Prysm, Teku and Nimbus without a remote signer only log it.",
        unit="none",
        queries=(
            refused("vc_signed_attestations_total", "lighthouse", 'status="slashable"'),
            refused("vc_signed_beacon_blocks_total", "lighthouse", 'status="slashable"'),
            refused("vc_slashing_protection_attestation_errors_total", "lodestar"),
            refused("vc_slashing_protection_block_errors_total", "lodestar"),
            refused("nbc_remote_signer_412_responses_total", "nimbus", 'role=~"beacon|validator"'),
            refused("eth2_slashingprotection_prevented_signings_total", "web3signer"),
        ),
        alerts=("SlashingProtectionRefusal",),
        steps=steps(start="green", red=1),
        draw="bars",
        no_value="none",
        links=(THIS_CLIENT,),
    ),
    StateTimeline(
        title="Refused in the last 15 minutes",
        description="When the alert on refusals had a reason, by process. Normal: empty. A band on two "
        "clients at once: they hold the same keys.",
        unit="none",
        queries=(
            Query(
                f"max by ({PROCESS}) ({of_networks('process:stakewatch_signing_refused:recent')})",
                "{{instance}} ({{implementation}})",
            ),
        ),
        states={1: State("refused", "red")},
        no_value="none",
        links=(THIS_CLIENT,),
    ),
    Timeseries(
        title="Doppelganger protection of Lodestar",
        description="Keys of Lodestar by what its doppelganger protection says of them. Normal: all verified "
        "some epochs after a start. DoppelgangerDetected: they sign elsewhere; do not start it again. Absent "
        "unless it is switched on; of the others, see their logs.",
        unit="none",
        queries=(
            Query(
                "max by (cluster, network, instance, status) ("
                + of_networks(
                    "vc_doppelganger_validator_status_count", 'role="validator"', 'implementation="lodestar"'
                )
                + ")",
                "{{instance}} {{status}}",
            ),
        ),
        alerts=("DoppelgangerDetected",),
        no_value="not switched on",
        links=(THIS_CLIENT,),
    ),
    Timeseries(
        title="Starts of what signs",
        description="How often validator clients and remote signers were started. Normal: at upgrades, one "
        "at a time. A start just before a refusal is where to look first.",
        unit="none",
        queries=(
            Query(
                "sum by (network, instance, implementation) (changes("
                + of_networks("process_start_time_seconds", 'role=~"validator|signer"')
                + "[$__rate_interval]))",
                "{{instance}} ({{implementation}})",
            ),
        ),
        draw="bars",
    ),
    width=12,
)

LEAVING_KEYS = row(
    "Does a key leave that should not?",
    Timeseries(
        title="Keys that are leaving or have left",
        description="Keys of each group that exit, have exited or were slashed. Normal: level, with steps "
        "that somebody ordered.",
        unit="none",
        queries=(Query(group_series("group:stakewatch_validators_leaving:sum"), GROUP_LEGEND),),
        alerts=("ValidatorExitedUnexpectedly",),
    ),
    Timeseries(
        title="Exits and consolidations",
        description="Exits by the keys' own message, and requests to merge a key into another validator, as "
        "they settle. Normal: those that you ordered. Withdrawal keys can order them too.",
        unit="none",
        queries=(
            Query(gained("stakewatch_voluntary_exits_total"), f"{GROUP_LEGEND} exits"),
            Query(gained("stakewatch_consolidations_total"), f"{GROUP_LEGEND} consolidations"),
        ),
        draw="bars",
    ),
    Timeseries(
        title="Keys in an unexpected state",
        description="Keys whose state is not what stakewatch.yaml expects, by reason. Normal: none; inactive "
        "ones wait in the network's queue. live_while_disabled: somebody signs.",
        unit="none",
        queries=(
            Query(
                f"{per_group(group_series('stakewatch_validators_unexpected'), 'reason')} > 0",
                f"{GROUP_LEGEND} {{{{reason}}}}",
            ),
        ),
        alerts=("ValidatorNotActive",),
        no_value="none",
    ),
)

NETWORK = row(
    "Is it only us?",
    Timeseries(
        title="Slashed in the last 64 slots",
        description="Validators of the network that were slashed in the last 64 slots. Normal: 0, in most "
        "weeks. The dashed line is the alert's threshold.",
        unit="none",
        queries=(
            Query(
                total(per_network(of_networks("stakewatch_network_slashings_recent"), "kind")), "{{network}}"
            ),
        ),
        alerts=("NetworkSlashingBurst",),
        links=(THE_NETWORK,),
    ),
    Timeseries(
        title="Slashed in the time range",
        description="Validators of the network that were slashed in the time range before each point, by "
        "what they did. Normal: some in a month. attester: mostly the same key run twice.",
        unit="none",
        queries=(
            Query(
                per_network(
                    f"increase({of_networks('stakewatch_network_slashings_total')}[$__range])", "kind"
                ),
                "{{network}} {{kind}}",
            ),
        ),
    ),
    Timeseries(
        title="Withdrawn in the time range",
        description="ETH that left the balances of each group in the time range before each point. Normal: "
        "rewards by the sweep every few days; whole stakes only after an exit.",
        unit="suffix: ETH",
        queries=(Query(f"{since('stakewatch_withdrawals_gwei_total')} / 1e9", GROUP_LEGEND),),
    ),
)

dashboard = Board(
    uid="slashing_safety",
    title="Slashing safety",
    description="What comes before a slashing, and what must not be done then: keys in two places, refusals "
    "to sign, doppelgangers, keys that leave. Better be down than slashed.",
    variables=GROUP_VARIABLES,
    rows=(IS_IT_WELL, WHAT_IS_WRONG, WHERE_KEYS_ARE, REFUSALS, LEAVING_KEYS, NETWORK),
    firing=FIRING,
    tags=("validators", "slashing"),
    start="now-24h",
)
