"""The gateway's HTTP server: uvicorn inside our process, ended by an event instead of by its own signals."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
import uvicorn

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

log = structlog.get_logger(__name__)

_BACKLOG = 1024
_SPARE_CONNECTIONS = 1024
"""Idle keep-alive connections beside requests in work and streams, before new ones are refused."""


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the process has its own way to end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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
    listener = _listen(host, port)
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,  # paths hold unsubscribe tokens and queries hold feed tokens
            server_header=False,
            proxy_headers=False,
            ws="none",
            limit_concurrency=limits.concurrent_requests + limits.streams + _SPARE_CONNECTIONS,
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=limits.shutdown_seconds,
        ),
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="gateway-server")
    stopping = asyncio.create_task((shutdown_event or asyncio.Event()).wait(), name="gateway-shutdown")
    try:
        bound: int = listener.getsockname()[1]
        log.info("gateway.listening", host=host, port=bound)
        if on_listening is not None:
            on_listening(bound)
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        state.begin_shutdown()
        server.should_exit = True
        await serving
        log.info("gateway.stopped")


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that clients may connect from here on and port 0 becomes a known one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _name, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise Misconfigured(
            f"the gateway cannot listen on {host}:{port}: {error.strerror}. Choose another address or port.",
        ) from error
    return listener
