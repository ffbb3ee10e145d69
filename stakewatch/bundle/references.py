"""What a schema cannot say of `stakewatch.yaml`: names that must exist or be unique, sound addresses.

All functions take a document that may have failed its schema, and pass over what has another shape.
"""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from stakewatch.bundle.document import Data, Document, Place
from stakewatch.bundle.keys import ListedKey
from stakewatch.bundle.problems import Problem, did_you_mean, quoted

NODE_LISTS = ("beacon_nodes", "execution_nodes")
MEMBER_LISTS = (*NODE_LISTS, "validator_clients", "signers")
MAXIMUM_PORT = 65535
SHOWN_OF_KEY = 14
# What tells the targets of one type apart, with their defaults.
_PLACES = {
    "amp": {"workspace": "", "owner": "stakewatch"},
    "amg": {"workspace": "", "folder": "Stakewatch"},
    "grafana": {"url": "", "folder": "Stakewatch"},
    "prometheus": {"config_path": ""},
}
# Paths of the Beacon, keymanager and Web3Signer APIs, which the exporter adds by itself.
_API_PATH = re.compile(r"/eth/v\d+(?:/|$)|/api/v1/eth2(?:/|$)")


def reference_problems(document: Document) -> Iterator[Problem]:
    """Yield all problems of `document` that are not about its shape and not about keys."""
    yield from _unique(document, MEMBER_LISTS, "instance")
    yield from _unique(document, ("groups",), "name")
    yield from _unique_urls(document)
    yield from _placed(document)
    yield from _known(document, "beacon_nodes", "execution_node", "execution_nodes", "execution node")
    yield from _known(document, "validator_clients", "beacon_nodes", "beacon_nodes", "beacon node")
    yield from _known(document, "groups", "validator_client", "validator_clients", "validator client")
    yield from _known(document, "groups", "signers", "signers", "signer")
    yield from _key_sources(document)
    yield from _repeated_beacon_nodes(document)
    yield from _urls(document)
    yield from _port(document)
    yield from _remote_write(document)
    yield from _one_place_each(document)


def duplicate_keys(groups: Sequence[tuple[str, Sequence[ListedKey]]]) -> Iterator[Problem]:
    """Yield a problem for each key that stands twice, in one of the named groups or in two."""
    seen: dict[str, tuple[str, ListedKey]] = {}
    for group, keys in groups:
        for key in keys:
            if key.key not in seen:
                seen[key.key] = (group, key)
                continue
            other, first = seen[key.key]
            shown = key.key if len(key.key) <= SHOWN_OF_KEY else key.key[:SHOWN_OF_KEY] + "…"
            yield Problem(
                path=key.path,
                line=key.line,
                what=f"the key {shown} of group {quoted(group)} stands already in group {quoted(other)}, "
                f"at {first.path}:{first.line}",
                mend="a key belongs to one group and one validator client: remove one of the two",
            )


def members(document: Document, name: str) -> Iterator[tuple[Place, dict[str, Data]]]:
    """Yield the entries of the list `fleet.<name>` that are mappings, with their places."""
    fleet = document.data.get("fleet") if isinstance(document.data, dict) else None
    entries = fleet.get(name) if isinstance(fleet, dict) else None
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            yield ("fleet", name, number), entry


def _problem(document: Document, place: Place, what: str, mend: str) -> Problem:
    return Problem(path=document.path, line=document.line(place), what=what, mend=mend)


def _unique(document: Document, lists: Sequence[str], key: str) -> Iterator[Problem]:
    seen: dict[str, Place] = {}
    for name in lists:
        for place, entry in members(document, name):
            value = entry.get(key)
            if not isinstance(value, str):
                continue
            where = (*place, key)
            if value in seen:
                yield _problem(
                    document,
                    where,
                    f"{key} {quoted(value)} stands a second time, first on line {document.line(seen[value])}",
                    f"give each of {', '.join(lists)} its own {key}",
                )
            seen.setdefault(value, where)


