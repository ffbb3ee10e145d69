"""Access to a user's server over HTTP: the token in a file, to whom it is sent, why nobody answers."""

import ipaddress
import os
import re
import stat
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import requests
from requests.auth import AuthBase

from stakewatch.bundle.tls import tls_failure
from stakewatch.errors import InputError

# The variable in which requests finds authorities of a user's own.
AUTHORITIES = "REQUESTS_CA_BUNDLE"
_TOKEN = re.compile(r"[!-~]{1,65536}")
_LARGEST_FILE = 100_000


class Bearer(AuthBase):
    """A token as a header.

    As an authentication of its own, so that neither a netrc file replaces it nor a redirect to another host
    gets it.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def read_token(path: Path, *, private: bool = False) -> str:
    """Return the token that stands alone in a file, which with `private` nobody else on the machine may read.

    Raises InputError, which never repeats what is in the file.
    """
    try:
        # What is no ordinary file must not hold us up.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_FILE) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise InputError(
            f"the token cannot be read: {error.strerror}", where=str(path), mend="write the token into it"
        ) from error
    if private and mode & stat.S_IRWXO:
        raise InputError(
            "everybody on this machine may read or change it", where=str(path), mend="chmod o= the file"
        )
    return expect_token(content.decode("utf-8", errors="replace"), where=str(path))


def expect_token(text: str, *, where: str) -> str:
    """Return a token without what surrounds it. Raises InputError, without the text, when it is none."""
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise InputError(
            "holds no token", where=where, mend="a token is one line of letters, digits and signs"
        )
    return token


def address_parts(url: str) -> SplitResult | None:
    """Return the parts of an http address with a host and, if any, a port; None for what is none."""
    try:
        parts = urlsplit(url)
        # Reading the port is what finds a wrong one.
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if sound else None


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine, which is asked without proxies and without encryption."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def failure_of(error: requests.RequestException) -> str:
    """Return in a few words why there was no answer: the innermost reason, without what was asked."""
    if isinstance(error, requests.exceptions.SSLError):
        what, mend = tls_failure(error, variable=AUTHORITIES)
        return f"{what} ({mend})"
    cause: BaseException | None = error
    said = type(error).__name__
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            # A failed look-up of a name has a negative number and a text of its own.
            said = os.strerror(cause.errno) if cause.errno > 0 else (cause.strerror or said)
        # What a library wraps stands in `reason` with some, among the arguments with others.
        inner = (getattr(cause, "reason", None), *cause.args, cause.__cause__, cause.__context__)
        cause = next((one for one in inner if isinstance(one, BaseException)), None)
    return said
