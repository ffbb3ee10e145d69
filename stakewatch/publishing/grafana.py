"""The target type `grafana`: any Grafana, by its url and a service account's token."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stakewatch.bundle.http_access import expect_token, read_token
from stakewatch.errors import InputError
from stakewatch.publishing.grafana_target import GrafanaAccess, GrafanaTarget
from stakewatch.publishing.json_api import Hints
from stakewatch.publishing.target import Source, Target, target_type

TOKEN_VARIABLE = "GRAFANA_TOKEN"  # noqa: S105 - the variable's name, not what is in it

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
        token = find_token(options, os.environ, place=source.destination.place)
        yield GrafanaAccess(url=url, token=lambda: token, hints=_HINTS)

    return GrafanaTarget(source, opening, f"Grafana {url}")


def find_token(options: Mapping[str, Any], environment: Mapping[str, str], *, place: str) -> str:
    """Return the token from `token_file`, or else from the environment.

    Raises InputError, which never repeats what it read: neither is there, or what is there is no token.
    """
    if "token_file" in options:
        return read_token(Path(options["token_file"]), private=True)
    token = environment.get(TOKEN_VARIABLE, "")
    if not token.strip():
        raise InputError(
            "there is no token for this Grafana",
            where=place,
            mend=f"set {TOKEN_VARIABLE}, or write token_file: the name of a file with the token in it",
        )
    return expect_token(token, where=f"the environment variable {TOKEN_VARIABLE}")
