"""Versions are compared as releases are, and a program that misbehaves when asked never stops us."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stakewatch.programs.pins import PROGRAMS, OnPath
from stakewatch.programs.versions import Accepted, Exactly, VersionUnknownError, ask_version, version_key

Script = Callable[..., Path]
PROMETHEUS_FAMILY = r"^(?:prometheus|promtool), version (\S+)"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2.9.0", "2.10.0"),
        ("3.5.0-rc.1", "3.5.0"),
        ("3.5.0", "3.5.1-rc.0"),
        ("1.26", "1.26.8"),
        ("1.27rc1", "1.27"),
        ("9", "10"),
    ],
)
def test_a_version_comes_before_the_next_one(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


@pytest.mark.parametrize(("one", "other"), [("3.5", "3.5.0"), ("v3.5.0", "3.5.0"), ("2.42.0+ds", "2.42.0")])
def test_two_ways_to_write_a_version_are_equal(one: str, other: str) -> None:
    assert version_key(one) == version_key(other)


@pytest.mark.parametrize("text", ["", "unknown", "-1", "(devel)"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        version_key(text)


@pytest.mark.parametrize(
    ("version", "allowed"),
    [
        ("3.4.99", False),
        ("3.5.0-rc.0", False),
        ("3.5.0", True),
        ("3.99.1", True),
        ("4.0.0-rc.1", False),
        ("4.0.0", False),
    ],
)
def test_a_range_includes_its_minimum_and_no_candidate_of_its_end(version: str, allowed: bool) -> None:  # noqa: FBT001 - a column of the table above
    assert Accepted("3.5", "4").allows(version) is allowed


def test_an_exact_pin_allows_its_build_suffix_and_nothing_newer() -> None:
    assert Exactly("1.17.0").allows("1.17.0-stable")
    assert not Exactly("1.17.0").allows("1.17.1")


@pytest.mark.parametrize(
    ("program", "output", "version"),
    [
        ("prometheus", "prometheus, version 3.15.0 (branch: , revision: unknown)\n  build user:", "3.15.0"),
        (
            "promtool",
            "promtool, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5+b5)",
            "2.42.0+ds",
        ),
        ("promtool2", "promtool, version 2.55.1", "2.55.1"),
        ("alertmanager", "alertmanager, version 0.25.0 (branch: debian/sid)", "0.25.0"),
        ("geth", "geth version 1.17.0-stable", "1.17.0-stable"),
        ("go", "go version go1.26.8 linux/amd64", "1.26.8"),
        ("go", "go version devel go1.28-a1b2c3 Mon Nov 9 linux/arm64", "1.28"),
        ("go", "go version go1.27rc1 darwin/arm64", "1.27rc1"),
        ("node", "v20.20.2", "20.20.2"),
        ("haproxy", "HAProxy version 2.6.12-1+deb12u1 2023/12/16 - https://haproxy.org/", "2.6.12-1+deb12u1"),
        ("chromium", "Chromium 120.0.6099.224 built on Debian 12.4", "120.0.6099.224"),
    ],
)
def test_the_version_is_read_from_what_programs_really_print(
    script: Script, program: str, output: str, version: str
) -> None:
    on_path = PROGRAMS[program].on_path
    assert isinstance(on_path, OnPath)
    path = script("program", f"/bin/cat <<'END'\n{output}\nEND")

    assert ask_version(path, on_path.arguments, on_path.pattern) == version


def test_a_version_on_standard_error_counts(script: Script) -> None:
    path = script("promtool", "echo 'promtool, version 2.30.0' >&2")

    assert ask_version(path, ["--version"], PROMETHEUS_FAMILY) == "2.30.0"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'Segmentation fault, sorry'", "names no version"),
        ("echo 'promtool, version (branch: )'", "names no version"),
        ("echo 'promtool, version ²³ (branch: )'", "names no version"),
        (f"echo 'promtool, version {'9' * 5000} (branch: )'", "names no version"),
        ("printf 'promtool, version 3.5.0\\033[2J (branch: )'", "names no version"),
        ("true", "'nothing'"),
        ("printf '\\377\\376\\000'", "names no version"),
        ("echo 'promtool, version 3.5.0'; exit 3", "exit code 3"),
        ("kill -9 $$", "exit code -9"),
    ],
)
def test_a_program_that_answers_wrongly_is_told_apart(script: Script, body: str, reason: str) -> None:
    with pytest.raises(VersionUnknownError, match=reason):
        ask_version(script("promtool", body), ["--version"], PROMETHEUS_FAMILY)


def test_a_program_that_hangs_is_ended_with_its_children(script: Script, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    path = script("promtool", f"(sleep 1; echo still > {alive}) &\nsleep 60")
    began = time.monotonic()

    with pytest.raises(VersionUnknownError, match=r"within 0\.3 s"):
        ask_version(path, ["--version"], PROMETHEUS_FAMILY, timeout_seconds=0.3)

    assert time.monotonic() - began < 5
    time.sleep(1.2)
    assert not alive.exists()


def test_a_child_that_keeps_the_pipe_open_does_not_hold_us(script: Script) -> None:
    path = script("promtool", "sleep 60 &\necho 'promtool, version 3.5.0'")
    began = time.monotonic()

    with pytest.raises(VersionUnknownError, match="did not tell"):
        ask_version(path, ["--version"], PROMETHEUS_FAMILY, timeout_seconds=0.3)

    assert time.monotonic() - began < 5


def test_endless_output_is_cut_off(script: Script) -> None:
    path = script("promtool", "while :; do echo 0123456789012345678901234567890123456789; done")

    with pytest.raises(VersionUnknownError, match="names no version"):
        ask_version(path, ["--version"], PROMETHEUS_FAMILY)


def test_a_file_that_is_not_executable_code_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "promtool"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)

    with pytest.raises(VersionUnknownError, match="does not start"):
        ask_version(path, ["--version"], PROMETHEUS_FAMILY)


def test_a_file_that_is_gone_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(VersionUnknownError, match="cannot be read"):
        ask_version(tmp_path / "promtool", ["--version"], PROMETHEUS_FAMILY)


def test_a_replaced_program_is_asked_again(script: Script) -> None:
    path = script("promtool", "echo 'promtool, version 3.5.0'")
    assert ask_version(path, ["--version"], PROMETHEUS_FAMILY) == "3.5.0"
    path.unlink()
    path = script("promtool", "echo 'promtool, version 3.15.0'")

    assert ask_version(path, ["--version"], PROMETHEUS_FAMILY) == "3.15.0"