def _unique_urls(document: Document) -> Iterator[Problem]:
    """Yield a problem for each node at the address of another: one of the two would never be watched."""
    seen: dict[str, Data] = {}
    for name in NODE_LISTS:
        for place, entry in members(document, name):
            url = entry.get("url")
            if not isinstance(url, str):
                continue
            address = url.rstrip("/").lower()
            if address in seen:
                yield _problem(
                    document,
                    (*place, "url"),
                    f"{quoted(entry.get('instance'))} has the address of {quoted(seen[address])}",
                    "give each node its own address; one process watched under two names hides the other",
                )
            seen.setdefault(address, entry.get("instance"))


def _placed(document: Document) -> Iterator[Problem]:
    """Yield a problem for each process without cluster or region, of its own or of the fleet."""
    fleet = document.data.get("fleet") if isinstance(document.data, dict) else None
    for key in ("cluster", "region"):
        if isinstance(fleet, dict) and fleet.get(key) is not None:
            continue
        for name in MEMBER_LISTS:
            for place, entry in members(document, name):
                if key not in entry:
                    yield _problem(
                        document,
                        place,
                        f"{quoted(entry.get('instance'))} has no {key}, and neither has the fleet",
                        f"add {key}: NAME under fleet",
                    )


def _known(document: Document, name: str, key: str, of: str, kind: str) -> Iterator[Problem]:
    """Yield a problem for each word under `key` that is no instance of the list `of`."""
    instances = [str(entry["instance"]) for _, entry in members(document, of) if "instance" in entry]
    known = set(instances)
    for place, entry in members(document, name):
        value = entry.get(key)
        words: list[tuple[Place, Data]] = (
            [((*place, key, number), word) for number, word in enumerate(value)]
            if isinstance(value, list)
            else [((*place, key), value)]
        )
        for where, word in words:
            if isinstance(word, str) and word not in known:
                yield _problem(
                    document,
                    where,
                    f"there is no {kind} {quoted(word)}",
                    did_you_mean(
                        word,
                        instances[:50],
                        f"name one of fleet.{of}" if instances else f"add it to fleet.{of}",
                    ),
                )


def _key_sources(document: Document) -> Iterator[Problem]:
    """Yield a problem for each group whose keys come from a client or signer that cannot give them."""
    managed = {
        entry["instance"]
        for _, entry in members(document, "validator_clients")
        if isinstance(entry.get("instance"), str) and isinstance(entry.get("keymanager"), dict)
    }
    signers = {entry["instance"] for _, entry in members(document, "signers") if "instance" in entry}
    kinds = {
        "keymanager": (managed, "validator client with a keymanager"),
        "signer": (signers, "signer"),
    }
    for place, entry in members(document, "groups"):
        keys = entry.get("keys")
        for key, (known, kind) in kinds.items():
            word = keys.get(key) if isinstance(keys, dict) else None
            if isinstance(word, str) and word not in known:
                names = sorted(str(name) for name in known)[:50]
                yield _problem(
                    document,
                    (*place, "keys", key),
                    f"there is no {kind} {quoted(word)}",
                    did_you_mean(word, names, "name one of them" if names else f"add a {kind}"),
                )


def _repeated_beacon_nodes(document: Document) -> Iterator[Problem]:
    for place, entry in members(document, "validator_clients"):
        nodes = entry.get("beacon_nodes")
        seen: set[str] = set()
        for number, node in enumerate(nodes if isinstance(nodes, list) else []):
            if not isinstance(node, str):
                continue
            if node in seen:
                yield _problem(
                    document,
                    (*place, "beacon_nodes", number),
                    f"the beacon node {quoted(node)} stands twice in one list",
                    "name the primary once, then the backups",
                )
            seen.add(node)


def _urls(document: Document) -> Iterator[Problem]:
    places: list[tuple[Place, Data]] = [
        ((*place, "url"), entry.get("url"))
        for name in (*NODE_LISTS, "signers")
        for place, entry in members(document, name)
    ]
    for place, entry in members(document, "validator_clients"):
        keymanager = entry.get("keymanager")
        if isinstance(keymanager, dict):
            places.append(((*place, "keymanager", "url"), keymanager.get("url")))
    section = document.data.get("urls") if isinstance(document.data, dict) else None
    if isinstance(section, dict):
        places += [(("urls", key), value) for key, value in section.items()]
    published = document.data.get("publish") if isinstance(document.data, dict) else None
    if isinstance(published, dict):
        for name, destination in published.items():
            if isinstance(destination, dict):
                places.append((("publish", name, "url"), destination.get("url")))
                data_source = destination.get("data_source")
                if isinstance(data_source, dict):
                    places.append((("publish", name, "data_source", "url"), data_source.get("url")))
    for place, value in places:
        if (
            isinstance(value, str)
            and value.startswith(("http://", "https://"))
            and (found := _url_fault(value) or (_api_path_fault(value) if _serves_api(place) else None))
        ):
            yield _problem(document, place, f"this address {found[0]}", found[1])


