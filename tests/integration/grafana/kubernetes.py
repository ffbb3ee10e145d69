"""What the simulator has none of: Kubernetes, the EBS driver, mev-boost, lists of keys, and recorded logs."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, ValidatorClient
from tests.unit.grafana.serving import serving as serving_pages

_MEMORY = 68_719_476_736
_CLAIM_SIZE = 1e12
# Of the EBS volume of each process, per second.
_RATES = {
    "read_ops": 600.0,
    "write_ops": 300.0,
    "read_bytes": 2e7,
    "write_bytes": 1e7,
    "read_seconds": 0.6,
    "write_seconds": 0.3,
    "exceeded_iops_seconds": 0.02,
    "exceeded_tp_seconds": 0.0,
    "ec2_exceeded_iops_seconds": 0.0,
    "ec2_exceeded_tp_seconds": 0.01,
}
_LATENCY = {"0.0005": 0.2, "0.001": 0.7, "0.004": 0.99, "+Inf": 1.0}


def metrics(plan: FleetPlan, uptime: float) -> str:
    """Return each process of a plan as a pod on its machine, with requests, a claim on EBS and no restart.

    `uptime` are the seconds for which all of it runs. The first pod waits for its image.
    """
    lines = [line for process in plan.processes for line in _process(process, uptime)]
    for machine in plan.machines:
        node = f'node="{machine}"'
        lines += [
            f'kube_node_status_allocatable{{{node},resource="memory",unit="byte"}} {_MEMORY}',
            f'kube_node_status_allocatable{{{node},resource="cpu",unit="core"}} 8',
            (
                f'kube_node_info{{{node},kubelet_version="v1.33.1",kernel_version="6.12.0",'
                'os_image="Bottlerocket OS 1.40",container_runtime_version="containerd://2.0.5"} 1'
            ),
            f'kube_node_status_condition{{{node},condition="Ready",status="true"}} 1',
            f'kube_node_status_condition{{{node},condition="MemoryPressure",status="true"}} 0',
            f'node_pressure_io_waiting_seconds_total{{instance="{machine}"}} {uptime * 0.1}',
            f'node_intr_total{{instance="{machine}"}} {uptime * 1e4}',
            f'node_filefd_allocated{{instance="{machine}"}} 9000',
            f'node_filefd_maximum{{instance="{machine}"}} 9e18',
            f'node_netstat_Tcp_CurrEstab{{instance="{machine}"}} 300',
            f'node_network_receive_packets_total{{instance="{machine}",device="eth0"}} {uptime * 1e3}',
            f'node_network_transmit_packets_total{{instance="{machine}",device="eth0"}} {uptime * 1e3}',
            f'node_ethtool_pps_allowance_exceeded{{instance="{machine}",device="eth0"}} {uptime * 0.1}',
        ]
    pod = 'namespace="staking",pod="web-0"'
    lines += [
        f'kube_pod_status_phase{{{pod},phase="Pending"}} 1',
        f'kube_pod_status_ready{{{pod},condition="true"}} 0',
        f"kube_pod_status_unschedulable{{{pod}}} 1",
        f'kube_pod_container_status_waiting_reason{{{pod},container="web",reason="ImagePullBackOff"}} 1',
        f'kube_pod_container_status_last_terminated_reason{{{pod},container="web",reason="OOMKilled"}} 1',
        'kube_namespace_status_phase{namespace="staking",phase="Active"} 1',
        'kube_deployment_spec_replicas{namespace="staking",deployment="web"} 2',
        'kube_deployment_status_replicas_available{namespace="staking",deployment="web"} 1',
        'kube_daemonset_status_desired_number_scheduled{namespace="kube-system",daemonset="ebs-csi-node"} 4',
        'kube_daemonset_status_number_available{namespace="kube-system",daemonset="ebs-csi-node"} 3',
        f'aws_ebs_csi_api_request_errors_total{{request="AttachVolume",code="Unavailable"}} {uptime}',
        f'aws_ebs_csi_api_request_throttles_total{{operation_name="DescribeVolumes"}} {uptime}',
        f'aws_ebs_csi_ec2_detach_pending_seconds_total{{volume_id="vol-old",instance_id="i-1"}} {uptime}',
    ]
    lines += _key_lists(plan.network)
    lines += _builders(plan.network, uptime)
    lines += _log_lines(plan.network)
    return "\n".join(lines) + "\n"


def _key_lists(network: str) -> Iterator[str]:
    """Yield what an exporter says that may ask validator clients and signers for their keys."""
    of_network = f'network="{network}"'
    client = f'{of_network},validator_client="validators-1"'
    signer = f'{of_network},instance="signer-1",role="signer",implementation="web3signer"'
    yield from (
        f"stakewatch_validator_client_keys{{{client}}} 100",
        f"stakewatch_validator_client_keys_missing{{{client}}} 1",
        f'stakewatch_duplicate_keys{{{client},other_validator_client="validators-2"}} 1',
        f"stakewatch_signer_keys{{{signer}}} 100",
        f"stakewatch_signer_keys_missing{{{signer}}} 0",
        f"eth2_slashingprotection_prevented_signings_total{{{signer}}} 0",
        f'stakewatch_last_update_timestamp_seconds{{{of_network},source="keymanagers"}} {time.time()}',
    )


def _builders(network: str, uptime: float) -> Iterator[str]:
    """Yield what mev-boost, and a Vouch that got no block from it, say."""
    relay = (
        f'network="{network}",role="relay",implementation="mev-boost",instance="relay-1",relay="r.example"'
    )
    vouch = f'network="{network}",role="validator",implementation="vouch",instance="vouch-1"'
    endpoint = 'endpoint="/eth/v1/builder/validators"'
    yield from (
        f"mev_boost_relay_latency_count{{{relay},{endpoint}}} {uptime}",
        f'mev_boost_relay_status_code_total{{{relay},{endpoint},http_status_code="200"}} {uptime * 0.9}',
        f'vouch_relay_builder_bid_total{{{vouch},result="failed"}} {uptime * 0.1}',
    )


def _log_lines(network: str) -> Iterator[str]:
    """Yield what Loki's ruler writes to Prometheus."""
    beacon = f'network="{network}",role="beacon",implementation="teku",instance="beacon-2"'
    person = 'namespace="staking",user="somebody"'
    yield from (
        f'instance:error_log_lines:count5m{{{beacon},error_class="relay_failed"}} 2',
        f"instance:fatal_log_lines:count5m{{{beacon}}} 1",
        f'pod:exec_audit_events:count5m{{{person},pod="validators-1-0",action="exec"}} 1',
        f'secret:keystore_read_audit_events:count5m{{{person},secret="keystore-1",action="get"}} 1',
    )


