"""A child process never outlives us, whatever it or we do."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.programs import process
from stakewatch.programs.process import Process, free_port, tail

PYTHON = sys.executable


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def _wait_for(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text().strip()


def _sleeper(ready: Path, prepare: str = "") -> list[str]:
    """Return a command that runs for a minute and writes its process id when it is ready."""
    code = (
        "import os, signal, subprocess, sys, time\n"
        f"{prepare}\n"
        f"open({str(ready)!r}, 'w').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(60)"
    )
    return [PYTHON, "-c", code]


def test_output_goes_to_the_log_and_the_exit_code_is_known(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    code = "import sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr); sys.exit(3)"

    with Process.start([PYTHON, "-c", code], log=log) as process:
        assert process.wait(10) == 3
        assert not process.running

    assert log.read_text() == "out\nerr\n"


def test_leaving_the_block_stops_it_in_order(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    prepare = "signal.signal(signal.SIGTERM, lambda *_: (print('in order', flush=True), sys.exit(0)))"

    with Process.start(_sleeper(ready, prepare), log=tmp_path / "log") as process:
        assert _wait_for(ready) == str(process.pid)
        assert process.running

    assert process.exit_code == 0
    assert (tmp_path / "log").read_text() == "in order\n"


def test_one_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    prepare = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"

    with Process.start(_sleeper(ready, prepare), log=tmp_path / "log") as process:
        _wait_for(ready)
        began = time.monotonic()
        process.stop(grace_seconds=0.3)

    assert 0.3 <= time.monotonic() - began < 5
    assert process.exit_code == -signal.SIGKILL


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    inner = _sleeper(grandchild, "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    prepare = f"subprocess.Popen({inner!r})"

    with Process.start(_sleeper(tmp_path / "ready", prepare), log=tmp_path / "log"):
        pid = int(_wait_for(grandchild))

    _wait_until_gone(pid)


def test_what_a_crashed_child_left_behind_ends_too(tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    code = f"import subprocess, os; subprocess.Popen({_sleeper(grandchild)!r})\n"
    wait = f"while not os.path.exists({str(grandchild)!r}): pass\nos.abort()"

    with Process.start([PYTHON, "-c", code + wait], log=tmp_path / "log") as process:
        assert process.wait(10) == -signal.SIGABRT
        _wait_until_gone(int(_wait_for(grandchild)))


def test_it_dies_with_its_killed_parent(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import time\nfrom pathlib import Path\nfrom stakewatch.programs.process import Process\n"
        f"Process.start({_sleeper(ready)!r}, log=Path({str(tmp_path / 'log')!r}))\ntime.sleep(60)"
    )

    with subprocess.Popen([PYTHON, "-c", code]) as parent:
        pid = int(_wait_for(ready))
        parent.kill()

    _wait_until_gone(pid)


def test_it_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[Process] = []
    ready = tmp_path / "ready"

    def start() -> None:
        started.append(Process.start(_sleeper(ready), log=tmp_path / "log"))
        # The death signal is armed by then; before that, the end of the thread would pass unseen.
        _wait_for(ready)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    with started[0] as process:
        time.sleep(0.3)
        assert process.running


def test_an_early_end_is_told_with_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "print('\\n'.join(map(str, range(100)))); raise SystemExit(7)"

    with Process.start([PYTHON, "-c", code], log=log) as process:
        process.wait(10)
        with pytest.raises(StakewatchError) as caught:
            process.expect_running()

    assert f"{process.name} ended with exit code 7" in str(caught.value)
    assert "\n99\n" in str(caught.value)
    assert "\n84\n" not in str(caught.value)
    assert caught.value.where == str(log)


def test_an_end_by_a_signal_is_told_by_its_name(tmp_path: Path) -> None:
    with Process.start(_sleeper(tmp_path / "ready"), log=tmp_path / "log") as process:
        process.expect_running()
        process.kill()
        with pytest.raises(StakewatchError, match="was ended by SIGKILL"):
            process.expect_running()


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    with Process.start([PYTHON, "-c", ""], log=tmp_path / "log") as process:
        process.wait(10)
        process.stop()
        process.stop()
        process.kill()


def test_waiting_too_long_is_an_error(tmp_path: Path) -> None:
    with (
        Process.start(_sleeper(tmp_path / "ready"), log=tmp_path / "log") as process,
        pytest.raises(StakewatchError, match=r"still runs after 0\.1 s"),
    ):
        process.wait(0.1)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StakewatchError, match="no-such-program"):
        Process.start(["no-such-program"], log=tmp_path / "log")


def test_a_file_that_cannot_be_executed_tells_why_in_its_log(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o755)

    with Process.start([program], log=tmp_path / "log") as process:
        assert process.wait(10) == 127

    assert "cannot start" in tail(tmp_path / "log")


def test_it_gets_the_given_environment_folder_and_arguments_unchanged(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['ONE'], 'HOME' in os.environ, os.getcwd(), sys.argv[1:])"
    hostile = "-c; $(reboot) é\n"

    with Process.start(
        [PYTHON, "-c", code, hostile], log=tmp_path / "log", environment={"ONE": "1"}, cwd=tmp_path
    ) as process:
        assert process.wait(10) == 0

    assert tail(tmp_path / "log") == f"1 False {tmp_path} {[hostile]!r}"


def test_it_has_a_session_of_its_own(tmp_path: Path) -> None:
    with Process.start(_sleeper(tmp_path / "ready"), log=tmp_path / "log") as process:
        _wait_for(tmp_path / "ready")
        assert os.getsid(process.pid) == process.pid


def test_free_ports_are_all_different() -> None:
    assert len({free_port() for _ in range(200)}) == 200


def test_the_end_of_a_huge_log_is_read_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 50_000_000 + b"\nlast\n")

    assert tail(log, 1) == "last"
    assert tail(tmp_path / "none") == ""


def test_free_ports_are_not_those_of_outgoing_connections_and_none_comes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100
    assert all(15_000 <= port < 30_000 for port in ports)
    taken = ports[0]
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", taken))
        listening.listen()
        monkeypatch.setattr(process, "_handed_out", set())
        monkeypatch.setattr(process, "_PORTS", range(taken, taken + 1))
        with pytest.raises(StakewatchError, match="no port"):
            free_port()
