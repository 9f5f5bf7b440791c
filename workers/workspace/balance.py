"""Html whose elements end where they began: what a parser mends, code inside of it would repeat."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_VOID: Final = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
})  # fmt: skip
_OPTIONAL: Final = frozenset({
    "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "html", "head", "body",
    "colgroup",
})  # fmt: skip
"""Elements whose end may be left out."""


def unbalanced(html: str) -> tuple[int, str] | None:
    """Where, and what is wrong, of the first element that does not end where it should; None: of none.

    The place counts characters.
    """
    reader = _Reader(html)
    reader.feed(html)
    reader.close()
    left = next((one for one in reader.open if one[0] not in _OPTIONAL), None)
    if reader.wrong is None and left is not None:
        return left[1], f"<{left[0]}> has no end"
    return reader.wrong


class _Reader(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.starts = [0, *(found.end() for found in re.finditer("\n", html))]
        self.open: list[tuple[str, int]] = []
        self.wrong: tuple[int, str] | None = None

    @property
    def at(self) -> int:
        """How many characters were read."""
        line, column = self.getpos()
        return self.starts[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag not in _VOID:
            self.open.append((tag, self.at))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """``<br/>`` is whole; ``<div/>`` is a start, as browsers read it."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or self.wrong is not None:
            return
        while self.open and self.open[-1][0] != tag and self.open[-1][0] in _OPTIONAL:
            self.open.pop()
        if not self.open or self.open[-1][0] != tag:
            held = f" while <{self.open[-1][0]}> is open" if self.open else ""
            self.wrong = (self.at, f"</{tag}> closes nothing{held}")
            return
        self.open.pop()
