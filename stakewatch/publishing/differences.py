"""What differs between two texts, line by line: no secrets are shown, nothing that steers a terminal."""

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import islice

_HIDDEN = "(hidden)"
# A name that tells that its value is a secret, and a value that is not just the name of one elsewhere.
_WORDS = "password|passwd|secret|token|api_?key|routing_key|service_key|credential|slack_api_url|webhook_url"
_WORD = rf"[\w.-]*(?:{_WORDS})[\w.-]*"
# In PromQL a label may have any name, so that `=` tells of a secret only where a line begins.
_SECRET = re.compile(
    rf"(?P<name>{_WORD}[\"']?\s*:\s+|{_WORD}\":|^\s*{_WORD}\s*=\s*)"
    r"(?P<value>(?!\s*[\"']?(?:arn:|true\b|false\b|null\b|\{|\[|$))\S.*?)(?P<end>,?)$",
    re.IGNORECASE,
)
# Where a secret may go on in the lines below: in a block of YAML all of them, else those without a name.
_OPENED = re.compile(rf"(?P<indent>\s*)(?:- )?[\"']?{_WORD}[\"']?\s*:\s*(?P<block>[|>])?", re.IGNORECASE)
_WITH_NAME = re.compile(r"\s*(?:- )?[\"']?[\w.-]+[\"']?\s*:(?:\s|$)")
_KEY_BEGINS, _KEY_ENDS = "-----BEGIN ", "-----END "
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
    before, after = old.splitlines(), new.splitlines()
    secret = {*_inside_secrets(before), *_inside_secrets(after)}
    for line in islice(difflib.unified_diff(before, after, lineterm="", n=_AROUND), 2, None):
        if line[1:] in secret:
            yield line[: len(line) - len(line[1:].lstrip())] + _HIDDEN
            continue
        hunk = _HUNK.fullmatch(line)
        named = _named(before[: int(hunk["start"]) + _AROUND - 1]) if hunk else ""
        yield line[:1] + shown_line(line[1:] + named)


def _inside_secrets(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of secrets that go on over several, which nothing in the line itself tells."""
    opened: re.Match[str] | None = None
    in_key = False
    for line in lines:
        if in_key or _KEY_BEGINS in line:
            in_key = _KEY_ENDS not in line
            yield line
            continue
        if not line.strip():
            continue
        deeper = opened is not None and len(line) - len(line.lstrip()) > len(opened["indent"])
        if opened is not None and deeper and (opened["block"] or not _WITH_NAME.match(line)):
            yield line
        else:
            opened = _OPENED.match(line)


def _named(above: Sequence[str]) -> str:
    found = next((found for one in reversed(above) if (found := _NAMING.fullmatch(one))), None)
    return f" {found['word']}: {found['name']}" if found else ""
