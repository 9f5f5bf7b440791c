"""Rewrites the links of a rendered e-mail so that clicks and opens are known. Pure.

Only the values of ``href`` in ``<a>`` and ``<area>`` change; every other byte of the mail stays. What is
inside comments (Outlook's conditional ones too) is left alone, and so is the text part: an address that a
person reads there is the one they get.
"""

from __future__ import annotations

import re
from html import escape, unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.workspace.tracking import LinkTracking

OFF_ATTRIBUTE: Final = "data-brimful-track"
"""``data-brimful-track="off"`` on a link leaves it alone."""

URL_MAX_CHARS: Final = 2_000
"""A longer address is left alone: signed, it would pass what mail clients and proxies take."""

LINKS_MAX: Final = 500
"""Links of one mail that are rewritten; the others are left alone."""

_LINKING: Final = frozenset({"a", "area"})
_HREF: Final = re.compile(
    r"""(?P<before>[\s"'/]href\s*=\s*)(?P<value>"[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE
)
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_PIXEL: Final = (
    '<img src="{}" width="1" height="1" alt="" style="display:block;border:0;width:1px;height:1px">'
)


class Tracked(NamedTuple):
    """The html to send, and the addresses that its links led to, by their index."""

    html: str
    urls: tuple[str, ...]


class _Place(NamedTuple):
    start: int
    end: int
    url: str


def track(
    html: str,
    mode: LinkTracking,
    *,
    link_url: Callable[[int, str], str],
    pixel_url: str,
    keep: Sequence[str] = (),
) -> Tracked:
    """The mail with signed links in place of its own.

    Args:
        html: a whole document, rendered.
        mode: ``off`` changes nothing, ``clicks`` the links, ``all`` adds a pixel that tells of opens.
        link_url: makes the link for an index and an address.
        pixel_url: the pixel of this message.
        keep: beginnings of addresses that stay, such as those to unsubscribe on.
    """
    if mode == "off":
        return Tracked(html, ())
    pieces: list[str] = []
    at = 0
    urls: list[str] = []
    for place in _places(html):
        if len(urls) == LINKS_MAX:
            break
        if not _is_tracked(place.url, keep):
            continue
        pieces += (html[at : place.start], '"', escape(link_url(len(urls), place.url)), '"')
        urls.append(place.url)
        at = place.end
    pieces.append(html[at:])
    changed = "".join(pieces)
    return Tracked(_with_pixel(changed, pixel_url) if mode == "all" else changed, tuple(urls))


def is_web(url: str) -> bool:
    """Whether an address is http or https, with a host, and nothing that ends a header's line."""
    if _CONTROL.search(url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _is_tracked(url: str, keep: Sequence[str]) -> bool:
    return len(url) <= URL_MAX_CHARS and is_web(url) and not any(map(url.startswith, filter(None, keep)))


def _places(html: str) -> list[_Place]:
    finder = _Finder(html)
    finder.feed(html)
    finder.close()
    return finder.found


class _Finder(HTMLParser):
    """Where the values of links stand: start and end in the document, quotes included."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[_Place] = []
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", html))]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _LINKING or (OFF_ATTRIBUTE, "off") in attrs:
            return
        raw = self.get_starttag_text() or ""
        href = _HREF.search(raw)
        named = dict(reversed(attrs)).get("href")
        if href is None or named is None:
            return
        value = href["value"]
        url = unescape(value[1:-1] if value[0] in "\"'" else value).strip()
        if url != named.strip():
            # Another attribute holds what looks like a link: what is not certain is left alone.
            return
        line, column = self.getpos()
        start = self._line_starts[line - 1] + column
        self.found.append(_Place(start + href.start("value"), start + href.end("value"), url))


def _with_pixel(html: str, pixel_url: str) -> str:
    image = _PIXEL.format(escape(pixel_url))
    at = html.lower().rfind("</body")
    return html + image if at < 0 else html[:at] + image + html[at:]
