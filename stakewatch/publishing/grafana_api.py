"""The part of Grafana's HTTP API that publishing needs, as types.

The calls are those below `/api` (grafana.com/docs/grafana/latest/developers/http_api), which Grafana 9 to 13
and Amazon Managed Grafana serve; the newer ones below `/apis` differ between these versions.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from stakewatch.publishing.json_api import ApiError, Json, JsonApi, segment

UID = re.compile(r"[a-zA-Z0-9_-]{1,40}")

_PAGE_SIZE = 1000
_MOST_PAGES = 100


@dataclass(frozen=True)
class Folder:
    """A folder of dashboards; `version` rises with each change."""

    uid: str
    title: str
    version: int


@dataclass(frozen=True)
class Dashboard:
    """A dashboard as it is stored; `folder_uid` is empty at the root, `version` rises with each change.

    `provisioned_from` is the file or repository that Grafana itself loads it from: then no one else may
    change it.
    """

    content: Mapping[str, Json]
    version: int
    folder_uid: str
    provisioned_from: str | None


@dataclass(frozen=True)
class DataSource:
    """A data source without its secrets; one that is `read_only` is loaded from a file of Grafana's."""

    content: Mapping[str, Json]
    version: int
    read_only: bool


@dataclass(frozen=True)
class Saving:
    """The latest saving of a dashboard: the version it made, and what was said with it."""

    version: int
    message: str


def grafana_version(api: JsonApi) -> str:
    """Return the version, which may be hidden from strangers but not from us. Raises ApiError."""
    health = api.ask("GET", "/api/health")
    if not isinstance(health, dict) or "database" not in health:
        raise _unexpected(api, "/api/health", "is not that of a Grafana")
    if health.get("version"):
        return str(health["version"])
    settings = api.ask("GET", "/api/frontend/settings")
    information = settings.get("buildInfo") if isinstance(settings, dict) else None
    if not isinstance(information, dict) or not information.get("version"):
        raise _unexpected(api, "/api/frontend/settings", "names no version")
    return str(information["version"])


def has_plugin(api: JsonApi, name: str) -> bool:
    """Return whether the plugin is installed. Raises ApiError."""
    return _found(api, f"/api/plugins/{segment(name)}/settings") is not None


def find_folder(api: JsonApi, uid: str) -> Folder | None:
    """Return the folder, None where there is none. Raises ApiError."""
    path = f"/api/folders/{segment(uid)}"
    answer = _found(api, path)
    if answer is None:
        return None
    return Folder(uid, _text(api, path, answer, "title"), _number(api, path, answer, "version"))


def create_folder(api: JsonApi, uid: str, title: str) -> None:
    """Create a folder at the root. Raises ApiError: 409 or 412 where the uid or the title is taken."""
    api.ask("POST", "/api/folders", body={"uid": uid, "title": title})


def rename_folder(api: JsonApi, uid: str, title: str, version: int) -> None:
    """Give the folder in this version another title. Raises ApiError: 412 where it has changed since."""
    api.ask("PUT", f"/api/folders/{segment(uid)}", body={"title": title, "version": version})


def find_dashboard(api: JsonApi, uid: str) -> Dashboard | None:
    """Return the dashboard, None where there is none. Raises ApiError."""
    path = f"/api/dashboards/uid/{segment(uid)}"
    answer = _found(api, path)
    if answer is None:
        return None
    content = _mapping(api, path, answer, "dashboard")
    about = _mapping(api, path, answer, "meta")
    source = str(about.get("provisionedExternalId") or "a file") if about.get("provisioned") else None
    return Dashboard(
        content=content,
        version=_number(api, path, content, "version"),
        folder_uid=str(about.get("folderUid") or ""),
        provisioned_from=source,
    )


def save_dashboard(
    api: JsonApi, content: Mapping[str, Json], *, folder_uid: str, version: int, message: str
) -> int:
    """Make this the content of the dashboard with its uid, and return the version that results.

    `version` is the one that is replaced, 0 where there is none. Raises ApiError: 412 where another version
    stands there, or the dashboard is a plugin's.
    """
    path = "/api/dashboards/db"
    body = {
        "dashboard": {**content, "id": None, "version": version},
        "folderUid": folder_uid,
        "message": message,
        "overwrite": False,
    }
    return _number(api, path, api.ask("POST", path, body=body), "version")


def delete_dashboard(api: JsonApi, uid: str) -> bool:
    """Delete the dashboard; return False where there was none. Raises ApiError."""
    return _deleted(api, f"/api/dashboards/uid/{segment(uid)}")


