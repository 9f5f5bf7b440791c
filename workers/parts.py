"""The parts that a process can run, each with one life cycle (see ``workers.runner.Part``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from workers.intake.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from starlette.applications import Starlette

    from workers.intake.kafka_feed import KafkaFeed
    from workers.intake.kafka_publisher import KafkaPublisher
    from workers.reading.tallies import TallyFollower
    from workers.stream.app import KernelApp


class Closing(Protocol):
    """Something that a part closes last, such as a channel with its connections."""

    async def close(self) -> None:
        """Let go."""
        ...


class KernelPart:
    """A Faust app on the kernel: the engine, the senders, the insights.

    ``build`` is called when the part starts, inside the running loop that Faust binds to.
    """

    def __init__(self, name: str, build: Callable[[], KernelApp], closing: tuple[Closing, ...] = ()) -> None:
        self.name = name
        self._build = build
        self._closing = closing
        self._app: KernelApp | None = None
        self._started = False

    async def start(self) -> None:
        """Join the group; partitions are restored in the background."""
        self._app = self._build()
        await self._app.start()

    def renew(self) -> None:
        """Let the partitions decide by new logics, each from its next transaction on."""
        if self._app is not None:
            self._app.manager.renew()

    async def failed(self) -> BaseException:
        """Return when the app cannot go on."""
        assert self._app is not None, "asked before the start"
        return await self._app.failed()

    async def stop(self) -> None:
        """Drain the partitions and leave the group."""
        if self._app is not None:
            await self._app.stop()
        for thing in self._closing:
            await thing.close()

    def started(self) -> bool:
        """Whether all partitions of the first assignment were restored."""
        self._started = self._started or self.ready()
        return self._started

    def ready(self) -> bool:
        """Whether all owned partitions run."""
        return self._app is not None and self._app.manager.ready


class GatewayPart:
    """The HTTP gateway with its publisher, its copy of the feeds and, for a console, of the tallies."""

    name = "gateway"

    def __init__(
        self,
        app: Starlette,
        publisher: KafkaPublisher,
        feed: KafkaFeed,
        host: str,
        port: int,
        on_listening: Callable[[int], None] | None = None,
        tallies: TallyFollower | None = None,
    ) -> None:
        self._app = app
        self._tallies = tallies
        self._publisher = publisher
        self._feed = feed
        self._address = (host, port)
        self._on_listening = on_listening
        self._end = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._started = False

    async def start(self) -> None:
        """Listen; what is not ready yet answers 503."""
        self._publisher.start()
        self._feed.start()
        if self._tallies is not None:
            self._tallies.start()
        self._serving = asyncio.create_task(self._serve(), name="gateway")

    def _serve(self) -> Coroutine[Any, Any, None]:
        return serve(self._app, *self._address, self._end, on_listening=self._on_listening)

    async def failed(self) -> BaseException:
        """Return when the server ended by itself."""
        assert self._serving is not None, "asked before the start"
        await asyncio.wait({self._serving})
        return self._serving.exception() or RuntimeError("the gateway's server ended")

    async def stop(self) -> None:
        """Finish the requests in work, deliver what was taken, let go."""
        self._end.set()
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)
        await self._publisher.close()
        await self._feed.close()
        if self._tallies is not None:
            await self._tallies.close()

    def started(self) -> bool:
        """Whether it was ready once."""
        self._started = self._started or self.ready()
        return self._started

    def ready(self) -> bool:
        """Whether Kafka answers and the feeds are caught up."""
        return all(self._app.state.gateway.ready().values())
