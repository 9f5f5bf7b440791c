"""The gateway's Starlette app, put together from what it is given. Building it starts nothing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from workers.errors import Misconfigured
from workers.intake.auth import WriteKeys
from workers.intake.callbacks import Callbacks, registry
from workers.intake.callers import Callers, Rates
from workers.intake.catalog import Catalog
from workers.intake.clicks import Clicks
from workers.intake.cloudevents import CloudEvents
from workers.intake.console.pages import Console
from workers.intake.console.session import Sessions
from workers.intake.cors import BrowserCors
from workers.intake.demo_page import demo_routes
from workers.intake.in_app import InApp
from workers.intake.journeys import Journeys
from workers.intake.keys import ApiKeys
from workers.intake.limits import Limits
from workers.intake.listing import Listing
from workers.intake.parts import Parts
from workers.intake.people import People
from workers.intake.preferences import PreferencePages
from workers.intake.problems import (
    Problem,
    answer_crash,
    answer_not_found,
    answer_problem,
    answer_wrong_method,
)
from workers.intake.room import Room
from workers.intake.sdk import Sdk
from workers.intake.settings import Topics
from workers.intake.standing import Standing
from workers.intake.stripe import StripeRoute
from workers.intake.tracking import Tracking
from workers.intake.unsubscribe import UnsubscribePages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from workers.clock import Clock
    from workers.intake.feed import FeedReader
    from workers.intake.listing import PageReader
    from workers.intake.metrics import GatewayMetrics
    from workers.intake.publisher import Publisher
    from workers.intake.settings import (
        ApiSettings,
        CallbackSettings,
        ConsoleSettings,
        StripeWebhooks,
        Unsubscribe,
    )
    from workers.intake.standing import StandingReader

log = structlog.get_logger(__name__)

_WAITING = frozenset(
    {
        "/v1/in-app/feed",
        "/v1/in-app/stream",
        "/v1/people/{person:path}/enrollments",
        "/v1/accounts/{account:path}/enrollments",
        "/v1/journeys/{name}/enrollments",
        "/console/journeys/{name}/enrollments",
        "/console/people/{person:path}",
        "/console/accounts/{account:path}",
        "/console/timers",
    }
)
"""Routes that wait for something to happen or read a topic: their time says nothing about the gateway's."""

_ANSWERS: dict[Any, Any] = {
    Problem: answer_problem,
    404: answer_not_found,
    405: answer_wrong_method,
    Exception: answer_crash,
}


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
    cors_origins: Sequence[str] = (),
    demo: bool = False,
    routes: Sequence[BaseRoute] = (),
    api: ApiSettings | None = None,
    callbacks: CallbackSettings | None = None,
    rates: Rates | None = None,
    standing: StandingReader | None = None,
    pages: PageReader | None = None,
) -> Starlette:
    """The app with its event routes and, where configured, feed, links, pages, API and callbacks.

    Args:
        publisher: started and closed by the caller.
        write_keys: write key -> name of its source; empty refuses every event.
        clock: gives receivedAt.
        metrics: registered by the caller.
        limits: bounds; Segment's by default.
        topics: full topic names.
        feed: started and closed by the caller; None leaves the in-app routes out.
        feed_key: signs feed tokens, at least 32 bytes; required with ``feed``.
        unsubscribe: None leaves the links of messages out: ``/u``, ``/p``, ``/l`` and ``/o``.
        stripe: None leaves ``/v1/webhooks/stripe`` out.
        cors_origins: origins of pages that may call ``/v1`` from a browser; ``("*",)`` for all.
        demo: serve ``/demo``, which shows every in-app form and sends events; for one's own machine.
        routes: more routes, such as health and metrics.
        api: None leaves the API out.
        callbacks: None leaves ``/v1/callbacks`` out.
        rates: how much a caller may send; without, as much as there is room for.
        standing: None leaves the routes out that tell where a subject stands.
        pages: None leaves the route out that lists who is in a journey.

    Raises:
        Misconfigured: a key is missing or too short.
    """
    limits, topics = limits or Limits(), topics or Topics()
    closing = asyncio.Event()
    keys = ApiKeys(api.keys if api is not None else ())
    callers = Callers(WriteKeys(write_keys), keys, rates or Rates(), clock, metrics)
    parts = Parts(publisher, clock, limits, topics, metrics, callers, Room(limits, metrics))
    tracking = Tracking(parts)
    paths: list[BaseRoute] = [
        *routes,
        *Sdk().routes(),
        *(demo_routes() if demo else ()),
        *tracking.routes(),
        *CloudEvents(parts, tracking).routes(),
    ]
    paths += _feed_routes(parts, feed, feed_key, closing)
    if api is not None:
        paths += _api_routes(parts, api, feed, standing, pages)
    paths += _optional_routes(parts, unsubscribe, stripe, callbacks)
    app = Starlette(
        routes=paths,
        middleware=_middleware(metrics, cors_origins),
        exception_handlers=_ANSWERS,
    )
    app.state.gateway = GatewayState(publisher, feed, limits, closing, parts.room)
    return app


