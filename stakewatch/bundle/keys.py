"""Validator keys as people write them: in `stakewatch.yaml` or one per line in a file of their own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.document import Data, Document, Place, read_text
from stakewatch.bundle.problems import Problem, named
from stakewatch.errors import InputError

MAXIMUM_KEY_FILE_BYTES = 128 * 1024 * 1024
MAXIMUM_KEYS = 1_000_000

_PUBLIC_KEY = re.compile(r"(?:0[xX])?([0-9a-fA-F]{96})")
_INDEX = re.compile(r"[0-9]{1,13}")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)?")
_MEND = "a key is 0x and 96 hex digits, or a validator index"


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key in its one spelling, and where it stands."""

    key: str
    path: Path
    line: int


def parse_key(text: str) -> str | None:
    """Return a public key as 0x and 96 lower-case hex digits, an index as decimal, None for anything else."""
    if match := _PUBLIC_KEY.fullmatch(text):
        return "0x" + match[1].lower()
    return str(int(text)) if _INDEX.fullmatch(text) else None


def listed_keys(document: Document, keys: Data, place: Place) -> Iterator[ListedKey | Problem]:
    """Yield the keys of the list or key file that stands at `place`, and a problem for each that is none.

    What is written wrongly is never repeated in a problem: it may be a secret in the wrong place.
    """
    if isinstance(keys, list):
        for number, value in enumerate(keys):
            if not isinstance(value, str | int) or isinstance(value, bool):
                continue  # the schema has said so already
            where = (*place, number)
            key = parse_key(document.text(where) or "")
            line = document.line(where)
            if key is None:
                yield Problem(path=document.path, line=line, what="this is not a validator key", mend=_MEND)
            else:
                yield ListedKey(key=key, path=document.path, line=line)
    elif isinstance(keys, dict) and isinstance(name := keys.get("file"), str) and name:
        line = document.line((*place, "file"))
        path = document.path.parent / name
        try:
            text = read_text(path, maximum_bytes=MAXIMUM_KEY_FILE_BYTES)
        except InputError as error:
            yield Problem(
                path=document.path,
                line=line,
                what=f"key file {named(path)}: {error.what}",
                mend=error.mend or _MEND,
            )
        else:
            yield from _file_keys(path, text)


def _file_keys(path: Path, text: str) -> Iterator[ListedKey | Problem]:
    # One line at a time: a list of all would be many times as large as the file.
    for number, line in enumerate(_LINE.finditer(text), start=1):
        written = line[0].partition("#")[0].strip()
        if not written:
            continue
        key = parse_key(written)
        if key is None:
            yield Problem(path=path, line=number, what="this line is not a validator key", mend=_MEND)
        else:
            yield ListedKey(key=key, path=path, line=number)
