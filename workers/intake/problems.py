"""The errors of the HTTP interface: each is an answer, with a code for programs and a sentence for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from workers.errors import BrimfulError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


class Problem(BrimfulError):  # named as in RFC 9457; it is an answer
    """A request that is answered with an error status.

    ``code`` is stable and in snake_case, ``message`` is a sentence for people; both stand in the body, where
    the Segment and RudderStack clients look for exactly these two names.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def response(self) -> Response:
        """The answer: ``{"success": false, "code": ..., "message": ..., ...}``."""
        body = {"success": False, "code": self.code, "message": self.message, **self.extra}
        return json_response(body, status=self.status, headers=self.headers)


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that no cache keeps."""
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store", "x-content-type-options": "nosniff", **(headers or {})},
    )


def unavailable(message: str, retry_after_s: float) -> Problem:
    """503 with Retry-After in whole seconds, rounded up: clients keep their events and come again."""
    return Problem(503, "unavailable", message, headers={"retry-after": retry_after(retry_after_s)})


def retry_after(seconds: float) -> str:
    """The value of a Retry-After header: whole seconds, rounded up, at least 1."""
    return str(max(1, math.ceil(seconds)))


async def answer_problem(_request: Request, error: Exception) -> Response:
    """Starlette's handler for :class:`Problem`."""
    if not isinstance(error, Problem):
        raise error
    return error.response()


async def answer_not_found(_request: Request, _error: Exception) -> Response:
    """What every path answers that is not ours."""
    return Problem(404, "not_found", "no such path").response()


async def answer_wrong_method(_request: Request, error: Exception) -> Response:
    """A known path with a wrong method; keeps the Allow header."""
    allowed = getattr(error, "headers", None)
    detail = "the path does not take this method"
    return Problem(405, "method_not_allowed", detail, headers=allowed).response()


async def answer_crash(_request: Request, _error: Exception) -> Response:
    """An error of our own: 500, which clients retry; the traceback is in the log, not in the answer."""
    return Problem(500, "internal", "the gateway failed on this request; it is logged").response()
