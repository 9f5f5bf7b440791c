"""``/v1/callbacks/{provider}``: what providers tell of messages, verified, as engagement and consent records.

A provider is an object with a name (see :class:`Provider`): it verifies a request, and reads it. Everything
else is here: bounds, answers, dead letters, metrics, and that a request which comes again counts once.

- Who cannot be verified gets 401 or 403, as the provider raises it; nothing of the body becomes a label.
- What is read is answered with 200 once it is kept. While Kafka is away it is 503: providers come again.
- A body that was verified and cannot be read is kept in ``dead-letters`` and answered 200: it would not mend.
- Record ids are made of the provider's name and of what it calls its event (:attr:`Told.key`), so the same
  event told twice has the same ids, for ever; the engine drops it for as long as it remembers ids.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from schemas import wire
from workers.core.ids import stable_id
from workers.errors import Misconfigured
from workers.intake.problems import Problem, unavailable
from workers.intake.publisher import KafkaUnavailable, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from starlette.requests import Request

    from schemas.fields import Channel, ConsentState, DeadLetterReason, EngagementType
    from workers.intake.parts import Parts
    from workers.intake.tokens import MessageClaim

PATH: Final = "/v1/callbacks/{provider}"
_APP: Final = "brimful-gateway"

Shape = TypeVar("Shape", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Callback:
    """One request of a provider. ``url`` is the public one, query included: some providers sign it."""

    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    now_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened to a message. ``key`` is the provider's id of the event, unique within it.

    ``at_ms`` is when it happened, by the provider; what lies ahead of our clock happened now. ``reason`` is
    the provider's code, ``address`` the hash of the address that it is about
    (:func:`workers.core.engaged.address_hash`).
    """

    key: str
    type: EngagementType
    message: MessageClaim
    channel: Channel
    at_ms: int
    url: str | None = None
    reason: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A person agreed or refused, such as by the word STOP. ``topic`` None: the whole channel."""

    key: str
    person: str
    channel: Channel
    state: ConsentState
    at_ms: int
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the provider is answered where it wants more than 200, such as TwiML."""

    body: bytes = b'{"received":true}'
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Read:
    """What a request said. Nothing told: it was of no use here, or of a message that is not ours."""

    told: Sequence[Told | Word] = ()
    reply: Reply = Reply()


class Unreadable(ValueError):
    """A verified body that makes no sense; the message says where, and holds no value of it."""


class Provider(Protocol):
    """One provider. Neither method waits for anybody; both are tried by a table of requests."""

    name: str
    """Its place in the path: a-z, 0-9, ``-`` and ``_``."""

    def verify(self, callback: Callback) -> None:
        """Return where the provider made the request.

        Raises:
            Problem: 401 without a signature, 403 for one that does not fit or is too old.
        """
        ...

    def read(self, callback: Callback) -> Read:
        """What a verified request says.

        Raises:
            Unreadable: it goes to ``dead-letters``.
        """
        ...


Providers: TypeAlias = "Mapping[str, Provider]"


def registry(providers: Iterable[Provider]) -> Providers:
    """Providers by their names.

    Raises:
        Misconfigured: two have one name.
    """
    found: dict[str, Provider] = {}
    for provider in providers:
        if provider.name in found:
            raise Misconfigured(f"there are two callback providers {provider.name!r}")
        found[provider.name] = provider
    return found


class Callbacks:
    """The route of all providers. One per gateway. ``public_url`` is where providers reach it."""

    def __init__(self, providers: Providers, public_url: str, parts: Parts) -> None:
        self._providers = providers
        self._public_url = public_url.rstrip("/")
        self._parts = parts

    def routes(self) -> list[Route]:
        """The one path."""
        return [Route(PATH, self._answer, methods=["POST"])]

    async def _answer(self, request: Request) -> Response:
        provider = self._providers.get(request.path_params["provider"])
        if provider is None:
            raise Problem(404, "not_found", "no such provider is configured")
        with self._parts.room.taken():
            callback = await self._callback(request)
            try:
                provider.verify(callback)
            except Problem:
                self._count(provider, "unverified", "refused")
                raise
            return await self._take(provider, callback)

    async def _callback(self, request: Request) -> Callback:
        body = await self._parts.body(request)
        query = request.url.query
        url = f"{self._public_url}{request.url.path}{'?' + query if query else ''}"
        params = dict(request.query_params)
        return Callback(url, request.headers, params, body, self._parts.clock.now_ms())

    async def _take(self, provider: Provider, callback: Callback) -> Response:
        try:
            read = provider.read(callback)
        except Unreadable as error:
            await self._keep(provider, [self._dead_letter(provider, callback, str(error))])
            self._count(provider, "unreadable", "dead")
            return _reply(Reply())
        await self._keep(provider, [self._record(provider, one, callback.now_ms) for one in read.told])
        if not read.told:
            self._count(provider, "other", "ignored")
        for one in read.told:
            self._count(provider, one.type if isinstance(one, Told) else one.state, "accepted")
        return _reply(read.reply)

    async def _keep(self, provider: Provider, records: Sequence[Record]) -> None:
        try:
            await self._parts.publisher.publish(records)
        except KafkaUnavailable as error:
            self._count(provider, "other", "unavailable")
            raise unavailable("it could not be kept; send it again", error.retry_after_s) from error

    def _record(self, provider: Provider, one: Told | Word, now_ms: int) -> Record:
        topics, at_ms = self._parts.topics, min(one.at_ms, now_ms)
        if isinstance(one, Word):
            change = wire.ConsentChange(
                id=stable_id("callback", provider.name, one.key, one.person),
                subject=one.person,
                channel=one.channel,
                topic=one.topic,
                state=one.state,
                source=provider.name,
                at_ms=at_ms,
            )
            return Record(topics.scheduler, one.person.encode(), wire.encode(change))
        message = one.message
        record = wire.Engagement(
            id=stable_id("callback", provider.name, one.key, one.type, message.message_id),
            type=one.type,
            person=message.person,
            message_id=message.message_id,
            channel=one.channel,
            journey=message.journey,
            step=message.step,
            url=one.url,
            reason=one.reason,
            address=one.address,
            at_ms=at_ms,
        )
        return Record(topics.engagement, message.person.encode(), wire.encode(record))

    def _dead_letter(self, provider: Provider, callback: Callback, detail: str) -> Record:
        reason: DeadLetterReason = "invalid"
        letter = wire.DeadLetter(
            id=stable_id("callback", provider.name, base64.b64encode(callback.body).decode()),
            app=_APP,
            topic=self._parts.topics.engagement,
            partition=-1,
            offset=-1,
            reason=reason,
            detail=f"callback of {provider.name}: {detail}",
            payload=base64.b64encode(callback.body).decode(),
            payload_bytes=len(callback.body),
            truncated=False,
            at_ms=callback.now_ms,
        )
        return Record(self._parts.topics.dead_letters, provider.name.encode(), wire.encode(letter))

    def _count(self, provider: Provider, kind: str, outcome: str) -> None:
        self._parts.metrics.webhooks.labels(provider.name, kind, outcome).inc()


def json_body(callback: Callback, shape: type[Shape]) -> Shape:
    """The body as a struct.

    Raises:
        Unreadable: it is none; the message names the field.
    """
    try:
        return msgspec.json.decode(callback.body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from None


def _reply(reply: Reply) -> Response:
    return Response(reply.body, media_type=reply.media_type, headers={"cache-control": "no-store"})
