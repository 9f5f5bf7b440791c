"""What the routes of the API have in common: keys with scopes, bodies, answers, and ids that survive a retry.

What is answered 202 is kept in Kafka and applied in a moment. What is answered 4xx is not kept, none of it:
requests are taken whole or refused whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote_to_bytes
from uuid import uuid4

import msgspec
from starlette.routing import Route

from schemas import wire
from workers.core.ids import stable_id
from workers.intake.problems import Problem, json_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response

    from workers.intake.callers import Caller
    from workers.intake.keys import Scope
    from workers.intake.parts import Parts
    from workers.intake.publisher import Record

IDEMPOTENCY_HEADER: Final = "idempotency-key"
_KEY_MAX_CHARS = 255

Body = TypeVar("Body")


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a caller who may make it. ``now_ms`` is when it came."""

    caller: Caller
    now_ms: int
    nonce: str

    def id(self, *parts: str) -> str:
        """The id of a record: the same for the same caller, Idempotency-Key and parts, else new."""
        return stable_id("api", self.caller.name, self.nonce, *parts)

    def at_ms(self, said: datetime | None) -> int:
        """When something was so, in milliseconds: as said, but not ahead of our clock; else now."""
        return self.now_ms if said is None else min(wire.to_ms(said), self.now_ms)


def route(parts: Parts, path: str, method: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
    """A route that is answered while there is room for its request."""

    async def answer(request: Request) -> Response:
        with parts.room.taken():
            return await handler(request)

    return Route(path, answer, methods=[method])


def open_call(parts: Parts, request: Request, scope: Scope) -> Call:
    """Who calls.

    Raises:
        Problem: 401, 403 or 429 as :class:`Callers` has it; 400 for a wrong Idempotency-Key.
    """
    caller = parts.callers.with_scope(request.headers.get("authorization"), scope)
    nonce = request.headers.get(IDEMPOTENCY_HEADER)
    if nonce is not None and not 0 < len(nonce) <= _KEY_MAX_CHARS:
        raise Problem(400, "invalid", f"Idempotency-Key must have 1 to {_KEY_MAX_CHARS} characters")
    return Call(caller, parts.clock.now_ms(), uuid4().hex if nonce is None else f"key:{nonce}")


async def read(parts: Parts, request: Request, shape: type[Body]) -> Body:
    """The body of a request.

    Raises:
        Problem: 400 naming the field; see also :meth:`Parts.body`.
    """
    body = await parts.body(request)
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise Problem(400, "invalid", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed", f"the body is not valid JSON in UTF-8: {error}") from None


def check_items(parts: Parts, items: Sequence[Any], name: str) -> None:
    """Refuse none, and too many."""
    most = parts.limits.api_items
    if not 0 < len(items) <= most:
        raise Problem(400, "invalid", f"{name} must have 1 to {most} items, not {len(items)}")


def check_id(parts: Parts, text: str, name: str) -> str:
    """An id that the engine takes.

    Raises:
        Problem: 400 naming the field.
    """
    if not text.strip() or len(text) > parts.limits.id_length:
        raise Problem(400, "invalid", f"{name} must have 1 to {parts.limits.id_length} characters")
    return text


def in_path(request: Request, before: str, after: str = "") -> str:
    """An id that stands in the path between two names, which may hold an encoded slash.

    Raises:
        Problem: 404 where the path has more to it, such as a slash that is not encoded.
    """
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    parts = raw.split(b"?")[0].split(f"/{before}/".encode(), 1)[-1].split(b"/")
    if parts[1:] != ([after.encode()] if after else []):
        raise Problem(404, "not_found", "no such path: an id with a slash is written with %2F")
    try:
        return unquote_to_bytes(parts[0]).decode()
    except UnicodeDecodeError:
        raise Problem(400, "invalid", "the id in the path is not UTF-8") from None


async def keep(
    parts: Parts, call: Call, kind: str, records: Sequence[Record], cost: int, **more: Any
) -> Response:
    """Publish, count and answer 202.

    Raises:
        Problem: 503 while Kafka is away.
    """
    parts.callers.spend(call.caller, cost)
    await parts.publish(records)
    parts.metrics.statements.labels(kind).inc(len(records))
    answer = {"success": True, "accepted": cost, **more}
    return json_response(answer, status=202, headers=parts.callers.told(call.caller))
