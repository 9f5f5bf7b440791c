"""Links of e-mails: what senders make, the gateway reads."""

from __future__ import annotations

import re

import pytest

from schemas.workspace.tracking import LinkTracking  # noqa: TC001  pytest reads the module's names
from tests.unit.senders.test_logic import message
from workers.core.templates.render import RenderedEmail
from workers.intake.tokens import (
    MessageClaim,
    read_link_token,
    read_open_token,
    read_preferences_token,
    read_unsubscribe_token,
)
from workers.tracked_mail import LINKS_VALID_MS, MailLinks

KEY = b"k" * 32
NOW_MS = 1_772_358_600_000
LINKS = MailLinks(KEY, "https://go.example.com/", lambda: "clicks")


def mail(tracking: LinkTracking | None = None) -> RenderedEmail:
    """With a link of ours and one of the workspace's."""
    html = (
        f'<body><a href="{LINKS.unsubscribe_url(message())}">x</a><a href="https://a.example/?x">y</a></body>'
    )
    return RenderedEmail("Hi", html, "Hi https://a.example/?x", "mail", "1", tracking=tracking)


def test_the_gateway_reads_what_the_senders_made() -> None:
    """Message, person, journey, step, link, and how long it counts."""
    one = message()
    html = LINKS.track(one, mail(), NOW_MS).html
    (token,) = re.findall(r'"https://go\.example\.com/l/([^"]+)"', html)
    claim = read_link_token(KEY, token)
    assert claim is not None
    assert claim.message == MessageClaim(one.person, one.id, one.journey, one.step)
    assert (claim.index, claim.url) == (0, "https://a.example/?x")
    assert (claim.sent_ms, claim.expires_ms) == (NOW_MS, NOW_MS + LINKS_VALID_MS)


def test_our_own_pages_are_linked_as_they_are() -> None:
    """The link to unsubscribe is the one of the header; the text part has addresses that people can read."""
    content = LINKS.track(message(), mail(), NOW_MS)
    assert f'href="{LINKS.unsubscribe_url(message())}"' in content.html
    assert content.text == mail().text


@pytest.mark.parametrize(
    ("workspace", "template", "links", "pixels"),
    [
        ("off", None, 0, 0),
        ("clicks", None, 1, 0),
        ("all", None, 1, 1),
        ("all", "off", 0, 0),
        ("all", "clicks", 1, 0),
        ("off", "all", 1, 1),
    ],
)
def test_the_template_decides_else_the_workspace(
    workspace: LinkTracking, template: LinkTracking | None, links: int, pixels: int
) -> None:
    """Off, clicks or all."""
    html = (
        MailLinks(KEY, "https://go.example.com", lambda: workspace)
        .track(message(), mail(template), NOW_MS)
        .html
    )
    found = re.findall(r"https://go\.example\.com/o/([^\"]+)\.gif", html)
    assert (html.count("/l/"), len(found)) == (links, pixels)
    assert all(read_open_token(KEY, token) is not None for token in found)


def test_pages_are_of_the_person() -> None:
    """Each link opens its own page."""
    one = message()
    unsubscribe = LINKS.unsubscribe_url(one).removeprefix("https://go.example.com/u/")
    preferences = LINKS.preferences_url(one).removeprefix("https://go.example.com/p/")
    claim = read_unsubscribe_token(KEY, unsubscribe)
    assert claim is not None
    assert (claim.person, claim.message_id) == (one.person, one.id)
    assert read_preferences_token(KEY, preferences) == one.person
    assert read_preferences_token(KEY, unsubscribe) is None
