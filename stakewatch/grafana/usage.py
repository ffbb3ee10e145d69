"""What staking processes use of containers, volumes and machines, as the text of expressions.

The platform measures it; each expression carries the labels of the process.
"""

from stakewatch.grafana.joins import CHOSEN, Process
from stakewatch.grafana.machines import REAL_FILESYSTEM

_IN_CONTAINER = f'{{{CHOSEN},container!=""}}[$__rate_interval]'


def memory_of_limit(process: Process) -> str:
    """Return the memory that cannot be taken back, as a share of the container's limit."""
    return process.of_container(f"container:memory_used:ratio{{{CHOSEN}}}")


def memory_of_machine(process: Process) -> str:
    """Return the share of the machine's memory in use, page cache not counted."""
    return process.of_machine(
        f"(1 - node_memory_MemAvailable_bytes{{{CHOSEN}}} / node_memory_MemTotal_bytes{{{CHOSEN}}})"
    )


def cpu_of_container(process: Process) -> str:
    """Return the cores in use, as the container runtime measures them."""
    return process.of_container(
        "sum by (cluster, namespace, pod, container) "
        f"(rate(container_cpu_usage_seconds_total{_IN_CONTAINER}))"
    )


def cpu_throttled(process: Process) -> str:
    """Return the share of scheduling periods in which the container's CPU limit stopped it."""
    return process.of_container(
        f"rate(container_cpu_cfs_throttled_periods_total{_IN_CONTAINER})\n"
        f"/ rate(container_cpu_cfs_periods_total{_IN_CONTAINER})"
    )


def volumes_used(process: Process) -> str:
    """Return how full each volume of the process's pod is."""
    return process.of_volume(
        f"kubelet_volume_stats_used_bytes{{{CHOSEN}}} / kubelet_volume_stats_capacity_bytes{{{CHOSEN}}}"
    )


def fullest_filesystem(process: Process) -> str:
    """Return how full the fullest file system of the process's machine is."""
    return process.of_machine(
        f"max by (cluster, instance) (1 - node_filesystem_avail_bytes{{{CHOSEN},{REAL_FILESYSTEM}}}"
        f" / node_filesystem_size_bytes{{{CHOSEN},{REAL_FILESYSTEM}}})"
    )
