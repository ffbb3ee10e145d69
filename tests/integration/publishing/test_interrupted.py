"""Ctrl-C in the middle of a publication: it ends soon, says how far it got, and the next one goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.publishing.amp_scene import Scene, amp_scene
from tests.unit.publishing.aws_server import REGION
from tests.unit.publishing.fake_amp import WORKSPACE

CONFIGURATION = f"publish: {{w: {{type: amp, region: {REGION}, workspace: {WORKSPACE}}}}}"
ENDLESS = 10**9


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with amp_scene(tmp_path) as made:
        (tmp_path / "stakewatch.yaml").write_text(CONFIGURATION)
        yield made


@contextmanager
def publishing(scene: Scene) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [Path(sys.executable).with_name("stakewatch"), "apply", "--yes", "--bundle", str(scene.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], scene: Scene, operation: str) -> None:
    deadline = time.monotonic() + 60
    while operation not in scene.fake.operations:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_while_the_service_is_busy_ends_it_and_the_next_run_goes_on(scene: Scene) -> None:
    scene.fake.looks = ENDLESS
    with publishing(scene) as process:
        wait_for(process, scene, "CreateRuleGroupsNamespace")
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)
    assert time.monotonic() - started < 60
    assert process.returncode == 130
    assert err.endswith("interrupted\n")
    assert "Traceback" not in err
    assert "0 of 2 done, 2 not finished: run it again and it goes on" in out
    assert set(scene.fake.namespaces) <= {"stakewatch-beacon", "stakewatch-storage"}
    for stored in scene.fake.namespaces.values():
        stored.looks = 1
    scene.fake.looks = 0
    with publishing(scene) as process:
        out, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (0, "")
    assert not scene.plan().drift
