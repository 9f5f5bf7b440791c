"""``POST /v1/journeys/{name}/enroll`` and ``/exit``: asks that a user or an account enters, or leaves.

Whoever may ask holds an API key (``Authorization: Bearer``). Write keys are not enough: they stand in pages
and apps, for everybody to read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

import msgspec
from starlette.routing import Route

from schemas import wire
from schemas.workspace.base import IDENTIFIER
from workers.intake.auth import bearer
from workers.intake.body import read_body
from workers.intake.problems import Problem, json_response, unavailable
from workers.intake.publisher import KafkaUnavailable, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from schemas.fields import SubjectType
    from workers.clock import Clock
    from workers.intake.auth import WriteKeys
    from workers.intake.limits import Limits
    from workers.intake.metrics import GatewayMetrics
    from workers.intake.publisher import Publisher
    from workers.intake.settings import Topics

MOST_BYTES: Final = 32 * 1024
"""A request's body: properties are kept with the enrollment, as those of an event are."""

_NAME: Final = re.compile(IDENTIFIER)


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    user: str | None = None
    account: str | None = None
    properties: dict[str, Any] = msgspec.field(default_factory=dict)
    id: str | None = None


class _Leaving(msgspec.Struct, forbid_unknown_fields=True):
    user: str | None = None
    account: str | None = None
    reason: str | None = None
    id: str | None = None


_decode = msgspec.json.Decoder(_Asked).decode
_decode_leaving = msgspec.json.Decoder(_Leaving).decode

_Body = TypeVar("_Body", _Asked, _Leaving)

MOST_REASON: Final = 200
"""Characters of a reason: it stands in the decision, for people."""


class EnrollRoute:
    """The routes. One per gateway."""

    def __init__(
        self,
        keys: WriteKeys,
        publisher: Publisher,
        clock: Clock,
        limits: Limits,
        topics: Topics,
        metrics: GatewayMetrics,
    ) -> None:
        self._keys = keys
        self._publisher = publisher
        self._clock = clock
        self._limits = limits
        self._topics = topics
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Both."""
        return [
            Route("/v1/journeys/{name}/enroll", self._enroll, methods=["POST"]),
            Route("/v1/journeys/{name}/exit", self._exit, methods=["POST"]),
        ]

    async def _enroll(self, request: Request) -> Response:
        """202 with the request's id once it is kept; whether it enrols, the decision tells."""
        journey, body = await self._asked(request)
        kind, subject, asked = _read(body, _decode, self._limits)
        record = wire.EnrollRequest(
            id=asked.id or uuid4().hex,
            journey=journey,
            subject_type=kind,
            subject=subject,
            properties=asked.properties,
            at_ms=self._clock.now_ms(),
        )
        return await self._keep(subject, record)

    async def _exit(self, request: Request) -> Response:
        """202 with the request's id once it is kept; what it ended, the decision tells."""
        journey, body = await self._asked(request)
        kind, subject, asked = _read(body, _decode_leaving, self._limits)
        if asked.reason is not None and len(asked.reason) > MOST_REASON:
            raise Problem(400, "invalid", f"reason must have at most {MOST_REASON} characters")
        record = wire.ExitRequest(
            id=asked.id or uuid4().hex,
            journey=journey,
            subject_type=kind,
            subject=subject,
            reason=asked.reason or None,
            at_ms=self._clock.now_ms(),
        )
        return await self._keep(subject, record)

    async def _asked(self, request: Request) -> tuple[str, bytes]:
        """The journey and the body of who may ask."""
        key = bearer(request.headers.get("authorization"))
        if key is None or self._keys.source(key) is None:
            raise Problem(
                401,
                "unauthorized",
                "send an API key as Authorization: Bearer; a write key is for events alone",
                headers={"www-authenticate": "Bearer"},
            )
        journey = request.path_params["name"]
        if not _NAME.fullmatch(journey):
            raise Problem(404, "not_found", "a journey has small letters, digits and _")
        body, wire_bytes = await read_body(request, most_bytes=MOST_BYTES, seconds=self._limits.body_seconds)
        self._metrics.received.inc(wire_bytes)
        return journey, body

    async def _keep(self, subject: str, record: wire.EnrollRequest | wire.ExitRequest) -> Response:
        try:
            await self._publisher.publish(
                [Record(self._topics.scheduler, subject.encode(), wire.encode(record))]
            )
        except KafkaUnavailable as error:
            raise unavailable("the request could not be kept; send it again", error.retry_after_s) from error
        return json_response({"success": True, "id": record.id}, status=202)


def _read(body: bytes, decode: Callable[[bytes], _Body], limits: Limits) -> tuple[SubjectType, str, _Body]:
    try:
        asked = decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "invalid", f'send {{"user": "..."}}: {error}') from None
    if (asked.user is None) is (asked.account is None):
        raise Problem(400, "invalid", "say who: either user or account")
    kind: SubjectType = "user" if asked.user is not None else "account"
    subject = asked.user or asked.account or ""
    for name, value in ((kind, subject), ("id", asked.id)):
        if value is not None and not 0 < len(value) <= limits.id_length:
            raise Problem(400, "invalid", f"{name} must have 1 to {limits.id_length} characters")
    return kind, subject, asked
