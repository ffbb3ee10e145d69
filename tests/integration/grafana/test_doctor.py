"""The doctor on a real Prometheus that scrapes one Geth and one machine and nothing else."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
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
SECRET = "hunter-2-secret"  # noqa: S105 - looked for in what is printed


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Serve the samples on loopback."""
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


def scraping(origin: str, geth: Mapping[str, str]) -> str:
    """Return a configuration that scrapes the samples, Geth with these labels."""
    jobs = [("geth", geth), ("machine", {**PLACE, "instance": "machine-1"})]
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {
                    "job_name": name,
                    "metrics_path": f"/{name}",
                    "static_configs": [{"targets": [origin], "labels": dict(labels)}],
                }
                for name, labels in jobs
            ],
        }
    )


@pytest.fixture(scope="module")
def server(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes both, with the labels of the contract."""
    folder = tmp_path_factory.mktemp("doctor")
    (folder / "prometheus.yaml").write_text(scraping(origin, GETH), encoding="utf-8")
    with prometheus(folder / "prometheus.yaml", folder) as running:
        wait_for_scrapes(running)
        yield running


def wait_for_scrapes(server: Prometheus) -> None:
    """Wait until both targets were scraped."""
    deadline = time.monotonic() + 20
    while len(server.query("up == 1")) < len(SAMPLES):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def doctor(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    program = Path(sys.executable).with_name("stakewatch")
    command = [str(program), "doctor", "--bundle", str(ROOT), "--prometheus", url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def diagnosis(server: Prometheus) -> dict[str, Any]:
    """Return what the doctor says as data."""
    answer = doctor(server.url, "--json")
    assert answer.returncode == 1, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found
