"""``POST /v1/<call>`` and ``POST /v1/batch``: the Segment HTTP API.

What is answered 200 is kept: each event is acknowledged in ``product-events``, or, where it is bad and its
batch is not strict, in ``dead-letters``. What is answered 4xx is not kept anywhere, and the answer says what
to mend. While Kafka is away the answer is 503 with Retry-After, never 4xx: the clients drop what gets a 4xx.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import msgspec
from msgspec import Raw
from starlette.routing import Route

from schemas import wire
from workers.core.ids import stable_id
from workers.intake.auth import unauthorized
from workers.intake.normalise import CALLS, Accepted, Arrival, Rejected, normalise
from workers.intake.problems import Problem, json_response, unavailable
from workers.intake.publisher import KafkaUnavailable, Record

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from schemas.fields import DeadLetterReason
    from workers.intake.callers import Caller
    from workers.intake.parts import Parts
    from workers.intake.publisher import Headers

STRICT_HEADER = "x-brimful-strict"
"""A request with this header set to 1 or true is refused whole when any of its events is bad."""

_APP = "brimful-gateway"
_LISTED = 20
"""Bad events named in an answer; the rest is counted."""

_DEAD_PAYLOAD_BYTES = 64 * 1024
"""Bytes of a bad event that its dead letter keeps: whole events within the limit, the start of others."""


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[Raw]
    sent_at: Any = None
    write_key: Any = None
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | None = None


class _Single(msgspec.Struct, rename="camel"):
    sent_at: Any = None
    write_key: Any = None


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_single = msgspec.json.Decoder(_Single).decode


@dataclass(frozen=True, slots=True)
class _Bad:
    """A rejected event with its place in the request."""

    index: int
    raw: bytes
    why: Rejected

    def described(self) -> dict[str, Any]:
        why = self.why
        return {"index": self.index, "field": why.field, "reason": why.reason, "detail": why.detail}


class Tracking:
    """The event routes. One per gateway."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._callers = parts.callers
        self._limits = parts.limits
        self._topics = parts.topics
        self._metrics = parts.metrics

    def routes(self) -> list[Route]:
        """``/v1/batch`` and one path per call type."""
        paths: list[tuple[str, str | None]] = [("batch", None), *((call, call) for call in CALLS)]
        return [Route(f"/v1/{name}", partial(self._answer, call), methods=["POST"]) for name, call in paths]

    async def _answer(self, call: str | None, request: Request) -> Response:
        with self._parts.room.taken():
            return await self._take(call, request)

    async def _take(self, call: str | None, request: Request) -> Response:
        """Authenticate, read, open, keep."""
        caller = self._callers.of_header(request.headers.get("authorization"))
        if caller is not None:
            self._callers.check(caller, "events:write")
        raws, arrival, body_key = self._open(call, await self._parts.body(request))
        if caller is None:
            caller = self._callers.of_key(body_key)
            if caller is None:
                raise unauthorized()
            self._callers.check(caller, "events:write")
        return await self.keep(request, caller, raws, arrival, call)

    async def keep(
        self, request: Request, caller: Caller, raws: list[bytes], arrival: Arrival, call: str | None
    ) -> Response:
        """Check every event, publish, answer. ``call`` is the type of a request with a single event.

        Raises:
            Problem: 400 where nothing was taken, and why; 503 while Kafka is away.
        """
        self._callers.spend(caller, len(raws))
        good, bad = self._sort(call, raws, arrival)
        strict = self._limits.strict or request.headers.get(STRICT_HEADER, "").lower() in ("1", "true")
        if bad and (strict or call is not None):
            self._count(bad=bad)
            raise _refused(call, bad, len(raws))
        await self._publish(good, bad, caller.name, arrival.received_at_ms)
        answer: dict[str, Any] = {"success": True}
        if bad:
            answer |= {"rejected_count": len(bad), "rejected": [one.described() for one in bad[:_LISTED]]}
        return json_response(answer, headers=self._callers.told(caller))

    def _open(self, call: str | None, body: bytes) -> tuple[list[bytes], Arrival, str | None]:
        """The raw events of a body, what they have in common, and the write key that it names."""
        received_at_ms = self._parts.clock.now_ms()
        try:
            if call is not None:
                single = _decode_single(body)
                return [body], Arrival(received_at_ms), _text(single.write_key)
            batch = _decode_batch(body)
        except msgspec.ValidationError as error:
            shape = "an object" if call else 'an object like {"batch": [...], "sentAt": "..."}'
            raise Problem(400, "invalid", f"the body must be {shape}: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, "malformed", f"the body is not valid JSON in UTF-8: {error}") from None
        most = self._limits.batch_events
        if len(batch.batch) > most:
            raise Problem(400, "too_large", f"the batch has {len(batch.batch)} events, the limit is {most}")
        arrival = Arrival(received_at_ms, _text(batch.sent_at), batch.context or {}, batch.integrations or {})
        return [bytes(raw) for raw in batch.batch], arrival, _text(batch.write_key)

    def _sort(
        self,
        call: str | None,
        raws: list[bytes],
        arrival: Arrival,
    ) -> tuple[list[Accepted], list[_Bad]]:
        good: list[Accepted] = []
        bad: list[_Bad] = []
        for index, raw in enumerate(raws):
            made = normalise(raw, call=call, arrival=arrival, limits=self._limits, new_id=_new_id)
            if isinstance(made, Accepted):
                good.append(made)
            else:
                bad.append(_Bad(index, raw, made))
        return good, bad

    async def _publish(self, good: list[Accepted], bad: list[_Bad], source: str, at_ms: int) -> None:
        headers: Headers = (("source", source.encode()), ("received_at_ms", str(at_ms).encode()))
        records = [Record(self._topics.product_events, event.key, event.value, headers) for event in good]
        records += [self._dead_letter(one, source, at_ms, headers) for one in bad]
        try:
            await self._parts.publisher.publish(records)
        except KafkaUnavailable as error:
            for event in good:
                self._metrics.events.labels(event.call, "unavailable").inc()
            raise unavailable("the events could not be kept; send them again", error.retry_after_s) from error
        self._count(good=good, bad=bad)

    def _count(self, *, good: list[Accepted] | None = None, bad: list[_Bad]) -> None:
        for event in good or ():
            self._metrics.events.labels(event.call, "accepted").inc()
        for one in bad:
            self._metrics.events.labels(one.why.call, "rejected").inc()

    def _dead_letter(self, one: _Bad, source: str, at_ms: int, headers: Headers) -> Record:
        kept = one.raw[:_DEAD_PAYLOAD_BYTES]
        where = one.why.field or "event"
        letter = wire.DeadLetter(
            id=stable_id("gateway", source, str(at_ms), str(one.index), hashlib.blake2b(one.raw).hexdigest()),
            app=_APP,
            topic=self._topics.product_events,
            partition=-1,
            offset=-1,
            reason=cast("DeadLetterReason", one.why.reason),
            detail=f"{where}: {one.why.detail} (source {source})",
            payload=base64.b64encode(kept).decode(),
            payload_bytes=len(one.raw),
            truncated=len(kept) < len(one.raw),
            at_ms=at_ms,
        )
        return Record(self._topics.dead_letters, source.encode(), wire.encode(letter), headers)


def _refused(call: str | None, bad: list[_Bad], of: int) -> Problem:
    """400 that names the bad events. A single event speaks for itself; a batch gets a list."""
    first = bad[0].why
    place = first.field or "the event"
    if call is not None:
        extra: dict[str, Any] = {"field": first.field, "reason": first.reason}
        return Problem(400, first.reason, f"{place}: {first.detail}", extra=extra)
    return Problem(
        400,
        "rejected",
        f"{len(bad)} of {of} events are bad and the request is strict; none was taken. "
        f"The first is batch[{bad[0].index}], {place}: {first.detail}",
        extra={"rejected_count": len(bad), "rejected": [one.described() for one in bad[:_LISTED]]},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _new_id() -> str:
    return str(uuid4())
