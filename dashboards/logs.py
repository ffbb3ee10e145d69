"""Logs: who reports errors, of which class, who touched keys, and all lines about one slot or key."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.joins import CHOSEN
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, chosen_link
from stakewatch.grafana.panels import Stat, Timeseries
from stakewatch.grafana.queries import LogQuery, Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.text_panels import Logs
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import LOGS, TextVariable, contract_variables

FIRING = (
    'ALERTS{alertstate="firing",cluster=~"$cluster|",network=~"$network|",instance=~"$instance|",'
    'alertname=~".+Logs|ValidatorPodExec|KeystoreSecretRead|KeymanagerApiCalled|SignerUnauthorisedAccess|'
    'LogShipperDropping"}'
)
SLOT = TextVariable("slot", ".*", "The number of a slot, or an expression such as 1234.*", "Slot")
KEY = TextVariable("key", ".*", "The beginning of a public key, then .*: 0x8f0e.*", "Public key")
VALIDATOR = TextVariable("validator", ".*", "The index of a validator", "Validator")
WORDS = TextVariable("words", "", "Words in the line, or an expression; upper and lower case alike", "Words")

# Loki wants one matcher that cannot be empty. Lines of a machine have no network.
CHOSEN_STREAMS = 'implementation=~".+",cluster=~"$cluster",network=~"$network",instance=~"$instance"'
AUDIT = 'implementation="kubernetes-audit",cluster=~"$cluster"'
NO_FLOODS = 'level!~"trace|debug"'
BAD = 'level=~"error|fatal"'
CLASSIFIED = "| error_class != ``"
KEYS = "| error_class =~ `slashable|slashing_database_missing|doppelganger|keys_changed|access_refused`"
# Strings between back-quotes, so that what is typed in needs no escapes.
TYPED_IN = "|~ `(?i)$words` | slot =~ `$slot` | pubkey =~ `$key` | validator_index =~ `$validator`"
CHOSEN_PROCESSES = f'{CHOSEN},network=~"$network",instance=~"$instance"'
NEEDS_LOKI = "Needs Loki, with the streams of loki/pipelines.yaml."
NEEDS_RULER = "Needs Loki's ruler, with loki/rules/."

THIS_PROCESS = board_link("fleet_overview", "This process", ("cluster", "instance"))
THE_SHIPPERS = chosen_link("monitoring", "Log shippers", ("cluster",))


def lines(*matchers: str) -> str:
    """Return a selector of the lines of the chosen processes."""
    return f"{{{','.join((CHOSEN_STREAMS, *matchers))}}}"


def per_second(selection: str, *labels: str) -> str:
    """Return the lines per second of a selection, by labels."""
    return f"sum by ({', '.join(labels)}) (rate({selection} [$__auto]))"


def how_many(selection: str, *labels: str) -> str:
    """Return how many lines a selection has at each point, by labels."""
    return f"sum by ({', '.join(labels)}) (count_over_time({selection} [$__auto]))"


def newest(recorded: str, *labels: str) -> str:
    """Return what Loki's ruler counted in the last 5 minutes, the greatest of several Loki, by labels."""
    by = ", ".join(("cluster", "network", "instance", *labels))
    return f"max by ({by}) ({recorded}{{{CHOSEN_PROCESSES}}})"


IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Fatal lines",
        description="Lines of the highest level, and last words of programs, in the last 5 minutes. Normal: "
        f"0. {NEEDS_RULER}",
        unit="none",
        queries=(Query(f"sum({newest('instance:fatal_log_lines:count5m')}) or vector(0)", "lines"),),
        steps=steps(start="green", red=1),
    ),
    Stat(
        title="Lines of known errors",
        description="Lines of the last 5 minutes that loki/pipelines.yaml knows as an error of a class: "
        f"payload invalid, JWT mismatch, database corrupt, …. Normal: 0. {NEEDS_RULER}",
        unit="none",
        queries=(
            Query(f"sum({newest('instance:error_log_lines:count5m', 'error_class')}) or vector(0)", "lines"),
        ),
        steps=steps(start="green", orange=1),
    ),
    Stat(
        title="Keys touched",
        description="Reads of secrets with keystores, and commands in pods, of the last 5 minutes by the "
        f"audit log. Normal: 0, but on a day that is planned. {NEEDS_RULER}",
        unit="none",
        queries=(
            Query(
                f"(sum(secret:keystore_read_audit_events:count5m{{{CHOSEN}}}) or vector(0))\n"
                f"+ (sum(pod:exec_audit_events:count5m{{{CHOSEN}}}) or vector(0))",
                "events",
            ),
        ),
        alerts=("KeystoreSecretRead", "ValidatorPodExec"),
        steps=steps(start="green", red=1),
    ),
    Stat(
        title="Errors per minute",
        description="Lines with the level error or fatal per minute, now. Normal: some; clients call much an "
        f"error that is none, so the change matters. {NEEDS_LOKI}",
        unit="suffix: per min",
        queries=(LogQuery(f"60 * sum(rate({lines(BAD)} [5m]))", "errors"),),
        colour="none",
        decimals=1,
    ),
    Stat(
        title="Processes that log",
        description="Processes of which a line came in the last 5 minutes. Normal: all that you run. Fewer: "
        f"a shipper is away, or a process says nothing. {NEEDS_LOKI}",
        unit="none",
        queries=(
            LogQuery(f"count(sum by (cluster, instance) (count_over_time({lines()} [5m])))", "processes"),
        ),
        colour="none",
        links=(THE_SHIPPERS,),
    ),
    Stat(
        title="Lines per second",
        description="Lines that come in now. Normal: 1 to 10 per process. A multiple of it: somebody "
        f"switched debug on. {NEEDS_LOKI}",
        unit="cps",
        queries=(LogQuery(f"sum(rate({lines()} [5m]))", "lines"),),
        colour="none",
        links=(THE_SHIPPERS,),
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is wrong",
    firing_alerts("Alerts on what logs tell that fire now", FIRING, "cluster", "instance", "pod"),
    Logs(
        title="Lines of known errors in full",
        description="Lines that are known as an error of a class, the newest first; a click on one "
        f"shows its fields. Normal: none. {NEEDS_LOKI}",
        queries=(LogQuery(f"{lines(NO_FLOODS)} {CLASSIFIED}", ""),),
    ),
    width=(10, 14),
    height=9,
)

ERRORS = row(
    "Who reports errors, and which?",
    Timeseries(
        title="Known errors by class",
        description="Lines of each class of errors at each point. Normal: none. relay_failed and "
        "node_unreachable come and go; slashable, doppelganger, database_corrupt never do. "
        f"{NEEDS_LOKI}",
        unit="suffix: lines",
        queries=(LogQuery(how_many(f"{lines(NO_FLOODS)} {CLASSIFIED}", "error_class"), "{{error_class}}"),),
        draw="bars",
        stack=True,
        no_value="none",
    ),
    Timeseries(
        title="Known errors by process",
        description="Lines of known errors of each process, as Loki's ruler counted them over 5 minutes. "
        f"Normal: none. One process: look at it; all at once: the network, or what they share. {NEEDS_RULER}",
        unit="suffix: lines",
        queries=(
            Query(newest("instance:error_log_lines:count5m", "error_class"), "{{instance}} {{error_class}}"),
        ),
        alerts=(
            "PayloadInvalidLogs",
            "SlashableLogs",
            "DoppelgangerLogs",
            "SlashingDatabaseMissingLogs",
            "DatabaseCorruptLogs",
            "JwtMismatchLogs",
        ),
        steps=steps(start="green", orange=1),
        no_value="none",
        links=(THIS_PROCESS,),
    ),
    Timeseries(
        title="Fatal lines by process",
        description="Lines of the highest level of each process, as Loki's ruler counted them over 5 "
        f"minutes. Normal: none. {NEEDS_RULER}",
        unit="suffix: lines",
        queries=(Query(newest("instance:fatal_log_lines:count5m")),),
        alerts=("ClientFatalLogs",),
        no_value="none",
        links=(THIS_PROCESS,),
    ),
    Timeseries(
        title="Errors by process",
        description="Lines with the level error or fatal per second, by process. Normal: level. A step up on "
        f"one process: look at it first. {NEEDS_LOKI}",
        unit="cps",
        queries=(
            LogQuery(
                per_second(lines(BAD), "instance", "implementation"), "{{instance}} ({{implementation}})"
            ),
        ),
        no_value="none",
    ),
    Timeseries(
        title="Lines by level",
        description="Lines per second by level. Normal: info leads. No debug, unless somebody looks for "
        f"something. {NEEDS_LOKI}",
        unit="cps",
        queries=(LogQuery(per_second(lines(), "level"), "{{level}}"),),
        stack=True,
    ),
    Timeseries(
        title="Bytes by process",
        description="Bytes of logs per second, by process: what Loki has to keep for 90 days. Normal: below "
        f"5 kB/s each. {NEEDS_LOKI}",
        unit="Bps",
        queries=(
            LogQuery(
                f"topk(20, sum by (instance, implementation) (bytes_rate({lines()} [$__auto])))",
                "{{instance}} ({{implementation}})",
            ),
        ),
        stack=True,
    ),
)

