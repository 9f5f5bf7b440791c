"""Html of templates: where an expression stands in it, and the text part made from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_URL_ATTRIBUTES: Final = frozenset({"href", "src", "action", "background", "poster", "cite", "formaction"})
_REFUSED_ELEMENTS: Final = frozenset({"script", "iframe", "object", "embed", "form", "base"})
"""Elements that no mail client shows as meant, and that a value could turn against the reader."""

_TOKEN = re.compile(
    r"""(?P<comment><!--(?!\[if).*?-->)      # conditional comments for Outlook hold html: read on inside them
    |(?P<declaration><!\[?[^>]*>)
    |<(?P<close>/?)(?P<name>[A-Za-z][^\s/>]*)
    |(?P<open><)""",
    re.VERBOSE | re.DOTALL,
)
_IN_TAG = re.compile(r"""\s*/?(?:(?P<end>>)|(?P<name>[^\s=>/]+)(?P<value>\s*=\s*(?P<quote>["'])?)?)""")


class UnsafeHtml(ValueError):
    """Html in which a value could break out of its place. The message says what to change."""


@dataclass(slots=True)
class HtmlPosition:
    """Where in an html document a template stands, fed with its texts and expressions in order."""

    element: str = ""
    """The element whose start tag is open; empty between tags."""
    attribute: str = ""
    quote: str = ""
    """The quote that ends the value in which we are; empty outside of one."""
    value: str = ""
    inside_style: bool = False

    def copy(self) -> HtmlPosition:
        """The same place, to go on from it twice."""
        return replace(self)

    @property
    def at_url_start(self) -> bool:
        """Whether what comes next decides the scheme of a link."""
        return bool(self.quote) and self.attribute in _URL_ATTRIBUTES and not self.value.strip()

    def feed_expression(self) -> None:
        """An expression stands here. Raises :class:`UnsafeHtml` where escaping cannot make its value safe."""
        if self.inside_style:
            raise UnsafeHtml('an expression inside <style> is not safe; use an attribute style="…"')
        if not self.element:
            return
        if not self.quote:
            raise UnsafeHtml('an expression inside a tag stands in a quoted attribute: name="{{ … }}"')
        if self.attribute.startswith("on"):
            raise UnsafeHtml(f"an expression inside {self.attribute} would be run as a program")
        self.value += "x"

    def feed(self, text: str) -> None:
        """Go on over ``text``. Raises :class:`UnsafeHtml` at an element that is refused."""
        at = 0
        while at < len(text):
            at = self._inside_tag(text, at) if self.element else self._between_tags(text, at)

    def _between_tags(self, text: str, at: int) -> int:
        found = _TOKEN.search(text, at)
        if found is None:
            return len(text)
        if found["open"] or found["comment"] or found["declaration"]:
            return found.end()
        name = found["name"].lower()
        if name in _REFUSED_ELEMENTS:
            raise UnsafeHtml(f"<{name}> is refused in a message")
        self.element = name
        if name == "style":
            self.inside_style = not found["close"]
        return found.end()

    def _inside_tag(self, text: str, at: int) -> int:
        if self.quote:
            end = text.find(self.quote, at)
            self.value += text[at : end if end >= 0 else len(text)]
            if end < 0:
                return len(text)
            self.quote = self.attribute = self.value = ""
            return end + 1
        found = _IN_TAG.match(text, at)
        if found is None or found.end() == at:
            return len(text) if found is None else at + 1
        if found["end"]:
            self.element = ""
        elif found["value"]:
            self.attribute, self.quote, self.value = found["name"].lower(), found["quote"] or "", ""
        return found.end()


_OPEN, _CLOSE = "\ue000", "\ue001"
"""Private-use characters around the number of a piece of template code that is carried through."""

_CODE = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_PARAGRAPHS = frozenset({
    "p", "div", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "section", "article",
    "header", "footer", "hr", "pre",
})  # fmt: skip
_LINES = frozenset({"br", "tr", "li", "dt", "dd"})
_HIDDEN = frozenset({"head", "style", "script", "title", "template"})
_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
})  # fmt: skip


class _TextWriter(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.hidden: list[str] = []
        self.links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if (
            self.hidden
            or tag in _HIDDEN
            or "display:none" in values.get("style", "").replace(" ", "").lower()
        ):
            if tag not in _VOID:
                self.hidden.append(tag)
            return
        self._break(tag)
        if tag == "li":
            self.out.append("- ")
        elif tag in ("td", "th"):
            self.out.append(" ")
        elif tag == "hr":
            self.out.append("---\n\n")
        elif tag == "img" and values.get("alt", "").strip():
            self.out.append(values["alt"])
        elif tag == "a":
            self.links.append((values.get("href", ""), len(self.out)))

    def handle_endtag(self, tag: str) -> None:
        if self.hidden:
            if tag in self.hidden:
                while self.hidden.pop() != tag:
                    continue
            return
        if tag == "a" and self.links:
            url, start = self.links.pop()
            label = "".join(self.out[start:]).strip()
            if url and not url.startswith("#") and url not in (label, f"mailto:{label}"):
                self.out.append(f" ({url})" if label else url)
        self._break(tag if tag != "li" else "")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.out.append(re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.out.append("\n\n")
        elif tag == "br" or (tag in _LINES and not (self.out and self.out[-1].endswith("\n"))):
            self.out.append("\n")


_SPACES = re.compile(r"[ \xa0]{2,}")
_EMPTY_LINES = re.compile(r"\n{3,}")


def tidy(text: str) -> str:
    """``text`` without spaces around line ends and without more than one empty line in a row."""
    lines = "\n".join(line.strip(" \t\r\xa0") for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", _SPACES.sub(" ", lines)).strip()


def text_source(tokens: Iterable[tuple[int, str, str]]) -> str:
    """The text template that says what an html template says, links written out behind their labels.

    ``tokens`` are those of Jinja2's lexer. Expressions and statements are carried over as they are, so that
    the text part is rendered from the data as the html is, without parsing html for each message.
    """
    code: list[str] = []
    html: list[str] = []
    inside: list[str] | None = None
    for _, kind, value in tokens:
        if kind in ("variable_begin", "block_begin"):
            inside = [value]
        elif inside is not None:
            inside.append(value)
            if kind in ("variable_end", "block_end"):
                html.append(f"{_OPEN}{len(code)}{_CLOSE}")
                code.append("".join(inside))
                inside = None
        elif kind == "data":
            html.append(value.replace(_OPEN, "").replace(_CLOSE, ""))
    writer = _TextWriter()
    writer.feed("".join(html))
    writer.close()
    return _CODE.sub(lambda found: code[int(found[1])], tidy("".join(writer.out)))


_HEAD = (
    '<!DOCTYPE html><html><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"></head>'
)
_PREHEADER = '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">'
_BODY_TAG = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
_HTML_TAG = re.compile(r"<html\b", re.IGNORECASE)


def document(html: str, preheader: str) -> str:
    """``html`` as a whole document, in front the preheader, which mail clients show beside the subject."""
    hidden = f"{_PREHEADER}{preheader}</div>" if preheader else ""
    if not _HTML_TAG.search(html):
        return f"{_HEAD}<body>{hidden}{html}</body></html>"
    body = _BODY_TAG.search(html)
    if body is None:
        return hidden + html
    return html[: body.end()] + hidden + html[body.end() :]
