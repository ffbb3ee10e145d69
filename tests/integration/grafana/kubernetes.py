"""What kube-state-metrics and the kubelet say of a fleet: the simulator has neither."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stakewatch.simulator.plan import FleetPlan

_MEMORY = 68_719_476_736


def metrics(plan: FleetPlan) -> str:
    """Return each process of a plan as a pod on its machine, with requests, a claim and no restart."""
    lines = []
    for process in plan.processes:
        pod = f'namespace="staking",pod="{process.instance}-0"'
        claim = f'namespace="staking",persistentvolumeclaim="data-{process.instance}-0"'
        volume = f'pod="{process.instance}-0",volume="data"'
        container = f'{pod},container="{process.implementation}"'
        resource = f'{container},node="{process.machine}",resource="memory",unit="byte"'
        lines += [
            f'kube_pod_info{{{pod},node="{process.machine}",uid="{process.instance}"}} 1',
            f"kube_pod_container_status_restarts_total{{{container}}} 0",
            f"kube_pod_container_resource_requests{{{resource}}} 8e9",
            f"kube_pod_container_resource_limits{{{resource}}} 16e9",
            f"kubelet_volume_stats_used_bytes{{{claim}}} 4e11",
            f"kubelet_volume_stats_capacity_bytes{{{claim}}} 1e12",
            f"kube_pod_spec_volumes_persistentvolumeclaims_info{{{claim},{volume}}} 1",
        ]
    lines += [
        f'kube_node_status_allocatable{{node="{machine}",resource="memory",unit="byte"}} {_MEMORY}'
        for machine in plan.machines
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def serving(plan: FleetPlan) -> Iterator[str]:
    """Serve the metrics of a plan on loopback, and give host and port."""
    body = metrics(plan).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
            """Say nothing about each scrape."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