SECURITY = row(
    "Who touched keys?",
    Table(
        title="Commands in pods and reads of keystores",
        description="Who went into a pod, and who read a secret with keystores, in the last 5 "
        f"minutes, by the audit log. Normal: nobody. {NEEDS_RULER}",
        unit="none",
        queries=(
            Query(
                f"max by (cluster, namespace, pod, action, user) (pod:exec_audit_events:count5m{{{CHOSEN}}})"
            ),
            Query(
                "max by (cluster, namespace, secret, action, user) "
                f"(secret:keystore_read_audit_events:count5m{{{CHOSEN}}})"
            ),
        ),
        columns=headed("cluster", "namespace", "pod", "secret", action="Action", user="User"),
        values=(Value("Commands", "none"), Value("Reads", "none")),
        alerts=("ValidatorPodExec", "KeystoreSecretRead"),
        no_value="nobody",
    ),
    Logs(
        title="Lines about keys",
        description="What clients and signers say of slashing protection, doppelgangers, changes of "
        f"keys, and refused access. Normal: none. {NEEDS_LOKI}",
        alerts=("KeymanagerApiCalled", "SignerUnauthorisedAccess"),
        queries=(LogQuery(f"{lines(NO_FLOODS)} {KEYS}", ""),),
    ),
    Logs(
        title="Audit log: pods and secrets",
        description="What was asked of Kubernetes about pods' shells and about secrets, the newest "
        f"first. Normal: the cluster's own controllers. {NEEDS_LOKI}",
        queries=(
            LogQuery(
                f'{{{AUDIT}}} | resource = "secrets" or subresource =~ "exec|attach|portforward"'
                ' | user !~ "system:.*"',
                "",
            ),
        ),
    ),
    width=(12, 12, 24),
    height=(9, 9, 8),
)

SEARCH = row(
    "All lines about one slot, key or word",
    Timeseries(
        title="Matching lines by process",
        description="Lines that match what is typed in above, by process. Normal: whatever you look "
        f"for. The order in which processes spoke is the story of an event. {NEEDS_LOKI}",
        unit="suffix: lines",
        queries=(LogQuery(how_many(f"{lines()} {TYPED_IN}", "instance"), "{{instance}}"),),
        draw="bars",
        stack=True,
        no_value="no line matches",
    ),
    Logs(
        title="Matching lines",
        description="Lines that match slot, public key, validator and words above, of the chosen "
        "processes. Normal: whatever you look for. `stakewatch logs trace` tells an event's time "
        f"line over all processes. {NEEDS_LOKI}",
        queries=(LogQuery(f"{lines()} {TYPED_IN}", ""),),
    ),
    width=24,
    height=(6, 14),
)

dashboard = Board(
    uid="logs",
    title="Logs",
    description="What clients, machines and Kubernetes write: who reports errors and of which class, who "
    "touched keys, and all lines about one slot, key or word. Numbers over long times are recorded by "
    "Loki's ruler and kept with the metrics.",
    variables=(
        contract_variables()[0],
        LOGS,
        *contract_variables()[1:],
        SLOT,
        KEY,
        VALIDATOR,
        WORDS,
    ),
    rows=(IS_IT_WELL, WHAT_IS_WRONG, ERRORS, SECURITY, SEARCH),
    firing=FIRING,
    tags=("logs", "security"),
    start="now-1h",
)
