"""Why an expression was refused, with the place in its text."""

from functools import partial
from typing import Any

from rich.cells import cell_len

from stakewatch.errors import InputError

_WIDEST_EXCERPT = 100


class PromqlError(InputError):
    """An expression that Prometheus' parser refuses, or that cannot be edited as asked.

    `start` and `end` are character offsets into `text`, `line` and `column` are 1-based and count characters.
    `where` defaults to `expression:<line>:<column>`; a caller who knows the file passes its own.
    """

    def __init__(
        self,
        message: str,
        *,
        text: str,
        start: int,
        end: int,
        where: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.message = message
        self.text = text
        self.start = max(0, min(start, len(text)))
        self.end = max(self.start, min(end, len(text)))
        self.line, self.column = line_and_column(text, self.start)
        super().__init__(
            f"{message}\n{self.excerpt}" if self.excerpt else message,
            where=where or f"expression:{self.line}:{self.column}",
            mend=mend,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it one that a worker process can hand back."""
        details: dict[str, Any] = {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "where": self.where,
        }
        return partial(PromqlError, **details, mend=self.mend), (self.message,)

    @property
    def excerpt(self) -> str:
        """The line at fault with carets below; a long line is cut around the place."""
        return excerpt(self.text, self.start, self.end)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return the 1-based line and column of a character offset."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def excerpt(text: str, start: int, end: int) -> str:
    """Return the line at `start`, indented by two, and below it a line of carets; empty for an empty line."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", line_start)
    line_end = len(text) if line_end < 0 else line_end
    first = max(line_start, start - _WIDEST_EXCERPT // 2)
    last = min(line_end, first + _WIDEST_EXCERPT)
    shown = "".join(character if character.isprintable() else " " for character in text[first:last])
    if not shown.strip():
        return ""
    before = "..." if first > line_start else ""
    after = "..." if last < line_end else ""
    padding = " " * cell_len(before + shown[: start - first])
    carets = "^" * max(1, cell_len(shown[start - first : max(0, min(end, last) - first)]))
    return f"  {before}{shown}{after}\n  {padding}{carets}"
