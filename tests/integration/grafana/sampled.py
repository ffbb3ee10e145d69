"""A real Prometheus that scrapes what a real Geth and a real node_exporter once said."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from stakewatch.programs.servers import Prometheus, prometheus

ROOT = Path(__file__).parents[3]
SAMPLES = {"geth": "geth-1.17.prom", "machine": "node_exporter-1.5.prom"}
PLACE = {"cluster": "demo-1", "region": "eu-west-1"}
GETH = {
    **PLACE,
    "network": "demonet",
    "role": "execution",
    "implementation": "geth",
    "instance": "execution-1",
}
MACHINE = {**PLACE, "instance": "machine-1"}


@contextmanager
def origin() -> Iterator[str]:
    """Serve the samples under their names on loopback, and give host and port."""
    bodies = {f"/{name}": (ROOT / "tests/samples" / file).read_bytes() for name, file in SAMPLES.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies[self.path]
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


@contextmanager
def scraping(
    folder: Path,
    geth: Mapping[str, str] = GETH,
    machine: Mapping[str, str] = MACHINE,
    rules: tuple[str, ...] = (),
) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped both, with these target labels, and has loaded these rules."""
    with origin() as address:
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "5s"},
            "rule_files": list(rules),
            "scrape_configs": [
                {
                    "job_name": name,
                    "metrics_path": f"/{name}",
                    "static_configs": [{"targets": [address], "labels": dict(labels)}],
                }
                for name, labels in (("geth", geth), ("machine", machine))
            ],
        }
        path = folder / "prometheus.yaml"
        path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        with prometheus(path, folder) as server:
            deadline = time.monotonic() + 20
            # Three scrapes, so that there are rates.
            while len(server.query("count_over_time(up[1m]) >= 3")) < len(SAMPLES):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield server
