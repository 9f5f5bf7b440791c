"""The gateway's Starlette app, put together from what it is given. Building it starts nothing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from workers.errors import Misconfigured
from workers.intake.auth import WriteKeys
from workers.intake.enroll import EnrollRoute
from workers.intake.in_app import InApp
from workers.intake.limits import Limits
from workers.intake.problems import (
    Problem,
    answer_crash,
    answer_not_found,
    answer_problem,
    answer_wrong_method,
)
from workers.intake.settings import Topics
from workers.intake.stripe import StripeRoute
from workers.intake.tracking import STRICT_HEADER, Tracking
from workers.intake.unsubscribe import UnsubscribePages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from workers.clock import Clock
    from workers.intake.feed import FeedReader
    from workers.intake.metrics import GatewayMetrics
    from workers.intake.publisher import Publisher
    from workers.intake.settings import StripeWebhooks, Unsubscribe

log = structlog.get_logger(__name__)

_WAITING = frozenset({"/v1/in-app/feed", "/v1/in-app/stream"})
"""Routes that wait for something to happen; their time says nothing about the gateway's speed."""

_ANSWERS: dict[Any, Any] = {
    Problem: answer_problem,
    404: answer_not_found,
    405: answer_wrong_method,
    Exception: answer_crash,
}

_CORS_HEADERS = ("authorization", "content-type", "content-encoding", "last-event-id")
_MAX_AGE_S = 600


def create_gateway(
    *,
    publisher: Publisher,
    write_keys: Mapping[str, str],
    clock: Clock,
    metrics: GatewayMetrics,
    limits: Limits | None = None,
    topics: Topics | None = None,
    feed: FeedReader | None = None,
    feed_key: bytes | None = None,
    unsubscribe: Unsubscribe | None = None,
    stripe: StripeWebhooks | None = None,
    api_keys: Mapping[str, str] | None = None,
    cors_origins: Sequence[str] = (),
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """The app with its event routes and, where configured, the in-app feed and the unsubscribe pages.

    Args:
        publisher: started and closed by the caller.
        write_keys: write key -> name of its source; empty refuses every event.
        clock: gives receivedAt.
        metrics: registered by the caller.
        limits: bounds; Segment's by default.
        topics: full topic names.
        feed: started and closed by the caller; None leaves the in-app routes out.
        feed_key: signs feed tokens, at least 32 bytes; required with ``feed``.
        unsubscribe: None leaves ``/u/{token}`` out.
        stripe: None leaves ``/v1/webhooks/stripe`` out.
        api_keys: API key -> who holds it; none leaves ``/v1/journeys/...`` out.
        cors_origins: origins of pages that may call ``/v1`` from a browser; ``("*",)`` for all.
        routes: more routes, such as health and metrics.

    Raises:
        Misconfigured: a key is missing or too short.
    """
    limits, topics = limits or Limits(), topics or Topics()
    closing = asyncio.Event()
    paths: list[BaseRoute] = [*routes]
    paths += Tracking(
        publisher=publisher,
        write_keys=WriteKeys(write_keys),
        clock=clock,
        limits=limits,
        topics=topics,
        metrics=metrics,
    ).routes()
    if feed is not None:
        if feed_key is None:
            raise Misconfigured("the in-app feed needs a feed key to sign its tokens")
        paths += InApp(
            feed=feed,
            key=feed_key,
            publisher=publisher,
            clock=clock,
            limits=limits,
            topics=topics,
            metrics=metrics,
            closing=closing,
        ).routes()
    if unsubscribe is not None:
        paths += UnsubscribePages(unsubscribe, publisher=publisher, clock=clock, topics=topics).routes()
    if stripe is not None:
        paths += StripeRoute(stripe, publisher, clock, limits, topics, metrics).routes()
    if api_keys:
        paths += EnrollRoute(WriteKeys(api_keys), publisher, clock, limits, topics, metrics).routes()
    layers = _middleware(metrics, cors_origins)
    app = Starlette(routes=paths, middleware=layers, exception_handlers=_ANSWERS)
    app.state.gateway = GatewayState(publisher, feed, limits, closing)
    return app


class GatewayState:
    """What the server and the health checks need of a gateway: ``app.state.gateway``."""

    def __init__(
        self,
        publisher: Publisher,
        feed: FeedReader | None,
        limits: Limits,
        closing: asyncio.Event,
    ) -> None:
        self.limits = limits
        self._publisher = publisher
        self._feed = feed
        self._closing = closing

    def ready(self) -> dict[str, bool]:
        """What the gateway needs to serve, and whether it is there: ``kafka`` and, with a feed, ``feed``."""
        checks = {"kafka": self._publisher.healthy()}
        if self._feed is not None:
            checks["feed"] = self._feed.ready()
        return checks

    def begin_shutdown(self) -> None:
        """End all streams and long polls; clients come back, to another gateway or to the next one here."""
        self._closing.set()
        if self._feed is not None:
            self._feed.wake_all()


def _middleware(metrics: GatewayMetrics, cors_origins: Sequence[str]) -> list[Middleware]:
    layers = [Middleware(_Measured, metrics=metrics)]
    if cors_origins:
        # Credentials are write keys and tokens that the page itself sends; cookies play no part.
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=[*_CORS_HEADERS, STRICT_HEADER],
                expose_headers=["retry-after"],
                max_age=_MAX_AGE_S,
            ),
        )
    return layers


class _Measured:
    """Counts and times every request by its route; paths that clients invent are all ``other``."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        code = 500

        async def watch(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            path = _route_of(scope)
            self._metrics.requests.labels(path, str(code)).inc()
            if path not in _WAITING:
                self._metrics.seconds.labels(path).observe(time.perf_counter() - started)


def _route_of(scope: Mapping[str, Any]) -> str:
    route = scope.get("route")
    return route.path if isinstance(route, Route) else "other"
