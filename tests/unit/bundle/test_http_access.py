"""Tokens of the user's, and which hosts are this machine."""

import os
from pathlib import Path

import pytest

from stakewatch.bundle.http_access import expect_token, is_loopback, read_token
from stakewatch.errors import InputError


def test_a_token_stands_alone_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("  glsa_x/+=.~-_\n\n", encoding="ascii")
    assert read_token(path) == "glsa_x/+=.~-_"


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"two words", b"a\nb", b"a\x00b", b"a\x1bb", "größe".encode(), b"\xff", b"x" * 200_000],
)
def test_what_is_no_token_is_refused_without_being_repeated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no token") as raised:
        read_token(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "two words" not in str(raised.value)


def test_what_is_no_file_is_told_and_does_not_hold_us_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="holds no token"):
        read_token(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="the token cannot be read"):
            read_token(path)


@pytest.mark.parametrize(("mode", "private"), [(0o600, True), (0o640, True), (0o644, False), (0o602, False)])
def test_a_private_token_is_nobody_elses(tmp_path: Path, mode: int, *, private: bool) -> None:
    path = tmp_path / "token"
    path.write_text("x", encoding="ascii")
    path.chmod(mode)
    assert read_token(path) == "x"
    if private:
        assert read_token(path, private=True) == "x"
    else:
        with pytest.raises(InputError, match="everybody on this machine"):
            read_token(path, private=True)


def test_a_token_of_the_environment_is_held_to_the_same() -> None:
    assert expect_token(" x\n", where="here") == "x"
    with pytest.raises(InputError, match="here: holds no token"):
        expect_token("x y", where="here")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - not listened on
        ("localhost.example", False),
        ("", False),
        (None, False),
    ],
)
def test_hosts_of_this_machine_are_told_from_others(host: str | None, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback
