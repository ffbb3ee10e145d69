"""The target type `grafana`: any Grafana, by its url and a service account's token."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stakewatch.errors import InputError
from stakewatch.publishing.grafana_target import GrafanaAccess, GrafanaTarget
from stakewatch.publishing.json_api import Hints
from stakewatch.publishing.target import Source, Target, target_type

TOKEN_VARIABLE = "GRAFANA_TOKEN"  # noqa: S105 - the variable's name, not what is in it

_TOKEN = re.compile(r"[!-~]{1,4096}")
_LARGEST_TOKEN_FILE = 64 * 1024
_HINTS = Hints(
    unauthorized=f"check token_file or {TOKEN_VARIABLE}: the token may be wrong, expired or deleted",
    forbidden="give the service account the role Admin, or Editor where there is no data source to publish",
)


@target_type("grafana", builds=("dashboards",))
def grafana(source: Source) -> Target:
    """Return the target that the destination's `url`, `token_file`, `folder` and `data_source` describe."""
    options = source.destination.options
    url = options["url"].rstrip("/")

    @contextmanager
    def opening() -> Iterator[GrafanaAccess]:
        token = read_token(options, os.environ, place=source.destination.place)
        yield GrafanaAccess(url=url, token=lambda: token, hints=_HINTS)

    return GrafanaTarget(source, opening, f"Grafana {url}")


def read_token(options: Mapping[str, Any], environment: Mapping[str, str], *, place: str) -> str:
    """Return the token from `token_file`, or else from the environment.

    Raises InputError, which never repeats what it read: neither is there, or what is there is no token.
    """
    name = options.get("token_file")
    if name is None:
        token = environment.get(TOKEN_VARIABLE, "").strip()
        where = f"the environment variable {TOKEN_VARIABLE}"
        if not token:
            raise InputError(
                "there is no token for this Grafana",
                where=place,
                mend=f"set {TOKEN_VARIABLE}, or write token_file: the name of a file with the token in it",
            )
    else:
        token = _content(Path(name)).strip()
        where = name
    if not _TOKEN.fullmatch(token):
        raise InputError(
            "holds no token", where=where, mend="a token is one line of letters, digits and signs"
        )
    return token


def _content(path: Path) -> str:
    """Return the text of a file that is not everybody's to read. Raises InputError."""
    try:
        # What is no ordinary file must not hold us up.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_TOKEN_FILE) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", where=str(path), mend="write the token into it"
        ) from error
    if mode & stat.S_IRWXO:
        raise InputError(
            "everybody on this machine may read or change it", where=str(path), mend="chmod o= the file"
        )
    return content.decode("utf-8", errors="replace")
