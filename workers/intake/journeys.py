"""``POST /v1/journeys/{name}/enroll`` and ``.../exit``: asks that somebody enters or leaves a journey.

Whoever may ask holds an API key with the scope ``journeys:write``. Write keys are not enough: they stand in
pages and apps, for everybody to read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas import wire
from schemas.workspace.base import IDENTIFIER
from workers.intake.api import Call, check_id, keep, open_call, read, route
from workers.intake.problems import Problem
from workers.intake.publisher import Record

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from schemas.fields import SubjectType
    from workers.intake.parts import Parts

_NAME: Final = re.compile(IDENTIFIER)

REASON_MAX_CHARS: Final = 200
"""Of the reason of an exit: it is read in a list."""


class EnrollBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body: who is to enter, a user or an account. The same ``id`` enrolls once."""

    user: str | None = None
    account: str | None = None
    properties: dict[str, Any] = msgspec.field(default_factory=dict)
    id: str | None = None


class ExitBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body: who is to leave, a user or an account. ``reason`` stands in the decision."""

    user: str | None = None
    account: str | None = None
    reason: str | None = None
    id: str | None = None


class Journeys:
    """The routes about journeys. One per gateway."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Both routes."""
        return [
            route(self._parts, "/v1/journeys/{name}/enroll", "POST", self._enroll),
            route(self._parts, "/v1/journeys/{name}/exit", "POST", self._exit),
        ]

    async def _enroll(self, request: Request) -> Response:
        """202 with the request's id once it is kept; whether it enrolls, the decision tells."""
        call = open_call(self._parts, request, "journeys:write")
        journey = journey_of(request)
        body = await read(self._parts, request, EnrollBody)
        kind, subject, given = self._who(body)
        record = wire.EnrollRequest(
            id=given or call.id("enroll", journey, kind, subject),
            journey=journey,
            subject_type=kind,
            subject=subject,
            properties=body.properties,
            at_ms=call.now_ms,
        )
        return await self._keep(call, "enroll", subject, record)

    async def _exit(self, request: Request) -> Response:
        """202 with the request's id once it is kept; what it ended, the decision tells."""
        call = open_call(self._parts, request, "journeys:write")
        journey = journey_of(request)
        body = await read(self._parts, request, ExitBody)
        kind, subject, given = self._who(body)
        if body.reason is not None and len(body.reason) > REASON_MAX_CHARS:
            raise Problem(400, "invalid", f"reason must have at most {REASON_MAX_CHARS} characters")
        record = wire.ExitRequest(
            id=given or call.id("exit", journey, kind, subject),
            journey=journey,
            subject_type=kind,
            subject=subject,
            reason=body.reason or None,
            at_ms=call.now_ms,
        )
        return await self._keep(call, "exit", subject, record)

    def _who(self, body: EnrollBody | ExitBody) -> tuple[SubjectType, str, str | None]:
        if (body.user is None) is (body.account is None):
            raise Problem(400, "invalid", "say who: either user or account")
        kind: SubjectType = "user" if body.user is not None else "account"
        subject = check_id(self._parts, body.user or body.account or "", kind)
        return kind, subject, None if body.id is None else check_id(self._parts, body.id, "id")

    async def _keep(
        self, call: Call, kind: str, subject: str, record: wire.EnrollRequest | wire.ExitRequest
    ) -> Response:
        kept = Record(self._parts.topics.scheduler, subject.encode(), wire.encode(record))
        return await keep(self._parts, call, kind, [kept], 1, id=record.id)


def journey_of(request: Request) -> str:
    """The journey that the path names.

    Raises:
        Problem: 404 where it cannot be the name of one.
    """
    name: str = request.path_params["name"]
    if not _NAME.fullmatch(name):
        raise Problem(404, "not_found", "a journey has small letters, digits and _")
    return name
