"""The exporter's log: one line per event in logfmt, UTC, and a repeated state only when it changes."""

import json
import logging
import re
import time
from collections.abc import Hashable
from typing import IO

_LOGGER = logging.getLogger("stakewatch_exporter")
_PLAIN = re.compile(r"[A-Za-z0-9_.:/+@,\-]+")
_LONGEST = 300


def _value(value: object) -> str:
    text = str(value)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=True)


def event(level: int, name: str, **fields: object) -> None:
    """Log what happened; say in the field `next` what is awaited or will be done."""
    if _LOGGER.isEnabledFor(level):
        parts = [name, *(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)]
        _LOGGER.log(level, " ".join(parts))


class Changes:
    """Remembers the state of things and logs only when one changes."""

    def __init__(self) -> None:
        self._states: dict[Hashable, object] = {}

    def report(self, thing: Hashable, state: object, level: int, name: str, **fields: object) -> None:
        """Log the event if the state of the thing is another one than at the last call."""
        if thing in self._states and self._states[thing] == state:
            return
        self._states[thing] = state
        event(level, name, **fields)

    def settle(self, thing: Hashable, state: object, name: str, **fields: object) -> None:
        """Note a good state; it is logged only when another state was reported before."""
        if thing in self._states and self._states[thing] != state:
            event(logging.INFO, name, **fields)
        self._states[thing] = state


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = f"{moment}.{int(record.msecs):03d}Z {record.levelname.lower()} {record.getMessage()}"
        if record.exc_info:
            line += " trace=" + json.dumps(self.formatException(record.exc_info))
        return line


def write_to(stream: IO[str], level: int = logging.INFO) -> None:
    """Send the log to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False
