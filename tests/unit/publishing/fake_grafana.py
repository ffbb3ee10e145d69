"""A strict Grafana: what its public API documentation says it takes, and nothing else.

A request that the documentation does not know is answered as Grafana would and kept in `wrong`, which a test
expects to be empty.
"""

import copy
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from jsonschema import Draft202012Validator

from tests.unit.publishing.loopback import listening

Json = Any
ADMIN = "glsa_admin0123456789"
EDITOR = "glsa_editor0123456789"
VIEWER = "glsa_viewer0123456789"

_UID = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"}
_TITLE = {"type": "string", "minLength": 1}
_DATA_SOURCE = {
    "uid": _UID,
    "name": _TITLE,
    "type": _TITLE,
    "url": {"type": "string"},
    "access": {"enum": ["proxy"]},
    "user": {"type": "string"},
    "database": {"type": "string"},
    "basicAuth": {"type": "boolean"},
    "basicAuthUser": {"type": "string"},
    "withCredentials": {"type": "boolean"},
    "isDefault": {"type": "boolean"},
    "jsonData": {
        "type": "object",
        "properties": {
            "sigV4Auth": {"type": "boolean"},
            "sigV4AuthType": {"enum": ["default", "workspace-iam-role"]},
            # Grafana ignores this spelling without a word.
            "sigv4AuthType": False,
            "sigv4Auth": False,
            "sigv4Region": False,
        },
    },
    "version": {"type": "integer"},
}


def _object(properties: Mapping[str, Json], *required: str) -> Mapping[str, Json]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        "required": list(required),
    }


_BODIES: Mapping[str, Mapping[str, Json]] = {
    "POST folders": _object({"uid": _UID, "title": _TITLE, "parentUid": _UID}, "title"),
    "PUT folder": _object(
        {"title": _TITLE, "version": {"type": "integer"}, "overwrite": {"type": "boolean"}}, "title"
    ),
    "POST dashboards": _object(
        {
            "dashboard": {
                "type": "object",
                "required": ["title", "uid", "version", "id"],
                "properties": {
                    "id": {"type": "null"},
                    "uid": _UID,
                    "title": _TITLE,
                    "version": {"type": "integer"},
                },
            },
            "folderUid": {"type": "string"},
            "message": {"type": "string"},
            "overwrite": {"const": False},
        },
        "dashboard",
        "folderUid",
    ),
    "POST datasources": _object(_DATA_SOURCE, "name", "type", "access"),
    "PUT datasource": _object(_DATA_SOURCE, "name", "type", "access", "version"),
}
_SEARCH = {"query", "tag", "type", "dashboardUIDs", "folderUIDs", "starred", "limit", "page"}


@dataclass(frozen=True)
class Reply:
    """What goes back to the client; a body that is text is sent as a page, `cut` leaves out its end."""

    status: int
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    # The connection ends: in the middle, before the request is heard, or after it was carried out.
    cut: bool = False
    drop: bool = False
    lost: bool = False


def page(status: int) -> Reply:
    """Return what a network access control or proxy answers."""
    return Reply(status, f"<html><head><title>{status} Forbidden</title></head></html>")


@dataclass
class Stored:
    """A dashboard as Grafana keeps it; `history` is what was said with each version."""

    content: dict[str, Json]
    folder: str
    history: list[str]
    provisioned: str | None = None

    @property
    def version(self) -> int:
        return len(self.history)


