"""Volumes and disks: do they fill, do they reach what gp3 grants, and do they answer in time."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.joins import CHOSEN
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, row_link
from stakewatch.grafana.machines import (
    CLUSTER,
    MACHINE,
    NAMESPACE,
    REAL_DISK,
    in_clusters,
    in_namespaces,
    machine,
    per_machine,
)
from stakewatch.grafana.panels import Gauge, Heatmap, Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import DatasourceVariable, TextVariable

FIRING = (
    'ALERTS{alertstate="firing",alertname=~"Volume.+|FilesystemReadOnly|Ebs.+|DiskLatencyHigh|'
    'PersistentVolumeNotRetained",cluster=~"$cluster",namespace=~"$namespace|"}'
)
IOPS = TextVariable(
    "iops",
    "3000",
    "Operations per second that the volumes were given: 3,000 as gp3 comes; no metric tells",
    "IOPS of a volume",
)
THROUGHPUT = TextVariable(
    "throughput",
    "125",
    "MiB per second that the volumes were given: 125 as gp3 comes; no metric tells",
    "MiB/s of a volume",
)
MEBIBYTE = 1_048_576
NEEDS_DRIVER = "Needs the EBS CSI driver with node.enableMetrics=true, and Nitro machines."
NEEDS_KUBELET = "Needs the kubelet's own metrics; a volume is seen only while its pod runs."
NEEDS_KUBE_STATE_METRICS = "Needs kube-state-metrics."

DRIVER_TELLS = in_clusters("aws_ebs_csi_volume_queue_length")
DATA = 'fstype=~"ext[234]|xfs|btrfs|zfs|f2fs"'
CLAIM = "cluster, namespace, persistentvolumeclaim"
CLAIM_LEGEND = "{{namespace}}/{{persistentvolumeclaim}}"
VOLUME_LEGEND = "{{namespace}}/{{persistentvolumeclaim}} {{volume_id}}"
DISK_LEGEND = "{{instance}} {{device}}"
OF_DISKS = 'device!=""'
EXISTING = 'persistentvolumeclaim!=""'

THIS_MACHINE = board_link("eks_node", "This machine", ("cluster", "instance"))


def per_second(metric: str) -> str:
    """Return the rate of a counter of the EBS driver, per volume."""
    return f"sum by (cluster, volume_id) (rate({in_clusters(metric)}[$__rate_interval]))"


def of_volumes(expression: str, legend: str = VOLUME_LEGEND) -> Query:
    """Return `expression`, one value per EBS volume, with the claim that the volume belongs to.

    Volumes of no known claim are shown too.
    """
    return Query(
        f"(\n{expression}\n)\n"
        "* on (cluster, volume_id) group_left (namespace, persistentvolumeclaim)\n"
        f"{in_namespaces('ebs:claim:info')}\n"
        "or on (cluster, volume_id)\n"
        f"(\n{expression}\n)\n"
        f"unless on (cluster, volume_id) {in_clusters('ebs:claim:info')}",
        legend,
    )


def of_disks(expression: str) -> Query:
    """Return `expression`, one value per disk, for clusters in which the EBS driver does not tell."""
    return Query(f"(\n{expression}\n)\nunless on (cluster) {DRIVER_TELLS}", DISK_LEGEND)


def disk_rate(*metrics: str) -> str:
    """Return the sum of the rates of counters of node_exporter, per disk of the chosen machines."""
    rates = " + ".join(f"rate({machine(metric, REAL_DISK)}[$__rate_interval])" for metric in metrics)
    return f"max by (cluster, instance, device) ({rates})"


def with_process(expression: str) -> Query:
    """Return `expression`, one value per claim, with the staking process that uses it."""
    return Query(
        f"{expression}\n* on ({CLAIM}) group_left (instance, role)\n"
        f"{in_namespaces('volume:stakewatch_process:info')}\n"
        f"or on ({CLAIM})\n{expression}",
        CLAIM_LEGEND,
    )


def held_back(of: str, recorded: str, *, alert: str, remark: str = "") -> Timeseries:
    """Return the share of time in which volumes were held back, and by what; `of` is what ran short."""
    query = of_volumes(
        f"max by (cluster, volume_id, limited_by) ({in_clusters(recorded)})",
        f"{VOLUME_LEGEND} by its {{{{limited_by}}}}",
    )
    return Timeseries(
        title=f"Time held back for {of}",
        description="Share of the time in which a volume waited for "
        f"{'throughput' if of == 'bytes' else of}, and whether the volume's own limit or the machine's was "
        f"reached. Normal: 0. The dashed line is the alert's threshold. {remark}{NEEDS_DRIVER}",
        unit="percentunit",
        queries=(query,),
        alerts=(alert,),
        maximum=1,
        no_value="not told",
    )


OPERATIONS = f"{per_second('aws_ebs_csi_read_ops_total')}\n+ {per_second('aws_ebs_csi_write_ops_total')}"
BYTES = f"{per_second('aws_ebs_csi_read_bytes_total')}\n+ {per_second('aws_ebs_csi_write_bytes_total')}"
READ_ONLY = (
    f"min by (cluster, instance, device) ({machine('node_filesystem_readonly', DATA)}) == 1\n"
    f"and on (cluster, instance, device) {machine('node_filesystem_size_bytes')} >= 10737418240"
)

IS_IT_WELL = row(
    "Is it well?",
    Gauge(
        title="Fullest volume",
        description="The fullest claim or disk of each cluster. Normal: below the alert's threshold. A "
        "client on a full disk stops, and may leave a database that only a resync repairs.",
        unit="percentunit",
        queries=(Query(f"max by (cluster) ({in_clusters('volume:used:ratio')})", "{{cluster}}"),),
        alerts=("VolumeAlmostFull",),
    ),
    Gauge(
        title="Most inodes used",
        description="The greatest share of inodes in use of a claim or disk. Normal: below 0.1, since chain "
        "databases have few files.",
        unit="percentunit",
        queries=(Query(f"max by (cluster) ({in_clusters('volume:inodes_used:ratio')})", "{{cluster}}"),),
        alerts=("VolumeInodesLow",),
        decimals=1,
    ),
    Stat(
        title="Read-only file systems",
        description="File systems for data, of 10 GiB or more, that can only be read. Normal: 0. The kernel "
        "does that when a disk fails, and every database on it stops.",
        unit="none",
        queries=(
            Query(
                f"count by (cluster) ({READ_ONLY})\n"
                f"or 0 * count by (cluster) ({machine('node_filesystem_readonly', DATA)})",
                "{{cluster}}",
            ),
        ),
        alerts=("FilesystemReadOnly",),
        steps=steps(start="green", red=1),
    ),
    Gauge(
        title="Held back for operations",
        description="The greatest share of time in which a volume waited because it, or its machine, had no "
        f"more operations to give. Normal: 0. {NEEDS_DRIVER} Else 1 is a disk that waits at what gp3 gives.",
        unit="percentunit",
        queries=(
            Query(
                f"max by (cluster) ({in_clusters('ebs:iops_exceeded:ratio')}"
                f" or {in_clusters('disk:ebs_at_iops_baseline:info')})",
                "{{cluster}}",
            ),
        ),
        alerts=("EbsIopsExceeded",),
        no_value="not told",
    ),
    Gauge(
        title="Held back for bytes",
        description="The greatest share of time in which a volume waited because it, or its machine, had no "
        f"more bytes per second to give. Normal: 0. {NEEDS_DRIVER} Else 1 is a disk that waits at what gp3 "
        "gives.",
        unit="percentunit",
        queries=(
            Query(
                f"max by (cluster) ({in_clusters('ebs:throughput_exceeded:ratio')}"
                f" or {in_clusters('disk:ebs_at_throughput_baseline:info')})",
                "{{cluster}}",
            ),
        ),
        alerts=("EbsThroughputExceeded",),
        no_value="not told",
    ),
    Stat(
        title="Slowest disk",
        description="Mean time of an operation on the disk of each cluster that takes longest, of those "
        "that work. Normal: 1 to 2 ms on gp3, 0.1 ms on a local NVMe disk.",
        unit="s",
        queries=(Query(f"max by (cluster) ({in_clusters('disk:latency:seconds')})", "{{cluster}}"),),
        alerts=("DiskLatencyHigh",),
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is wrong",
    firing_alerts(
        "Alerts on volumes and disks of the chosen clusters that fire now",
        FIRING,
        "cluster",
        "persistentvolumeclaim",
        "device",
        "instance",
    ),
    Table(
        title="Claims",
        description="Each claim with the staking process that uses it: how large it is, how full now "
        "and in 8 hours at its present pace. Normal: below 0.9 in both. "
        f"{NEEDS_KUBELET}",
        unit="none",
        queries=tuple(
            with_process(f"max by ({CLAIM}) ({expression})")
            for expression in (
                in_namespaces("kubelet_volume_stats_capacity_bytes"),
                in_namespaces("volume:used:ratio", EXISTING),
                in_namespaces("volume:used_in_8h:ratio", EXISTING),
                in_namespaces("volume:inodes_used:ratio", EXISTING),
            )
        ),
        columns=headed("cluster", "namespace", "persistentvolumeclaim", instance="Process"),
        values=(
            Value("Size", "bytes"),
            Value("Used", "percentunit"),
            Value("In 8 hours", "percentunit"),
            Value("Inodes", "percentunit"),
        ),
        column_links={
            "Process": (
                row_link(
                    "fleet_overview",
                    "This process",
                    {"cluster": "Cluster", "instance": "Process"},
                ),
            ),
        },
    ),
    width=(10, 14),
)

SPACE = row(
    "Space: does something fill?",
    Timeseries(
        title="Claims used",
        description="How full each claim of the chosen namespaces is. Normal: a slow climb. The dashed line "
        f"is the alert's threshold. {NEEDS_KUBELET}",
        unit="percentunit",
        queries=(Query(f"max by ({CLAIM}) ({in_namespaces('volume:used:ratio', EXISTING)})", CLAIM_LEGEND),),
        alerts=("VolumeAlmostFull",),
        maximum=1,
    ),
    Timeseries(
        title="Disks used",
        description="How full each disk of the chosen machines is; claims have a panel of their own. Normal: "
        "below the alert's threshold, and no step upwards that stays.",
        unit="percentunit",
        queries=(
            Query(
                f"max by (cluster, instance, device) ({machine('volume:used:ratio', OF_DISKS)})", DISK_LEGEND
            ),
        ),
        alerts=("VolumeAlmostFull",),
        maximum=1,
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Full within 8 hours",
        description="How full those claims and disks are that will be full within 8 hours at their present "
        "pace. Normal: none. Above the alert's threshold somebody is paged.",
        unit="percentunit",
        queries=(
            Query(
                f"max by ({CLAIM}, instance, device) ({in_clusters('volume:used_if_full_in_8h:ratio')})",
                f"{CLAIM_LEGEND} {DISK_LEGEND}",
            ),
        ),
        alerts=("VolumeFullSoon",),
        maximum=1,
        no_value="none",
    ),
    Timeseries(
        title="Growth per day",
        description="Bytes that each claim would grow by in a day at the pace of the last 6 hours. Normal: "
        "some GB for an execution node on mainnet, less for a beacon node. Much more: a first "
        "synchronisation, or something that is not cleaned up.",
        unit="bytes",
        queries=(
            Query(
                f"max by ({CLAIM}) (deriv({in_namespaces('kubelet_volume_stats_used_bytes')}[6h])) * 86400",
                CLAIM_LEGEND,
            ),
        ),
        minimum=None,
    ),
    Timeseries(
        title="Days until full",
        description="When each claim that grows is full at the pace of the last 6 hours. Normal: weeks. "
        "Enlarge it in working hours; EBS does that without a restart.",
        unit="d",
        queries=(
            Query(
                f"max by ({CLAIM}) ({in_namespaces('kubelet_volume_stats_available_bytes')})\n"
                f"/ (max by ({CLAIM}) (deriv({in_namespaces('kubelet_volume_stats_used_bytes')}[6h])) > 0)\n"
                "/ 86400",
                CLAIM_LEGEND,
            ),
        ),
        steps=steps(start="red", orange=1, green=14),
        no_value="nothing grows",
    ),
    Timeseries(
        title="Inodes used",
        description="Share of the inodes of each claim and disk in use. Normal: below 0.1. The dashed line "
        "is the alert's threshold: without a free one no file can be made.",
        unit="percentunit",
        queries=(
            Query(
                f"max by ({CLAIM}, instance, device) ({in_clusters('volume:inodes_used:ratio')})",
                f"{CLAIM_LEGEND} {DISK_LEGEND}",
            ),
        ),
        alerts=("VolumeInodesLow",),
        maximum=1,
    ),
)

LIMITS = row(
    "Operations and bytes: do they reach what was paid for?",
    Timeseries(
        title="Operations of the limit",
        description="Reads and writes per second of each volume as a share of what a volume may do, which is "
        "the number above. Normal: below 0.5 with peaks at each epoch. A flat line at 1: it is throttled. "
        "Disks of machines where the EBS driver does not tell.",
        unit="percentunit",
        queries=(
            of_volumes(f"({OPERATIONS}) / $iops"),
            of_disks(
                disk_rate("node_disk_reads_completed_total", "node_disk_writes_completed_total") + " / $iops"
            ),
        ),
        steps=steps(start="green", orange=0.8, red=0.95),
    ),
    Timeseries(
        title="Throughput of the limit",
        description="Bytes per second of each volume as a share of what a volume may do, which is the number "
        "above. Normal: below 0.5; compaction makes peaks. A flat line at 1: it is throttled. Disks of "
        "machines where the EBS driver does not tell.",
        unit="percentunit",
        queries=(
            of_volumes(f"({BYTES}) / ($throughput * {MEBIBYTE})"),
            of_disks(
                disk_rate("node_disk_read_bytes_total", "node_disk_written_bytes_total")
                + f" / ($throughput * {MEBIBYTE})"
            ),
        ),
        steps=steps(start="green", orange=0.8, red=0.95),
    ),
    held_back(
        "operations",
        "ebs:iops_exceeded:ratio",
        alert="EbsIopsExceeded",
        remark="By the machine: a larger volume does not help. ",
    ),
    held_back("bytes", "ebs:throughput_exceeded:ratio", alert="EbsThroughputExceeded"),
    Timeseries(
        title="Reads and writes",
        description="Operations per second of each EBS volume. Normal: hundreds; reads lead on execution "
        f"nodes. {NEEDS_DRIVER}",
        unit="iops",
        queries=(
            of_volumes(per_second("aws_ebs_csi_read_ops_total"), f"{VOLUME_LEGEND} reads"),
            of_volumes(per_second("aws_ebs_csi_write_ops_total"), f"{VOLUME_LEGEND} writes"),
        ),
        no_value="not told",
    ),
    Timeseries(
        title="Bytes read and written",
        description="Bytes per second of each EBS volume. Normal: some tens of MB/s in peaks. "
        f"{NEEDS_DRIVER}",
        unit="Bps",
        queries=(
            of_volumes(per_second("aws_ebs_csi_read_bytes_total"), f"{VOLUME_LEGEND} read"),
            of_volumes(per_second("aws_ebs_csi_write_bytes_total"), f"{VOLUME_LEGEND} written"),
        ),
        no_value="not told",
    ),
    width=12,
)

ANSWERS = row(
    "Do they answer in time?",
    Timeseries(
        title="Time per operation of disks",
        description="Mean time of a read or write of each disk of the chosen machines that works. Normal: 1 "
        "to 2 ms on gp3. The dashed line is the alert's threshold.",
        unit="s",
        queries=(
            Query(f"max by (cluster, instance, device) ({machine('disk:latency:seconds')})", DISK_LEGEND),
        ),
        alerts=("DiskLatencyHigh",),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Disks busy",
        description="Share of the time in which each disk had something to do. Normal: below 0.5. On NVMe "
        "and EBS, which do much at once, 1 alone is no limit: look at the time per operation.",
        unit="percentunit",
        queries=(Query(disk_rate("node_disk_io_time_seconds_total"), DISK_LEGEND),),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Operations under way",
        description="Mean number of operations that each disk has under way. Normal: below 10. Growing with "
        "a flat number of operations: the disk, or its limit, holds them back.",
        unit="none",
        queries=(Query(disk_rate("node_disk_io_time_weighted_seconds_total"), DISK_LEGEND),),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Time per operation of volumes",
        description="Mean time of a read and of a write of each EBS volume, as EBS measures it. Normal: 0.5 "
        f"to 2 ms. Short here and long on the disk: the machine holds it back. {NEEDS_DRIVER}",
        unit="s",
        queries=tuple(
            of_volumes(
                f"{per_second(f'aws_ebs_csi_{kind}_seconds_total')}\n"
                f"/ ({per_second(f'aws_ebs_csi_{kind}_ops_total')} > 0)",
                f"{VOLUME_LEGEND} {kind}",
            )
            for kind in ("read", "write")
        ),
        no_value="not told",
    ),
    Timeseries(
        title="Queue of volumes",
        description="Operations that wait at each EBS volume. Normal: below 1 per 1,000 operations that it "
        f"may do in a second. {NEEDS_DRIVER}",
        unit="none",
        queries=(
            of_volumes(f"max by (cluster, volume_id) ({in_clusters('aws_ebs_csi_volume_queue_length')})"),
        ),
        no_value="not told",
    ),
    Timeseries(
        title="Waiting for disks",
        description="Share of time in which something on a machine waited for a disk (the kernel's pressure "
        "stall information). Normal: below 0.3. Absent where the kernel has it switched off.",
        unit="percentunit",
        queries=(
            Query(
                per_machine(f"rate({machine('node_pressure_io_waiting_seconds_total')}[$__rate_interval])")
            ),
        ),
        links=(THIS_MACHINE,),
    ),
    *(
        Heatmap(
            title=f"How long {kind}s take",
            description=f"All {kind}s of the chosen clusters' EBS volumes by the time that they took. "
            f"Normal: one band near 1 ms. A second band far above it: some wait. {NEEDS_DRIVER}",
            unit="s",
            queries=(
                Query(
                    "sum by (le) (rate("
                    f"{in_clusters(f'aws_ebs_csi_{kind}_io_latency_seconds_bucket')}[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
        )
        for kind in ("read", "write")
    ),
)

VOLUMES = row(
    "Volumes and claims",
    Table(
        title="Volumes of claims",
        description="Which volume each claim has, of which class, and what happens to it when the "
        "claim is deleted. Normal: Retain. Delete: a claim deleted by mistake takes its chain along. "
        f"{NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            Query(
                "max by (cluster, namespace, persistentvolumeclaim, storageclass, volumename) ("
                f"{in_namespaces('kube_persistentvolumeclaim_info')})\n"
                "* on (cluster, volumename) group_left (reclaim_policy, csi_volume_handle)\n"
                "max by (cluster, volumename, reclaim_policy, csi_volume_handle) (\n"
                f"  label_replace(kube_persistentvolume_info{{{CHOSEN}}}, "
                '"volumename", "$1", "persistentvolume", "(.+)")\n'
                ")"
            ),
        ),
        columns=headed(
            "cluster",
            "namespace",
            "persistentvolumeclaim",
            storageclass="Class",
            csi_volume_handle="Volume",
            reclaim_policy="Policy",
        ),
        alerts=("PersistentVolumeNotRetained",),
    ),
    Timeseries(
        title="Claims by phase",
        description="Claims of the chosen namespaces by phase. Normal: Bound. Pending: no volume "
        f"could be made, often for want of room in a zone. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            Query(
                f"sum by (cluster, phase) (max by ({CLAIM}, phase) ("
                f"{in_namespaces('kube_persistentvolumeclaim_status_phase')})) > 0",
                "{{cluster}} {{phase}}",
            ),
        ),
        stack=True,
    ),
    Timeseries(
        title="Calls to EC2 that fail",
        description="Calls of the EBS driver to EC2 that failed or were throttled, and volumes that "
        "do not come off a machine. Normal: 0. Otherwise a pod that moves waits for its volume. "
        "Needs the metrics of the driver's controller.",
        unit="none",
        queries=(
            Query(
                "sum by (cluster, request) (increase("
                f"{in_clusters('aws_ebs_csi_api_request_errors_total')}[$__rate_interval]))",
                "{{request}} failed",
            ),
            Query(
                "sum by (cluster, operation_name) (increase("
                f"{in_clusters('aws_ebs_csi_api_request_throttles_total')}[$__rate_interval]))",
                "{{operation_name}} throttled",
            ),
            Query(
                "sum by (cluster, volume_id) (increase("
                f"{in_clusters('aws_ebs_csi_ec2_detach_pending_seconds_total')}[$__rate_interval]))",
                "{{volume_id}} seconds coming off",
            ),
        ),
        draw="bars",
        no_value="none, or not told",
    ),
    width=(12, 6, 6),
)

dashboard = Board(
    uid="eks_storage",
    title="EKS storage",
    description="Volumes and disks: does something fill, do volumes reach the operations and bytes that they "
    "were given, do they answer in time. EBS volumes by their driver's metrics, all other disks by "
    "node_exporter.",
    variables=(DatasourceVariable(), CLUSTER, MACHINE, NAMESPACE, IOPS, THROUGHPUT),
    rows=(IS_IT_WELL, WHAT_IS_WRONG, SPACE, LIMITS, ANSWERS, VOLUMES),
    firing=FIRING,
    tags=("kubernetes", "storage"),
    start="now-6h",
)
