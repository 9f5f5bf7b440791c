"""``POST /v1/webhooks/stripe``: what a subscription is, and what happened to it, from Stripe's webhooks.

What is answered 200 is kept, or of no use here. While Kafka is away the answer is 503, and Stripe comes again
for three days. An event that comes again has the ids that it had, and the engine drops it. An event whose
object cannot be read is kept in ``dead-letters`` and answered 200: sending it again would not mend it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.routing import Route

from schemas import wire
from workers.core.ids import stable_id
from workers.core.stripe import mapping as stripe_mapping
from workers.core.stripe.mapping import Ignored, Mapped
from workers.core.stripe.objects import Event
from workers.intake.problems import Problem, json_response, unavailable
from workers.intake.publisher import KafkaUnavailable, Record
from workers.intake.stripe_signature import verify
from workers.intake.times import iso

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from workers.intake.parts import Parts
    from workers.intake.settings import StripeWebhooks

PATH: Final = "/v1/webhooks/stripe"
LIBRARY: Final = {"name": "brimful-stripe", "version": "1"}

_APP = "brimful-gateway"
_HEADERS = (("source", b"stripe"),)

_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


class StripeRoute:
    """The webhook's route. One per gateway."""

    def __init__(self, settings: StripeWebhooks, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._topics = parts.topics

    def routes(self) -> list[Route]:
        """The one path."""
        return [Route(PATH, self._answer, methods=["POST"])]

    async def _answer(self, request: Request) -> Response:
        with self._parts.room.taken():
            return await self._take(request)

    async def _take(self, request: Request) -> Response:
        """Read, verify, map, publish, answer."""
        body = await self._parts.body(request)
        now_ms = self._parts.clock.now_ms()
        try:
            verify(request.headers.get("stripe-signature"), body, self._settings.secrets, now_ms)
        except Problem:
            # Nothing of what an unsigned body says may become a label.
            self._count("unverified", "refused")
            raise
        kind, outcome, records = self._records(body, now_ms)
        try:
            await self._parts.publisher.publish(records)
        except KafkaUnavailable as error:
            self._count(kind, "unavailable")
            raise unavailable("the event could not be kept; send it again", error.retry_after_s) from error
        self._count(kind, outcome)
        return json_response({"received": True, "outcome": outcome})

    def _records(self, body: bytes, now_ms: int) -> tuple[str, str, list[Record]]:
        """The event's type, what becomes of it, and the records to write."""
        try:
            event = _decode(body)
        except msgspec.ValidationError as error:
            return "unreadable", "dead", [self._dead_letter(body, "invalid", str(error), now_ms)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return "unreadable", "dead", [self._dead_letter(body, "unreadable", str(error), now_ms)]
        kind = event.type if event.type in stripe_mapping.TYPES else "other"
        try:
            mapped = stripe_mapping.map_event(event, self._settings.options)
        except (msgspec.ValidationError, OverflowError, ValueError) as error:
            return kind, "dead", [self._dead_letter(body, "invalid", f"{event.id}: {error}", now_ms)]
        if isinstance(mapped, Ignored):
            return kind, "ignored" if mapped.reason == "type" else mapped.reason, []
        return kind, "accepted", self._mapped(mapped, now_ms)

    def _mapped(self, mapped: Mapped, now_ms: int) -> list[Record]:
        # Stripe's clock and ours are two: what is dated a little ahead happened now.
        at_ms = min(mapped.at_ms, now_ms)
        of_account = self._settings.options.subject == "account"
        records = [self._traits(mapped, at_ms)] if mapped.traits is not None else []
        user = mapped.user if of_account else mapped.subject
        for number, happening in enumerate(mapped.happenings):
            event: dict[str, Any] = {
                "type": "track",
                "event": happening.event,
                "messageId": f"{mapped.event_id}-{number}",
                "timestamp": iso(at_ms),
                "properties": happening.properties,
                "context": {"library": LIBRARY, **({"groupId": mapped.subject} if of_account else {})},
            }
            # Nobody acted whom the product knows: the customer stands for the person.
            someone = (
                {"userId": user} if user else {"anonymousId": f"stripe:{mapped.customer or mapped.subject}"}
            )
            key = next(iter(someone.values())).encode()
            records.append(Record(self._topics.product_events, key, _encode(event | someone), _HEADERS))
        return records

    def _traits(self, mapped: Mapped, at_ms: int) -> Record:
        assert mapped.traits is not None, "asked for only where there are some"
        key, traits = mapped.subject.encode(), mapped.traits.traits
        if self._settings.options.subject == "account":
            told = wire.AccountTraits(
                id=mapped.event_id,
                account=mapped.subject,
                traits=traits,
                source=mapped.traits.source,
                at_ms=at_ms,
            )
            return Record(self._topics.account_traits, key, wire.encode(told), _HEADERS)
        event = {
            "type": "identify",
            "messageId": mapped.event_id,
            "timestamp": iso(at_ms),
            "userId": mapped.subject,
            "traits": traits,
            "context": {"library": LIBRARY},
        }
        return Record(self._topics.product_events, key, _encode(event), _HEADERS)

    def _dead_letter(self, body: bytes, reason: Any, detail: str, now_ms: int) -> Record:
        letter = wire.DeadLetter(
            id=stable_id("stripe", detail, base64.b64encode(body).decode()),
            app=_APP,
            topic=self._topics.product_events,
            partition=-1,
            offset=-1,
            reason=reason,
            detail=f"Stripe webhook {detail}",
            payload=base64.b64encode(body).decode(),
            payload_bytes=len(body),
            truncated=False,
            at_ms=now_ms,
        )
        return Record(self._topics.dead_letters, b"stripe", wire.encode(letter), _HEADERS)

    def _count(self, kind: str, outcome: str) -> None:
        self._parts.metrics.webhooks.labels("stripe", kind, outcome).inc()
