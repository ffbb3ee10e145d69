"""Markdown as far as the boards' texts use it: paragraphs, lists, tables, bold words, code and links."""

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

_BOLD = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`(.+?)`")
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)")
_BULLET = re.compile(r"\s*[-*] ")
_NUMBER = re.compile(r"\s*\d+\. ")
_RULE = re.compile(r"\|[-| :]+\|")


def html(text: str) -> Markup:
    """Return a text as HTML; whatever is no Markdown of the kinds above is shown as it stands."""
    blocks = (block.splitlines() for block in re.split(r"\n\s*\n", text.strip()))
    return Markup("\n").join(_block(lines) for lines in blocks if lines)


def _block(lines: list[str]) -> Markup:
    if all(line.strip().startswith("|") for line in lines):
        return Markup("<table>{}</table>").format(Markup().join(_rows(lines)))
    for mark, tag in ((_BULLET, "ul"), (_NUMBER, "ol")):
        if all(mark.match(line) for line in lines):
            items = (Markup("<li>{}</li>").format(_inline(mark.sub("", line))) for line in lines)
            return Markup("<{0}>{1}</{0}>").format(tag, Markup().join(items))
    heading = re.fullmatch(r"#+ (.+)", lines[0])
    if heading:
        rest = _block(lines[1:]) if lines[1:] else Markup()
        return Markup("<h4>{}</h4>{}").format(_inline(heading[1]), rest)
    return Markup("<p>{}</p>").format(_inline("\n".join(lines)))


def _rows(lines: list[str]) -> Iterator[Markup]:
    for place, line in enumerate(lines):
        if _RULE.fullmatch(line.strip()):
            continue
        tag = "th" if place == 0 else "td"
        cells = (cell.strip() for cell in line.strip().strip("|").split("|"))
        inner = (Markup("<{0}>{1}</{0}>").format(tag, _inline(cell)) for cell in cells)
        yield Markup("<tr>{}</tr>").format(Markup().join(inner))


def _inline(text: str) -> Markup:
    marked = str(escape(text))
    marked = _CODE.sub(r"<code>\1</code>", marked)
    marked = _BOLD.sub(r"<b>\1</b>", marked)
    # Nothing from outside is left in it that was not escaped.
    return Markup(_LINK.sub(r'<a href="\2">\1</a>', marked))  # noqa: S704
