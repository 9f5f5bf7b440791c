"""HTTP inside our process: uvicorn, ended by an event instead of by signals of its own."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

log = structlog.get_logger(__name__)

_BACKLOG = 1024


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the process has its own way to end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    shutdown_event: asyncio.Event,
    *,
    name: str,
    on_listening: Callable[[int], None] | None = None,
    before_shutdown: Callable[[], None] | None = None,
    **options: Any,
) -> None:
    """Serve ``app`` until ``shutdown_event`` is set; then take no new requests and finish those in work.

    Args:
        app: an ASGI app.
        host: address to listen on.
        port: 0 takes a free one.
        shutdown_event: ends the server.
        name: for logs and messages: ``gateway``, ``admin``.
        on_listening: called once with the port, when requests are taken.
        before_shutdown: called when the end begins, to end streams.
        options: uvicorn's, such as limits.

    Raises:
        Misconfigured: the address cannot be used.
    """
    listener = _listen(name, host, port)
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,  # paths and queries may hold tokens
            server_header=False,
            proxy_headers=False,
            ws="none",
            **options,
        ),
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name=f"{name}-server")
    stopping = asyncio.create_task(shutdown_event.wait(), name=f"{name}-shutdown")
    try:
        bound: int = listener.getsockname()[1]
        log.info("http.listening", server=name, host=host, port=bound)
        if on_listening is not None:
            on_listening(bound)
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if before_shutdown is not None:
            before_shutdown()
        server.should_exit = True
        await serving
        log.info("http.stopped", server=name)


def _listen(name: str, host: str, port: int) -> socket.socket:
    """A listening socket, so that clients may connect from here on and port 0 becomes a known one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
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
            f"the {name} server cannot listen on {host}:{port}: {error.strerror}. "
            "Choose another address or port.",
        ) from error
    return listener
