"""Loki's configuration: whether it keeps logs as long as they are wanted, and deletes them then."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from stakewatch.bundle.document import Document, Place, read_document, read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import Problem, quoted
from stakewatch.errors import InputError
from stakewatch.promql import parse_duration

RETENTION_HOURS = 2160
_HOUR = 3600
_SCHEMA = "v13"
_WANTED = f"write {RETENTION_HOURS}h or more"


def loki_files(bundle: Bundle) -> tuple[Path, ...]:
    """Return the configurations of Loki that a bundle has."""
    return tuple(sorted((bundle.root / "loki").glob("loki*.yaml")))


def retention_problems(path: Path) -> Iterator[Problem]:
    """Yield what keeps the Loki of the file at `path` from keeping logs 90 days, or from deleting them ever.

    Source: https://grafana.com/docs/loki/latest/operations/storage/retention/
    Raises InputError when the file cannot be read.
    """
    document = read_document(read_text(path), path)
    yield from document.problems
    yield from _deletion(document)
    yield from _periods(document)
    yield from _schemas(document)


def _deletion(document: Document) -> Iterator[Problem]:
    where = ("compactor", "retention_enabled")
    if _at(document.data, where) is not True:
        yield _problem(document, where, "nothing is ever deleted: retention is off", "write `true`")
    where = ("compactor", "delete_request_store")
    if not _at(document.data, where):
        mend = "name the store of the index: filesystem or s3"
        yield _problem(document, where, "Loki does not start without delete_request_store", mend)


def _periods(document: Document) -> Iterator[Problem]:
    limits: Place = ("limits_config",)
    period = (*limits, "retention_period")
    if _at(document.data, period) is None:
        yield _problem(document, period, "there is no retention_period: logs are kept for ever", _WANTED)
    else:
        # 0 is Loki's word for keeping them for ever.
        yield from _too_short(document, period, unlimited=False)
    for name in ("max_query_lookback", "max_query_length"):
        default = _hours("721h") if name == "max_query_length" else 0.0
        yield from _too_short(document, (*limits, name), unlimited=True, default=default)
    streams = _at(document.data, (*limits, "retention_stream"))
    for number, entry in enumerate(streams if isinstance(streams, list) else ()):
        if isinstance(entry, dict) and "period" in entry:
            yield from _too_short(document, (*limits, "retention_stream", number, "period"), unlimited=False)


def _too_short(
    document: Document, place: Place, *, unlimited: bool, default: float = 0.0
) -> Iterator[Problem]:
    """Yield a problem where a duration is below 90 days; where `unlimited`, 0 means no limit."""
    written = _at(document.data, place)
    name = place[-1] if isinstance(place[-1], str) else "period"
    try:
        hours = default if written is None else _hours(str(written))
    except InputError:
        yield _problem(document, place, f"{name} is {quoted(written)}, which is no duration", _WANTED)
        return
    if hours == 0 and unlimited:
        return
    if hours == 0:
        yield _problem(document, place, f"{name} is 0: logs are kept for ever", _WANTED)
    elif hours < RETENTION_HOURS:
        yield _problem(document, place, f"{name} is {hours:g} hours, less than 90 days", _WANTED)


def _schemas(document: Document) -> Iterator[Problem]:
    """Yield what the newest schema lacks for structured metadata and retention."""
    place: Place = ("schema_config", "configs")
    configs = _at(document.data, place)
    entries = [one for one in configs if isinstance(one, dict)] if isinstance(configs, list) else []
    if not entries:
        yield _problem(document, place, "there is no schema", f"add one with store tsdb and schema {_SCHEMA}")
        return
    number, newest = max(enumerate(entries), key=lambda one: _day(one[1]))
    wanted = {("store",): "tsdb", ("schema",): _SCHEMA, ("index", "period"): "24h"}
    for below, value in wanted.items():
        found = _at(newest, below)
        if found != value:
            what = f"the {' '.join(below)} of the newest schema is {quoted(found)}"
            mend = f"add a schema with {below[-1]}: {value}, beginning on a day to come"
            yield _problem(document, (*place, number, *below), what, mend)
    where = ("limits_config", "allow_structured_metadata")
    if _at(document.data, where) is False:
        yield _problem(document, where, "lines with structured metadata are refused", "write `true`")


def _day(entry: Mapping[str, Any]) -> date:
    try:
        return date.fromisoformat(str(entry.get("from")))
    except ValueError:
        return date.min


def _hours(text: str) -> float:
    return parse_duration(text) / _HOUR


def _at(data: Any, place: Place) -> Any:  # noqa: ANN401 - YAML
    """Return what stands at `place`, None where nothing does."""
    for step in place:
        if isinstance(data, dict):
            data = data.get(str(step))
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _problem(document: Document, place: Place, what: str, mend: str) -> Problem:
    return Problem(path=document.path, line=document.line(place), what=what, mend=mend)
