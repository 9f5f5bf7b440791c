"""Serves a gateway with the bounds that it was given."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workers import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

_SPARE_CONNECTIONS = 1024
"""Idle keep-alive connections beside requests in work and streams, before new ones are refused."""


async def serve(
    app: Starlette,
    host: str = "127.0.0.1",
    port: int = 8090,
    shutdown_event: asyncio.Event | None = None,
    *,
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Serve a gateway until ``shutdown_event`` is set; then take no new requests and finish those in work.

    Args:
        app: from :func:`workers.intake.app.create_gateway`.
        host: address to listen on; only this machine by default.
        port: 0 takes a free one.
        shutdown_event: None serves until cancelled.
        on_listening: called once with the port, when requests are taken.

    Raises:
        Misconfigured: the address cannot be used.
    """
    state = app.state.gateway
    limits = state.limits
    await web.serve(
        app,
        host,
        port,
        shutdown_event or asyncio.Event(),
        name="gateway",
        on_listening=on_listening,
        before_shutdown=state.begin_shutdown,
        limit_concurrency=limits.concurrent_requests + limits.streams + _SPARE_CONNECTIONS,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.shutdown_seconds,
    )
