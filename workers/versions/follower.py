"""The part of a worker that follows the topic ``workspace`` and hands what is published to the other parts.

A version that cannot be run here is refused, counted and logged, and the one before goes on. Reading and
compiling happen in a thread: events are decided meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from workers.errors import BrimfulError
from workers.versions.active import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.versions.active import Active, Loader
    from workers.versions.metrics import WorkspaceMetrics
    from workers.versions.topic import WorkspaceReader

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
"""How long one wait for news blocks a thread; a stop waits for no longer."""

AGAIN_SECONDS = 5.0
"""After how long a topic is read again that could not be read when its follower started."""

T = TypeVar("T")


class WorkspaceFollower:
    """Follows one workspace. ``use`` is called on the loop with each new version that can be run.

    ``first`` is what the caller runs, which has read the topic; None: nothing yet, and the topic is read
    after the start, as often as it takes. ``wanted`` is then the workspace's name; None: the only one there.
    """

    name = "workspace"

    def __init__(
        self,
        reader: WorkspaceReader,
        loader: Loader,
        first: Active | None,
        use: Callable[[Active], None],
        metrics: WorkspaceMetrics,
        wanted: str | None = None,
    ) -> None:
        self.active = first
        self.refused: str | None = None
        """Why the newest version is not the active one; None where it is."""
        self._reader = reader
        self._loader = loader
        self._use = use
        self._metrics = metrics
        self._wanted = wanted
        self._caught_up = first is not None
        self._following: asyncio.Task[None] | None = None
        if first is not None:
            metrics.active(first)

    async def start(self) -> None:
        """Follow from where the first version was read."""
        self._following = asyncio.create_task(self._follow(), name="workspace")

    async def failed(self) -> BaseException:
        """Return when following ended by itself."""
        assert self._following is not None, "asked before the start"
        await asyncio.wait({self._following})
        if self._following.cancelled():
            return RuntimeError("following the workspace was cancelled")
        return self._following.exception() or RuntimeError("following the workspace ended")

    async def stop(self) -> None:
        """Follow no more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await asyncio.to_thread(self._reader.close)

    def started(self) -> bool:
        """Whether the topic was read."""
        return self._caught_up

    def ready(self) -> bool:
        """Whether the topic was read, so that what is published runs."""
        return self._caught_up

    def about(self) -> dict[str, Any]:
        """What runs, for whoever asks for the health of the process."""
        told: dict[str, Any] = {"name": self._wanted, "version": None}
        if self.active is not None:
            told = {"name": self.active.name, "version": self.active.version, "serial": self.active.serial}
        return told if self.refused is None else told | {"refused": self.refused}

    async def _follow(self) -> None:
        while not self._caught_up:
            await self._catch_up()
        while True:
            news = await _in_thread(lambda: self._reader.wait(POLL_SECONDS))
            for problem in self._reader.problems:
                log.error("workspace.unreadable", detail=problem)
                self._metrics.changed("refused")
            self._reader.problems.clear()
            if news:
                await self._take()

    async def _catch_up(self) -> None:
        """Read the topic for the first time; what is published there runs."""
        try:
            published = await _in_thread(self._reader.catch_up)
        except BrimfulError as error:
            log.warning("workspace.not_read", detail=str(error))
            await asyncio.sleep(AGAIN_SECONDS)
            return
        if published.in_force:
            await self._take()
        self._caught_up = True

    async def _take(self) -> None:
        before = self.active
        try:
            published = self._reader.published
            name = before.name if before is not None else name_of(published, self._wanted)
            active = await asyncio.to_thread(self._loader.load, published, name)
        except BrimfulError as error:
            self.refused = str(error)
            self._metrics.changed("refused")
            running = before.version if before is not None else None
            log.error("workspace.refused", active=running, detail=str(error))
            return
        self.refused = None
        if before is None or active.serial != before.serial:
            self._metrics.changed("taken")
        self.active = active
        self._metrics.active(active)
        self._use(active)
        log.info("workspace.taken", version=active.version, serial=active.serial, plan=active.plan.version)


async def _in_thread(call: Callable[[], T]) -> T:
    """What it gives. A thread must be out of the client before anybody closes it; who cancels waits."""
    waiting = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.gather(waiting, return_exceptions=True)
        raise
