"""``/demo``: a page that shows every in-app form, sends events and follows one person's feed.

For one's own machine: it is served where ``BRIMFUL_DEMO`` is set, as ``brimful run`` does. Its
Content-Security-Policy is a strict one, as that of the pages which the SDK is for.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

_FILES: Final = {
    "/demo": ("demo.html", "text/html"),
    "/demo.js": ("demo.js", "text/javascript"),
    "/demo.css": ("demo.css", "text/css"),
    "/demo.svg": ("demo.svg", "image/svg+xml"),
}
_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def demo_routes() -> list[Route]:
    """The page, its script and its looks."""
    return [_route(path, name, kind) for path, (name, kind) in _FILES.items()]


def _route(path: str, name: str, kind: str) -> Route:
    content = (files("workers.intake") / "demo" / name).read_bytes()

    async def show(request: Request) -> Response:
        del request
        return Response(content, media_type=kind, headers=_HEADERS)

    return Route(path, show, methods=["GET"])