def _feed_routes(
    parts: Parts, feed: FeedReader | None, feed_key: bytes | None, closing: asyncio.Event
) -> list[Route]:
    """The routes of the in-app feed; none without a feed."""
    if feed is None:
        return []
    if feed_key is None:
        raise Misconfigured("the in-app feed needs a feed key to sign its tokens")
    in_app = InApp(
        feed=feed,
        key=feed_key,
        publisher=parts.publisher,
        clock=parts.clock,
        limits=parts.limits,
        topics=parts.topics,
        metrics=parts.metrics,
        closing=closing,
    )
    return in_app.routes()


def _api_routes(
    parts: Parts,
    api: ApiSettings,
    feed: FeedReader | None,
    standing: StandingReader | None,
    pages: PageReader | None,
) -> list[BaseRoute]:
    """The routes of the API; those that read the engine's state are there where there is a reader."""
    return [
        *(_console(parts, api, api.console) if api.console is not None else ()),
        *(Standing(parts, standing).routes() if standing is not None else ()),
        *(Listing(parts, pages).routes() if pages is not None else ()),
        *People(parts, api.definitions, feed).routes(),
        *Catalog(parts, api.definitions).routes(),
        *Journeys(parts).routes(),
    ]


def _console(parts: Parts, api: ApiSettings, config: ConsoleSettings) -> list[Route]:
    sessions = Sessions(ApiKeys(api.keys), config.secrets, config.secure)
    return Console(sessions, config.sources, parts, config.wall).routes()


def _optional_routes(
    parts: Parts,
    unsubscribe: Unsubscribe | None,
    stripe: StripeWebhooks | None,
    callbacks: CallbackSettings | None,
) -> list[BaseRoute]:
    """The routes of what is configured."""
    paths: list[BaseRoute] = []
    if unsubscribe is not None:
        pages = UnsubscribePages(
            unsubscribe, publisher=parts.publisher, clock=parts.clock, topics=parts.topics
        )
        paths += [*pages.routes(), *PreferencePages(unsubscribe, parts).routes()]
        paths += Clicks(unsubscribe.keys, parts).routes()
    if stripe is not None:
        paths += StripeRoute(stripe, parts).routes()
    if callbacks is not None:
        paths += Callbacks(registry(callbacks.providers), callbacks.public_url, parts).routes()
    return paths


class GatewayState:
    """What the server and the health checks need of a gateway: ``app.state.gateway``."""

    def __init__(
        self,
        publisher: Publisher,
        feed: FeedReader | None,
        limits: Limits,
        closing: asyncio.Event,
        room: Room,
    ) -> None:
        self.limits = limits
        self.room = room
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
        layers.append(Middleware(BrowserCors, origins=tuple(cors_origins)))
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
