"""The page that /metrics serves, in sections that are written anew only when what they show has changed."""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

from stakewatch_exporter.exposition import Sample, render

# RFC 1952: deflate, no name, no time, fastest, Unix. RFC 1951: an empty last block ends the stream.
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\x03"
_LAST_BLOCK = b"\x03\x00"
_RAW_DEFLATE = -zlib.MAX_WBITS
_LEVEL = 1


@dataclass
class Section:
    """A piece of the page; `packed` is its deflate stream up to a byte's edge, None until it is asked for."""

    key: object
    text: bytes
    packed: bytes | None = None

    def pack(self) -> bytes:
        """Return the deflate stream of the text, made once."""
        if self.packed is None:
            compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
            self.packed = compressor.compress(self.text) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return self.packed


class Page:
    """Sections in a fixed order, the ones that change least first; every family stands in one of them."""

    def __init__(self, network: str, names: Iterable[str]) -> None:
        self._network = network
        self._sections = {name: Section(None, b"") for name in names}
        self._checks: list[tuple[bytes, int]] = []
        self._lock = Lock()

    def update(self, name: str, key: object, samples: Callable[[], Iterable[Sample]]) -> bool:
        """Write a section anew unless it was written for an equal key; return whether it was."""
        if self._sections[name].key == key:
            return False
        self._sections[name] = Section(key, render(self._network, samples()))
        return True

    def written(self, key: object, samples: Iterable[Sample]) -> Section:
        """Return a section of many samples, packed: it may take its time in a thread."""
        section = Section(key, render(self._network, samples, are_many=True))
        section.pack()
        return section

    def replace(self, name: str, section: Section) -> None:
        """Show a section that was written before."""
        self._sections[name] = section

    def is_current(self, name: str, key: object) -> bool:
        """Whether a section was written for an equal key."""
        return self._sections[name].key == key

    def text(self) -> bytes:
        """Return the whole page."""
        return b"".join(section.text for section in self._sections.values())

    def packed(self) -> bytes:
        """Return the whole page as gzip; only sections that are new are compressed. May run in a thread."""
        with self._lock:
            sections = list(self._sections.values())
            body = b"".join(section.pack() for section in sections)
            check = self._checksum([section.text for section in sections])
        size = sum(len(section.text) for section in sections) % 2**32
        return _GZIP_HEAD + body + _LAST_BLOCK + check.to_bytes(4, "little") + size.to_bytes(4, "little")

    def _checksum(self, texts: list[bytes]) -> int:
        """Return the CRC of the whole page; what stands before the first new section is known already."""
        same = 0
        while same < min(len(texts), len(self._checks)) and self._checks[same][0] is texts[same]:
            same += 1
        del self._checks[same:]
        check = self._checks[-1][1] if self._checks else 0
        for text in texts[same:]:
            check = zlib.crc32(text, check)
            self._checks.append((text, check))
        return check
