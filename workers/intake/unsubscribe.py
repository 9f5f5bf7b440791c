"""``/u/{token}``: one-click unsubscribe (RFC 8058).

POST acts at once and without a login, because mail providers call it for their users. GET never acts, because
link scanners call it too: it shows a page with one button, which posts. Acting twice is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
from starlette.routing import Route

from schemas import wire
from workers.core.ids import stable_id
from workers.intake.html import render
from workers.intake.problems import json_response, retry_after
from workers.intake.publisher import KafkaUnavailable, Record
from workers.intake.times import iso
from workers.intake.tokens import make_preferences_token, read_unsubscribe_token

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from workers.clock import Clock
    from workers.intake.publisher import Publisher
    from workers.intake.settings import Topics, Unsubscribe
    from workers.intake.tokens import UnsubscribeClaim


class UnsubscribePages:
    """The unsubscribe routes. One per gateway."""

    def __init__(self, config: Unsubscribe, *, publisher: Publisher, clock: Clock, topics: Topics) -> None:
        self._config = config
        self._publisher = publisher
        self._clock = clock
        self._topics = topics

    def routes(self) -> list[Route]:
        """GET shows the page, POST unsubscribes."""
        return [
            Route("/u/{token}", self._show, methods=["GET"]),
            Route("/u/{token}", self._act, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        claim = self._claim(request)
        if claim is None:
            return self._page("unknown", 404)
        return self._page("ask", 200, claim=claim)

    async def _act(self, request: Request) -> Response:
        claim = self._claim(request)
        if claim is None:
            return self._page("unknown", 404)
        at_ms = self._clock.now_ms()
        try:
            await self._publisher.publish(
                [_consent(claim, at_ms, self._topics), _engagement(claim, at_ms, self._topics)],
            )
        except KafkaUnavailable as error:
            return self._page("later", 503, {"retry-after": retry_after(error.retry_after_s)})
        if "text/html" in request.headers.get("accept", ""):
            return self._page("done", 200, claim=claim)
        return json_response({"success": True})

    def _claim(self, request: Request) -> UnsubscribeClaim | None:
        return read_unsubscribe_token(self._config.keys, request.path_params["token"])

    def _page(
        self,
        state: str,
        status: int,
        headers: dict[str, str] | None = None,
        claim: UnsubscribeClaim | None = None,
    ) -> Response:
        preferences = None
        if claim is not None:
            preferences = f"../p/{make_preferences_token(self._config.key, claim.person)}"
        sender = self._config.sender_name
        return render(
            "unsubscribe.html", status, headers, state=state, sender=sender, preferences=preferences
        )


def _consent(claim: UnsubscribeClaim, at_ms: int, topics: Topics) -> Record:
    """An identify that takes the e-mail consent away, in the partition where the engine keeps the person.

    Its messageId is new each time: who subscribes again and then uses the same link again is no duplicate.
    """
    event = {
        "type": "identify",
        "messageId": str(uuid4()),
        "userId": claim.person,
        "traits": {"consent": {"email": False}},
        "context": {"library": {"name": "brimful-gateway", "version": "1"}},
        "timestamp": iso(at_ms),
        "receivedAt": iso(at_ms),
    }
    headers = (("source", b"unsubscribe"), ("received_at_ms", str(at_ms).encode()))
    return Record(topics.product_events, claim.person.encode(), msgspec.json.encode(event), headers)


def _engagement(claim: UnsubscribeClaim, at_ms: int, topics: Topics) -> Record:
    record = wire.Engagement(
        id=stable_id("unsubscribed", claim.person, claim.message_id, str(at_ms)),
        type="unsubscribed",
        person=claim.person,
        message_id=claim.message_id,
        channel="email",
        journey=claim.journey,
        at_ms=at_ms,
    )
    return Record(topics.engagement, claim.person.encode(), wire.encode(record))
