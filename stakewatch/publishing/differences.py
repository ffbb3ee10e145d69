"""What differs between two texts, line by line: no secrets are shown, nothing that steers a terminal."""

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import islice

_HIDDEN = "(hidden)"
# A name that tells that its value is a secret, and a value that is not just the name of one elsewhere.
_WORD = r"[\w.-]*(?:password|passwd|secret|token|api_?key|routing_key|service_key|credential)[\w.-]*"
# In PromQL a label may have any name, so that `=` tells of a secret only where a line begins.
_SECRET = re.compile(
    rf"(?P<name>{_WORD}[\"']?\s*:\s+|{_WORD}\":|^\s*{_WORD}\s*=\s*)"
    r"(?P<value>(?!\s*[\"']?(?:arn:|true\b|false\b|null\b|\{|\[|$))\S.*?)(?P<end>,?)$",
    re.IGNORECASE,
)
_USER = re.compile(r"(?P<scheme>\w://)[^\s/@]+@")
_BEARER = re.compile(r"(?P<word>\b(?:Bearer|Basic)\s+)[\w+/=.~-]{8,}", re.IGNORECASE)

_AROUND = 3
_HUNK = re.compile(r"@@ -(?P<start>\d+)\S* \+\S+ @@")
_NAMING = re.compile(r"\s*(?:- )?\"?(?P<word>alert|record|receiver|title)\"?: \"?(?P<name>[^\"]+?)\"?,?")


def shown_line(line: str) -> str:
    """Return one line without the values of secrets and without characters that cannot be printed."""
    plain = "".join(one if one.isprintable() or one == "\t" else "?" for one in line)
    hidden = _SECRET.sub(rf"\g<name>{_HIDDEN}\g<end>", plain)
    return _BEARER.sub(rf"\g<word>{_HIDDEN}", _USER.sub(rf"\g<scheme>{_HIDDEN}@", hidden))


def differences(old: str, new: str) -> Iterator[str]:
    """Yield the lines of a unified diff from `old` to `new`, without the two that name files.

    Where a rule, receiver or panel goes on above, the head of a hunk says which.
    """
    before = old.splitlines()
    lines = difflib.unified_diff(before, new.splitlines(), lineterm="", n=_AROUND)
    for line in islice(lines, 2, None):
        hunk = _HUNK.fullmatch(line)
        named = _named(before[: int(hunk["start"]) + _AROUND - 1]) if hunk else ""
        yield line[:1] + shown_line(line[1:] + named)


def _named(above: Sequence[str]) -> str:
    found = next((found for one in reversed(above) if (found := _NAMING.fullmatch(one))), None)
    return f" {found['word']}: {found['name']}" if found else ""
