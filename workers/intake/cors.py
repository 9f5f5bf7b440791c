"""CORS for the routes that browsers call: events and the in-app feed, and no other.

A page of another origin may send events with its write key and read a person's feed with their token. It may
not call the API: a secret key has no place in a page, and a browser is told so before it sends one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware

from workers.intake.cloudevents import PATH as CLOUDEVENTS
from workers.intake.normalise import CALLS
from workers.intake.tracking import STRICT_HEADER

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATHS: Final = frozenset({"/v1/batch", *(f"/v1/{call}" for call in CALLS), CLOUDEVENTS})
PREFIXES: Final = ("/v1/in-app/",)

_HEADERS: Final = (
    "authorization",
    "content-type",
    "content-encoding",
    "last-event-id",
    *(f"ce-{name}" for name in ("id", "source", "specversion", "type", "subject", "time")),
    STRICT_HEADER,
)
_EXPOSED: Final = ("retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
_MAX_AGE_S: Final = 600


class BrowserCors:
    """Starlette's CORS on our paths for browsers. Cookies play no part: keys and tokens are what counts."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=_HEADERS,
            expose_headers=_EXPOSED,
            max_age=_MAX_AGE_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """With CORS or without, by the path."""
        path = scope.get("path", "")
        is_open = scope["type"] == "http" and (path in PATHS or path.startswith(PREFIXES))
        await (self._open if is_open else self._app)(scope, receive, send)
