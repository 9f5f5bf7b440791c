"""MJML as it is written, checked: the compiler drops tags that it does not know without a word."""

from __future__ import annotations

import re
from difflib import get_close_matches
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMN: Final = frozenset({
    "mj-accordion", "mj-button", "mj-carousel", "mj-divider", "mj-hero", "mj-image", "mj-navbar", "mj-raw",
    "mj-social", "mj-spacer", "mj-table", "mj-text",
})  # fmt: skip
_INSIDE: Final[dict[str, frozenset[str]]] = {
    "": frozenset({"mjml"}),
    "mjml": frozenset({"mj-head", "mj-body"}),
    "mj-head": frozenset({
        "mj-attributes", "mj-breakpoint", "mj-font", "mj-html-attributes", "mj-preview", "mj-raw", "mj-style",
        "mj-title",
    }),
    "mj-body": frozenset({"mj-section", "mj-wrapper", "mj-hero", "mj-raw"}),
    "mj-wrapper": frozenset({"mj-section", "mj-hero", "mj-raw"}),
    "mj-section": frozenset({"mj-column", "mj-group", "mj-raw"}),
    "mj-group": frozenset({"mj-column", "mj-raw"}),
    "mj-column": _COLUMN,
    "mj-hero": _COLUMN,
    "mj-accordion": frozenset({"mj-accordion-element", "mj-raw"}),
    "mj-accordion-element": frozenset({"mj-accordion-title", "mj-accordion-text", "mj-raw"}),
    "mj-carousel": frozenset({"mj-carousel-image", "mj-raw"}),
    "mj-navbar": frozenset({"mj-navbar-link", "mj-raw"}),
    "mj-social": frozenset({"mj-social-element", "mj-raw"}),
}  # fmt: skip
"""What stands directly inside of what. Tags with text or html inside are not listed."""

_ANYTHING: Final = frozenset({"mj-attributes", "mj-html-attributes"})
"""Tags whose inside names other tags and classes."""

_KNOWN: Final = frozenset({name for names in _INSIDE.values() for name in names})
_MARK: Final = re.compile(r"bfq([0-9]+)z")


class BadMjml(ValueError):
    """Html that cannot be made. ``line`` counts from 1 in the text that it is made of."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"line {line}: {detail}")
        self.line = line
        self.detail = detail

    def __reduce__(self) -> tuple[type[BadMjml], tuple[int, str]]:
        return (BadMjml, (self.line, self.detail))


def check_mjml(marked: str, codes: Sequence[str]) -> None:
    """Refuse what the compiler would drop or misplace.

    ``marked`` has its code as marks, of which ``codes`` are the texts.

    Raises:
        BadMjml: with its line in the text as written.
    """
    checker = _Checker(codes)
    checker.feed(marked)
    checker.close()
    if checker.open:
        name, line = checker.open[-1]
        raise BadMjml(line, f"<{name}> is not closed")
    if "mj-body" not in checker.seen:
        raise BadMjml(1, "MJML begins with <mjml> and has an <mj-body>")


def in_comments(marked: str) -> str:
    """``marked`` with those marks as comments that stand between MJML's tags, where no text is kept."""
    writer = _Commenter()
    writer.feed(marked)
    writer.close()
    out, at = [], 0
    for start, end in writer.between:
        out += [marked[at:start], _MARK.sub(r"<!--\g<0>-->", marked[start:end])]
        at = end
    return "".join((*out, marked[at:]))


class _Checker(HTMLParser):
    """Follows which tag is open. Only MJML's own are followed; html inside of them is the html's matter."""

    def __init__(self, codes: Sequence[str]) -> None:
        super().__init__(convert_charrefs=False)
        self.codes = codes
        self.open: list[tuple[str, int]] = []
        self.seen: set[str] = set()
        self.shift = 0

    @property
    def line(self) -> int:
        """The line in the text as written: code of several lines is one mark."""
        return self.getpos()[0] + self.shift

    @property
    def parent(self) -> str:
        return self.open[-1][0] if self.open else ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._enter(tag)
        if tag in _KNOWN:
            self.open.append((tag, self.line))
        self._pass(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._enter(tag)
        self._pass(self.get_starttag_text() or "")

    def _enter(self, tag: str) -> None:
        if any(name in _ANYTHING for name, _ in self.open):
            return
        own = tag.startswith("mj-") or tag == "mjml"
        if own and tag not in _KNOWN:
            near = get_close_matches(tag, _KNOWN, n=1)
            told = "; partials are included by {% include 'name' %}" if tag == "mj-include" else ""
            hint = told or (f"; did you mean <{near[0]}>?" if near else "")
            raise BadMjml(self.line, f"MJML has no <{tag}>{hint}")
        inside = _INSIDE.get(self.parent)
        if inside is not None and tag not in inside:
            where = f"directly inside of <{self.parent}>" if self.parent else "at the beginning"
            raise BadMjml(self.line, f"<{tag}> cannot stand {where}; there are {', '.join(sorted(inside))}")
        if inside is None and own:
            raise BadMjml(self.line, f"<{tag}> cannot stand inside of <{self.parent}>, which has text in it")
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _KNOWN:
            return
        if self.parent != tag:
            held = f", while <{self.parent}> is open" if self.parent else ""
            raise BadMjml(self.line, f"</{tag}> closes nothing{held}")
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.parent in _INSIDE:
            line = self.line
            for part in re.split(r"(bfq[0-9]+z)", data):
                mark = _MARK.fullmatch(part)
                if mark is None and part.strip():
                    raise BadMjml(
                        line, f"text cannot stand directly inside of <{self.parent}>: use <mj-text>"
                    )
                if mark is not None and self.codes[int(mark[1])].startswith("{{"):
                    raise BadMjml(
                        line, f"a value cannot stand directly inside of <{self.parent}>: use <mj-text>"
                    )
                line += part.count("\n") + (self.codes[int(mark[1])].count("\n") if mark else 0)
        self._pass(data)

    def _pass(self, text: str) -> None:
        self.shift += sum(self.codes[int(number)].count("\n") for number in _MARK.findall(text))


class _Commenter(HTMLParser):
    """Notes the stretches of text that stand between MJML's tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.between: list[tuple[int, int]] = []
        self.open: list[str] = []
        self.starts: list[int] = []

    def feed(self, data: str) -> None:
        """As the base class; remembers where each line begins."""
        self.starts = [0, *(found.end() for found in re.finditer("\n", data))]
        super().feed(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _KNOWN:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing is open after it."""

    def handle_endtag(self, tag: str) -> None:
        if tag in _KNOWN and self.open:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if (self.open[-1] if self.open else "") in _INSIDE:
            line, column = self.getpos()
            start = self.starts[line - 1] + column
            self.between.append((start, start + len(data)))