@dataclass
class FakeGrafana:
    """What this Grafana holds, and what a test lets go wrong; filled over HTTP or by the test itself."""

    version: str = "12.4.1"
    hides_version: bool = False
    tokens: dict[str, str] = field(
        default_factory=lambda: {ADMIN: "Admin", EDITOR: "Editor", VIEWER: "Viewer"}
    )
    plugins: set[str] = field(default_factory=lambda: {"prometheus", "grafana-amazonprometheus-datasource"})
    quota: int = 1000
    delay_seconds: float = 0.0
    # How this version stores a dashboard otherwise than it was sent.
    stores: Callable[[dict[str, Json]], dict[str, Json]] = lambda content: content
    # What is answered instead, by method, path and the number of the request from 1; None for the truth.
    instead: Callable[[str, str, int], Reply | None] = lambda _method, _path, _number: None
    folders: dict[str, dict[str, Json]] = field(default_factory=dict)
    dashboards: dict[str, Stored] = field(default_factory=dict)
    data_sources: dict[str, dict[str, Json]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def writes(self) -> list[str]:
        """The requests that change something."""
        return [one for one in self.requests if not one.startswith("GET ")]

    def save_in_browser(self, uid: str, **changes: Json) -> None:
        """Change a dashboard as a person does in the browser; what is not there is made new."""
        stored = self.dashboards.setdefault(uid, Stored({"uid": uid, "title": uid, "tags": []}, "", []))
        stored.content = {**stored.content, **changes}
        stored.history.append("")

    def answer(self, method: str, target: str, headers: Message, content: bytes) -> Reply:
        """Answer one request."""
        parts = urlsplit(target)
        if self.delay_seconds:
            time.sleep(self.delay_seconds)
        with self._lock:
            self.requests.append(f"{method} {parts.path}")
            other = self.instead(method, parts.path, len(self.requests))
            if other is not None and not other.lost:
                return other
            query = {
                name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()
            }
            truth = self._routed(method, parts.path, query, headers, content)
            return other or truth

    def _routed(
        self, method: str, path: str, query: Mapping[str, str], headers: Message, content: bytes
    ) -> Reply:
        if headers.get("Accept") != "application/json":
            self.wrong.append(f"{method} {path} accepts {headers.get('Accept')}")
        body = self._body(method, path, headers, content)
        if path == "/api/health" and method == "GET":
            shown = {} if self.hides_version else {"version": self.version, "commit": "087143285"}
            return Reply(200, {"database": "ok", **shown})
        role = self.tokens.get(headers.get("Authorization", "").removeprefix("Bearer "))
        if role is None:
            return Reply(
                401, {"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401}
            )
        for pattern, handlers in self._routes().items():
            match = re.fullmatch(pattern, path)
            if match is None:
                continue
            handler = handlers.get(method)
            if handler is None:
                break
            if method != "GET" and not _may(role, path):
                needed = "datasources:create" if "datasources" in path else "dashboards:create"
                said = "You'll need additional permissions to perform this action. Permissions needed: "
                return Reply(
                    403, {"title": "Access denied", "message": said + needed, "accessErrorId": "ACE1"}
                )
            return handler([unquote(one) for one in match.groups()], query, body)
        self.wrong.append(f"{method} {path} is no call of the documentation")
        return Reply(404, {"message": "Not found"})

    def _body(self, method: str, path: str, headers: Message, content: bytes) -> Json:
        if not content:
            return None
        if headers.get("Content-Type") != "application/json":
            self.wrong.append(f"{method} {path} sends {headers.get('Content-Type')}")
        return json.loads(content)

    def _routes(self) -> dict[str, dict[str, Callable[[list[str], Mapping[str, str], Json], Reply]]]:
        return {
            r"/api/frontend/settings": {"GET": self._settings},
            r"/api/plugins/([^/]+)/settings": {"GET": self._plugin},
            r"/api/search": {"GET": self._search},
            r"/api/folders": {"POST": self._create_folder},
            r"/api/folders/([^/]+)": {"GET": self._folder, "PUT": self._rename_folder},
            r"/api/dashboards/db": {"POST": self._save},
            r"/api/dashboards/uid/([^/]+)": {"GET": self._dashboard, "DELETE": self._delete},
            r"/api/dashboards/uid/([^/]+)/versions": {"GET": self._versions},
            r"/api/datasources": {"POST": self._create_source},
            r"/api/datasources/uid/([^/]+)": {
                "GET": self._source,
                "PUT": self._change_source,
                "DELETE": self._delete_source,
            },
            r"/api/datasources/uid/([^/]+)/health": {"GET": self._health},
        }

    def _valid(self, name: str, body: Json) -> bool:
        problems = [error.message for error in Draft202012Validator(_BODIES[name]).iter_errors(body)]
        self.wrong += [f"{name}: {problem}" for problem in problems]
        return not problems

    def _settings(self, _: list[str], _query: Mapping[str, str], _body: Json) -> Reply:
        return Reply(200, {"buildInfo": {"version": self.version, "commit": "087143285"}})

    def _plugin(self, names: list[str], _query: Mapping[str, str], _body: Json) -> Reply:
        if names[0] not in self.plugins:
            return Reply(404, {"message": "Plugin not found, no installed plugin with that id"})
        return Reply(200, {"id": names[0], "type": "datasource", "enabled": True})

    def _search(self, _: list[str], query: Mapping[str, str], _body: Json) -> Reply:
        self.wrong += [f"search: unknown parameter {name}" for name in set(query) - _SEARCH]
        found = [
            {"uid": uid, "title": one.content["title"], "type": "dash-db", "tags": one.content["tags"]}
            | ({"folderUid": one.folder} if one.folder else {})
            for uid, one in sorted(self.dashboards.items())
            if query.get("tag") in (None, *one.content["tags"])
            # Grafana 9 knows no `folderUIDs`.
            and (query.get("folderUIDs") in (None, one.folder) or self.version.startswith("9."))
        ]
        size = int(query.get("limit", "1000"))
        start = (int(query.get("page", "1")) - 1) * size
        return Reply(200, found[start : start + size])

    def _folder(self, uids: list[str], _query: Mapping[str, str], _body: Json) -> Reply:
        if uids[0] not in self.folders:
            return Reply(404, {"message": "folder not found", "status": "not-found"})
        return Reply(
            200, {"id": 1, "url": f"/dashboards/f/{uids[0]}/x", "canSave": True, **self.folders[uids[0]]}
        )

    def _create_folder(self, _: list[str], _query: Mapping[str, str], body: Json) -> Reply:
        if not self._valid("POST folders", body):
            return Reply(400, {"message": "bad request data"})
        uid = body["uid"]
        if uid in self.folders:
            return Reply(409, {"message": "a folder with that uid already exists"})
        if body["title"] in {folder["title"] for folder in self.folders.values()}:
            return Reply(412, {"message": "a folder with that name already exists", "status": "name-exists"})
        self.folders[uid] = {"uid": uid, "title": body["title"], "version": 1}
        return Reply(200, self.folders[uid])

    def _rename_folder(self, uids: list[str], _query: Mapping[str, str], body: Json) -> Reply:
        if not self._valid("PUT folder", body):
            return Reply(400, {"message": "bad request data"})
        folder = self.folders.get(uids[0])
        if folder is None:
            return Reply(404, {"message": "folder not found", "status": "not-found"})
        if body.get("version") != folder["version"]:
            said = "the folder has been changed by someone else"
            return Reply(412, {"message": said, "status": "version-mismatch"})
        folder |= {"title": body["title"], "version": folder["version"] + 1}
        return Reply(200, folder)

    def _dashboard(self, uids: list[str], _query: Mapping[str, str], _body: Json) -> Reply:
        stored = self.dashboards.get(uids[0])
        if stored is None:
            return Reply(404, {"message": "Dashboard not found"})
        about: dict[str, Json] = {
            "isStarred": False,
            "folderUid": stored.folder,
            "folderTitle": self.folders.get(stored.folder, {}).get("title", "General"),
            "version": stored.version,
            "provisioned": stored.provisioned is not None,
            "provisionedExternalId": stored.provisioned or "",
        }
        content = {**copy.deepcopy(stored.content), "id": 7, "version": stored.version}
        return Reply(200, {"dashboard": content, "meta": about})

    def _save(self, _: list[str], _query: Mapping[str, str], body: Json) -> Reply:
        if not self._valid("POST dashboards", body):
            return Reply(400, {"message": "bad request data"})
        content = body["dashboard"]
        uid = content["uid"]
        stored = self.dashboards.get(uid)
        if body["folderUid"] and body["folderUid"] not in self.folders:
            return Reply(400, {"message": "folder not found"})
        refused = self._refused(uid, content, body, stored)
        if refused is not None:
            return refused
        if stored is None:
            stored = self.dashboards[uid] = Stored({}, "", [])
        stored.content = self.stores(
            {key: value for key, value in content.items() if key not in ("id", "version")}
        )
        stored.folder = body["folderUid"]
        stored.history.append(body["message"])
        return Reply(200, {"id": 7, "uid": uid, "status": "success", "version": stored.version, "slug": uid})

    def _refused(
        self, uid: str, content: Mapping[str, Json], body: Mapping[str, Json], stored: Stored | None
    ) -> Reply | None:
        if stored is None and len(self.dashboards) >= self.quota:
            return Reply(403, {"message": "Quota reached"})
        if stored is not None and stored.provisioned is not None:
            return Reply(400, {"message": "Cannot save provisioned dashboard"})
        if stored is not None and stored.version != content["version"]:
            said = "The dashboard has been changed by someone else"
            return Reply(412, {"message": said, "status": "version-mismatch"})
        same_title = (
            one.content["title"] == content["title"] and one.folder == body["folderUid"] and other != uid
            for other, one in self.dashboards.items()
        )
        if self.version.startswith(("9.", "10.")) and any(same_title):
            said = "A dashboard with the same name in the folder already exists"
            return Reply(412, {"message": said, "status": "name-exists"})
        return None

    def _delete(self, uids: list[str], _query: Mapping[str, str], _body: Json) -> Reply:
        stored = self.dashboards.pop(uids[0], None)
        if stored is None:
            return Reply(404, {"message": "Dashboard not found"})
        return Reply(200, {"title": stored.content["title"], "message": "Dashboard deleted", "id": 7})

    def _versions(self, uids: list[str], query: Mapping[str, str], _body: Json) -> Reply:
        self.wrong += [f"versions: unknown parameter {name}" for name in set(query) - {"limit", "start"}]
        stored = self.dashboards.get(uids[0])
        if stored is None:
            return Reply(404, {"message": "Dashboard version not found"})
        latest = [
            {"id": number, "uid": uids[0], "version": number, "message": message}
            for number, message in reversed(list(enumerate(stored.history, 1)))
        ][: int(query.get("limit", "1000"))]
        older = self.version.startswith(("9.", "10."))
        return Reply(200, latest if older else {"continueToken": "", "versions": latest})

    def _source(self, uids: list[str], _query: Mapping[str, str], _body: Json) -> Reply:
        source = self.data_sources.get(uids[0])
        if source is None:
            return Reply(404, {"message": "Data source not found"})
        return Reply(200, {"id": 1, "orgId": 1, "readOnly": False, "secureJsonFields": {}, **source})

    def _create_source(self, _: list[str], _query: Mapping[str, str], body: Json) -> Reply:
        if not self._valid("POST datasources", body):
            return Reply(400, {"message": "bad request data"})
        taken = {body["name"]} & {source["name"] for source in self.data_sources.values()}
        if taken or body["uid"] in self.data_sources:
            return Reply(409, {"message": "data source with the same name already exists"})
        self.data_sources[body["uid"]] = {"isDefault": False, "basicAuth": False, **body, "version": 1}
        return Reply(200, {"message": "Datasource added", "id": 1, "name": body["name"]})

    def _change_source(self, uids: list[str], _query: Mapping[str, str], body: Json) -> Reply:
        if not self._valid("PUT datasource", body):
            return Reply(400, {"message": "bad request data"})
        source = self.data_sources.get(uids[0])
        if source is None:
            return Reply(404, {"message": "Data source not found"})
        if source.get("readOnly"):
            return Reply(403, {"message": "Cannot update read-only data source"})
        if body["version"] != source["version"]:
            said = "Datasource has already been updated by someone else. Please reload and try again"
            return Reply(409, {"message": said})
        self.data_sources[uids[0]] = {"basicAuth": False, **body, "version": source["version"] + 1}
        return Reply(200, {"message": "Datasource updated", "id": 1, "name": body["name"]})

    def _delete_source(self, uids: list[str], _query: Mapping[str, str], _body: Json) -> Reply:
        if self.data_sources.pop(uids[0], None) is None:
            return Reply(404, {"message": "Data source not found"})
        return Reply(200, {"message": "Data source deleted", "id": 1})

    def _health(self, uids: list[str], _query: Mapping[str, str], _body: Json) -> Reply:
        source = self.data_sources.get(uids[0])
        if source is None or source["type"] not in self.plugins:
            return Reply(404, {"message": "Plugin unavailable"})
        return Reply(200, {"status": "OK", "message": "Successfully queried the Prometheus API."})


def _may(role: str, path: str) -> bool:
    return role == "Admin" or (role == "Editor" and "datasources" not in path)


@contextmanager
def serving(grafana: FakeGrafana) -> Iterator[FakeGrafana]:
    """Serve `grafana` on a free loopback port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One write for head and body: else each answer waits for the acknowledgement of its head.
        wbufsize = -1

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            content = self.rfile.read(length)
            if len(content) < length:
                # Who asked was killed between head and body: no server acts on that.
                self.close_connection = True
                return
            reply = grafana.answer(self.command, self.path, self.headers, content)
            if reply.drop or reply.lost:
                self.close_connection = True
                return
            is_page = isinstance(reply.body, str)
            body = b"" if reply.body is None else (reply.body if is_page else json.dumps(reply.body)).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "text/html" if is_page else "application/json")
            self.send_header("Content-Length", str(len(body) + (100 if reply.cut else 0)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or reply.cut

        do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 - the names of the base class

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    with listening(Handler) as grafana.url:
        yield grafana
