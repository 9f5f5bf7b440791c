"""The part of a worker that follows the topic ``workspace`` and hands what is published to the other parts.

A version that cannot be run here is refused, counted and logged, and the one before goes on. Reading and
compiling happen in a thread: events are decided meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from workers.errors import BrimfulError

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.versions.active import Active, Loader
    from workers.versions.metrics import WorkspaceMetrics
    from workers.versions.topic import WorkspaceReader

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
"""How long one wait for news blocks a thread; a stop waits for no longer."""


class WorkspaceFollower:
    """Follows one workspace. ``use`` is called on the loop with each new version that can be run."""

    name = "workspace"

    def __init__(
        self,
        reader: WorkspaceReader,
        loader: Loader,
        first: Active,
        use: Callable[[Active], None],
        metrics: WorkspaceMetrics,
    ) -> None:
        self.active = first
        self.refused: str | None = None
        """Why the newest version is not the active one; None where it is."""
        self._reader = reader
        self._loader = loader
        self._use = use
        self._metrics = metrics
        self._following: asyncio.Task[None] | None = None
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
        """Always: the first version is read before there is a part."""
        return True

    def ready(self) -> bool:
        """Always: there is a version that runs."""
        return True

    def about(self) -> dict[str, Any]:
        """What runs, for whoever asks for the health of the process."""
        told = {"name": self.active.name, "version": self.active.version, "serial": self.active.serial}
        return told if self.refused is None else told | {"refused": self.refused}

    async def _follow(self) -> None:
        while True:
            # Shielded: the thread must be out of the client before anybody closes it.
            waiting = asyncio.ensure_future(asyncio.to_thread(self._reader.wait, POLL_SECONDS))
            try:
                news = await asyncio.shield(waiting)
            except asyncio.CancelledError:
                await asyncio.gather(waiting, return_exceptions=True)
                raise
            for problem in self._reader.problems:
                log.error("workspace.unreadable", detail=problem)
                self._metrics.changed("refused")
            self._reader.problems.clear()
            if news:
                await self._take()

    async def _take(self) -> None:
        try:
            active = await asyncio.to_thread(self._loader.load, self._reader.published, self.active.name)
        except BrimfulError as error:
            self.refused = str(error)
            self._metrics.changed("refused")
            log.error("workspace.refused", active=self.active.version, detail=str(error))
            return
        self.refused = None
        if active.serial != self.active.serial:
            self._metrics.changed("taken")
        self.active = active
        self._metrics.active(active)
        self._use(active)
        log.info("workspace.taken", version=active.version, serial=active.serial, plan=active.plan.version)
