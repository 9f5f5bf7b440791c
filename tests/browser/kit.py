"""A gateway over HTTP whose feed and topics are in memory, and a page of a product that uses the SDK."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from workers.clock import SystemClock
from workers.intake.app import create_gateway
from workers.intake.feed import InMemoryFeed
from workers.intake.limits import Limits
from workers.intake.metrics import GatewayMetrics
from workers.intake.publisher import InMemoryPublisher
from workers.intake.server import serve
from workers.intake.tokens import make_feed_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from starlette.requests import Request
    from starlette.responses import Response

KEY = b"k" * 32
WAIT_S = 20.0
PERSON = "ada"

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'nonce-page'; connect-src 'self'; img-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The strictest policy that a page can have: no inline style, no evaluation, no HTML out of texts."""

PAGE = """<!doctype html><html lang="en"{attributes}><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>App</title>
<style nonce="page">
* {{ color: rgb(255, 0, 255) !important; font-size: 30px !important; margin: 40px !important }}
body {{ min-height: 200vh; font-family: serif }} #far {{ position: absolute; top: 1500px; left: 100px }}
</style>
<script src="/sdk/v1/brimful.js"></script></head><body>
<button id="before">before</button><button id="save">Save</button><button id="share">Share</button>
<button id="far">far away</button></body></html>"""


class Site:
    """The gateway and the page, served in a thread until :meth:`close`."""

    def __init__(self) -> None:
        self.publisher = InMemoryPublisher()
        self.feed = InMemoryFeed()
        self.port = 0
        self.tokens = 0
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._listening.wait(WAIT_S), "the gateway does not listen"

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = create_gateway(
            publisher=self.publisher,
            write_keys={"wk": "web"},
            clock=SystemClock(),
            metrics=GatewayMetrics(CollectorRegistry()),
            limits=Limits(heartbeat_seconds=0.5, long_poll_seconds=0.5),
            feed=self.feed,
            feed_key=KEY,
            demo=True,
            routes=[Route("/app/{path:path}", self._page), Route("/token", self._token)],
        )
        await serve(app, "127.0.0.1", 0, self._stop, on_listening=self._ready)

    def _ready(self, port: int) -> None:
        self.port = port
        self._listening.set()

    async def _page(self, request: Request) -> Response:
        attributes = ' dir="rtl"' if "rtl" in request.query_params else ""
        headers = {"content-security-policy": CSP} if "csp" in request.query_params else {}
        return HTMLResponse(PAGE.format(attributes=attributes), headers=headers)

    async def _token(self, request: Request) -> Response:
        """The page's own backend: it knows who is logged in."""
        del request
        self.tokens += 1
        return JSONResponse({"token": self.token()})

    @property
    def url(self) -> str:
        """Where the site is."""
        return f"http://127.0.0.1:{self.port}"

    def token(self, lives_ms: int = 3_600_000) -> str:
        """A feed token of the person."""
        return make_feed_token(KEY, PERSON, time.time_ns() // 1_000_000 + lives_ms)

    def show(self, *items: dict[str, Any]) -> None:
        """The person's feed holds these items from now on."""
        self.call(lambda: self.feed.write(PERSON, items))

    def call(self, act: Callable[[], Any]) -> Any:
        """Do it in the gateway's loop."""

        async def run() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(WAIT_S)

    def events(self) -> list[dict[str, Any]]:
        """The product events that are kept."""
        return [json.loads(record.value) for record in self.publisher.of("product-events")]

    def told(self) -> list[tuple[str, str]]:
        """Kind and message of the engagements that are kept."""
        kept = [json.loads(record.value) for record in self.publisher.of("engagement")]
        return [(one["type"], one["message_id"]) for one in kept]

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)


def item(form: str, name: str = "m1", **more: Any) -> dict[str, Any]:
    """A feed item of a form, with what that form needs."""
    needs: dict[str, Any] = {
        "tooltip": {"show": {"selector": "#save"}},
        "tour": {
            "steps": [
                {"title": "First", "body": "One", "selector": "#save"},
                {"title": "Second", "body": "Two", "selector": "#share"},
                {"title": "Third", "cta_label": "Try Pro", "cta_url": "/app/pro"},
            ]
        },
        "checklist": {
            "steps": [
                {"title": "Import", "done": True},
                {"title": "Invite", "event": "invited", "cta_label": "Invite", "cta_url": "/app/team"},
            ]
        },
        "chat": {"author": "Grace"},
    }
    links = {} if form in ("tour", "checklist") else {"cta_label": "See plans", "cta_url": "/app/plans"}
    return {
        "id": name,
        "message_id": name,
        "journey": "upsell",
        "step": "0",
        "template": "limit",
        "form": form,
        "title": f"Title of {name}",
        "body": "Five seats are used.",
        "created_at_ms": 1,
        **links,
        **needs.get(form, {}),
        **more,
    }


def until(holds: Callable[[], Any], page: Page | None = None) -> Any:
    """The first true value of ``holds``. With ``page``, what happens there is noticed meanwhile."""
    deadline = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to pass"
        if page is None:
            time.sleep(0.02)
        else:
            page.wait_for_timeout(20)
    return found
