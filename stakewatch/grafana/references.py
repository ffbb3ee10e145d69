"""Links to boards, of alerts and of boards: which board they open, and which variables they set."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stakewatch.grafana.boardfile import variables

_ACTION = re.compile(r"\{\{(?P<trim_before>-)?\s*(?P<text>.*?)\s*(?P<trim_after>-)?\}\}", re.DOTALL)
_VARIABLE_PREFIX = "var-"
# What an action of a template becomes: a value that no board and no variable is named.
_VALUE = "x"


@dataclass(frozen=True)
class Reference:
    """A link to the board `uid` that sets `variables`."""

    uid: str
    variables: tuple[str, ...]


def reference_of(url: str) -> Reference | None:
    """Return what a link opens, or None when it leads to no board."""
    parts = urlsplit(url)
    match = re.search(r"/d/(?P<uid>[^/]+)", parts.path)
    if match is None:
        return None
    # `${name:queryparam}` becomes var-name=…; a plain var-name stands as it is.
    kept = re.findall(r"\$\{(\w+):queryparam\}", parts.query)
    given = [
        name.removeprefix(_VARIABLE_PREFIX)
        for name, _ in parse_qsl(parts.query, keep_blank_values=True)
        if name.startswith(_VARIABLE_PREFIX)
    ]
    return Reference(uid=match["uid"], variables=tuple(dict.fromkeys((*given, *kept))))


def possible_texts(template: str) -> tuple[str, ...]:
    """Return all texts that a template of Prometheus can give, what it prints replaced by one letter.

    Both branches of each `if` and `else` are followed; conditions are not looked at.
    Raises ValueError when an `if` has no `end`, or an `end` or `else` no `if`.
    """
    tokens = _tokens(template)
    texts, end = _sequence(tokens, 0)
    if end < len(tokens):
        raise ValueError(f"an {tokens[end][1].split()[0]} without an if")
    return tuple(dict.fromkeys(texts))


def flaws_of(url: str, boards: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with a link, given all boards by uid: no board, or no such board or variable."""
    reference = reference_of(url)
    if reference is None:
        yield "the link leads to no board"
    elif reference.uid.startswith("$"):
        # The clicked value is the uid: `nodes.BOARD_OF` makes it, and its test looks at that.
        return
    elif reference.uid not in boards:
        yield f"no board has the uid {reference.uid}"
    else:
        known = {str(variable["name"]) for variable in variables(boards[reference.uid])}
        for name in reference.variables:
            if name not in known:
                yield f"the board {reference.uid} has no variable {name}"


def flaws_of_template(template: str, boards: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with any of the links that an alert's template can give."""
    try:
        urls = possible_texts(template)
    except ValueError as error:
        yield f"the template is broken: {error}"
        return
    yield from dict.fromkeys(flaw for url in urls for flaw in flaws_of(url, boards))


def links_of(board: Mapping[str, Any]) -> Iterator[str]:
    """Yield the addresses of all links to boards in a board's JSON."""
    yield from _urls(board.get("panels", []))


def _urls(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        url = value.get("url")
        if isinstance(url, str) and url.startswith("/d/"):
            yield url
        for inner in value.values():
            yield from _urls(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _urls(inner)


def _tokens(template: str) -> list[tuple[str, str]]:
    """Return the texts and actions of a template in their order, as (kind, content)."""
    tokens: list[tuple[str, str]] = []
    position = 0
    trim = False
    for match in _ACTION.finditer(template):
        text = template[position : match.start()]
        text = text.lstrip() if trim else text
        tokens.append(("text", text.rstrip() if match["trim_before"] else text))
        tokens.append(("action", match["text"]))
        position, trim = match.end(), match["trim_after"] is not None
    rest = template[position:]
    return [*tokens, ("text", rest.lstrip() if trim else rest)]


def _sequence(tokens: list[tuple[str, str]], position: int) -> tuple[list[str], int]:
    """Return all texts of the tokens from `position` to the next `else` or `end`, and where that stands."""
    texts = [""]
    while position < len(tokens):
        kind, content = tokens[position]
        word = content.split()[0] if kind == "action" and content else ""
        if word in {"else", "end"}:
            break
        if word == "if":
            branches, position = _branches(tokens, position)
            texts = [text + branch for text in texts for branch in branches]
        else:
            texts = [text + (content if kind == "text" else _VALUE) for text in texts]
            position += 1
    return texts, position


def _branches(tokens: list[tuple[str, str]], position: int) -> tuple[list[str], int]:
    """Return all texts of the `if` at `position`, and what follows its `end`."""
    branches: list[str] = []
    has_else = False
    while True:
        texts, position = _sequence(tokens, position + 1)
        branches += texts
        if position == len(tokens):
            raise ValueError("an if without an end")
        action = tokens[position][1]
        if action == "end":
            return branches if has_else else [*branches, ""], position + 1
        has_else = has_else or action == "else"
