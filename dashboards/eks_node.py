"""Machines and the pods on them: which resource is short, and which pod uses it."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.joins import CHOSEN
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, chosen_link, row_link
from stakewatch.grafana.machine_rows import kernel, pods_in_detail
from stakewatch.grafana.machines import (
    CHOSEN_MACHINE,
    CHOSEN_POD,
    IDLE,
    REAL_DISK,
    REAL_FILESYSTEM,
    REAL_NETWORK,
    VARIABLES,
    container,
    cpu_used,
    machine,
    memory_used,
    on_machine,
    per_machine,
)
from stakewatch.grafana.panels import Gauge, Stat, State, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.thresholds import steps

# Alerts on processes carry the process as instance, so machines cannot be told apart here, pods can.
FIRING = (
    f'ALERTS{{alertstate="firing",area=~"resources|storage|kubernetes",{CHOSEN},'
    'namespace=~"$namespace|",pod=~"$pod|"}'
)
POD_LEGEND = "{{namespace}}/{{pod}}"
CONTAINER_LEGEND = "{{namespace}}/{{pod}} {{container}}"
POD_LABELS = "cluster, namespace, pod, node"
NEEDS_KUBE_STATE_METRICS = "Needs kube-state-metrics; absent off Kubernetes."
NEEDS_KUBELET = "Needs the kubelet's own metrics; absent off Kubernetes."

THIS_MACHINE = board_link("eks_node", "Only this machine", ("cluster", "instance"))
THIS_POD = board_link("eks_node", "Only this pod", ("cluster", "namespace", "pod"))
THE_FLEET = chosen_link("fleet_overview", "The fleet of these clusters", ("cluster",))

MEMORY_OF_CONTAINERS = (
    f"max by (cluster, namespace, pod, container) ({container('container_memory_working_set_bytes')})"
)
MEMORY_OF_PODS = f"sum by ({POD_LABELS}) ({on_machine(MEMORY_OF_CONTAINERS)})"
CPU_OF_CONTAINERS = (
    "sum by (cluster, namespace, pod, container) "
    f"(rate({container('container_cpu_usage_seconds_total')}[$__rate_interval]))"
)
CPU_OF_PODS = f"sum by ({POD_LABELS}) ({on_machine(CPU_OF_CONTAINERS)})"
SHARE_OF_LIMIT = on_machine(f"container:memory_used:ratio{{{CHOSEN_POD}}}")
KILLED = f"increase({machine('node_vmstat_oom_kill')}[$__range])"
USED_OF_FILESYSTEMS = (
    f"1 - {machine('node_filesystem_avail_bytes', REAL_FILESYSTEM)}"
    f" / {machine('node_filesystem_size_bytes', REAL_FILESYSTEM)}"
)


def per_second(metric: str, *matchers: str) -> str:
    """Return the rate of a counter of the chosen machines."""
    return f"rate({machine(metric, *matchers)}[$__rate_interval])"


IS_IT_WELL = row(
    "Is it well?",
    Gauge(
        title="Memory used",
        description="Memory in use on each machine, page cache not counted. Normal: below the alert's "
        "threshold. Above it the kernel takes back pages that clients are about to use.",
        unit="percentunit",
        queries=(Query(memory_used()),),
        alerts=("NodeMemoryHigh", "NodeMemoryCritical"),
        links=(THIS_MACHINE,),
    ),
    Gauge(
        title="CPU used",
        description="Share of each machine's CPU time in use, over the last minutes. Normal: below 0.7; all "
        "of it while a node synchronises.",
        unit="percentunit",
        alerts=("NodeCpuHigh",),
        queries=(Query(cpu_used()),),
        links=(THIS_MACHINE,),
    ),
    Gauge(
        title="Disk used",
        description="The fullest file system of each machine. Normal: below 0.8. Execution clients stop, or "
        "damage their database, when the disk is full.",
        unit="percentunit",
        alerts=("VolumeAlmostFull",),
        queries=(Query(per_machine(USED_OF_FILESYSTEMS)),),
        links=(THIS_MACHINE,),
    ),
    Gauge(
        title="Fullest container",
        description="The greatest share of its memory limit that a container on these machines uses; at 1 it "
        "is killed. Normal: below the alert's threshold. No data: no container has a limit.",
        unit="percentunit",
        queries=(Query(f"max by (cluster) ({SHARE_OF_LIMIT})", "{{cluster}}"),),
        alerts=("ContainerMemoryHigh",),
    ),
    Stat(
        title="Killed for memory",
        description="Processes that the kernel killed for want of memory in the time range, per machine. "
        "Normal: 0. A client that was killed may have to repair its database.",
        unit="none",
        alerts=("OomKilled",),
        queries=(Query(f"round({per_machine(KILLED)})"),),
        steps=steps(start="green", red=1),
        links=(THIS_MACHINE,),
    ),
    Stat(
        title="Pods",
        description="Pods of the chosen namespaces that run on the chosen machines. Normal: what you "
        "deployed and the cluster's own. The colour says nothing.",
        unit="none",
        queries=(Query(f"count by (cluster) ({MEMORY_OF_PODS})", "{{cluster}}"),),
        colour="none",
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is wrong",
    firing_alerts(
        "Alerts on machines, disks and pods of the chosen clusters that fire now",
        FIRING,
        "cluster",
        "instance",
        "pod",
        "container",
    ),
    Table(
        title="Pods by what they use",
        description="Each pod on the chosen machines with the cores and the memory that it uses. "
        "Normal: execution and beacon nodes first. A pod that is not one of them and leads is what "
        "takes the resource away.",
        unit="none",
        queries=(Query(CPU_OF_PODS), Query(MEMORY_OF_PODS)),
        columns=headed("cluster", "node", "namespace", "pod"),
        values=(Value("Cores", "none"), Value("Memory", "bytes")),
        decimals=2,
        column_links={
            "Pod": (
                row_link(
                    "eks_node",
                    "Only this pod",
                    {"cluster": "Cluster", "namespace": "Namespace", "pod": "Pod"},
                ),
            ),
        },
    ),
    width=(10, 14),
)

MEMORY = row(
    "Memory: who uses it?",
    Timeseries(
        title="Memory by pod",
        description="Working set of each pod, on top of each other. Normal: a flat pile. Clients that map "
        "their database (Erigon, Reth) show pages here that the kernel can drop.",
        unit="bytes",
        queries=(Query(MEMORY_OF_PODS, POD_LEGEND),),
        stack=True,
        links=(THIS_POD,),
    ),
    Timeseries(
        title="Memory in total",
        description="Memory of all pods together, what each machine uses, and what it has. Normal: the pods "
        "make up nearly all of what is used. What they do not: a process beside Kubernetes.",
        unit="bytes",
        queries=(
            Query(f"sum by (cluster) ({MEMORY_OF_PODS})", "{{cluster}} all pods"),
            Query(
                per_machine(
                    f"{machine('node_memory_MemTotal_bytes')} - {machine('node_memory_MemAvailable_bytes')}"
                ),
                "{{instance}} used",
            ),
            Query(per_machine(machine("node_memory_MemTotal_bytes")), "{{instance}} has"),
        ),
        links=(THE_FLEET,),
    ),
    Timeseries(
        title="Memory of the limits",
        description="Memory that cannot be taken back, as a share of each container's limit; at 1 the "
        "container is killed. The dashed line is the alert's threshold. Absent without limits.",
        unit="percentunit",
        queries=(Query(SHARE_OF_LIMIT, CONTAINER_LEGEND),),
        alerts=("ContainerMemoryHigh",),
        links=(THIS_POD,),
    ),
    Timeseries(
        title="Memory used by machine",
        description="Memory in use on each machine, page cache not counted. The dashed line is the alert's "
        "threshold.",
        unit="percentunit",
        queries=(Query(memory_used()),),
        alerts=("NodeMemoryHigh", "NodeMemoryCritical"),
        maximum=1,
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Memory that containers hold themselves",
        description="What each container holds without the files that it read, as a share of its limit. "
        "Normal: below the alert's threshold. At 1 the kernel kills it.",
        unit="percentunit",
        queries=(Query(on_machine(f"container:memory_resident:ratio{{{CHOSEN_POD}}}"), CONTAINER_LEGEND),),
        alerts=("ContainerMemoryCritical",),
        links=(THIS_POD,),
    ),
    Timeseries(
        title="Memory in a day",
        description="What each container uses of its limit, and each machine of its memory, a day from now "
        "at the pace of the last day. Normal: below 1, the alert's threshold. Absent for what is "
        "younger than 18 hours.",
        unit="percentunit",
        queries=(
            Query(
                f'memory:used_in_a_day:ratio{{{CHOSEN_POD},pod!=""}}\n'
                f'or memory:used_in_a_day:ratio{{{CHOSEN_MACHINE},pod=""}}',
                "{{instance}}{{namespace}}/{{pod}} {{container}}",
            ),
        ),
        alerts=("MemoryRampsToLimit",),
        no_value="too young",
    ),
    Timeseries(
        title="Cache and free memory",
        description="Page cache and free memory of each machine. Normal: nearly no free memory and much "
        "cache, from which databases are read. Little cache: every read goes to the disk.",
        unit="bytes",
        queries=(
            Query(per_machine(machine("node_memory_Cached_bytes")), "{{instance}} cache"),
            Query(per_machine(machine("node_memory_MemFree_bytes")), "{{instance}} free"),
            Query(
                per_machine(
                    f"{machine('node_memory_SwapTotal_bytes')} - {machine('node_memory_SwapFree_bytes')}"
                ),
                "{{instance}} swapped out",
            ),
        ),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Requests and limits of memory",
        description="What the pods on each node asked for and are limited to, as a share of what the node "
        "can give. Normal: requests below 1; limits may be above, and then not all pods can have theirs. "
        f"{NEEDS_KUBE_STATE_METRICS}",
        unit="percentunit",
        queries=tuple(
            Query(
                "sum by (cluster, node) (max by (cluster, node, namespace, pod, container) ("
                f'kube_pod_container_resource_{kind}{{{CHOSEN_POD},resource="memory"}}))\n'
                "/ max by (cluster, node) "
                f'(kube_node_status_allocatable{{{CHOSEN},resource="memory"}})',
                f"{{{{node}}}} {kind}",
            )
            for kind in ("requests", "limits")
        ),
    ),
)

CPU = row(
    "CPU: who uses it?",
    Timeseries(
        title="CPU by pod",
        description="Cores in use by each pod, on top of each other. Normal: below the cores of the machine "
        "with room for a peak at each epoch.",
        unit="suffix: cores",
        queries=(Query(CPU_OF_PODS, POD_LEGEND),),
        stack=True,
        links=(THIS_POD,),
    ),
    Timeseries(
        title="CPU in total",
        description="Cores that all pods use together, that each machine uses, and that it has. Normal: some "
        "cores free on each machine.",
        unit="suffix: cores",
        queries=(
            Query(f"sum by (cluster) ({CPU_OF_PODS})", "{{cluster}} all pods"),
            Query(
                "sum by (cluster, instance) ("
                + per_second("node_cpu_seconds_total", 'mode!~"idle|iowait|steal"')
                + ")",
                "{{instance}} used",
            ),
            Query(
                f"count by (cluster, instance) ({per_second('node_cpu_seconds_total', IDLE)})",
                "{{instance}} has",
            ),
        ),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="CPU by mode",
        description="Share of each machine's CPU time by what it was used for; idle is left out. Normal: "
        "user leads. iowait: the disk is slow. steal: the machine's neighbours, or its CPU credits, take "
        "it away.",
        unit="percentunit",
        queries=(
            Query(
                "avg by (cluster, instance, mode) ("
                + per_second("node_cpu_seconds_total", 'mode!="idle"')
                + ")",
                "{{instance}} {{mode}}",
            ),
        ),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Load per core",
        description="Processes that run or wait, per core, over 1 and 15 minutes. Normal: below 1. Above: "
        "they wait for CPU or disk; the panels on both sides tell which.",
        unit="none",
        queries=tuple(
            Query(
                f"{per_machine(machine(f'node_load{minutes}'))}\n"
                f"/ count by (cluster, instance) ({per_second('node_cpu_seconds_total', IDLE)})",
                f"{{{{instance}}}} {minutes} min",
            )
            for minutes in (1, 15)
        ),
        steps=steps(start="green", orange=1),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="CPU throttled",
        description="Share of scheduling periods in which a container's CPU limit stopped it. Normal: 0. "
        "Anything else makes blocks and attestations late: raise or remove the CPU limit.",
        unit="percentunit",
        alerts=("ContainerCpuThrottled",),
        queries=(
            Query(
                on_machine(
                    "max by (cluster, namespace, pod, container) (\n"
                    f"  rate({container('container_cpu_cfs_throttled_periods_total')}[$__rate_interval])\n"
                    f"  / rate({container('container_cpu_cfs_periods_total')}[$__rate_interval])\n"
                    ")"
                ),
                CONTAINER_LEGEND,
            ),
        ),
        links=(THIS_POD,),
    ),
    Timeseries(
        title="Pressure",
        description="Share of time in which something waited for CPU, memory or disk (the kernel's pressure "
        "stall information). Normal: CPU below 0.2, memory 0, disk below 0.3. Absent where the kernel has it "
        "switched off.",
        unit="percentunit",
        queries=tuple(
            Query(
                per_machine(per_second(f"node_pressure_{resource}_waiting_seconds_total")),
                f"{{{{instance}}}} {legend}",
            )
            for resource, legend in (("cpu", "CPU"), ("memory", "memory"), ("io", "disk"))
        ),
        links=(THIS_MACHINE,),
    ),
)

DISKS = row(
    "Disks",
    Timeseries(
        title="File systems used",
        description="How full each file system is. Normal: below 0.8, and no step upwards that stays.",
        unit="percentunit",
        alerts=("VolumeAlmostFull",),
        queries=(
            Query(
                f"max by (cluster, instance, mountpoint) ({USED_OF_FILESYSTEMS})",
                "{{instance}} {{mountpoint}}",
            ),
        ),
        maximum=1,
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Volumes used",
        description="How full the volumes of the chosen pods are. Normal: below 0.8. A volume is seen only "
        f"while its pod runs. {NEEDS_KUBELET}",
        unit="percentunit",
        alerts=("VolumeAlmostFull",),
        queries=(
            Query(
                "max by (cluster, namespace, persistentvolumeclaim) (\n"
                f'  kubelet_volume_stats_used_bytes{{{CHOSEN},namespace=~"$namespace"}}\n'
                f'  / kubelet_volume_stats_capacity_bytes{{{CHOSEN},namespace=~"$namespace"}}\n'
                ")",
                "{{namespace}}/{{persistentvolumeclaim}}",
            ),
        ),
        maximum=1,
    ),
    Timeseries(
        title="Inodes used",
        description="Share of each file system's inodes in use. Normal: below 0.5; at 1 no file can be made "
        "although there is space. Absent for file systems without a fixed number.",
        unit="percentunit",
        alerts=("VolumeInodesLow",),
        queries=(
            Query(
                "max by (cluster, instance, mountpoint) (1 - "
                f"{machine('node_filesystem_files_free', REAL_FILESYSTEM)}"
                f" / ({machine('node_filesystem_files', REAL_FILESYSTEM)} > 0))",
                "{{instance}} {{mountpoint}}",
            ),
        ),
        maximum=1,
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Operations per second",
        description="Reads and writes of each disk. Normal: steady, well below what the volume may do (3,000 "
        "for gp3 as it comes). A flat line at the limit: the volume is throttled.",
        unit="iops",
        queries=(
            Query(per_second("node_disk_reads_completed_total", REAL_DISK), "{{instance}} {{device}} reads"),
            Query(
                per_second("node_disk_writes_completed_total", REAL_DISK), "{{instance}} {{device}} writes"
            ),
        ),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Throughput",
        description="Bytes per second that each disk reads and writes. Normal: well below what the volume "
        "may do (125 MiB/s for gp3 as it comes); compaction makes peaks.",
        unit="Bps",
        queries=(
            Query(per_second("node_disk_read_bytes_total", REAL_DISK), "{{instance}} {{device}} read"),
            Query(per_second("node_disk_written_bytes_total", REAL_DISK), "{{instance}} {{device}} written"),
        ),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Time per operation",
        description="Mean time of a read and of a write. Normal: below 1 ms on NVMe, 1 to 2 ms on gp3. Above "
        "10 ms execution nodes fall behind.",
        unit="s",
        alerts=("DiskLatencyHigh",),
        queries=tuple(
            Query(
                f"{per_second(f'node_disk_{kind}_time_seconds_total', REAL_DISK)}\n"
                f"/ ({per_second(f'node_disk_{kind}s_completed_total', REAL_DISK)} > 0)",
                f"{{{{instance}}}} {{{{device}}}} {kind}",
            )
            for kind in ("read", "write")
        ),
        links=(THIS_MACHINE,),
    ),
)

NETWORK_AND_CLOCK = row(
    "Network and clock",
    Timeseries(
        title="Traffic",
        description="Bytes per second that each machine receives and sends on its real devices. Normal: some "
        "MB/s with a pair of nodes on mainnet.",
        unit="Bps",
        queries=(
            Query(
                per_second("node_network_receive_bytes_total", REAL_NETWORK),
                "{{instance}} {{device}} received",
            ),
            Query(
                per_second("node_network_transmit_bytes_total", REAL_NETWORK), "{{instance}} {{device}} sent"
            ),
        ),
    ),
    Timeseries(
        title="Errors and drops",
        description="Packets per second that were damaged or dropped. Normal: 0; single drops in bursts.",
        unit="pps",
        queries=(
            Query(per_second("node_network_receive_errs_total", REAL_NETWORK), "{{instance}} receive errors"),
            Query(per_second("node_network_transmit_errs_total", REAL_NETWORK), "{{instance}} send errors"),
            Query(per_second("node_network_receive_drop_total", REAL_NETWORK), "{{instance}} dropped"),
        ),
    ),
    Timeseries(
        title="Packets with errors",
        description="Share of the packets of each real device that were damaged. Normal: 0. The dashed line "
        "is the alert's threshold, at which TCP halves its pace again and again.",
        unit="percentunit",
        queries=(
            Query(
                "max by (cluster, instance, device) (\n"
                f"  ({per_second('node_network_receive_errs_total', REAL_NETWORK)}"
                f" + {per_second('node_network_transmit_errs_total', REAL_NETWORK)})\n"
                "  / on (cluster, instance, device) "
                f"({per_second('node_network_receive_packets_total', REAL_NETWORK)}"
                f" + {per_second('node_network_transmit_packets_total', REAL_NETWORK)} > 0)\n"
                ")",
                "{{instance}} {{device}}",
            ),
        ),
        alerts=("NodeNetworkErrors",),
    ),
    Timeseries(
        title="Connections tracked",
        description="Share of the connection tracking table in use. Normal: below 0.5; at 1 new connections, "
        "also those of validator clients, are refused. Absent where the kernel tracks none.",
        unit="percentunit",
        queries=(
            Query(
                per_machine(
                    f"{machine('node_nf_conntrack_entries')} / {machine('node_nf_conntrack_entries_limit')}"
                )
            ),
        ),
        maximum=1,
    ),
    Timeseries(
        title="Clock offset",
        description="How far each machine's clock is from its time server, and how far it may be at most. "
        "Normal: below 10 ms. Beyond 0.5 s attestations are early or late for everybody else.",
        unit="s",
        alerts=("ClockSkewHigh", "ClockNotSynchronised"),
        queries=(
            Query(per_machine(f"abs({machine('node_timex_offset_seconds')})"), "{{instance}} offset"),
            Query(per_machine(machine("node_timex_maxerror_seconds")), "{{instance}} at most"),
        ),
    ),
    links=(THIS_MACHINE,),
)

WHAT_RUNS = row(
    "What runs",
    Table(
        title="Machines",
        description="Each machine, its kernel and how long it runs. Normal: one kernel on all "
        "machines of a cluster, except during an upgrade.",
        unit="none",
        queries=(
            Query(
                "max by (cluster, instance, nodename, release, machine) "
                f"({machine('node_uname_info')})\n"
                "* on (cluster, instance) group_left ()\n"
                f"(time() - {per_machine(machine('node_boot_time_seconds'))})"
            ),
        ),
        columns=headed("cluster", "instance", nodename="Host", release="Kernel", machine="Architecture"),
        values=(Value("Up for", "s"),),
        column_links={
            "Instance": (
                row_link("eks_node", "Only this machine", {"cluster": "Cluster", "instance": "Instance"}),
            ),
        },
    ),
    Stat(
        title="Clock synchronised",
        description="Whether each machine's clock follows a time server. Normal: yes.",
        unit="none",
        alerts=("ClockNotSynchronised",),
        queries=(Query(per_machine(machine("node_timex_sync_status"))),),
        states={0: State("no", "red"), 1: State("yes", "green")},
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Restarts of containers",
        description="How often Kubernetes restarted each container. Normal: 0. The reason of the "
        f"last one stands in `kubectl describe pod`. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        alerts=("PodCrashLooping",),
        queries=(
            Query(
                on_machine(
                    "max by (cluster, namespace, pod, container) (increase("
                    f"kube_pod_container_status_restarts_total{{{CHOSEN_POD}}}[$__rate_interval]))"
                ),
                CONTAINER_LEGEND,
            ),
        ),
        draw="bars",
        links=(THIS_POD,),
    ),
    width=(14, 5, 5),
    height=7,
)

dashboard = Board(
    uid="eks_node",
    title="EKS node",
    description="Machines and the pods on them: is it well, what is wrong, who uses the memory and the CPU, "
    "disks, network, clock. Machines off Kubernetes are shown too, without their pods.",
    variables=VARIABLES,
    rows=(
        IS_IT_WELL,
        WHAT_IS_WRONG,
        MEMORY,
        CPU,
        DISKS,
        NETWORK_AND_CLOCK,
        WHAT_RUNS,
        pods_in_detail(CPU_OF_CONTAINERS, MEMORY_OF_CONTAINERS),
        kernel(),
    ),
    firing=FIRING,
    tags=("kubernetes", "resources"),
)
