"""Expressions: those regular expressions that RE2 and Python read alike, so that a test here holds there.

Allowed is what both have with one meaning: classes, groups, alternatives, repetition, `^`, `$` and the
escapes below. Refused is what one of them lacks or reads otherwise (look-around, back references, possessive
repetition, POSIX classes). Source: https://github.com/google/re2/wiki/Syntax and Python's `re`.
"""

import re
from functools import cache

# RE2's \s has no vertical tab, and its $ stands only at the very end of the text.
_ESCAPES = {letter: f"\\{letter}" for letter in "dDwWbBtnrf"} | {"S": r"[^\t\n\f\r ]", "s": r"[\t\n\f\r ]"}
_ESCAPES_IN_CLASS = {letter: f"\\{letter}" for letter in "dwtnrf"} | {"s": r"\t\n\f\r "}
_GROUP = re.compile(r"\((?!\?)|\(\?:|\(\?i:|\(\?P<[a-z][a-z0-9_]*>")
_REPETITION = re.compile(r"[*+?]|\{(\d{1,4})(?:,(\d{0,4}))?\}")
_MOST_REPETITIONS = 1000
_START = "(?i)"


def in_python(expression: str) -> str:
    """Return the Python expression that matches what `expression` matches in RE2.

    Raises ValueError, with the reason, for what the two do not read alike.
    """
    return "".join(_Translation(expression).pieces())


@cache
def compiled(expression: str) -> re.Pattern[str]:
    """Return `expression` ready to search as RE2 would; raises ValueError as `in_python` does."""
    try:
        return re.compile(in_python(expression), re.ASCII)
    except re.error as error:
        raise ValueError(str(error)) from error


class _Translation:
    """Reads an expression from left to right."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._at = 0

    def pieces(self) -> list[str]:
        pieces: list[str] = []
        if self._text.startswith(_START):
            pieces.append(_START)
            self._at = len(_START)
        while self._at < len(self._text):
            pieces.append(self._next())
        return pieces

    def _next(self) -> str:
        character = self._text[self._at]
        if character == "\\":
            return self._escape(_ESCAPES)
        if character == "[":
            return self._class()
        if character == "(":
            return self._group()
        if character in "*+?{":
            return self._repetition()
        self._at += 1
        return r"\Z" if character == "$" else character

    def _escape(self, known: dict[str, str]) -> str:
        following = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if following in known:
            return known[following]
        if following and following.isascii() and not following.isalnum() and following.isprintable():
            return "\\" + following
        raise ValueError(f"\\{following} does not mean the same in RE2 and Python")

    def _class(self) -> str:
        pieces = ["["]
        self._at += 1
        if self._text.startswith("^", self._at):
            pieces.append("^")
            self._at += 1
        first = True
        while True:
            character = self._text[self._at : self._at + 1]
            if not character:
                raise ValueError("a [ has no ]")
            if character == "]" and not first:
                self._at += 1
                return "".join([*pieces, "]"])
            first = False
            if character == "\\":
                pieces.append(self._escape(_ESCAPES_IN_CLASS))
                continue
            # Python warns of what may become a set operation; escaped, each is only itself.
            pieces.append("\\" + character if character in "[]&|~" else character)
            self._at += 1

    def _group(self) -> str:
        found = _GROUP.match(self._text, self._at)
        if not found:
            raise ValueError("only (…), (?:…), (?i:…) and (?P<name>…) are known to both RE2 and Python")
        self._at = found.end()
        return found[0]

    def _repetition(self) -> str:
        found = _REPETITION.match(self._text, self._at)
        if not found:
            raise ValueError(r"a { that repeats nothing is written \{")
        if any(int(number) > _MOST_REPETITIONS for number in found.groups() if number):
            raise ValueError(f"RE2 repeats at most {_MOST_REPETITIONS} times")
        self._at = found.end()
        following = self._text[self._at : self._at + 1]
        if following == "?":
            self._at += 1
            following = self._text[self._at : self._at + 1]
            lazy = "?"
        else:
            lazy = ""
        if (following and following in "*+?") or _REPETITION.match(self._text, self._at):
            raise ValueError("a repetition of a repetition is refused by RE2")
        return found[0] + lazy
