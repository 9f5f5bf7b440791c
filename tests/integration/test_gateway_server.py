"""The gateway on a real port: starting, stopping, and what only a real connection shows."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Self

import httpx
import pytest
from prometheus_client import CollectorRegistry

from workers.clock import SystemClock
from workers.errors import Misconfigured
from workers.intake.app import create_gateway
from workers.intake.feed import InMemoryFeed
from workers.intake.limits import Limits
from workers.intake.metrics import GatewayMetrics
from workers.intake.publisher import InMemoryPublisher
from workers.intake.server import serve
from workers.intake.tokens import make_feed_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = b"k" * 32


class Server:
    """A gateway that listens while the context lasts."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.publisher = InMemoryPublisher()
        self.feed = InMemoryFeed()
        self.shutdown = asyncio.Event()
        self.registry = CollectorRegistry()
        self.app = create_gateway(
            publisher=self.publisher,
            write_keys={"wk": "web"},
            clock=SystemClock(),
            metrics=GatewayMetrics(self.registry),
            limits=limits,
            feed=self.feed,
            feed_key=KEY,
        )

    async def __aenter__(self) -> Self:
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(
            serve(self.app, port=0, shutdown_event=self.shutdown, on_listening=listening.set_result),
        )
        self.port = await listening
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", auth=("wk", ""))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        self.shutdown.set()
        await self.task


async def test_a_stream_over_a_real_connection_shows_changes_and_ends_with_the_gateway() -> None:
    """A browser sees a message as it is written, and a shutdown does not wait for streams."""
    async with Server() as server:
        token = make_feed_token(KEY, "u1", SystemClock().now_ms() + 60_000)
        async with server.client.stream(
            "GET", "/v1/in-app/stream", params={"token": token}, auth=None
        ) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            server.feed.write("u1", [{"id": "i1"}])
            while '"i1"' not in await anext(lines):
                pass
            server.shutdown.set()
            assert "data:" not in "".join([line async for line in lines])
        await server.task


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    """A closed tab is noticed without waiting for a write."""
    async with Server() as server:
        token = make_feed_token(KEY, "u1", SystemClock().now_ms() + 60_000)
        async with server.client.stream(
            "GET", "/v1/in-app/stream", params={"token": token}, auth=None
        ) as answer:
            await anext(answer.aiter_lines())
            assert server.feed.watching("u1") == 1
        while server.feed.watching("u1"):  # noqa: ASYNC110 - the server notices in its own time
            await asyncio.sleep(0.01)


async def test_a_body_that_never_ends_is_given_up() -> None:
    """408, which clients retry; the connection holds no memory for ever."""
    async with Server(Limits(body_seconds=0.05)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Basic d2s6\r\nContent-Length: 99\r\n\r\n{"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()
        await writer.wait_closed()


async def test_an_announced_large_body_is_refused_unread() -> None:
    """413 comes before a single byte of the body is sent, and the connection closes."""
    async with Server() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 413")
        writer.close()
        await writer.wait_closed()


async def test_requests_in_work_are_finished_at_shutdown() -> None:
    """Whoever sent before the shutdown gets an answer."""
    async with Server() as server:
        release = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b'{"batch":['
            await release.wait()
            yield b'{"type":"page","userId":"u"}]}'

        sending = asyncio.create_task(server.client.post("/v1/batch", content=body()))
        while not server.registry.get_sample_value("brimful_gateway_requests_in_work"):  # noqa: ASYNC110 - the server runs in this loop
            await asyncio.sleep(0)
        server.shutdown.set()
        release.set()
        assert (await sending).status_code == 200
        await server.task
    assert len(server.publisher.records) == 1


async def test_a_taken_port_is_a_clear_error() -> None:
    """It names the address and says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server()
        with pytest.raises(Misconfigured, match=rf"127\.0\.0\.1:{port}.*another"):
            await serve(server.app, port=port)
