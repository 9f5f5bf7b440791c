"""A real HTTP server on loopback, in the test's event loop, that answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import h11

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

Fault: TypeAlias = Literal["cut_before", "cut_after", "hang"]
"""``cut_before``: hang up when the request came, without having it. ``cut_after``: take it, hang up before
the answer. ``hang``: take it and never answer."""


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Handler: TypeAlias = "Callable[[Received], Awaitable[Reply | Fault]]"


@dataclass
class HttpServer:
    """A running server and what it saw."""

    port: int = 0
    scheme: str = "http"
    connections: int = 0
    open_now: int = 0
    most_at_once: int = 0
    requests: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{self.scheme}://127.0.0.1:{self.port}"


@asynccontextmanager
async def http_server(handle: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpServer]:
    """A server on a free loopback port until the block ends; connections that hang are cut then."""
    server = HttpServer(scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
                await _connection(server, handle, reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            tasks.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


async def _connection(
    server: HttpServer, handle: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    wire = h11.Connection(h11.SERVER)
    while True:
        request = await _request(wire, reader)
        if request is None:
            return
        server.requests.append(request)
        server.open_now += 1
        server.most_at_once = max(server.most_at_once, server.open_now)
        try:
            reply = await handle(request)
            if reply == "hang":
                await asyncio.Event().wait()
        finally:
            server.open_now -= 1
        if not isinstance(reply, Reply):
            return
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        for event in (
            h11.Response(status_code=reply.status, headers=list(headers.items())),
            h11.Data(data=reply.body),
            h11.EndOfMessage(),
        ):
            writer.write(wire.send(event) or b"")
        await writer.drain()
        if wire.our_state is h11.MUST_CLOSE:
            return
        wire.start_next_cycle()


async def _request(wire: h11.Connection, reader: asyncio.StreamReader) -> Received | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = {key.decode().lower(): value.decode() for key, value in head.headers}
            return Received(head.method.decode(), head.target.decode(), headers, body)
        else:
            return None
