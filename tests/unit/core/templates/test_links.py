"""Which links of a mail are rewritten, and that nothing else is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.templates.links import LINKS_MAX, URL_MAX_CHARS, Tracked, is_web, track

if TYPE_CHECKING:
    from schemas.workspace.tracking import LinkTracking

BASE = "https://go.example.com"
PIXEL = f"{BASE}/o/p.gif"


def rewritten(html: str, mode: LinkTracking = "clicks") -> Tracked:
    """With links that name their index alone."""
    return track(
        html, mode, link_url=lambda index, _: f"{BASE}/l/{index}", pixel_url=PIXEL, keep=[f"{BASE}/u/"]
    )


@pytest.mark.parametrize(
    ("html", "after"),
    [
        ('<a href="https://a.example/x">x</a>', '<a href="https://go.example.com/l/0">x</a>'),
        ("<a href='https://a.example/x'>x</a>", '<a href="https://go.example.com/l/0">x</a>'),
        ("<a href=https://a.example/x>x</a>", '<a href="https://go.example.com/l/0">x</a>'),
        (
            '<A class="b"\n  HREF = "http://a.example"  id=c>x</A>',
            '<A class="b"\n  HREF = "https://go.example.com/l/0"  id=c>x</A>',
        ),
        (
            '<area shape=rect href="https://a.example/">',
            '<area shape=rect href="https://go.example.com/l/0">',
        ),
        (
            'é\r\n<p>é<a href="https://a.example/">é</a>',
            'é\r\n<p>é<a href="https://go.example.com/l/0">é</a>',
        ),
        ('<a href=" https://a.example/ ">x</a>', '<a href="https://go.example.com/l/0">x</a>'),
    ],
)
def test_links_to_the_web_are_rewritten(html: str, after: str) -> None:
    """However they are written; all around them stays."""
    assert rewritten(html).html == after


@pytest.mark.parametrize(
    "html",
    [
        '<a href="mailto:a@example.com">x</a>',
        '<a href="tel:+4930123">x</a>',
        '<a href="#top">x</a>',
        '<a href="/relative">x</a>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href="https://go.example.com/u/token">x</a>',
        '<a href="https://a.example/" data-brimful-track="off">x</a>',
        '<a data-href="https://a.example/">x</a>',
        '<a title="href=https://a.example/ " href="https://b.example/">x</a>',
        "<a name=x>x</a>",
        "<a href>x</a>",
        '<link href="https://a.example/style.css">',
        '<img src="https://a.example/i.png">',
        '<!--[if mso]><a href="https://a.example/">x</a><![endif]-->',
        "<p>https://a.example/ in the text</p>",
        '<a href="https://a.example/' + "x" * URL_MAX_CHARS + '">x</a>',
        '<a href="http://[broken/">x</a>',
        '<a href="https://a.example/a&#10;b">x</a>',
    ],
)
def test_everything_else_stays(html: str) -> None:
    """Unsubscribe links, mail and telephone, what is no link, and what is not certain."""
    assert rewritten(html) == Tracked(html, ())


def test_the_address_is_what_a_browser_would_follow() -> None:
    """Character references are resolved, in order, one index for each link."""
    html = '<a href="https://a.example/?x=1&amp;y=2">1</a><a href="https://b.example/">2</a>'
    found = rewritten(html)
    assert found.urls == ("https://a.example/?x=1&y=2", "https://b.example/")
    assert re.findall(r"/l/(\d)", found.html) == ["0", "1"]


def test_links_that_are_made_are_escaped() -> None:
    """What a link's maker returns cannot end the attribute."""
    made = track(
        "<a href=https://a.example>x</a>", "clicks", link_url=lambda *_: 'https://x/"&', pixel_url=PIXEL
    )
    assert made.html == '<a href="https://x/&quot;&amp;">x</a>'


@pytest.mark.parametrize(("mode", "links", "pixels"), [("off", 0, 0), ("clicks", 1, 0), ("all", 1, 1)])
def test_the_mode_says_how_much_is_known(mode: LinkTracking, links: int, pixels: int) -> None:
    """Off leaves the mail as it is; only all adds a pixel, at the end of the body."""
    html = '<html><body><a href="https://a.example">x</a></body></html>'
    found = rewritten(html, mode)
    assert (len(found.urls), found.html.count(PIXEL)) == (links, pixels)
    assert found.html.endswith("</body></html>")
    assert (found.html == html) is (mode == "off")


def test_a_fragment_gets_its_pixel_at_the_end() -> None:
    """There is no body to put it into."""
    assert rewritten("<p>x</p>", "all").html.startswith(f'<p>x</p><img src="{PIXEL}"')


def test_only_so_many_links_are_rewritten() -> None:
    """The others lead straight where they lead."""
    assert len(rewritten('<a href="https://a.example">x</a>' * (LINKS_MAX + 5)).urls) == LINKS_MAX


@given(st.text(alphabet="<>/ahref=\"' \n!-:.pst&;#3é", max_size=60), st.text(max_size=20))
def test_nothing_but_addresses_of_links_ever_changes(before: str, after: str) -> None:
    """Of any text: between the values of links, every byte is as it was."""
    html = f'{before}<a href="https://a.example/?a=1">x</a>{after}'
    found = rewritten(html)
    kept = re.split(rf'"{BASE}/l/\d+"', found.html)
    value = r"""(?:"[^"]*"|'[^']*'|[^\s"'>]+)"""
    assert len(kept) == len(found.urls) + 1
    assert re.fullmatch(value.join(map(re.escape, kept)), html, re.DOTALL)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://a.example/", True),
        ("HTTP://a.example", True),
        ("https://", False),
        ("//a.example", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://a.example/\r\nx: y", False),
        ("https://a.example/a b", False),
    ],
)
def test_what_is_an_address_of_the_web(url: str, good: bool) -> None:
    """Asked when a link is made, and again when it is followed."""
    assert is_web(url) is good
