"""Links of e-mails as the senders make them: signed here, read by the gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from workers.core.templates.links import track
from workers.intake.tokens import (
    LinkClaim,
    MessageClaim,
    OpenClaim,
    make_link_token,
    make_open_token,
    make_preferences_token,
    make_unsubscribe_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.wire import Message
    from schemas.workspace.tracking import LinkTracking
    from workers.core.templates.render import RenderedEmail

LINKS_VALID_MS: Final = 365 * 86_400_000
"""How long clicks and opens of a message count: a year."""


class MailLinks:
    """Makes the links of messages.

    ``key`` signs them, ``base`` is where recipients reach the gateway. ``mode`` gives what the workspace
    wants to know; it may want something else for the next message.
    """

    def __init__(self, key: bytes, base: str, mode: Callable[[], LinkTracking]) -> None:
        self._key = key
        self._base = base.rstrip("/")
        self._mode = mode

    def unsubscribe_url(self, message: Message) -> str:
        """The person's one-click address for a message."""
        token = make_unsubscribe_token(self._key, message.person, message.id, message.journey)
        return f"{self._base}/u/{token}"

    def preferences_url(self, message: Message) -> str:
        """The page on which the person chooses what they get."""
        return f"{self._base}/p/{make_preferences_token(self._key, message.person)}"

    def track(self, message: Message, content: RenderedEmail, now_ms: int) -> RenderedEmail:
        """The e-mail with its links as the template, else the workspace, wants them; see ``core.links``.

        Links to our own pages stay, so the unsubscribe link works as it stands in the header.
        """
        claim = MessageClaim(message.person, message.id, message.journey, message.step)
        expires_ms = now_ms + LINKS_VALID_MS

        def link_url(index: int, url: str) -> str:
            token = make_link_token(self._key, LinkClaim(claim, index, url, now_ms, expires_ms))
            return f"{self._base}/l/{token}"

        pixel = make_open_token(self._key, OpenClaim(claim, now_ms, expires_ms))
        tracked = track(
            content.html,
            content.tracking or self._mode(),
            link_url=link_url,
            pixel_url=f"{self._base}/o/{pixel}.gif",
            keep=[f"{self._base}/{page}/" for page in ("u", "p", "l", "o")],
        )
        return replace(content, html=tracked.html)
