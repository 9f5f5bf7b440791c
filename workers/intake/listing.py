"""``GET /v1/journeys/{name}/enrollments``: who is in a journey, a page at a time.

Read from the engine's changelog as :mod:`workers.intake.standing` does, within the same bounds: a page costs
the reading of a partition, unless that was read within the last minute. A cursor names nobody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from workers.errors import BrimfulError
from workers.intake.api import open_call, route
from workers.intake.journeys import journey_of
from workers.intake.problems import Problem, json_response, unavailable
from workers.intake.standing import AGAIN_S, NotNow
from workers.listed import STATES, Page, Place, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from workers.intake.parts import Parts
    from workers.intake.standing import BoundedReader, Progress

    Reading = Callable[[Wanted, Place, int, Progress], Page]

log = structlog.get_logger(__name__)

LIMIT: Final = 100
LIMIT_MOST: Final = 1_000

_ASKED: Final = frozenset({"step", "state", "limit", "cursor"})
_CURSOR: Final = re.compile(r"(\d{1,6})\.([0-9a-f]{0,64})")


class PageReader(Protocol):
    """Reads who is in a journey."""

    async def page(self, wanted: Wanted, place: Place, limit: int) -> Page:
        """At most ``limit`` of them, from a place on.

        Raises:
            NotNow: too many are being read, or it takes too long.
            BrimfulError: it cannot be read.
        """
        ...


class BoundedPages:
    """Reads pages in the threads of a gateway's bounded reader."""

    def __init__(self, bounded: BoundedReader, pages: Reading) -> None:
        self._bounded = bounded
        self._pages = pages

    async def page(self, wanted: Wanted, place: Place, limit: int) -> Page:
        """See :meth:`PageReader.page`."""
        return await self._bounded.run(lambda progress: self._pages(wanted, place, limit, progress))


class Listing:
    """The route. One per gateway."""

    def __init__(self, parts: Parts, pages: PageReader) -> None:
        self._parts = parts
        self._pages = pages

    def routes(self) -> list[Route]:
        """The route."""
        return [route(self._parts, "/v1/journeys/{name}/enrollments", "GET", self._list)]

    async def _list(self, request: Request) -> Response:
        """200 with the items, the cursor of the next page (null at the end), and when they were read."""
        call = open_call(self._parts, request, "journeys:read")
        asked = request.query_params
        unknown = sorted(set(asked) - _ASKED)
        if unknown:
            raise Problem(400, "invalid", f"there is no parameter {unknown[0]!r}")
        state = asked.get("state", "active")
        if state not in STATES:
            raise Problem(400, "invalid", f"state is one of {', '.join(STATES)}")
        wanted = Wanted(journey_of(request), state, asked.get("step"))
        place, limit = read_cursor(asked.get("cursor")), _limit(asked.get("limit"))
        self._parts.callers.spend(call.caller, 1)
        try:
            page = await self._pages.page(wanted, place, limit)
        except NotNow as error:
            raise unavailable(str(error), AGAIN_S) from None
        except BrimfulError as error:
            # What it says names brokers and topics: that is for the log.
            log.warning("gateway.listing_unreadable", error=str(error))
            raise unavailable("the engine's state cannot be read now", AGAIN_S) from None
        told = {
            "enrollments": page.items,
            "next": None if page.next is None else cursor_of(page.next),
            "read_ms": page.read_ms,
        }
        return json_response(told, headers=self._parts.callers.told(call.caller))


def cursor_of(place: Place) -> str:
    """A place in a list as callers hand it back."""
    return f"{place.partition}.{place.after}"


def read_cursor(text: str | None) -> Place:
    """The place of a cursor; the beginning without one.

    Raises:
        Problem: 400 where it is none.
    """
    if text is None:
        return Place()
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise Problem(400, "invalid", "cursor must be what the page before said as next")
    return Place(int(found[1]), found[2])


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= LIMIT_MOST:
        raise Problem(400, "invalid", f"limit must be 1 to {LIMIT_MOST}")
    return int(text)