def _serves_api(place: Place) -> bool:
    """Return whether an address is one of an API with paths: a JSON-RPC endpoint and links may have any."""
    return place[0] == "fleet" and place[1] != "execution_nodes"


def _api_path_fault(url: str) -> tuple[str, str] | None:
    """Return what is wrong with an address that names a path of an API, and the mend."""
    if _API_PATH.search(urlsplit(url).path):
        return "goes on into the API", "write only what stands before /eth/v1 or /api/v1"
    return None


def _url_fault(url: str) -> tuple[str, str] | None:
    """Return what is wrong with an http address and the mend, without repeating it: it may hold a secret."""
    if any(character.isspace() or not character.isprintable() for character in url):
        return "holds a blank or a control character", "write it as http://HOST:PORT"
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        return "has no sound host and port", "write it as http://HOST:PORT, a port is 1 to 65535"
    if "@" in parts.netloc:
        return (
            "holds a user or password",
            "keep secrets out of this file: let the node accept this machine, or put a local proxy before it",
        )
    faults: list[tuple[bool, str, str]] = [
        (not host, "has no host", "write it as http://HOST:PORT"),
        (port == 0, "has port 0", "a port is 1 to 65535"),
        (
            bool(parts.query or parts.fragment) or url.endswith(("?", "#")),
            "has a ? or #",
            "write only the base",
        ),
    ]
    return next(((what, mend) for holds, what, mend in faults if holds), None)


def _port(document: Document) -> Iterator[Problem]:
    section = document.data.get("exporter") if isinstance(document.data, dict) else None
    for key in ("listen", "address"):
        value = section.get(key) if isinstance(section, dict) else None
        if not isinstance(value, str):
            continue
        port = value.rpartition(":")[2]
        if port.isascii() and port.isdigit() and int(port[:9]) > MAXIMUM_PORT:
            yield _problem(
                document,
                ("exporter", key),
                f"port {port[:9]} does not exist",
                "a port is 0 (any free one) to 65535",
            )


def _one_place_each(document: Document) -> Iterator[Problem]:
    """Yield a problem for each target at the place of another: each would remove what the other brings."""
    data = document.data if isinstance(document.data, dict) else {}
    published = data.get("publish")
    seen: dict[tuple[Data, ...], str] = {}
    for name, entry in published.items() if isinstance(published, dict) else ():
        if not isinstance(entry, dict) or entry.get("type") not in _PLACES:
            continue
        words = _PLACES[str(entry["type"])]
        place = (str(entry["type"]), *(str(entry.get(key, default)) for key, default in words.items()))
        if place in seen:
            yield _problem(
                document,
                ("publish", name),
                f"{quoted(name)} publishes to where {quoted(seen[place])} does, as the same owner",
                f"remove one of them, or let them differ in {' or '.join(words)}",
            )
        seen.setdefault(place, name)


def _remote_write(document: Document) -> Iterator[Problem]:
    """Yield a problem where the cluster sends to what is no workspace that is published to."""
    data = document.data if isinstance(document.data, dict) else {}
    kubernetes, published = data.get("kubernetes"), data.get("publish")
    remote_write = kubernetes.get("remote_write") if isinstance(kubernetes, dict) else None
    name = remote_write.get("destination") if isinstance(remote_write, dict) else None
    if not isinstance(name, str):
        return
    workspaces = [
        one
        for one, entry in (published.items() if isinstance(published, dict) else ())
        if isinstance(entry, dict) and entry.get("type") == "amp"
    ]
    if name not in workspaces:
        yield _problem(
            document,
            ("kubernetes", "remote_write", "destination"),
            f"there is no workspace {quoted(name)}",
            did_you_mean(
                name,
                workspaces[:50],
                "name one of publish" if workspaces else "add it to publish, with type: amp",
            ),
        )
