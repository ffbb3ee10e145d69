"""A Grafana as a target: one folder, the dashboards in it, and the data source that they read."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from stakewatch.bundle.http_access import is_loopback
from stakewatch.bundle.problems import quoted
from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing import grafana_api as grafana
from stakewatch.publishing.grafana_objects import (
    CORE_TYPE,
    DASHBOARD,
    DATA_SOURCE,
    FOLDER,
    MARK,
    TAG,
    dashboard_content,
    dashboard_flaws,
    dashboard_items,
    dashboard_text,
    data_source_as,
    data_source_content,
    data_source_item,
    folder_item,
    saving_message,
    uid_of,
)
from stakewatch.publishing.json_api import ApiError, Hints, JsonApi
from stakewatch.publishing.objects import Fact, Flaw, Item, LiveItem
from stakewatch.publishing.pace import side_by_side
from stakewatch.publishing.target import Report, Source, nothing_published

_WORKERS = 4
_REPEATED = (
    "uid",
    "version",
    "user",
    "database",
    "basicAuth",
    "basicAuthUser",
    "withCredentials",
    "isDefault",
)
_PROVISIONED = "Grafana loads it from a file (provisioning) and lets nobody else change it"
_ONE_WAY_ONLY = "publish it in one way only: remove it from Grafana's provisioning, or from here"
_PLAN_AGAIN = "somebody saved it after the plan was made: plan again to see what"


@dataclass(frozen=True)
class GrafanaAccess:
    """How to ask one Grafana: its address without a trailing slash, and its token, asked before each request.

    `version` is Grafana's where something else than itself tells it. `signature_type` is how this Grafana
    gets the credentials that a data source signs requests with.
    """

    url: str
    token: Callable[[], str]
    version: str | None = None
    signature_type: str = "default"
    hints: Hints = field(default_factory=Hints)
    facts: tuple[Fact, ...] = ()


class GrafanaTarget:
    """Publishes to the Grafana that `opening` gives access to, as `stakewatch.publishing.target` asks for."""

    kinds: Sequence[str] = (FOLDER, DATA_SOURCE, DASHBOARD)
    workers = _WORKERS
    together = False

    def __init__(
        self, source: Source, opening: Callable[[], AbstractContextManager[GrafanaAccess]], where: str
    ) -> None:
        options = source.destination.options
        self._source = source
        self._boards = source.bundle.build / "dashboards"
        self._opening = opening
        self._title: str = options.get("folder", "Stakewatch")
        self._folder_uid = uid_of(self._title)
        self._data_source: dict[str, Any] | None = options.get("data_source")
        self._place = source.destination.place
        if self._data_source and "role_arn" in self._data_source and "region" not in self._data_source:
            raise InputError(
                "data_source has a role_arn and no region: nothing would be signed",
                where=self._place,
                mend="add the region of the workspace that url names",
            )
        self.where = f"{where}, folder {self._title}"
        self._closing = ExitStack()
        self._opened: tuple[GrafanaAccess, JsonApi, str] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            access = stack.enter_context(self._opening())
            api = JsonApi(access.url, token=access.token, hints=access.hints)
            stack.callback(api.close)
            version = access.version or grafana.grafana_version(api)
            self._opened = access, api, version
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened = None
        self._closing.__exit__(kind, error, traceback)

    @property
    def _open(self) -> tuple[GrafanaAccess, JsonApi, str]:
        if self._opened is None:
            raise ValueError("a Grafana is asked outside of its `with` block")
        return self._opened

    @property
    def _api(self) -> JsonApi:
        return self._open[1]

    def desired(self) -> Sequence[Item]:
        """Return folder, data source where one is configured, and the dashboards that are built."""
        items = self._place_items()
        sources = [item for item in items if item.kind == DATA_SOURCE]
        opened_with = (sources[0].name, json.loads(sources[0].text)["name"]) if sources else None
        return [
            *items,
            *dashboard_items(self._boards, folder_uid=self._folder_uid, data_source=opened_with),
        ]

    def _place_items(self) -> list[Item]:
        """Return what the dashboards need: their folder and their data source."""
        items = [folder_item(self._folder_uid, self._title)]
        if self._data_source is not None:
            content = self._wanted_data_source(self._data_source)
            items.append(data_source_item(uid_of(content["name"]), content))
        return items

    def _wanted_data_source(self, options: dict[str, Any]) -> dict[str, Any]:
        access, _, version = self._open
        return data_source_content(options, version=version, signature_type=access.signature_type)

    def limits(self, items: Sequence[Item]) -> Sequence[Flaw]:
        """Return what this Grafana would refuse: titles, uids, a data source of a type that it has not."""
        flaws = dashboard_flaws([item for item in items if item.kind == DASHBOARD])
        address = urlsplit(self._api.url)
        if address.scheme == "http" and not is_loopback(address.hostname):
            what = "the token travels unencrypted over http"
            flaws.append(Flaw(self._api.url, what, "write https:// where it is served", fatal=False))
        for item in items:
            if item.kind != DATA_SOURCE:
                continue
            content = json.loads(item.text)
            if "/api/v1" in content["url"]:
                mend = f"{self._place}: write its base address, without /api/v1 and what follows"
                flaws.append(Flaw(str(item), "its url is that of one call, not of the Prometheus", mend))
            if content["type"] != CORE_TYPE and not self._has_plugin(content["type"]):
                what = f"this Grafana has no plugin {content['type']}"
                mend = "let an administrator install it, or switch on plugin management and install it there"
                flaws.append(Flaw(str(item), what, mend))
        return flaws

    def _has_plugin(self, name: str) -> bool:
        try:
            return grafana.has_plugin(self._api, name)
        except ApiError as error:
            # Who may publish need not be allowed to see plugins; then the data source itself will tell.
            if error.status == HTTPStatus.FORBIDDEN and error.reason:
                return True
            raise

    def live(self, items: Sequence[Item], report: Report) -> Sequence[LiveItem]:
        """Return the folder, the data source, and the dashboards that are ours or stand where ours belong."""
        found = [one for item in items if (one := self._live_unless_dashboard(item)) is not None]
        wanted = {item.name: item for item in items if item.kind == DASHBOARD}
        others: list[str] = []
        if any(one.item.kind == FOLDER for one in found) or FOLDER not in {item.kind for item in items}:
            report(f"the dashboards in the folder {self._title}")
            others = [
                uid for uid in grafana.dashboards_in(self._api, self._folder_uid, MARK) if uid not in wanted
            ]

        def look(uid: str) -> LiveItem | None:
            report(f"dashboard {uid}")
            return self._live_dashboard(uid, wanted.get(uid))

        boards = side_by_side(look, [*wanted, *others], workers=_WORKERS)
        return [*found, *(board for board in boards if board is not None)]

    def _live_unless_dashboard(self, item: Item) -> LiveItem | None:
        if item.kind == FOLDER:
            folder = grafana.find_folder(self._api, item.name)
            if folder is None:
                return None
            return LiveItem(
                folder_item(folder.uid, folder.title),
                owned=True,
                identity=folder.uid,
                version=str(folder.version),
            )
        if item.kind == DATA_SOURCE:
            source = grafana.find_data_source(self._api, item.name)
            if source is None:
                return None
            shown = data_source_as(json.loads(item.text), source.content)
            return LiveItem(
                data_source_item(item.name, shown),
                owned=not source.read_only,
                identity=item.name,
                version=str(source.version),
                reason="Grafana loads it from a file of its own (provisioning)" if source.read_only else "",
            )
        return None

    def _live_dashboard(self, uid: str, wanted: Item | None) -> LiveItem | None:
        board = grafana.find_dashboard(self._api, uid)
        if board is None:
            return None
        text = dashboard_text(board.content, board.folder_uid)
        if wanted is not None and text != wanted.text:
            content, _ = dashboard_content(wanted)
            ours = grafana.Saving(version=board.version, message=saving_message(content))
            if grafana.latest_saving(self._api, uid) == ours:
                text = dashboard_text(content, board.folder_uid)
        tags = board.content.get("tags") or []
        # A board that somebody imported by hand carries only the tag that all our boards have.
        known = MARK in tags or TAG in tags or board.folder_uid == self._folder_uid
        return LiveItem(
            Item(DASHBOARD, uid, text),
            owned=known and board.provisioned_from is None,
            identity=uid,
            version=str(board.version),
            reason=_not_ours(board, known=known),
        )

    def put(self, item: Item, live: LiveItem | None, report: Report) -> str:
        """Create or change the object, `live` being the version that is replaced."""
        report("Grafana's answer")
        puts = {FOLDER: self._put_folder, DATA_SOURCE: self._put_data_source, DASHBOARD: self._put_dashboard}
        try:
            return puts[item.kind](item, live)
        except ApiError as error:
            raise error.about(item, self._mend(error, item)) from error

    def _put_folder(self, item: Item, live: LiveItem | None) -> str:
        title: str = json.loads(item.text)["title"]
        if live is None:
            grafana.create_folder(self._api, item.name, title)
            return "created"
        grafana.rename_folder(self._api, item.name, title, int(live.version))
        return "renamed"

    def _put_data_source(self, item: Item, live: LiveItem | None) -> str:
        wanted = json.loads(item.text)
        there = None if live is None else grafana.find_data_source(self._api, item.name)
        if live is None or there is None:
            grafana.create_data_source(self._api, {**wanted, "uid": item.name})
            return "created"
        if there.read_only:
            raise StakewatchError(_PROVISIONED, where=str(item), mend=_ONE_WAY_ONLY)
        if str(there.version) != live.version:
            raise StakewatchError("it has been changed by someone else", where=str(item), mend=_PLAN_AGAIN)
        details = {**(there.content.get("jsonData") or {}), **wanted["jsonData"]}
        grafana.change_data_source(self._api, item.name, {**_writable(there), **wanted, "jsonData": details})
        return "changed"

    def _put_dashboard(self, item: Item, live: LiveItem | None) -> str:
        content, folder_uid = dashboard_content(item)
        version = grafana.save_dashboard(
            self._api,
            content,
            folder_uid=folder_uid,
            version=0 if live is None else int(live.version),
            message=saving_message(content),
        )
        return f"saved as version {version}"

    def _mend(self, error: ApiError, item: Item) -> str | None:
        """Return what to do about a refusal that means something of its own here."""
        reason = error.reason.lower()
        taken = {
            FOLDER: f"another folder has this title: rename it, or write another folder in {self._place}",
            DATA_SOURCE: f"another data source has this name: rename it, or change the one in {self._place}",
            DASHBOARD: "another dashboard of the folder has this title: rename or delete that one",
        }
        mends = (
            (error.code == "version-mismatch" or "updated by someone else" in reason, _PLAN_AGAIN),
            (error.code == "plugin-dashboard", "a plugin brings this uid: give the Board another"),
            (error.status in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED), taken[item.kind]),
            ("provisioned" in reason, _ONE_WAY_ONLY),
            ("quota" in reason, "delete dashboards that nobody needs, or ask for a larger quota"),
            (
                "folder not found" in reason,
                f"the folder {quoted(self._title)} has to be there first: see to its error, then apply again",
            ),
        )
        return next((mend for holds, mend in mends if holds), None)

    def remove(self, live: LiveItem, report: Report) -> str:
        """Delete a dashboard or data source; a folder only when nothing is left in it."""
        report("Grafana's answer")
        if live.item.kind == DASHBOARD:
            there = grafana.delete_dashboard(self._api, live.identity)
        elif live.item.kind == DATA_SOURCE:
            there = grafana.delete_data_source(self._api, live.identity)
        else:
            raise StakewatchError(
                "a folder is not removed: others may have put things into it, or permissions on it",
                where=str(live.item),
                mend="delete it in Grafana when nobody needs it any more",
            )
        return "deleted" if there else "was gone already"

    def status(self, report: Report) -> Sequence[Fact]:
        """Return Grafana's version, whether the data source answers, and which dashboards are published."""
        access, _, version = self._open
        return [*access.facts, Fact("Grafana", version), *self._object_facts(report)]

    def _object_facts(self, report: Report) -> Iterator[Fact]:
        items = self._place_items()
        live = self.live(items, report)
        if not live:
            yield nothing_published(self._source)
            return
        there = {one.item.key for one in live}
        for one in live:
            yield Fact(str(one.item), "there", _detail(one))
        for item in items:
            if item.key not in there:
                yield Fact(str(item), "missing", healthy=False)
            elif item.kind == DATA_SOURCE:
                report("what the data source answers")
                answers, said = grafana.data_source_health(self._api, item.name)
                yield Fact(str(item), "answers" if answers else "does not answer", said, healthy=answers)


def _detail(live: LiveItem) -> str:
    return "; ".join(part for part in (f"version {live.version}", live.reason) if part)


def _writable(source: grafana.DataSource) -> dict[str, Any]:
    """Return of a data source that is there what a change of it has to repeat, or it would be lost."""
    return {key: source.content[key] for key in _REPEATED if key in source.content}


def _not_ours(board: grafana.Dashboard, *, known: bool) -> str:
    if board.provisioned_from is not None:
        return f"Grafana loads it from {board.provisioned_from} (provisioning)"
    if known:
        return ""
    return f"somebody else's dashboard has this uid: {quoted(board.content.get('title'))}"