def _process(process: BeaconNode | ExecutionNode | ValidatorClient, uptime: float) -> Iterator[str]:
    name = process.instance
    pod = f'namespace="staking",pod="{name}-0"'
    claim = f'namespace="staking",persistentvolumeclaim="data-{name}-0"'
    container = f'{pod},container="{process.implementation}"'
    yield from (
        (
            f'kube_pod_info{{{pod},node="{process.machine}",uid="{name}",pod_ip="10.0.0.1",'
            f'created_by_kind="StatefulSet",created_by_name="{name}",priority_class="staking"}} 1'
        ),
        f'kube_pod_container_info{{{container},image="{process.implementation}:1"}} 1',
        f"kube_pod_container_status_last_terminated_exitcode{{{container}}} 0",
        f'kube_pod_container_status_last_terminated_reason{{{container},reason="Completed"}} 1',
        f"kube_pod_container_status_restarts_total{{{container}}} 0",
        f'kube_pod_status_phase{{{pod},phase="Running"}} 1',
        f'kube_pod_status_ready{{{pod},condition="true"}} 1',
        f'kube_pod_status_qos_class{{{pod},qos_class="Burstable"}} 1',
        f'kube_statefulset_replicas{{namespace="staking",statefulset="{name}"}} 1',
        f'kube_statefulset_status_replicas_ready{{namespace="staking",statefulset="{name}"}} 0',
        f"kubelet_volume_stats_used_bytes{{{claim}}} {0.4 * _CLAIM_SIZE + uptime * 1e6}",
        f"kubelet_volume_stats_available_bytes{{{claim}}} {0.6 * _CLAIM_SIZE - uptime * 1e6}",
        f"kubelet_volume_stats_capacity_bytes{{{claim}}} {_CLAIM_SIZE}",
        f"kubelet_volume_stats_inodes{{{claim}}} 60000000",
        f"kubelet_volume_stats_inodes_free{{{claim}}} 59000000",
        f'kube_pod_spec_volumes_persistentvolumeclaims_info{{{claim},pod="{name}-0",volume="data"}} 1',
        f'kube_persistentvolumeclaim_info{{{claim},storageclass="gp3",volumename="pv-{name}"}} 1',
        f'kube_persistentvolumeclaim_status_phase{{{claim},phase="Bound"}} 1',
        (
            f'kube_persistentvolume_info{{persistentvolume="pv-{name}",csi_driver="ebs.csi.aws.com",'
            f'csi_volume_handle="vol-{name}",reclaim_policy="Retain",storageclass="gp3"}} 1'
        ),
    )
    for resource, unit, request, limit in (("memory", "byte", 8e9, 16e9), ("cpu", "core", 1, 4)):
        of = f'{container},node="{process.machine}",resource="{resource}",unit="{unit}"'
        yield f"kube_pod_container_resource_requests{{{of}}} {request}"
        yield f"kube_pod_container_resource_limits{{{of}}} {limit}"
    for kind in ("bytes", "packets", "packets_dropped", "errors"):
        for direction in ("receive", "transmit"):
            yield f'container_network_{direction}_{kind}_total{{{pod},interface="eth0"}} {uptime * 1e3}'
    volume = f'volume_id="vol-{name}",instance_id="i-{process.machine}"'
    for kind, rate in _RATES.items():
        yield f"aws_ebs_csi_{kind}_total{{{volume}}} {rate * uptime}"
    yield f"aws_ebs_csi_volume_queue_length{{{volume}}} 1"
    for kind in ("read", "write"):
        for bound, share in _LATENCY.items():
            count = _RATES[f"{kind}_ops"] * uptime * share
            yield f'aws_ebs_csi_{kind}_io_latency_seconds_bucket{{{volume},le="{bound}"}} {count}'


@contextmanager
def serving(plan: FleetPlan) -> Iterator[str]:
    """Serve the metrics of a plan on loopback, and give host and port."""
    started = time.monotonic()

    def page(_path: str, _parameters: Mapping[str, str]) -> tuple[int, bytes]:
        return HTTPStatus.OK, metrics(plan, 100 + time.monotonic() - started).encode()

    with serving_pages(page) as api:
        yield urlsplit(api.url).netloc
