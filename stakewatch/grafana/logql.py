"""LogQL as far as boards use it: whether a query is well formed, and which streams and filters it names.

Loki has the only full parser. This one knows the language's forms (docs of Loki 3, "LogQL") without the
meaning of each function, so it finds what a person mistypes: brackets, strings, operators, a missing range.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKENS = re.compile(
    r"""
      (?P<space>\s+|\#[^\n]*)
    | (?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
    | (?P<number>\d+(?:\.\d+)?(?:[a-zA-Zµ]+)?(?:\d+[a-zA-Z]+)*)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>\|=|\|~|!=|!~|=~|==|>=|<=|--|[{}()\[\],|=<>+\-*/%^])
    """,
    re.VERBOSE,
)
_MATCHERS = frozenset({"=", "!=", "=~", "!~"})
_LINE_FILTERS = frozenset({"|=", "!=", "|~", "!~"})
_COMPARISONS = frozenset({"=", "==", "!=", ">", ">=", "<", "<=", "=~", "!~"})
_OF_TWO = frozenset({"+", "-", "*", "/", "%", "^", "==", "!=", ">", ">=", "<", "<=", "and", "or", "unless"})
_OF_LINES = frozenset(
    {"rate", "count_over_time", "bytes_rate", "bytes_over_time", "absent_over_time", "rate_counter"}
    | {f"{name}_over_time" for name in ("sum", "avg", "min", "max", "first", "last", "stdvar", "stddev")}
    | {"quantile_over_time"}
)
_OF_SERIES = frozenset(
    {"sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "sort", "sort_desc"}
)
_WITH_TEXT = frozenset({"regexp", "pattern", "line_format"})
_WITHOUT_ANYTHING = frozenset({"unpack", "decolorize"})
_WITH_LABELS = frozenset({"drop", "keep"})
_DURATION = re.compile(r"(?:\d+(?:ms|us|µs|ns|s|m|h|d|w|y))+")


class LogqlError(ValueError):
    """A query that Loki would refuse; the text says what is wrong, and where."""


@dataclass(frozen=True)
class LogSelector:
    """The stream labels that a selector names, and the fields that its pipeline filters lines by."""

    labels: tuple[str, ...]
    filtered: tuple[str, ...]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int


def parse_logql(query: str) -> tuple[LogSelector, ...]:
    """Return the selectors of a query whose variables are filled in.

    Raises LogqlError when it is not well formed.
    """
    reader = _Reader(query)
    reader.expression()
    reader.expect_end()
    if not reader.selectors:
        raise LogqlError("it selects no stream: begin with {label=…}")
    return tuple(reader.selectors)


def _tokens(query: str) -> Iterator[_Token]:
    position = 0
    while position < len(query):
        match = _TOKENS.match(query, position)
        if match is None:
            raise LogqlError(f"unexpected {query[position : position + 10]!r} at character {position + 1}")
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match[0], position)
        position = match.end()


class _Reader:
    """Goes through the tokens of one query once, by recursive descent."""

    def __init__(self, query: str) -> None:
        self._tokens = [*_tokens(query), _Token("end", "the end", len(query))]
        self._position = 0
        self.selectors: list[LogSelector] = []

    def expect_end(self) -> None:
        """Raise LogqlError when something follows."""
        if self._next.kind != "end":
            raise self._unexpected("the end")

    def expression(self) -> None:
        """Read an expression with its operators; which of them bind closer does not matter here."""
        self._operand()
        while self._next.text in _OF_TWO:
            self._advance()
            self._accept("bool")
            if self._next.text in {"on", "ignoring"}:
                self._advance()
                self._labels()
                if self._next.text in {"group_left", "group_right"}:
                    self._advance()
                    if self._next.text == "(":
                        self._labels()
            self._operand()

    def _operand(self) -> None:
        token = self._next
        if token.text == "{":
            self._selector()
        elif token.text == "(":
            self._advance()
            self.expression()
            self._expect(")")
        elif token.kind == "number" or token.text == "-":
            self._accept("-")
            self._expect_kind("number", "a number")
        elif token.text in _OF_LINES:
            self._function_of_lines()
        elif token.text in _OF_SERIES:
            self._function_of_series()
        elif token.text == "vector":
            self._advance()
            self._expect("(")
            self._expect_kind("number", "a number")
            self._expect(")")
        elif token.text == "label_replace":
            self._advance()
            self._expect("(")
            self.expression()
            for _ in range(4):
                self._expect(",")
                self._expect_kind("string", "a string")
            self._expect(")")
        else:
            raise self._unexpected("a stream selector or a function")

    def _function_of_lines(self) -> None:
        name = self._advance().text
        self._expect("(")
        if name == "quantile_over_time":
            self._expect_kind("number", "a number")
            self._expect(",")
        inner = self._accept("(")
        self._selector()
        if inner:
            self._expect(")")
        self._expect("[")
        duration = self._expect_kind("number", "a duration")
        if not _DURATION.fullmatch(duration.text):
            raise LogqlError(f"{duration.text} at character {duration.start + 1} is no duration")
        self._expect("]")
        if self._accept("offset"):
            self._expect_kind("number", "a duration")
        self._expect(")")
        if self._next.text in {"by", "without"}:
            self._advance()
            self._labels()

    def _function_of_series(self) -> None:
        name = self._advance().text
        grouped = self._next.text in {"by", "without"}
        if grouped:
            self._advance()
            self._labels()
        self._expect("(")
        if name in {"topk", "bottomk"}:
            self._expect_kind("number", "a number")
            self._expect(",")
        self.expression()
        self._expect(")")
        if not grouped and self._next.text in {"by", "without"}:
            self._advance()
            self._labels()

    def _selector(self) -> None:
        self._expect("{")
        labels = []
        while self._next.text != "}":
            labels.append(self._expect_kind("word", "a label").text)
            if self._next.text not in _MATCHERS:
                raise self._unexpected("one of =, !=, =~, !~")
            self._advance()
            self._expect_kind("string", "a string")
            if self._next.text != "}":
                self._expect(",")
        self._expect("}")
        filtered: list[str] = []
        while self._next.text in _LINE_FILTERS or self._next.text == "|":
            if self._advance().text == "|":
                self._stage(filtered)
                continue
            self._expect_kind("string", "a string")
            while self._accept("or"):
                self._expect_kind("string", "a string")
        self.selectors.append(LogSelector(tuple(labels), tuple(filtered)))

    def _stage(self, filtered: list[str]) -> None:
        name = self._next.text
        if name in {"json", "logfmt"}:
            self._advance()
            self._flags()
            if self._next.kind == "word":
                self._assignments()
        elif name in _WITH_TEXT:
            self._advance()
            self._expect_kind("string", "a string")
        elif name in _WITHOUT_ANYTHING:
            self._advance()
        elif name in _WITH_LABELS:
            self._advance()
            self._names()
        elif name == "label_format":
            self._advance()
            self._assignments()
        elif name == "unwrap":
            self._advance()
            self._expect_kind("word", "a label")
            if self._accept("("):
                self._expect_kind("word", "a label")
                self._expect(")")
        else:
            self._filter(filtered)

    def _flags(self) -> None:
        while self._accept("--"):
            self._expect_kind("word", "a flag")
            while self._accept("-"):
                self._expect_kind("word", "the rest of a flag")

    def _filter(self, filtered: list[str]) -> None:
        """Read conditions on labels, joined by `and`, `or` or a comma."""
        while True:
            if self._accept("("):
                self._filter(filtered)
                self._expect(")")
            else:
                filtered.append(self._expect_kind("word", "a stage or a label").text)
                if self._next.text not in _COMPARISONS:
                    raise self._unexpected("a comparison")
                self._advance()
                if self._accept("ip"):
                    self._expect("(")
                    self._expect_kind("string", "a string")
                    self._expect(")")
                elif self._next.kind not in {"string", "number"}:
                    raise self._unexpected("a string or a number")
                else:
                    self._advance()
            if not (self._accept("and") or self._accept("or") or self._accept(",")):
                return

    def _assignments(self) -> None:
        while True:
            self._expect_kind("word", "a label")
            if self._accept("=") and self._next.kind not in {"string", "word"}:
                raise self._unexpected("a string or a label")
            if self._tokens[self._position - 1].text == "=":
                self._advance()
            if not self._accept(","):
                return

    def _names(self) -> None:
        self._expect_kind("word", "a label")
        while self._accept(","):
            self._expect_kind("word", "a label")

    def _labels(self) -> None:
        self._expect("(")
        if self._next.text != ")":
            self._names()
        self._expect(")")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _advance(self) -> _Token:
        token = self._next
        if token.kind == "end":
            raise self._unexpected("more")
        self._position += 1
        return token

    def _accept(self, text: str) -> bool:
        found = self._next.text == text and self._next.kind in {"word", "sign"}
        if found:
            self._position += 1
        return found

    def _expect(self, text: str) -> None:
        if self._next.text != text or self._next.kind not in {"word", "sign"}:
            raise self._unexpected(text)
        self._position += 1

    def _expect_kind(self, kind: str, said: str) -> _Token:
        if self._next.kind != kind:
            raise self._unexpected(said)
        return self._advance()

    def _unexpected(self, expected: str) -> LogqlError:
        token = self._next
        return LogqlError(f"{token.text} at character {token.start + 1}, where {expected} should be")
