"""``/v1/objects`` and ``/v1/lists/{segment}/members``: what objects are like, and who is on a list.

Both are checked against the workspace, because the engine passes over what it does not define. A gateway that
has none answers 501.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads it at run time
from typing import TYPE_CHECKING, Any

import msgspec

from schemas import wire
from schemas.fields import ObjectId, SubjectType, Text, Values  # noqa: TC001  msgspec reads them at run time
from workers.core.objects.row import object_key
from workers.core.objects.values import problem_of
from workers.intake.api import Call, check_id, check_items, in_path, keep, open_call, read, route
from workers.intake.problems import Problem
from workers.intake.publisher import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from workers.intake.parts import Parts
    from workers.intake.settings import Definitions

_LISTED = 20
"""Bad objects named in an answer; the rest is counted."""


class ObjectBody(msgspec.Struct, forbid_unknown_fields=True):
    """What one object is like; null takes an attribute away. ``at`` is when it was so; now by default."""

    object: Text
    object_id: ObjectId
    attributes: Values
    at: datetime | None = None


class ObjectsBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/objects``. Of one source older statements are dropped; the key's by default."""

    objects: list[ObjectBody]
    source: Text | None = None


class MembersBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST`` and ``DELETE /v1/lists/{segment}/members``: ids of the segment's subjects."""

    members: list[str]


class Catalog:
    """The routes about objects and lists. One per gateway."""

    def __init__(self, parts: Parts, definitions: Callable[[], Definitions | None]) -> None:
        self._parts = parts
        self._definitions = definitions

    def routes(self) -> list[Route]:
        """Objects are told; lists are added to and taken off."""
        return [
            route(self._parts, "/v1/objects", "POST", self._objects),
            route(self._parts, "/v1/lists/{segment}/members", "POST", self._add),
            route(self._parts, "/v1/lists/{segment}/members", "DELETE", self._remove),
        ]

    async def _objects(self, request: Request) -> Response:
        call = open_call(self._parts, request, "objects:write")
        types = self._defined().types
        body = await read(self._parts, request, ObjectsBody)
        check_items(self._parts, body.objects, "objects")
        source = body.source or f"api:{call.caller.name}"
        told = [_told(call, one, source, number) for number, one in enumerate(body.objects)]
        bad = [
            {"index": number, "detail": problem}
            for number, one in enumerate(told)
            if (problem := problem_of(one, types)) is not None
        ]
        if bad:
            raise Problem(
                400,
                "invalid",
                f"{len(bad)} of {len(told)} objects are bad; none was taken. "
                f"The first is objects[{bad[0]['index']}]: {bad[0]['detail']}",
                extra={"rejected_count": len(bad), "rejected": bad[:_LISTED]},
            )
        return await keep(self._parts, call, "object", [self._record(one) for one in told], len(told))

    def _record(self, told: wire.ObjectAttributes) -> Record:
        key = object_key(told.object, told.object_id).encode()
        return Record(self._parts.topics.objects, key, wire.encode(told))

    async def _add(self, request: Request) -> Response:
        return await self._enlist(request, member=True)

    async def _remove(self, request: Request) -> Response:
        return await self._enlist(request, member=False)

    async def _enlist(self, request: Request, *, member: bool) -> Response:
        call = open_call(self._parts, request, "lists:write")
        segment = in_path(request, "lists", "members")
        kind = self._defined().lists.get(segment)
        if kind is None:
            there = ", ".join(sorted(self._defined().lists)) or "none"
            raise Problem(404, "not_found", f"the workspace has no list of that name; there are {there}")
        body = await read(self._parts, request, MembersBody)
        check_items(self._parts, body.members, "members")
        entries = [
            self._entry(call, segment, kind, check_id(self._parts, one, f"members[{number}]"), member)
            for number, one in enumerate(body.members)
        ]
        return await keep(self._parts, call, "list", entries, len(entries))

    def _entry(self, call: Call, segment: str, kind: SubjectType, subject: str, member: bool) -> Record:
        entry = wire.ListEntry(
            id=call.id("list_entry", segment, kind, subject, str(member)),
            subject_type=kind,
            subject=subject,
            segment=segment,
            member=member,
            at_ms=call.now_ms,
        )
        return Record(self._parts.topics.scheduler, subject.encode(), wire.encode(entry))

    def _defined(self) -> Definitions:
        known = self._definitions()
        if known is None:
            detail = "the gateway has no workspace: set BRIMFUL_WORKSPACE for it, or publish one"
            raise Problem(501, "not_configured", detail)
        return known


def _told(call: Call, one: ObjectBody, source: str, number: int) -> wire.ObjectAttributes:
    said: dict[str, Any] = one.attributes
    return wire.ObjectAttributes(
        id=call.id("object", str(number), one.object, one.object_id),
        object=one.object,
        object_id=one.object_id,
        attributes=said,
        source=source,
        at_ms=call.at_ms(one.at),
    )
