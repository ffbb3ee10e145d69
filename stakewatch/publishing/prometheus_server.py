"""A running Prometheus: what it has loaded, and how it is told to load again."""

import contextlib
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing.json_api import ApiError, Json, JsonApi, UnusableApiError
from stakewatch.publishing.target import Report, UnusableTargetError

# What it is called in plans and in the status.
NAME = "Prometheus"

_POLL_SECONDS = 0.1
_LOAD_SECONDS = 60.0
_REFUSED_AFTER_SECONDS = 3.0
_LARGEST_PID_FILE = 64
_PROGRAM = "prometheus"


@dataclass(frozen=True)
class LoadedRule:
    """A rule that Prometheus has loaded; `health` is ok, unknown (not yet evaluated) or err."""

    name: str
    health: str
    error: str
    firing: bool


@dataclass(frozen=True)
class LoadedGroup:
    """A rule group that Prometheus has loaded; `file` is the path as Prometheus sees it."""

    name: str
    file: str
    rules: tuple[LoadedRule, ...]

    def stands_in(self, name: str) -> bool:
        """Return whether it is of the file that we call `name`, wherever Prometheus finds our folder."""
        parts = PurePosixPath(name).parts
        return PurePosixPath(self.file).parts[-len(parts) :] == parts


@dataclass(frozen=True)
class Loading:
    """The latest loading of the configuration: whether it succeeded, and when one did last.

    `last_success` is in Unix seconds, whole ones: Prometheus tells no more.
    """

    succeeded: bool
    last_success: int

    def after(self, moment: float, *, noted: bool) -> bool:
        """Return whether it succeeded after `moment`; in the same second that is so when it is `noted`."""
        second = math.floor(moment)
        return self.last_success > second or (self.last_success == second and noted)


def server_version(api: JsonApi) -> str:
    """Return the version of the Prometheus. Raises ApiError."""
    return str(_data(api, "/api/v1/status/buildinfo").get("version") or "")


def expect_lifecycle(api: JsonApi, place: str) -> None:
    """Raise UnusableTargetError where Prometheus cannot be told over HTTP to load its configuration again.

    One that does not tell how it was started is taken at its word when it is told.
    """
    try:
        enabled = _data(api, "/api/v1/status/flags").get("web.enable-lifecycle")
    except UnusableApiError:
        raise
    except ApiError:
        return
    if enabled == "false":
        raise UnusableTargetError(
            "it was started without --web.enable-lifecycle, and so cannot be told to load what is new",
            where=api.url,
            mend=_without_lifecycle(place),
        )


def _without_lifecycle(place: str) -> str:
    return f"start it with --web.enable-lifecycle, or write pid_file in {place}"


def latest_loading(api: JsonApi) -> Loading:
    """Return when the configuration was loaded. Raises ApiError."""
    path = "/api/v1/status/runtimeinfo"
    data = _data(api, path)
    try:
        moment = datetime.fromisoformat(data["lastConfigTime"]).timestamp()
        return Loading(succeeded=bool(data["reloadConfigSuccess"]), last_success=math.floor(moment))
    except (KeyError, TypeError, ValueError) as error:
        raise _not_prometheus(api, path) from error


