"""Time without waiting: an event loop whose clock jumps to what is next, always in the same order."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


class VirtualLoop:
    """As much of an event loop as tasks, locks and sleeps need; no threads, files or sockets.

    ``now_ms`` is the time in integer UTC milliseconds. What is due at the same moment runs in the order in
    which it was asked for.
    """

    def __init__(self, start_ms: int) -> None:
        self.now_ms = start_ms
        self._ready: deque[asyncio.Handle] = deque()
        self._waiting: list[tuple[int, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._self = cast("asyncio.AbstractEventLoop", self)  # no more than tasks ask of it

    # -- driving it

    def at(self, at_ms: int, call: Callable[[], object]) -> None:
        """Call at a moment; one that is past means now."""
        heapq.heappush(self._waiting, (max(at_ms, self.now_ms), next(self._order), call))

    def run_until(self, end_ms: int) -> None:
        """Do all that is due up to and including ``end_ms``, which is the time afterwards."""
        with self._running():
            self._settle()
            while self._waiting and self._waiting[0][0] <= end_ms:
                self.now_ms, _, call = heapq.heappop(self._waiting)
                call()
                self._settle()
        self.now_ms = max(self.now_ms, end_ms)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a coroutine and let it go on until it waits for something; its task."""
        task = asyncio.Task(coroutine, loop=self._self)
        self._settle()
        return task

    def complete(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine that waits for nothing that takes time."""
        task = self.run(coroutine)
        assert task.done(), "it waits for something that takes time"
        task.result()

    def _settle(self) -> None:
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 - a handle is run by its loop

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        former = asyncio._get_running_loop()  # noqa: SLF001 - meant for those who write loops
        asyncio._set_running_loop(self._self)  # noqa: SLF001
        try:
            yield
        finally:
            asyncio._set_running_loop(former)  # noqa: SLF001

    # -- what tasks ask of their loop

    def time(self) -> float:
        """The time in seconds."""
        return self.now_ms / 1000

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        """Call after what is ready already."""
        handle = asyncio.Handle(callback, args, self._self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Call after so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Call at a moment, in seconds."""
        handle = asyncio.TimerHandle(when, callback, args, self._self, context)
        self.at(round(when * 1000), lambda: self._ready.append(handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self._self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        """A task of this loop."""
        return asyncio.Task(coro, loop=self._self, name=name, context=context)

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether it is driven right now."""
        return asyncio._get_running_loop() is self._self  # noqa: SLF001

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A task that nobody looks at has failed: so has whoever drives the loop.

        Raises:
            BaseException: what the task raised.
        """
        raise context.get("exception") or RuntimeError(context["message"])
