"""A reader of Alloy's syntax: blocks and attributes, strict, and knowing nothing of what they mean.

Written from https://grafana.com/docs/alloy/latest/get-started/configuration-syntax/ and not from our printer.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*)
    | (?P<blank>[ \t\r]+)
    | (?P<newline>\n)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<raw>`[^`]*`)
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>[{}\[\](),.=+])
    """,
    re.VERBOSE,
)
_ESCAPES = re.compile(r"""\\(?:[abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})""")
_WORDS = {"true": True, "false": False, "null": None}


_One = TypeVar("_One")


class RiverError(Exception):
    """The text is not Alloy's syntax; says on which line."""


@dataclass(frozen=True)
class Expression:
    """What is computed when Alloy runs: a reference, a call or a sum, as its tokens."""

    text: str


Value = str | int | float | bool | None | Expression | list["Value"] | dict[str, "Value"]


@dataclass
class Block:
    """A block with its attributes and the blocks in it, in their order."""

    name: str
    label: str | None
    attributes: dict[str, Value] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def read(text: str) -> list[Block]:
    """Return the blocks of a configuration; raises RiverError for what Alloy would not read."""
    return _Reader(list(_tokens(text))).body(top=True).blocks


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise RiverError(f"line {line}: {text[at : at + 20]!r} is no token")
        kind = str(found.lastgroup)
        if kind not in ("comment", "blank"):
            yield _Token(kind, found[0], line)
        line += found[0].count("\n")
        at = found.end()
    yield _Token("end", "", line)


class _Reader:
    """Takes tokens from the left; newlines end attributes and blocks, and are blank inside of values."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def body(self, *, top: bool) -> Block:
        body = Block("", None)
        while True:
            self._skip_newlines()
            token = self._next()
            if token.kind == "end" and top:
                return body
            if token.text == "}" and token.kind == "sign" and not top:
                return body
            if token.kind != "name":
                raise self._error(token, "an attribute or a block begins with a name")
            self._statement(token, body)

    def _statement(self, name: _Token, body: Block) -> None:
        if self._peek().text == "=":
            self._next()
            if name.text in body.attributes:
                raise self._error(name, "an attribute stands twice")
            body.attributes[name.text] = self._value()
        else:
            body.blocks.append(self._block(name))
        ending = self._next()
        if ending.kind not in ("newline", "end"):
            raise self._error(ending, "a newline ends an attribute or a block")

    def _block(self, name: _Token) -> Block:
        words = [name.text]
        while self._peek().text == ".":
            self._next()
            words.append(self._expect("name").text)
        label = None
        if self._peek().kind == "string":
            label = _string(self._next())
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", label):
                raise self._error(name, "a label is an identifier")
        opening = self._next()
        if opening.text != "{":
            raise self._error(opening, "a block opens with {")
        inside = self.body(top=False)
        return Block(".".join(words), label, inside.attributes, inside.blocks)

    def _value(self) -> Value:
        value = self._operand()
        while self._peek().text == "+":
            self._next()
            value = Expression(f"{_text(value)} + {_text(self._operand())}")
        return value

    def _operand(self) -> Value:
        token = self._next()
        if token.kind == "string":
            return _string(token)
        if token.kind == "raw":
            return token.text[1:-1]
        if token.kind == "number":
            return float(token.text) if "." in token.text else int(token.text)
        if token.kind == "name":
            return self._reference(token)
        if token.text == "[":
            return self._list()
        if token.text == "{":
            return self._object()
        raise self._error(token, "a value was expected")

    def _reference(self, first: _Token) -> Value:
        if first.text in _WORDS:
            return _WORDS[first.text]
        text = first.text
        while self._peek().text == ".":
            self._next()
            text += f".{self._expect('name').text}"
        if self._peek().text == "(":
            self._next()
            arguments = self._until(")", self._value)
            text += f"({', '.join(map(_text, arguments))})"
        return Expression(text)

    def _list(self) -> list[Value]:
        return self._until("]", self._value)

    def _object(self) -> dict[str, Value]:
        def member() -> tuple[str, Value]:
            token = self._next()
            if token.kind not in ("name", "string"):
                raise self._error(token, "a key is a name or a string")
            key = _string(token) if token.kind == "string" else token.text
            equals = self._next()
            if equals.text != "=":
                raise self._error(equals, "a key is followed by =")
            return key, self._value()

        members = self._until("}", member)
        if len(dict(members)) != len(members):
            raise self._error(self._peek(), "a key stands twice")
        return dict(members)

    def _until(self, closing: str, read_one: Callable[[], _One]) -> list[_One]:
        found: list[_One] = []
        self._skip_newlines()
        while self._peek().text != closing or self._peek().kind != "sign":
            found.append(read_one())
            # A comma must follow before a newline: https://grafana.com/docs/alloy/latest/reference/ says so.
            if self._peek().text == ",":
                self._next()
                self._skip_newlines()
            elif self._peek().text != closing:
                raise self._error(self._peek(), "a comma is missing")
        self._next()
        return found

    def _skip_newlines(self) -> None:
        while self._peek().kind == "newline":
            self._at += 1

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        if token.kind == "end":
            self._at -= 1
        self._at += 1
        return token

    def _expect(self, kind: str) -> _Token:
        token = self._next()
        if token.kind != kind:
            raise self._error(token, f"a {kind} was expected")
        return token

    def _error(self, token: _Token, what: str) -> RiverError:
        return RiverError(f"line {token.line}: {what}, found {token.text!r}")


def _string(token: _Token) -> str:
    inside = token.text[1:-1]
    if _ESCAPES.sub("", inside).count("\\"):
        raise RiverError(f"line {token.line}: an escape that Alloy does not know: {token.text}")
    value = ast.literal_eval(token.text)
    assert isinstance(value, str)
    return value


def _text(value: Value) -> str:
    return value.text if isinstance(value, Expression) else repr(value)
