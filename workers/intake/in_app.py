"""``/v1/in-app/*``: a person's in-app feed by long poll or stream, and what they did with its messages.

Who holds a person's feed token (``Authorization: Bearer``, or ``?token=`` where a browser's EventSource
cannot send headers) reads that feed and no other.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.routing import Route

from schemas import wire
from workers.core.ids import stable_id
from workers.intake.auth import bearer
from workers.intake.body import read_body
from workers.intake.problems import Problem, json_response, unavailable
from workers.intake.publisher import KafkaUnavailable, Record
from workers.intake.tokens import check_key, read_feed_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, MutableMapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from schemas.fields import EngagementType
    from workers.clock import Clock
    from workers.intake.feed import Feed, FeedReader, Watch
    from workers.intake.limits import Limits
    from workers.intake.metrics import GatewayMetrics
    from workers.intake.publisher import Publisher
    from workers.intake.settings import Topics

_EVENT_BYTES = 4096
_RETRY_S = 2.0
_URL_CHARS = 2_000


class _Event(msgspec.Struct):
    message_id: str
    type: Literal["seen", "clicked", "dismissed"]
    url: str | None = None


_decode = msgspec.json.Decoder(_Event).decode

ENGAGEMENTS: Final[Mapping[str, EngagementType]] = {
    "seen": "opened",
    "clicked": "clicked",
    "dismissed": "dismissed",
}
"""What a person did in the app -> the engagement it is."""


class _Stream(StreamingResponse):
    """A stream that gives up on a client which takes nothing in for ``stalled_s`` seconds.

    Nothing is buffered for it meanwhile: the next thing it would be told is the feed as it is then.
    """

    def __init__(self, content: AsyncGenerator[bytes], *, stalled_s: float, **options: Any) -> None:
        super().__init__(content, **options)
        self._content = content
        self._stalled_s = stalled_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_soon(message: MutableMapping[str, Any]) -> None:
            async with asyncio.timeout(self._stalled_s):
                await send(message)

        # A time-out is an OSError, which Starlette takes for what it is: the client is not there any more.
        async with aclosing(self._content):
            with suppress(ClientDisconnect):
                await super().__call__(scope, receive, send_soon)


class InApp:
    """The in-app routes. One per gateway."""

    def __init__(
        self,
        *,
        feed: FeedReader,
        key: bytes,
        publisher: Publisher,
        clock: Clock,
        limits: Limits,
        topics: Topics,
        metrics: GatewayMetrics,
        closing: asyncio.Event,
    ) -> None:
        check_key(key, "the feed key")
        self._feed = feed
        self._key = key
        self._publisher = publisher
        self._clock = clock
        self._limits = limits
        self._topics = topics
        self._metrics = metrics
        self._closing = closing
        self._open = 0

    def routes(self) -> list[Route]:
        """Feed, stream and events."""
        return [
            Route("/v1/in-app/feed", self._poll, methods=["GET"]),
            Route("/v1/in-app/stream", self._stream, methods=["GET"]),
            Route("/v1/in-app/events", self._event, methods=["POST"]),
        ]

    async def _poll(self, request: Request) -> Response:
        """The feed at once; with ``?since=<cursor>`` when it is another one, or the poll's time is up."""
        person, _expires_ms = self._person(request)
        self._need_feed()
        self._check_room(person)
        since = request.query_params.get("since")
        with self._watching(person) as watch:
            feed = self._feed.read(person)
            if feed.cursor == since and not self._closing.is_set():
                await watch.wait(self._limits.long_poll_seconds)
                feed = self._feed.read(person)
        return json_response(self._shown(feed))

    async def _stream(self, request: Request) -> Response:
        """Server-sent events: the feed, unless ``Last-Event-ID`` is its cursor, then every change."""
        person, expires_ms = self._person(request)
        self._need_feed()
        self._check_room(person)
        last = request.headers.get("last-event-id") or request.query_params.get("since")
        return _Stream(
            self._events(person, expires_ms, last),
            stalled_s=self._limits.stream_write_seconds,
            media_type="text/event-stream",
            headers={
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                "x-content-type-options": "nosniff",
            },
        )

    async def _events(self, person: str, expires_ms: int, last: str | None) -> AsyncGenerator[bytes]:
        """Until the client leaves, the token expires or the gateway shuts down."""
        with self._watching(person) as watch:
            yield f"retry: {int(_RETRY_S * 1000)}\n\n".encode()
            while not self._closing.is_set() and self._clock.now_ms() < expires_ms:
                feed = self._feed.read(person)
                if feed.cursor != last:
                    last = feed.cursor
                    data = msgspec.json.encode(self._shown(feed))
                    yield b"event: feed\nid: " + last.encode() + b"\ndata: " + data + b"\n\n"
                else:
                    left_s = self._clock.seconds_until(expires_ms)
                    if not await watch.wait(max(0.0, min(self._limits.heartbeat_seconds, left_s))):
                        yield b": still here\n\n"

    async def _event(self, request: Request) -> Response:
        """``{message_id, type}`` -> one engagement record; saying it twice gives the same id twice."""
        person, _expires_ms = self._person(request)
        seconds = self._limits.body_seconds
        body, wire_bytes = await read_body(request, most_bytes=_EVENT_BYTES, seconds=seconds)
        self._metrics.received.inc(wire_bytes)
        record = self._engagement(person, _read_event(body, self._limits))
        try:
            await self._publisher.publish([record])
        except KafkaUnavailable as error:
            raise unavailable("the event could not be kept; send it again", error.retry_after_s) from error
        return json_response({"success": True})

    # -- helpers

    def _person(self, request: Request) -> tuple[str, int]:
        token = bearer(request.headers.get("authorization")) or request.query_params.get("token", "")
        claim = read_feed_token(self._key, token, self._clock.now_ms())
        if claim is None:
            raise Problem(
                401,
                "unauthorized",
                "the feed token is missing, wrong or expired",
                headers={"www-authenticate": "Bearer"},
            )
        return claim

    def _need_feed(self) -> None:
        if not self._feed.ready():
            raise unavailable("the feeds are still being read", _RETRY_S)

    def _check_room(self, person: str) -> None:
        full = self._open >= self._limits.streams
        if full or self._feed.watching(person) >= self._limits.streams_per_person:
            raise Problem(
                429,
                "too_many_streams",
                "too many open feeds" if full else "too many open feeds of this person",
                headers={"retry-after": "10"},
            )

    @contextmanager
    def _watching(self, person: str) -> Iterator[Watch]:
        self._open += 1
        self._metrics.streams.inc()
        try:
            with self._feed.watch(person) as watch:
                yield watch
        finally:
            self._open -= 1
            self._metrics.streams.dec()

    def _shown(self, feed: Feed) -> dict[str, Any]:
        now_ms = self._clock.now_ms()
        return {"cursor": feed.cursor, "items": feed.live(now_ms), "now_ms": now_ms}

    def _engagement(self, person: str, event: _Event) -> Record:
        """The record; journey and step are known while the message is still in the person's feed."""
        items = self._feed.read(person).items if self._feed.ready() else ()
        item = next((item for item in items if item.get("message_id") == event.message_id), {})
        kind = ENGAGEMENTS[event.type]
        record = wire.Engagement(
            id=stable_id("in_app", person, event.message_id, kind),
            type=kind,
            person=person,
            message_id=event.message_id,
            channel="in_app",
            journey=item.get("journey"),
            step=item.get("step"),
            url=event.url,
            at_ms=self._clock.now_ms(),
        )
        return Record(self._topics.engagement, person.encode(), wire.encode(record))


def _read_event(body: bytes, limits: Limits) -> _Event:
    try:
        event = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "invalid", f'send {{"message_id": "...", "type": "seen"}}: {error}') from None
    if not 0 < len(event.message_id) <= limits.id_length:
        raise Problem(400, "invalid", f"message_id must have 1 to {limits.id_length} characters")
    if event.url is not None and len(event.url) > _URL_CHARS:
        raise Problem(400, "invalid", f"url must have at most {_URL_CHARS} characters")
    return event
