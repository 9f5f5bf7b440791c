"""``/v1/people/{person}``: what a person agreed to, traits, their in-app feed, and to forget them.

What the engine knows of a person is in the state of its partitions, and no route here reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas import wire
from schemas.fields import Channel, ConsentState, Text  # noqa: TC001  msgspec reads them at run time
from schemas.workspace.base import parse_duration_ms
from workers.core.consent import TRAIT as CONSENT_TRAIT
from workers.intake.api import Call, check_id, check_items, in_path, keep, open_call, read, route
from workers.intake.normalise import Arrival, Rejected, normalise
from workers.intake.problems import Problem, json_response, unavailable
from workers.intake.publisher import Record
from workers.intake.times import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from workers.intake.feed import FeedReader
    from workers.intake.parts import Parts
    from workers.intake.settings import Definitions

from datetime import datetime  # noqa: TC003  msgspec reads it at run time

LIBRARY: Final = {"name": "brimful-api", "version": "1"}
_FEED_RETRY_S = 2.0


class Word(msgspec.Struct, forbid_unknown_fields=True):
    """One word: about everything, a channel, or a topic over a channel."""

    state: ConsentState
    channel: Channel | None = None
    topic: str | None = None


class ConsentBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``PUT /v1/people/{person}/consent``. ``at`` is when they said so; now by default."""

    choices: list[Word]
    at: datetime | None = None
    source: Text | None = None


class TraitsBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``PATCH /v1/people/{person}``: null takes a trait away."""

    traits: dict[str, Any]
    at: datetime | None = None


class People:
    """The routes about people. One per gateway."""

    def __init__(
        self, parts: Parts, definitions: Callable[[], Definitions | None], feed: FeedReader | None
    ) -> None:
        self._parts = parts
        self._definitions = definitions
        self._feed = feed

    def routes(self) -> list[Route]:
        """The feed only where the gateway follows the feeds."""
        feeds = [route(self._parts, "/v1/people/{person:path}/feed", "GET", self._shows)]
        return [
            route(self._parts, "/v1/people/{person:path}/consent", "PUT", self._consent),
            *(feeds if self._feed is not None else []),
            route(self._parts, "/v1/people/{person:path}", "PATCH", self._traits),
            route(self._parts, "/v1/people/{person:path}", "DELETE", self._erase),
        ]

    async def _consent(self, request: Request) -> Response:
        call = open_call(self._parts, request, "consent:write")
        person = self._person(request, "consent")
        body = await read(self._parts, request, ConsentBody)
        check_items(self._parts, body.choices, "choices")
        for number, word in enumerate(body.choices):
            self._check_word(word, number)
        at_ms = call.at_ms(body.at)
        source = body.source or f"api:{call.caller.name}"
        records = [self._word(call, person, word, source, at_ms) for word in body.choices]
        return await keep(self._parts, call, "consent", records, len(records))

    def _check_word(self, word: Word, number: int) -> None:
        if word.topic is None:
            return
        if word.channel is None:
            raise Problem(400, "invalid", f"choices[{number}]: a topic needs a channel")
        definitions = self._definitions()
        known = None if definitions is None else definitions.consent_topics
        if known is not None and word.topic not in known:
            there = ", ".join(sorted(known)) or "none"
            detail = (
                f"choices[{number}].topic: the workspace has no topic {word.topic[:64]!r}; there are {there}"
            )
            raise Problem(400, "invalid", detail)

    def _word(self, call: Call, person: str, word: Word, source: str, at_ms: int) -> Record:
        change = wire.ConsentChange(
            id=call.id("consent", person, word.channel or "", word.topic or "", word.state),
            subject=person,
            channel=word.channel,
            topic=word.topic,
            state=word.state,
            source=source,
            at_ms=at_ms,
        )
        return Record(self._parts.topics.scheduler, person.encode(), wire.encode(change))

    async def _traits(self, request: Request) -> Response:
        call = open_call(self._parts, request, "people:write")
        person = self._person(request)
        body = await read(self._parts, request, TraitsBody)
        if CONSENT_TRAIT in body.traits:
            raise Problem(
                400, "invalid", "traits.consent: PUT /v1/people/{person}/consent says what they agree to"
            )
        event = {
            "userId": person,
            "traits": body.traits,
            "messageId": call.id("traits", person),
            "timestamp": iso(call.at_ms(body.at)),
            "context": {"library": LIBRARY},
        }
        made = normalise(
            msgspec.json.encode(event),
            call="identify",
            arrival=Arrival(call.now_ms),
            limits=self._parts.limits,
            new_id=lambda: call.id("traits", person),
        )
        if isinstance(made, Rejected):
            raise Problem(400, made.reason, f"{made.field or 'the body'}: {made.detail}")
        headers = (
            ("source", call.caller.name.encode()),
            ("received_at_ms", str(call.now_ms).encode()),
        )
        record = Record(self._parts.topics.product_events, made.key, made.value, headers)
        return await keep(self._parts, call, "traits", [record], 1)

    async def _erase(self, request: Request) -> Response:
        call = open_call(self._parts, request, "people:write")
        person = self._person(request)
        query = request.query_params
        name = call.id("erase", person)
        record = wire.Erase(
            id=name,
            request=name,
            subject=person,
            accounts=[check_id(self._parts, one, "account") for one in query.getlist("account")],
            reason=query.get("reason") or f"api:{call.caller.name}",
            suppress_until_ms=_until_ms(query.get("suppress"), call.now_ms),
            at_ms=call.now_ms,
        )
        kept = Record(self._parts.topics.scheduler, person.encode(), wire.encode(record))
        return await keep(self._parts, call, "erase", [kept], 1, request=name)

    async def _shows(self, request: Request) -> Response:
        call = open_call(self._parts, request, "people:read")
        person = self._person(request, "feed")
        assert self._feed is not None, "the route is there only with a feed"
        if not self._feed.ready():
            raise unavailable("the feeds are still being read", _FEED_RETRY_S)
        self._parts.callers.spend(call.caller, 1)
        items = self._feed.read(person).live(call.now_ms)
        return json_response(
            {"person": person, "items": items}, headers=self._parts.callers.told(call.caller)
        )

    def _person(self, request: Request, after: str = "") -> str:
        return check_id(self._parts, in_path(request, "people", after), "the person's id")


def _until_ms(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    try:
        return now_ms + parse_duration_ms(text)
    except ValueError as error:
        raise Problem(400, "invalid", f"suppress: {error}") from None
