"""Parsing an expression with Prometheus' own parser."""

import atexit
import os
from functools import lru_cache
from pathlib import Path

from stakewatch.programs.find import locate
from stakewatch.promql.conversation import Conversation
from stakewatch.promql.decoding import decode
from stakewatch.promql.errors import PromqlError
from stakewatch.promql.tree import Expression

MOST_CHARACTERS = 2**20
_TIMEOUT_SECONDS = 20.0
_CACHED_EXPRESSIONS = 2048
_LONGEST_CACHED = 20_000


def _find_program() -> Path:
    return locate("promql").path


_CONVERSATION = Conversation(_find_program, timeout_seconds=_TIMEOUT_SECONDS)
atexit.register(_CONVERSATION.close)
os.register_at_fork(after_in_child=_CONVERSATION.forget)


def parse(text: str) -> Expression:
    """Return the syntax tree of a PromQL expression of any type.

    Functions, modifiers and duration expressions that Prometheus calls experimental are accepted.
    Raises PromqlError with the place of the first mistake (also for more than 2^20 characters or 250 levels),
    and StakewatchError when the helper program is missing, dies or takes longer than 20 s.
    """
    if len(text) <= _LONGEST_CACHED:
        return _parse_cached(text)
    return _parse(text)


def _parse(text: str) -> Expression:
    if len(text) > MOST_CHARACTERS:
        raise PromqlError(
            f"an expression of {len(text):,} characters is too long",
            text=text,
            start=MOST_CHARACTERS,
            end=MOST_CHARACTERS + 1,
            mend=f"the limit is {MOST_CHARACTERS:,} characters",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromqlError("not valid Unicode text", text=text, start=error.start, end=error.end) from error
    answer = _CONVERSATION.ask(text)
    if "errors" in answer:
        first = answer["errors"][0]
        raise PromqlError(first["message"], text=text, start=first["start"], end=first["end"])
    return decode(answer["nodes"])


_parse_cached = lru_cache(maxsize=_CACHED_EXPRESSIONS)(_parse)
