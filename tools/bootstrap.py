"""Set-up with Python alone: the virtual environment from requirements.lock, then this package in it.

Standard library only, since it runs before anything is installed. Safe to interrupt and to repeat:
a stamp holds the hash of what was installed, and an unchanged lock file costs nothing.
"""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "stakewatch.stamp"
LOG = ENVIRONMENT / "setup.log"
HEARTBEAT_SECONDS = 10.0
OLDEST_PYTHON = (3, 11)


def fingerprint() -> str:
    """Hash of everything that decides what the environment contains."""
    digest = hashlib.sha256(f"{sys.version} {ENVIRONMENT}".encode())
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def run(what: str, arguments: list[str]) -> None:
    """Run one step with a sign of life every ten seconds; exit with the end of its log when it fails."""
    say(f"{what} ...")
    started = time.monotonic()
    last_sign = started
    with LOG.open("ab") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - last_sign >= HEARTBEAT_SECONDS:
                    last_sign = time.monotonic()
                    say(f"{what}: {last_sign - started:.0f} s so far")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-15:])
        sys.exit(
            f"{tail}\nsetup: {what} failed with exit code {process.returncode}; the whole log is {LOG}\n"
            "  pip must reach a package index (its own configuration says which); then run make again"
        )
    say(f"{what}: done in {time.monotonic() - started:.0f} s")


def environment_works() -> bool:
    """Tell whether the environment's Python and pip start."""
    if not PYTHON.exists():
        return False
    answer = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False)
    return answer.returncode == 0


def has_ensurepip() -> bool:
    """Debian splits ensurepip off into the package python3-venv."""
    answer = subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True, check=False)
    return answer.returncode == 0


def main() -> None:
    """Bring `.venv` to the state that requirements.lock describes."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"setup: Python {sys.version.split()[0]} is too old, 3.11 or newer is needed\n"
            "  name another one: make PYTHON=python3.12 ..."
        )
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted and environment_works():
        return
    if not environment_works():
        if not has_ensurepip():
            sys.exit(
                "setup: this Python cannot make virtual environments\n  Debian: apt-get install python3-venv"
            )
        say(f"making a virtual environment with Python {sys.version.split()[0]} in .venv")
        command = [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            sys.exit(f"{made.stdout}{made.stderr}setup: making .venv failed; see above")
    STAMP.unlink(missing_ok=True)
    LOG.unlink(missing_ok=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    run("installing the pinned packages", [*pip, "--require-hashes", "-r", "requirements.lock"])
    run("installing stakewatch into .venv", [*pip, "--no-deps", "--no-build-isolation", "-e", "."])
    partial = STAMP.with_suffix(".partial")
    partial.write_text(wanted)
    partial.replace(STAMP)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; run make again to go on")