def loaded_groups(api: JsonApi) -> tuple[LoadedGroup, ...]:
    """Return all rule groups that are loaded. Raises ApiError."""
    path = "/api/v1/rules"
    try:
        return tuple(
            LoadedGroup(
                name=str(group["name"]),
                file=str(group["file"]),
                rules=tuple(
                    LoadedRule(
                        name=str(rule["name"]),
                        health=str(rule["health"]),
                        error=str(rule.get("lastError") or ""),
                        firing=rule.get("state") == "firing",
                    )
                    for rule in group["rules"]
                ),
            )
            for group in _data(api, path)["groups"]
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _not_prometheus(api, path) from error


def reload_over_http(api: JsonApi, place: str) -> None:
    """Have the configuration loaded again. Raises ApiError with what Prometheus has against it."""
    try:
        api.ask("POST", "/-/reload")
    except ApiError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            mend = _without_lifecycle(place)
        elif error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            mend = "it goes on with what it had loaded before; its log names the file and line"
        else:
            raise
        raise ApiError(
            error.what, where=f"{api.url}/-/reload", mend=mend, status=error.status, reason=error.reason
        ) from error


class NotRunningError(StakewatchError):
    """The Prometheus whose process id should stand in a file is not running."""


def find_process(pid_file: Path) -> int:
    """Return the process id of the Prometheus for which it stands in a file.

    Raises NotRunningError, and InputError when that is no Prometheus.
    """
    number = _process_id(pid_file)
    name = _program_name(number)
    if name is None:
        raise NotRunningError(
            f"the process {number} is not there", where=str(pid_file), mend="is Prometheus running?"
        )
    if not name.startswith(_PROGRAM):
        raise InputError(
            f"the process {number} is {name}, not a Prometheus",
            where=str(pid_file),
            mend="the file is old, or another program's: name the one that Prometheus' service writes",
        )
    return number


def reload_by_signal(pid_file: Path) -> None:
    """Tell the Prometheus whose process id stands in a file to load its configuration again (SIGHUP).

    Raises what `find_process` raises: this signal ends most other programs. And StakewatchError.
    """
    number = find_process(pid_file)
    try:
        os.kill(number, signal.SIGHUP)
    except OSError as error:
        raise StakewatchError(
            f"cannot be told to load again: {error.strerror}",
            where=f"process {number}",
            mend="run this as the user of Prometheus, or write url and start it with --web.enable-lifecycle",
        ) from error


def wait_for_next_second(moment: float) -> None:
    """Wait until the second of `moment` (Unix seconds) is over, so that a later loading can be told."""
    left = math.floor(moment) + 1 - time.time()
    # A file from the future, where a clock was set back, is waited for by nobody.
    time.sleep(max(0.0, min(left, 1.0)))


def wait_for_loading(api: JsonApi, since: float, report: Report) -> None:
    """Wait until the configuration has been loaded in a later second than `since` (Unix seconds).

    Raises StakewatchError when Prometheus refuses it, or does not come to it within a minute.
    """
    started = time.monotonic()
    while True:
        report("Prometheus to load it")
        loading = latest_loading(api)
        waited = time.monotonic() - started
        if loading.succeeded and loading.after(since, noted=False):
            return
        # An earlier refusal looks the same until Prometheus comes to our signal.
        if not loading.succeeded and waited > _REFUSED_AFTER_SECONDS:
            raise StakewatchError(
                "it refuses what is new and goes on with what it had loaded before",
                where=api.url,
                mend="its log names the file and line",
            )
        if waited > _LOAD_SECONDS:
            raise StakewatchError(
                f"it has not loaded its configuration again within {_LOAD_SECONDS:g} s",
                where=api.url,
                mend="is it the Prometheus whose process id stands in pid_file?",
            )
        time.sleep(_POLL_SECONDS)


def group_lines(groups: Sequence[LoadedGroup], names: Sequence[str]) -> Iterator[str]:
    """Yield a line for each of the groups that stands in one of the files `names`."""
    for name in names:
        for group in sorted((one for one in groups if one.stands_in(name)), key=lambda one: one.name):
            yield group_line(name, group.name, len(group.rules))


def group_line(file: str, group: str, rules: int) -> str:
    """Return the line about one rule group."""
    return f"{file}: {group}, {rules} rules"


def _process_id(path: Path) -> int:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            text = file.read(_LARGEST_PID_FILE).strip()
    except FileNotFoundError as error:
        raise NotRunningError("is not there", where=str(path), mend="is Prometheus running?") from error
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", where=str(path), mend="let who runs this read it"
        ) from error
    # 1 is the first program of a machine or container; 0 and less are whole groups of processes.
    if not (text.isascii() and text.isdigit()) or int(text) <= 1:
        raise InputError("holds no process id", where=str(path), mend="name the file with Prometheus' own")
    return int(text)


def _program_name(number: int) -> str | None:
    """Return the name of a running program, None where there is no such process."""
    if Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            return Path(f"/proc/{number}/comm").read_text(encoding="utf-8", errors="replace").strip()
        return None
    listed = subprocess.run(
        ["/bin/ps", "-p", str(number), "-o", "comm="], capture_output=True, text=True, check=False
    )
    return Path(listed.stdout.strip()).name or None


def _data(api: JsonApi, path: str) -> Json:
    answer = api.ask("GET", path)
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        raise _not_prometheus(api, path)
    return data


def _not_prometheus(api: JsonApi, path: str) -> ApiError:
    return ApiError(
        "its answer is not that of a Prometheus",
        where=f"{api.url}{path}",
        mend="is the url that of the Prometheus, with its path prefix if it has one?",
    )
