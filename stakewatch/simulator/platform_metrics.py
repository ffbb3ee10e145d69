"""The metrics of what the fleet runs on: node_exporter per machine, cAdvisor for all containers."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from stakewatch.simulator.exposition import Family, Sample, counter, gauge, per_value
from stakewatch.simulator.process import GIB

NAMESPACE = "staking"
MACHINE_MEMORY = 64 * GIB
_CORES = 8
_DISK = "nvme1n1"
_DISK_SIZE = 2000 * GIB
_INODES = 120_000_000
_PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
_PAUSE_MEMORY = 300 * 1024
# Bytes of a container's limit by the role of its process.
LIMITS = {"beacon": 8 * GIB, "execution": 16 * GIB, "validator": 2 * GIB}


@dataclass(frozen=True)
class Machine:
    """A machine at the time of a scrape; `memory` is the share in use, times are Unix seconds."""

    name: str
    booted: float
    now: float
    memory: float


@dataclass(frozen=True)
class Container:
    """A container of a staking process; sizes in bytes.

    `working_set` is larger than `rss` by the mapped files that the kernel keeps, much larger for clients
    that map their database. A dead container has no series, while its pod and its sandbox do.
    """

    pod: str
    name: str
    image: str
    limit: int
    working_set: int
    rss: int
    started: float
    now: float
    alive: bool = True


def node_exporter(machine: Machine) -> tuple[Family, ...]:
    """Return the metrics of node_exporter on a machine."""
    uptime = machine.now - machine.booted
    used = int(MACHINE_MEMORY * machine.memory)
    cached = int((MACHINE_MEMORY - used) * 0.8)
    disk = {"device": f"/dev/{_DISK}", "mountpoint": "/data", "fstype": "ext4", "device_error": ""}
    free = int(_DISK_SIZE * 0.42)
    filesystem = {
        "node_filesystem_size_bytes": _DISK_SIZE,
        "node_filesystem_free_bytes": free,
        "node_filesystem_avail_bytes": free,
        "node_filesystem_files": _INODES,
        "node_filesystem_files_free": _INODES - 41_000,
        "node_filesystem_readonly": 0,
        "node_filesystem_device_error": 0,
    }
    disk_rates = {
        "node_disk_reads_completed_total": 900,
        "node_disk_writes_completed_total": 1500,
        "node_disk_read_bytes_total": 9e6,
        "node_disk_written_bytes_total": 1.6e7,
        "node_disk_read_time_seconds_total": 0.2,
        "node_disk_write_time_seconds_total": 0.5,
        "node_disk_io_time_seconds_total": 0.3,
        "node_disk_io_time_weighted_seconds_total": 0.7,
    }
    network_rates = {
        "node_network_receive_bytes_total": 2.1e6,
        "node_network_transmit_bytes_total": 1.7e6,
        "node_network_receive_errs_total": 0,
        "node_network_transmit_errs_total": 0,
        "node_network_receive_drop_total": 0,
    }
    modes = {"idle": 0.62, "user": 0.27, "system": 0.07, "iowait": 0.03, "steal": 0.0, "softirq": 0.01}
    return (
        gauge("node_memory_MemTotal_bytes", MACHINE_MEMORY),
        gauge("node_memory_MemAvailable_bytes", MACHINE_MEMORY - used),
        gauge("node_memory_MemFree_bytes", MACHINE_MEMORY - used - cached),
        gauge("node_memory_Cached_bytes", cached),
        gauge("node_memory_Buffers_bytes", 64 * 1024**2),
        gauge("node_memory_SwapTotal_bytes", 0),
        gauge("node_memory_SwapFree_bytes", 0),
        Family(
            "node_cpu_seconds_total",
            "counter",
            tuple(
                Sample("node_cpu_seconds_total", round(uptime * share, 2), {"cpu": str(cpu), "mode": mode})
                for cpu in range(_CORES)
                for mode, share in modes.items()
            ),
        ),
        gauge("node_load1", 2.9),
        gauge("node_load5", 2.7),
        gauge("node_load15", 2.6),
        *(gauge(name, value, **disk) for name, value in filesystem.items()),
        *(counter(name, round(uptime * rate, 3), device=_DISK) for name, rate in disk_rates.items()),
        *(counter(name, int(uptime * rate), device="eth0") for name, rate in network_rates.items()),
        gauge("node_network_up", 1, device="eth0"),
        gauge("node_boot_time_seconds", int(machine.booted)),
        gauge("node_time_seconds", round(machine.now, 3)),
        gauge("node_timex_offset_seconds", 0.0003),
        gauge("node_timex_maxerror_seconds", 0.012),
        gauge("node_timex_sync_status", 1),
        Family("node_vmstat_oom_kill", "untyped", (Sample("node_vmstat_oom_kill", 0, {}),)),
        counter("node_context_switches_total", int(uptime * 41_000)),
        gauge(
            "node_uname_info",
            1,
            sysname="Linux",
            release="6.12.0",
            version="#1 SMP",
            machine="x86_64",
            nodename=machine.name,
            domainname="(none)",
        ),
    )


def cadvisor(containers: Iterable[Container]) -> tuple[Family, ...]:
    """Return the kubelet's /metrics/cadvisor, with the series that mislead.

    Those are: the machine's own cgroup without names, each pod's cgroup with an empty container, each sandbox
    (pause), and a limit of 0 where there is none.
    """
    families = [
        gauge("container_memory_working_set_bytes", 40 * GIB, **_labels("/")),
        gauge("container_memory_rss", 33 * GIB, **_labels("/")),
        gauge("container_spec_memory_limit_bytes", 0, **_labels("/")),
        gauge("machine_memory_bytes", MACHINE_MEMORY, machine_id="demo", system_uuid="demo", boot_id="demo"),
        gauge("machine_cpu_cores", _CORES, machine_id="demo", system_uuid="demo", boot_id="demo"),
    ]
    for container in containers:
        pod = f"/kubepods.slice/kubepods-pod{zlib.crc32(container.pod.encode()):08x}.slice"
        of_pod = _labels(pod, pod=container.pod)
        pause = _labels(f"{pod}/pause.scope", name="pause", image=_PAUSE_IMAGE, pod=container.pod)
        families += _memory(container.working_set + _PAUSE_MEMORY, container.rss + _PAUSE_MEMORY, 0, of_pod)
        families += _memory(_PAUSE_MEMORY, _PAUSE_MEMORY // 2, 0, pause)
        if container.alive:
            own = _labels(
                f"{pod}/{container.name}.scope",
                name=f"{container.pod}-{container.name}",
                image=container.image,
                container=container.name,
                pod=container.pod,
            )
            families += _memory(container.working_set, container.rss, container.limit, own)
            families += _processor(container, own)
    return tuple(families)


def _labels(
    cgroup: str, *, name: str = "", image: str = "", container: str = "", pod: str = ""
) -> dict[str, str]:
    return {
        "id": cgroup,
        "name": name,
        "image": image,
        "container": container,
        "pod": pod,
        "namespace": NAMESPACE if pod else "",
    }


def _memory(working_set: int, rss: int, limit: int, labels: dict[str, str]) -> list[Family]:
    return [
        gauge("container_memory_working_set_bytes", working_set, **labels),
        gauge("container_memory_rss", rss, **labels),
        gauge("container_memory_cache", max(0, working_set - rss), **labels),
        gauge("container_memory_usage_bytes", working_set + 64 * 1024**2, **labels),
        gauge("container_spec_memory_limit_bytes", limit, **labels),
    ]


def _processor(container: Container, labels: dict[str, str]) -> list[Family]:
    uptime = max(0.0, container.now - container.started)
    return [
        counter("container_cpu_usage_seconds_total", round(uptime * 0.35, 3), **labels, cpu="total"),
        counter("container_cpu_cfs_periods_total", int(uptime * 10), **labels),
        counter("container_cpu_cfs_throttled_periods_total", int(uptime * 0.05), **labels),
        gauge("container_start_time_seconds", int(container.started), **labels),
        counter("container_oom_events_total", 0, **labels),
        per_value(
            "counter",
            "container_fs_writes_bytes_total",
            "device",
            {f"/dev/{_DISK}": int(uptime * 4e6)},
            **labels,
        ),
        gauge("container_last_seen", int(container.now), **labels),
    ]
