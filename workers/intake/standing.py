"""``GET /v1/people/{person}/enrollments``, and of accounts: where one subject stands.

The gateway keeps no state of the engine. Each answer is read from the one partition of the engine's changelog
that holds the subject: exact as of the last committed transaction, and as slow as that partition is large. So
few are read at once, each for so long at most, and who is beyond that is told to come again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import structlog

from workers.errors import BrimfulError, Retryable
from workers.intake.api import check_id, in_path, open_call, route
from workers.intake.problems import Problem, json_response, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from schemas.fields import SubjectType
    from workers.intake.parts import Parts

log = structlog.get_logger(__name__)

AT_ONCE: Final = 2
"""Readings of a gateway at the same time: each takes up to one core, and the network of a broker."""

LIMIT_S: Final = 10.0
"""What is not read by then is refused: some million rows of a partition."""

AGAIN_S: Final = 2.0

Answer = TypeVar("Answer")

if TYPE_CHECKING:
    Progress = Callable[[int, int], None]
    Look = Callable[[SubjectType, str, Progress], Mapping[str, Any] | None]


class NotNow(Retryable):
    """It cannot be read now; the message is for the caller."""


class StandingReader(Protocol):
    """Reads where subjects stand."""

    async def read(self, kind: SubjectType, subject: str) -> Mapping[str, Any] | None:
        """Where a subject stands; None where nothing is kept of it.

        Raises:
            NotNow: too many are being read, or it takes too long.
            BrimfulError: it cannot be read.
        """
        ...


class BoundedReader:
    """Reads in threads, :data:`AT_ONCE` at a time, each within ``limit_s``.

    ``look`` reads: it tells its progress every few thousand records, and ends by what that raises.
    """

    def __init__(
        self, look: Look, *, limit_s: float = LIMIT_S, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._limit_s = limit_s
        self._seconds = seconds
        self.reading = 0
        """How many are being read now."""

    async def read(self, kind: SubjectType, subject: str) -> Mapping[str, Any] | None:
        """See :meth:`StandingReader.read`."""
        return await self.run(lambda progress: self._look(kind, subject, progress))

    async def run(self, look: Callable[[Progress], Answer]) -> Answer:
        """What ``look`` finds, within the same bounds; raises as :meth:`read`."""
        if self.reading >= AT_ONCE:
            raise NotNow(f"{AT_ONCE} others are being read at this gateway")
        self.reading += 1
        reading = asyncio.ensure_future(asyncio.to_thread(self._bounded, look))
        # Whoever asked may be gone before the thread is: it has its place until then.
        reading.add_done_callback(self._done)
        return await asyncio.shield(reading)

    def _bounded(self, look: Callable[[Progress], Answer]) -> Answer:
        until_s = self._seconds() + self._limit_s

        def in_time(read: int, total: int) -> None:
            if self._seconds() > until_s:
                raise NotNow(
                    f"it takes longer than {self._limit_s:g} s ({read} of {total} records are read): "
                    "`brimful enrollments` has no limit"
                )

        return look(in_time)

    def _done(self, reading: asyncio.Future[Any]) -> None:
        self.reading -= 1
        if not reading.cancelled():
            reading.exception()  # looked at, for where nobody waits for it any more


class Standing:
    """The routes that tell where a subject stands. One per gateway."""

    def __init__(self, parts: Parts, reader: StandingReader) -> None:
        self._parts = parts
        self._reader = reader

    def routes(self) -> list[Route]:
        """Both routes."""
        return [
            route(self._parts, "/v1/people/{person:path}/enrollments", "GET", self._person),
            route(self._parts, "/v1/accounts/{account:path}/enrollments", "GET", self._account),
        ]

    async def _person(self, request: Request) -> Response:
        return await self._tell(request, "user", "people")

    async def _account(self, request: Request) -> Response:
        return await self._tell(request, "account", "accounts")

    async def _tell(self, request: Request, kind: SubjectType, before: str) -> Response:
        call = open_call(self._parts, request, "journeys:read")
        subject = check_id(self._parts, in_path(request, before, "enrollments"), "the id")
        self._parts.callers.spend(call.caller, 1)
        try:
            found = await self._reader.read(kind, subject)
        except NotNow as error:
            raise unavailable(str(error), AGAIN_S) from None
        except BrimfulError as error:
            # What it says names brokers and topics: that is for the log.
            log.warning("gateway.standing_unreadable", error=str(error))
            raise unavailable("the engine's state cannot be read now", AGAIN_S) from None
        if found is None:
            raise Problem(404, "not_found", "nothing is kept of the journeys of this id")
        return json_response(found, headers=self._parts.callers.told(call.caller))