def dashboards_in(api: JsonApi, folder_uid: str, tag: str) -> Iterator[str]:
    """Yield the uids of the dashboards with this tag in a folder. Raises ApiError."""
    path = "/api/search"
    for page in range(1, _MOST_PAGES + 1):
        query = {
            "type": "dash-db",
            "folderUIDs": folder_uid,
            "tag": tag,
            "limit": str(_PAGE_SIZE),
            "page": str(page),
        }
        answer = api.ask("GET", path, query=query)
        if not isinstance(answer, list):
            raise _unexpected(api, path, "is no list")
        for found in answer:
            # An older Grafana does not know `folderUIDs` and answers with those of all folders.
            if _text(api, path, found, "uid") and found.get("folderUid") == folder_uid:
                yield found["uid"]
        if len(answer) < _PAGE_SIZE:
            return


def latest_saving(api: JsonApi, uid: str) -> Saving | None:
    """Return the latest saving of a dashboard, None where nothing tells. Raises ApiError."""
    path = f"/api/dashboards/uid/{segment(uid)}/versions"
    try:
        answer = api.ask("GET", path, query={"limit": "1"})
    except ApiError as error:
        if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
            return None
        raise
    # From Grafana 11 on the list stands in an object, beside a mark for the next page.
    versions = answer.get("versions") if isinstance(answer, dict) else answer
    if not isinstance(versions, list) or not versions:
        return None
    return Saving(
        version=_number(api, path, versions[0], "version"), message=str(versions[0].get("message") or "")
    )


def find_data_source(api: JsonApi, uid: str) -> DataSource | None:
    """Return the data source, None where there is none. Raises ApiError."""
    path = f"/api/datasources/uid/{segment(uid)}"
    answer = _found(api, path)
    if answer is None:
        return None
    return DataSource(
        content=answer,
        version=_number(api, path, answer, "version"),
        read_only=bool(answer.get("readOnly")),
    )


def create_data_source(api: JsonApi, content: Mapping[str, Json]) -> None:
    """Create a data source. Raises ApiError: 409 where its name or uid is taken."""
    api.ask("POST", "/api/datasources", body=content)


def change_data_source(api: JsonApi, uid: str, content: Mapping[str, Json]) -> None:
    """Make this the data source; secrets that it does not name stay.

    `content` carries the `version` that is replaced. Raises ApiError: 409 where it has changed since.
    """
    api.ask("PUT", f"/api/datasources/uid/{segment(uid)}", body=content)


def delete_data_source(api: JsonApi, uid: str) -> bool:
    """Delete the data source; return False where there was none. Raises ApiError."""
    return _deleted(api, f"/api/datasources/uid/{segment(uid)}")


def data_source_health(api: JsonApi, uid: str) -> tuple[bool, str]:
    """Return whether Grafana reaches what the data source stands for, and what it says of it.

    Raises ApiError where Grafana itself does not answer.
    """
    path = f"/api/datasources/uid/{segment(uid)}/health"
    try:
        answer = api.ask("GET", path)
    except ApiError as error:
        # A failed check is a 400 or 500 with its message.
        if not error.reason:
            raise
        return False, error.reason
    if not isinstance(answer, dict):
        raise _unexpected(api, path, "is no object")
    return answer.get("status") == "OK", str(answer.get("message") or "")


def _found(api: JsonApi, path: str) -> Json | None:
    """Return the object at `path`, None where Grafana itself says that there is none."""
    try:
        answer = api.ask("GET", path)
    except ApiError as error:
        # Without a message the 404 comes from something before Grafana.
        if error.status == HTTPStatus.NOT_FOUND and error.reason:
            return None
        raise
    if not isinstance(answer, dict):
        raise _unexpected(api, path, "is no object")
    return answer


def _deleted(api: JsonApi, path: str) -> bool:
    try:
        api.ask("DELETE", path)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND and error.reason:
            return False
        raise
    return True


def _mapping(api: JsonApi, path: str, answer: Json, key: str) -> Mapping[str, Json]:
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, dict):
        raise _unexpected(api, path, f"has no {key}")
    return value


def _text(api: JsonApi, path: str, answer: Json, key: str) -> str:
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, str):
        raise _unexpected(api, path, f"has no {key}")
    return value


def _number(api: JsonApi, path: str, answer: Json, key: str) -> int:
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, int):
        raise _unexpected(api, path, f"has no {key}")
    return value


def _unexpected(api: JsonApi, path: str, what: str) -> ApiError:
    return ApiError(
        f"its answer {what}",
        where=f"{api.url}{path}",
        mend="is the url that of a Grafana, version 9 or later?",
    )
