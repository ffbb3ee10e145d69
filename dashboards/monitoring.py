"""What watches the fleet: does it see everything, are its figures of now, do its alerts reach anybody."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.groups import of_networks, per_network
from stakewatch.grafana.joins import CHOSEN, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link
from stakewatch.grafana.panels import Heatmap, Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, firing_alerts, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import DatasourceVariable, LabelVariable

FIRING = 'ALERTS{alertstate="firing",area="monitoring",alertname!="Watchdog",cluster=~"$cluster|"}'
NEEDS_ITS_OWN = "Needs Prometheus to scrape itself; absent with a managed evaluator such as AMP."
NEEDS_ALERTMANAGER = "Needs Prometheus to scrape Alertmanager; absent with a managed one."

MESSAGES = "alertmanager_notifications"
NODES = 'source="nodes"'
STATE = 'source="state"'
EXPORTER = 'role="exporter"'
STAKING = 'role!=""'
NOT_OK = 'outcome!="ok"'

THIS_NODE = board_link("fleet_overview", "This process", ("cluster", "instance"))


def itself(metric: str, *matchers: str) -> str:
    """Return a selector of what the exporters of the chosen networks say about themselves."""
    return of_networks(f"stakewatch_{metric}", *matchers)


def in_cluster(metric: str, *matchers: str) -> str:
    """Return a selector of a metric of Prometheus or Alertmanager in the chosen clusters."""
    return f"{metric}{{{','.join((CHOSEN, *matchers))}}}"


def per_second(metric: str, *matchers: str) -> str:
    """Return the rate of a counter of Prometheus or Alertmanager."""
    return f"rate({in_cluster(metric, *matchers)}[$__rate_interval])"


def gained(metric: str, *matchers: str) -> str:
    """Return what a counter of Prometheus or Alertmanager gained in the time range."""
    return f"increase({in_cluster(metric, *matchers)}[$__range])"


IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Watchdog",
        description="The alert that always fires: it proves that rules are evaluated. Normal: fires. That it "
        "also reaches a person is proved only by the heartbeat service that receives it.",
        unit="none",
        queries=(
            Query('count(ALERTS{alertname="Watchdog",alertstate="firing",cluster=~"$cluster|"})', "Watchdog"),
        ),
        alerts=("Watchdog",),
        states={1: State("fires", "green")},
        no_value="silent",
    ),
    Stat(
        title="Targets down",
        description="Targets of the chosen clusters that Prometheus cannot scrape. Normal: 0. The list below "
        "names them.",
        unit="none",
        alerts=("TargetDown", "RoleAbsent"),
        queries=(Query(f"sum(1 - {in_cluster('up')})", "down"),),
        steps=steps(start="green", orange=1),
    ),
    Stat(
        title="Age of node figures",
        description="Time since an exporter last heard from the nodes. Normal: below 30 s.",
        unit="s",
        queries=(
            Query(f"time() - {per_network(itself('last_update_timestamp_seconds', NODES))}", "{{network}}"),
        ),
        alerts=("ExporterDataStale",),
        decimals=0,
    ),
    Stat(
        title="Age of key figures",
        description="Time since an exporter last took in the state of the network. Normal: up to one epoch "
        "(6.4 minutes) and a little. Older: alerts on keys are silent.",
        unit="s",
        queries=(
            Query(f"time() - {per_network(itself('last_update_timestamp_seconds', STATE))}", "{{network}}"),
        ),
        steps=steps(start="green", orange=600, red=1200),
        decimals=0,
    ),
    Stat(
        title="Source of figures",
        description="The way in which the exporter reads balances: best is ssz, then json_network, "
        "json_watched and blocks, each with less to say about the network. Normal: ssz.",
        unit="none",
        alerts=("ExporterTierDegraded",),
        queries=(Query(f"{per_network(itself('source_tier'), 'tier')} == 1", "{{network}} {{tier}}"),),
        states={1: State("in use", "blue")},
        colour="none",
        named=True,
    ),
    Stat(
        title="Exporters",
        description="Exporters that answer Prometheus. Normal: as many as you run; two in different places "
        "are best.",
        unit="none",
        queries=(Query(f"sum({in_cluster('up', EXPORTER)})", "answer"),),
        steps=steps(start="red", green=1),
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is not seen?",
    firing_alerts("Alerts about the monitoring itself that fire now", FIRING, "instance"),
    Table(
        title="Targets that are down",
        description="Targets that Prometheus cannot scrape now. Normal: none. A staking process here may "
        "still work: its metrics port is not its API.",
        unit="none",
        alerts=("TargetDown",),
        queries=(Query(f"{in_cluster('up')} == 0"),),
        columns={
            "cluster": "Cluster",
            "job": "Job",
            "instance": "Instance",
            "role": "Role",
            "implementation": "Implementation",
        },
        no_value="all are up",
    ),
    StateTimeline(
        title="Targets over time",
        description="Whether each staking process and exporter could be scraped. Normal: all bands green.",
        unit="none",
        queries=(
            Query(
                f"min by (cluster, instance, role) ({in_cluster('up', STAKING)})", "{{instance}} ({{role}})"
            ),
        ),
        states={0: State("down", "red"), 1: State("up", "green")},
        links=(THIS_NODE,),
    ),
    height=10,
)

THE_EXPORTER = row(
    "The exporter: are its figures right and of now?",
    Timeseries(
        title="Age of figures",
        description="Time since each source last gave good data, of the exporter that is best off. Normal: "
        "nodes and slots below a minute, state below 7 minutes.",
        unit="s",
        queries=(
            Query(
                f"time() - {per_network(itself('last_update_timestamp_seconds'), 'source')}",
                "{{network}} {{source}}",
            ),
        ),
    ),
    Timeseries(
        title="Requests by outcome",
        description="Requests of the exporters to nodes by how they ended. Normal: all ok; http_4xx where a "
        "node lacks an endpoint. rate_limited: the node, or what stands before it, wants fewer.",
        unit="reqps",
        queries=(
            Query(
                f"sum by (network, outcome) (rate({itself('requests_total')}[$__rate_interval])) > 0",
                "{{network}} {{outcome}}",
            ),
        ),
        stack=True,
    ),
    Timeseries(
        title="Failed requests by node",
        description="Requests of the exporters that failed, by node and outcome. Normal: none.",
        unit="reqps",
        queries=(
            Query(
                "sum by (network, instance, outcome) "
                f"(rate({itself('requests_total', NOT_OK)}[$__rate_interval])) > 0",
                "{{instance}} {{outcome}}",
            ),
        ),
        no_value="none fails",
    ),
    Heatmap(
        title="Duration of requests",
        description="How long requests of the exporters take, all nodes together. Normal: most below 0.1 s, "
        "states of the whole network some seconds once per epoch.",
        unit="s",
        queries=(
            Query(
                f"sum by (le) (increase({itself('request_duration_seconds_bucket')}[$__rate_interval]))",
                "{{le}}",
            ),
        ),
    ),
    Timeseries(
        title="Newest epoch and slot",
        description="How far the exporter has read the chain: the newest settled epoch and the newest slot, "
        "per network. Normal: both climb without a pause.",
        unit="none",
        queries=(
            Query(per_network(itself("last_processed_epoch")), "{{network}} epoch"),
            Query(per_network(itself("last_processed_slot")), "{{network}} slot"),
        ),
        calculations=("lastNotNull",),
        minimum=None,
    ),
    Timeseries(
        title="What is left out",
        description="Series that limits cut, epochs that were not filled in after a gap, and figures that a "
        "reorganisation took back, in the time range. Normal: 0; a correction now and then.",
        unit="none",
        queries=(
            Query(
                f"max by (network, family) (increase({itself('offenders_cut_total')}[$__range]))",
                "{{network}} cut: {{family}}",
            ),
            Query(
                f"max by (network) (increase({itself('epochs_skipped_total')}[$__range]))",
                "{{network}} epochs skipped",
            ),
            Query(
                f"max by (network, kind) (increase({itself('corrections_total')}[$__range]))",
                "{{network}} corrected: {{kind}}",
            ),
        ),
    ),
)

SCRAPING = row(
    "Prometheus: does it see everything?",
    Timeseries(
        title="Slowest scrapes",
        description="Duration of the ten slowest scrapes. Normal: below 1 s. Near the scrape interval of "
        "15 s: samples are lost.",
        unit="s",
        queries=(Query(f"topk(10, {in_cluster('scrape_duration_seconds')})", "{{job}} {{instance}}"),),
    ),
    Timeseries(
        title="Largest scrapes",
        description="Samples of the ten largest targets. Normal: some thousand per client; a target that "
        "grows without end makes Prometheus grow with it.",
        unit="none",
        queries=(Query(f"topk(10, {in_cluster('scrape_samples_scraped')})", "{{job}} {{instance}}"),),
    ),
    Timeseries(
        title="Series and samples",
        description="Series in memory, and samples taken in per second. Normal: flat, with a step when a "
        f"process is added. {NEEDS_ITS_OWN}",
        unit="none",
        queries=(
            Query(newest(in_cluster("prometheus_tsdb_head_series")), "{{instance}} series"),
            Query(
                newest(per_second("prometheus_tsdb_head_samples_appended_total")), "{{instance}} samples/s"
            ),
        ),
    ),
)

ALERTING = row(
    "Rules and notifications: do alerts get out?",
    Timeseries(
        title="Time to evaluate rules",
        description="Duration of the newest evaluation of each group of rules, as a share of its interval. "
        f"Normal: below 0.1. At 1 evaluations are left out. {NEEDS_ITS_OWN}",
        unit="percentunit",
        alerts=("RuleEvaluationSlow",),
        queries=(
            Query(
                "max by (cluster, instance, rule_group) (\n"
                f"  {in_cluster('prometheus_rule_group_last_duration_seconds')}\n"
                f"  / {in_cluster('prometheus_rule_group_interval_seconds')}\n"
                ")",
                "{{rule_group}}",
            ),
        ),
    ),
    Timeseries(
        title="Failures of rules",
        description="Evaluations that failed or were left out, per second. Normal: 0. Otherwise some alerts "
        f"cannot fire. {NEEDS_ITS_OWN}",
        unit="cps",
        alerts=("RuleEvaluationFailing",),
        queries=(
            Query(newest(per_second("prometheus_rule_evaluation_failures_total")), "{{instance}} failed"),
            Query(
                newest(per_second("prometheus_rule_group_iterations_missed_total")), "{{instance}} left out"
            ),
        ),
    ),
    Timeseries(
        title="Notifications",
        description="Alerts that Prometheus handed to Alertmanager, and those that it had to drop. Normal: "
        f"none dropped. {NEEDS_ITS_OWN}",
        unit="cps",
        queries=(
            Query(newest(per_second("prometheus_notifications_sent_total")), "{{instance}} sent"),
            Query(newest(per_second("prometheus_notifications_dropped_total")), "{{instance}} dropped"),
        ),
    ),
    Timeseries(
        title="Messages of Alertmanager",
        description="Messages to receivers that went out and that failed, by kind of receiver. Normal: none "
        f"fails. {NEEDS_ALERTMANAGER}",
        unit="cps",
        queries=(
            Query(
                f"sum by (cluster, integration) ({per_second(MESSAGES + '_total')}) > 0",
                "{{integration}}",
            ),
            Query(
                f"sum by (cluster, integration) ({per_second(MESSAGES + '_failed_total')}) > 0",
                "{{integration}} failed",
            ),
        ),
        no_value="none sent",
    ),
    StateTimeline(
        title="Configuration loaded",
        description="Whether the newest configuration of Prometheus and Alertmanager was taken. Normal: yes. "
        f"Otherwise they run with an older one. {NEEDS_ITS_OWN}",
        unit="none",
        alerts=("ConfigReloadFailing",),
        queries=(
            Query(
                newest(in_cluster("prometheus_config_last_reload_successful")), "{{instance}} (Prometheus)"
            ),
            Query(
                newest(in_cluster("alertmanager_config_last_reload_successful")),
                "{{instance}} (Alertmanager)",
            ),
        ),
        states={0: State("refused", "red"), 1: State("loaded", "green")},
    ),
    Timeseries(
        title="Remote write",
        description="Samples per second sent to AMP or another store, failed and dropped ones. Normal: none "
        f"fails. Absent without remote write. {NEEDS_ITS_OWN}",
        unit="cps",
        queries=(
            Query(newest(per_second("prometheus_remote_storage_samples_total")), "{{instance}} sent"),
            Query(
                newest(per_second("prometheus_remote_storage_samples_failed_total")), "{{instance}} failed"
            ),
            Query(
                newest(per_second("prometheus_remote_storage_samples_dropped_total")), "{{instance}} dropped"
            ),
        ),
    ),
    Timeseries(
        title="Remote write behind",
        description="How far behind now the newest sample is that was sent, by queue. Normal: some seconds. "
        f"The dashed line is the alert's threshold. {NEEDS_ITS_OWN}",
        unit="s",
        queries=(
            Query(
                "time() - max by (cluster, instance, remote_name) ("
                + in_cluster("prometheus_remote_storage_queue_highest_sent_timestamp_seconds")
                + " > 0)",
                "{{instance}} {{remote_name}}",
            ),
        ),
        alerts=("RemoteWriteBehind",),
        no_value="no remote write",
    ),
    Timeseries(
        title="Samples lost on the way",
        description="Share of the samples of remote write that failed for good. Normal: 0. The dashed line "
        f"is the alert's threshold: what is lost is not in any board that reads the far end. {NEEDS_ITS_OWN}",
        unit="percentunit",
        queries=(
            Query(
                "sum by (cluster, instance, remote_name) ("
                f"{per_second('prometheus_remote_storage_samples_failed_total')})\n"
                "/ (sum by (cluster, instance, remote_name) ("
                f"{per_second('prometheus_remote_storage_samples_total')}) > 0)",
                "{{instance}} {{remote_name}}",
            ),
        ),
        alerts=("RemoteWriteDropping",),
        no_value="no remote write",
    ),
    Timeseries(
        title="Notifications that fail",
        description="Share of the messages to receivers that failed, by kind of receiver. Normal: 0. The "
        f"dashed line is the alert's threshold. {NEEDS_ALERTMANAGER}",
        unit="percentunit",
        queries=(
            Query(
                f"sum by (cluster, integration) ({per_second(MESSAGES + '_failed_total')})\n"
                f"/ (sum by (cluster, integration) ({per_second(MESSAGES + '_total')}) > 0)",
                "{{integration}}",
            ),
        ),
        alerts=("NotificationsFailing",),
        no_value="none sent",
    ),
    Timeseries(
        title="Log lines lost",
        description="Lines of logs that Alloy or Promtail gave up, by reason. Normal: none. Alerts on logs "
        "may have missed them. Needs the shippers' own metrics.",
        unit="suffix: lines/s",
        queries=(
            Query(
                "sum by (cluster, instance, reason) ("
                f"{per_second('promtail_dropped_entries_total')} or "
                f"{per_second('loki_write_dropped_entries_total')})",
                "{{instance}} {{reason}}",
            ),
        ),
        alerts=("LogShipperDropping",),
        no_value="no shipper",
    ),
    Timeseries(
        title="Certificates end in",
        description="Time until certificates end, as the blackbox exporter or cert-manager knows them. "
        "Normal: more than the alert's threshold, two weeks. Absent without either.",
        unit="s",
        queries=(
            Query(
                f"min by (cluster, instance) ({in_cluster('probe_ssl_earliest_cert_expiry')}) - time()",
            ),
            Query(
                "min by (cluster, namespace, name) ("
                + in_cluster("certmanager_certificate_expiration_timestamp_seconds")
                + " > 0) - time()",
                "{{namespace}}/{{name}}",
            ),
        ),
        alerts=("CertificateExpiresSoon",),
        no_value="none known",
        minimum=None,
    ),
    Stat(
        title="Kept for",
        description="How long Prometheus keeps samples by its settings. Normal: 90 days or more, which is "
        f"the alert's threshold; less is enough with remote write. {NEEDS_ITS_OWN}",
        unit="s",
        queries=(Query(newest(f"{in_cluster('prometheus_tsdb_retention_limit_seconds')} > 0")),),
        alerts=("RetentionTooShort",),
        colour="value",
        no_value="no limit in time",
    ),
)

WHAT_RUNS = row(
    "What runs",
    Table(
        title="Versions",
        description="Version of each exporter. Normal: one version.",
        unit="none",
        queries=(Query(per_network(itself("build_info"), "instance", "version", "revision")),),
        columns={
            "network": "Network",
            "instance": "Exporter",
            "version": "Version",
            "revision": "Revision",
        },
    ),
    Table(
        title="Prometheus",
        description=f"Version of each Prometheus. Normal: one version. {NEEDS_ITS_OWN}",
        unit="none",
        queries=(Query(f"max by (cluster, instance, version) ({in_cluster('prometheus_build_info')})"),),
        columns=headed("cluster", "instance", "version"),
    ),
    width=12,
    height=6,
)

dashboard = Board(
    uid="monitoring",
    title="Monitoring itself",
    description="What watches the fleet: are all targets seen, are the exporter's figures right and of now, "
    "are rules evaluated, do notifications get out. If this board is not well, no other can be trusted.",
    variables=(
        DatasourceVariable(),
        LabelVariable("cluster", "cluster", "up", "Clusters that have targets"),
        LabelVariable(
            "network", "network", "stakewatch_last_processed_slot", "Networks that an exporter watches"
        ),
    ),
    rows=(IS_IT_WELL, WHAT_IS_WRONG, THE_EXPORTER, SCRAPING, ALERTING, WHAT_RUNS),
    firing=FIRING,
    tags=("monitoring",),
)
