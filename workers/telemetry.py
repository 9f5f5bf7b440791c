"""Logs, metrics and health of a process: one place that sets them up."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request

_QUIET = ("aiokafka", "faust", "mode", "asyncio", "uvicorn", "httpx", "rdkafka")


class Healthy(Protocol):
    """Something whose state decides about readiness."""

    name: str

    def started(self) -> bool:
        """Whether start-up, restores included, was completed once."""
        ...

    def ready(self) -> bool:
        """Whether it does its work now."""
        ...


def configure_logging(level: str, form: str) -> None:
    """Send structured logs to standard error: one JSON object a line, or text for people.

    Libraries log through the same stream, at warning and above: their lines are for their developers.
    """
    number = getattr(logging, level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if form == "text":
        last = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        foreign_pre_chain=shared,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def new_registry(version: str, role: str) -> CollectorRegistry:
    """A registry with the process's own metrics."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("brimful_build", "Version and role of this process.", registry=registry).info(
        {"version": version, "role": role}
    )
    return registry


def routes(registry: CollectorRegistry, parts: Callable[[], Sequence[Healthy]]) -> list[Route]:
    """``/metrics``, ``/livez``, ``/readyz`` and ``/startupz``.

    ``/livez`` answers while the event loop turns. ``/startupz`` answers 200 once every part was started,
    restores included, so that a long restore is not taken for a hang. ``/readyz`` answers 200 while
    every part does its work, and what a part tells ``about`` itself. Each 503 names the parts that do not.
    """

    async def metrics(_: Request) -> Response:
        return Response(
            generate_latest(registry),  # type: ignore[no-untyped-call]
            media_type=CONTENT_TYPE_LATEST,
        )

    async def livez(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def startupz(_: Request) -> Response:
        return _answer("started", [part.name for part in parts() if not part.started()])

    async def readyz(_: Request) -> Response:
        about = {part.name: told() for part in parts() if (told := getattr(part, "about", None)) is not None}
        return _answer("ready", [part.name for part in parts() if not part.ready()], about)

    return [
        Route("/metrics", metrics),
        Route("/livez", livez),
        Route("/startupz", startupz),
        Route("/readyz", readyz),
    ]


def _answer(state: str, waiting: list[str], about: Mapping[str, Any] | None = None) -> Response:
    if waiting:
        told = {state: False, "waiting_for": waiting, **(about or {})}
        return JSONResponse(told, 503, {"Retry-After": "1"})
    return JSONResponse({state: True, **(about or {})})
