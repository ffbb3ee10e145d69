"""What is published to a Grafana: the texts by which folder, data source and dashboards are compared."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stakewatch.bundle.problems import quoted
from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing.grafana_api import UID
from stakewatch.publishing.objects import Flaw, Item

FOLDER = "folder"
DATA_SOURCE = "data source"
DASHBOARD = "dashboard"
# People may tag their own boards as ours are, to have them in the menu; this tag is only on what we publish.
MARK = "managed-by-stakewatch"
# What every board of ours carries, also one that somebody imports by hand (`stakewatch.grafana.links.TAG`).
TAG = "stakewatch"
CORE_TYPE = "prometheus"
AMAZON_TYPE = "grafana-amazonprometheus-datasource"

# The first Grafana whose variables of type data source list the plugin under `prometheus`.
_AMAZON_TYPE_FROM = 12
_LONGEST_UID = 40
_SCRAPE_INTERVAL = "15s"
# What Grafana itself writes into a dashboard.
_SERVERS_OWN = ("id", "version", "iteration")
_FINGERPRINT = "content sha256:"


def uid_of(title: str) -> str:
    """Return the uid of an object of ours by its title, in Grafana's alphabet."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if slug and len(slug) <= _LONGEST_UID and title.isascii():
        return slug
    # What the alphabet lost still has to tell two titles apart.
    digest = hashlib.sha256(title.encode()).hexdigest()[:8]
    return f"{slug[: _LONGEST_UID - 9]}-{digest}".strip("-")


def folder_item(uid: str, title: str) -> Item:
    """Return the folder as an item."""
    return Item(FOLDER, uid, _print({"title": title}))


def data_source_type(*, signed: bool, version: str) -> str:
    """Return the type of data source for a Prometheus, `signed` where requests carry AWS signatures.

    Core Prometheus with signatures is deprecated, but before Grafana 12 the dashboards' choice of data
    sources does not list its successor. Raises StakewatchError when `version` is none.
    """
    if not signed:
        return CORE_TYPE
    major = re.match(r"v?([0-9]{1,4})\b", version)
    if major is None:
        raise StakewatchError(
            f"{quoted(version)} is no version of Grafana", mend="is the url that of a Grafana?"
        )
    return AMAZON_TYPE if int(major[1]) >= _AMAZON_TYPE_FROM else CORE_TYPE


def data_source_content(options: Mapping[str, Any], *, version: str, signature_type: str) -> dict[str, Any]:
    """Return what of a data source is ours, in Grafana's form and without its uid.

    `options` are those of stakewatch.yaml; `signature_type` is how Grafana gets its AWS credentials.
    """
    region = options.get("region")
    details: dict[str, Any] = {"httpMethod": "POST", "timeInterval": _SCRAPE_INTERVAL}
    if region is not None:
        # Grafana ignores these in any other spelling, without a word.
        details |= {"sigV4Auth": True, "sigV4AuthType": signature_type, "sigV4Region": region}
        if "role_arn" in options:
            details["sigV4AssumeRoleArn"] = options["role_arn"]
    return {
        "name": options.get("name", "stakewatch"),
        "type": data_source_type(signed=region is not None, version=version),
        "access": "proxy",
        "url": options["url"].rstrip("/"),
        "jsonData": details,
    }


def data_source_item(uid: str, content: Mapping[str, Any]) -> Item:
    """Return a data source as an item."""
    return Item(DATA_SOURCE, uid, _print(content))


def data_source_as(wanted: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a data source that is there what `wanted` speaks of; what others set beside it is theirs."""
    details = content.get("jsonData") or {}
    shown = {key: content.get(key) for key in wanted}
    shown["jsonData"] = {key: details[key] for key in wanted["jsonData"] if key in details}
    return shown


def dashboard_items(folder: Path, *, folder_uid: str, data_source: tuple[str, str] | None) -> list[Item]:
    """Return the dashboards among the files of `folder`, as the build target `dashboards` writes them.

    `data_source` is uid and name of the one that they open with, None for Grafana's choice.
    Raises InputError when a file is no dashboard.
    """
    items: list[Item] = []
    sources: dict[str, Path] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"is no JSON: {error}", where=str(path), mend="build it again") from error
        uid = content.get("uid") if isinstance(content, dict) else None
        if not isinstance(uid, str):
            raise InputError("is no dashboard with a uid", where=str(path), mend="give its Board a uid")
        if uid in sources:
            raise InputError(
                f"has the uid {quoted(uid)} of {sources[uid].name}", where=str(path), mend="give it its own"
            )
        sources[uid] = path
        content["tags"] = [*(tag for tag in content.get("tags") or [] if tag != MARK), MARK]
        if data_source is not None:
            _open_with(content, *data_source)
        items.append(Item(DASHBOARD, uid, dashboard_text(content, folder_uid)))
    return items


def _open_with(content: dict[str, Any], uid: str, name: str) -> None:
    """Choose the data source with which a dashboard opens; readers may still choose another."""
    for variable in content.get("templating", {}).get("list", []):
        if variable.get("type") == "datasource" and variable.get("query") == CORE_TYPE:
            variable["current"] = {"selected": True, "text": name, "value": uid}


def dashboard_text(content: Mapping[str, Any], folder_uid: str) -> str:
    """Return the text that is equal for equal dashboards: without what Grafana itself writes into them."""
    kept = {key: value for key, value in content.items() if key not in _SERVERS_OWN}
    return _print({"dashboard": _whole_numbers(kept), "folder": folder_uid})


def dashboard_content(item: Item) -> tuple[dict[str, Any], str]:
    """Return content and folder of a dashboard from its text."""
    both = json.loads(item.text)
    return both["dashboard"], both["folder"]


def saving_message(content: Mapping[str, Any]) -> str:
    """Return what is said with the saving of a dashboard: a fingerprint of the content that was sent.

    A later Grafana may store a dashboard in another form than it was sent in. When the latest saving still
    carries this message, what is stored is nevertheless what we sent.
    """
    return f"stakewatch, {_FINGERPRINT}{hashlib.sha256(_print(content).encode()).hexdigest()[:32]}"


def dashboard_flaws(items: Sequence[Item]) -> list[Flaw]:
    """Return what any Grafana refuses of dashboards."""
    flaws: list[Flaw] = []
    titles: dict[str, str] = {}
    for item in items:
        content, _ = dashboard_content(item)
        if not UID.fullmatch(item.name):
            mend = f"use at most {_LONGEST_UID} letters, digits, dashes and underscores"
            flaws.append(Flaw(str(item), f"Grafana takes no uid {quoted(item.name)}", mend))
        title = str(content.get("title") or "").strip()
        if not title:
            flaws.append(Flaw(str(item), "it has no title", "give its Board a title"))
        elif title in titles:
            what = f"its title {quoted(title)} is also that of {titles[title]}"
            flaws.append(Flaw(str(item), what, "give one of them another: an older Grafana takes only one"))
        titles[title] = str(item)
    return flaws


def _print(content: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _whole_numbers(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return `value` with 1.0 as 1: what has been through another program's JSON may come back either way."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(inner) for inner in value]
    return value
