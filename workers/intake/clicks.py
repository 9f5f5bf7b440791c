"""``/l/{token}`` and ``/o/{token}.gif``: which links of a message were followed, and whether it was opened.

Where a link leads stands in its signed token, so nobody can make one that leads elsewhere. Neither address
nor browser of the person is kept. Link scanners and mail clients look too: HEAD counts for nothing, and a GET
that no person made is kept as ``prefetch``, which the engine does not count.
"""

from __future__ import annotations

import asyncio
import base64
from html import escape
from typing import TYPE_CHECKING, Final

import structlog
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from schemas import wire
from workers.core.ids import stable_id
from workers.core.templates.links import is_web
from workers.intake.html import page
from workers.intake.problems import Problem
from workers.intake.publisher import KafkaUnavailable, Record
from workers.intake.tokens import read_link_token, read_open_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from schemas.fields import EngagementType
    from workers.intake.parts import Parts
    from workers.intake.tokens import Keys, MessageClaim

log = structlog.get_logger(__name__)

LINK_PATH: Final = "/l/{token}"
PIXEL_PATH: Final = "/o/{token}.gif"

FASTEST_MS: Final = 1_000
"""No person follows a link of a mail so soon after it was made: a scanner on the way does."""

KEEPING_S: Final = 1.0
"""How long a person waits for their click to be kept, before they are sent on all the same."""

GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One transparent pixel."""

_APPLE_PROXY: Final = "Mozilla/5.0"
"""All that Apple Mail's privacy protection says of itself; it loads the pictures of every mail it gets."""

_PRIVATE: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
}


def is_prefetch(headers: Mapping[str, str], since_sent_ms: int) -> bool:
    """Whether a machine asks: it says so, or is too fast for a person."""
    said = (headers.get(name, "").lower() for name in ("sec-purpose", "purpose", "x-purpose", "x-moz"))
    if any(one.startswith(("prefetch", "preview", "prerender")) for one in said):
        return True
    return headers.get("user-agent") == _APPLE_PROXY or since_sent_ms < FASTEST_MS


class Clicks:
    """The routes of links and pixels. One per gateway."""

    def __init__(self, keys: Keys, parts: Parts) -> None:
        self._keys = keys
        self._parts = parts
        self._keeping: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        """GET counts, HEAD looks."""
        return [
            Route(LINK_PATH, self._follow, methods=["GET"]),
            Route(PIXEL_PATH, self._open, methods=["GET"]),
        ]

    async def _follow(self, request: Request) -> Response:
        claim = read_link_token(self._keys, request.path_params["token"])
        if claim is None or not is_web(claim.url):
            return page(
                "This link is not valid", "Please use the link exactly as it stands in the e-mail.", 404
            )
        now_ms = self._parts.clock.now_ms()
        if now_ms >= claim.expires_ms:
            return _expired(claim.url)
        if request.method == "GET":
            prefetch = is_prefetch(request.headers, now_ms - claim.sent_ms)
            record = self._record("clicked", claim.message, now_ms, prefetch, claim.index, claim.url)
            await self._keep(record, "clicked", prefetch)
        return RedirectResponse(claim.url, 302, _PRIVATE)

    async def _open(self, request: Request) -> Response:
        claim = read_open_token(self._keys, request.path_params["token"])
        if claim is None:
            raise Problem(404, "not_found", "no such path")
        now_ms = self._parts.clock.now_ms()
        if request.method == "GET" and now_ms < claim.expires_ms:
            prefetch = is_prefetch(request.headers, now_ms - claim.sent_ms)
            await self._keep(self._record("opened", claim.message, now_ms, prefetch), "opened", prefetch)
        return Response(GIF, media_type="image/gif", headers=_PRIVATE)

    def _record(
        self,
        kind: EngagementType,
        message: MessageClaim,
        now_ms: int,
        prefetch: bool,
        link: int | None = None,
        url: str | None = None,
    ) -> Record:
        which = "" if link is None else str(link)
        record = wire.Engagement(
            id=stable_id("email", kind, message.person, message.message_id, which, str(now_ms)),
            type=kind,
            person=message.person,
            message_id=message.message_id,
            channel="email",
            journey=message.journey,
            step=message.step,
            url=url,
            at_ms=now_ms,
            link=link,
            prefetch=prefetch or None,
        )
        return Record(self._parts.topics.engagement, message.person.encode(), wire.encode(record))

    async def _keep(self, record: Record, kind: EngagementType, prefetch: bool) -> None:
        """Wait a moment for the record to be kept; whoever reads a mail is not held up by our brokers.

        What takes longer goes on; what fails is counted as ``unavailable``.
        """
        task = asyncio.create_task(self._publish(record, kind, prefetch))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        await asyncio.wait({task}, timeout=KEEPING_S)

    async def _publish(self, record: Record, kind: EngagementType, prefetch: bool) -> None:
        outcome = "prefetch" if prefetch else "accepted"
        try:
            await self._parts.publisher.publish([record])
        except KafkaUnavailable as error:
            outcome = "unavailable"
            log.warning("gateway.engagement_lost", type=kind, detail=error.detail)
        self._parts.metrics.engagements.labels(kind, outcome).inc()


def _expired(url: str) -> Response:
    """Neither a dead end nor a redirect: the person sees where the old link led, and decides."""
    link = f'<p><a href="{escape(url)}" rel="noreferrer nofollow">{escape(url)}</a></p>'
    return page("This link is old", "It stood in an e-mail of long ago, and led here:", 410, link)
