"""One worker on several cores: the same worker in several processes, which share the partitions.

An interpreter runs one thread of Python at a time, so one process fills one core. The processes of a worker
are members of the same consumer groups, each with partitions, state and metrics of its own, exactly as
workers on different machines would be. They live and die together: whoever runs the worker sees one
process, which ends when any of them does.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.context import SpawnProcess

    from workers.settings import Settings

log = structlog.get_logger(__name__)

STOP_DEADLINE_S = 90.0
"""How long processes may take to end before they are killed; above the runner's own deadlines."""


def settings_of(settings: Settings, number: int) -> Settings:
    """The settings of the worker's process ``number``, counted from 0: its own state, port and membership."""
    if number == 0:
        return settings
    return settings.model_copy(
        update={
            "state_dir": settings.state_dir / f"process-{number}",
            "http_port": settings.http_port + number if settings.http_port else 0,
            "instance_id": f"{settings.instance_id}-{number}" if settings.instance_id else None,
        }
    )


def run(entries: Sequence[Callable[[], int]]) -> int:
    """Run each entry in a process of its own until SIGTERM or SIGINT (0), or until one of them ends (1).

    ``entries`` are picklable, and end on SIGTERM; what one returns is its exit code. When one ends, whatever
    its code, the others are told to. Processes that outlive :data:`STOP_DEADLINE_S` are killed.
    """
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_enter, args=(entry, n)) for n, entry in enumerate(entries)]
    told = False

    def stop(*_: Any) -> None:
        nonlocal told
        again, told = told, True
        for process in processes:
            # A second signal would end a process that is about to end by itself.
            if process.is_alive() and not again:
                process.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for process in processes:
            if not told:
                process.start()
        processes = [process for process in processes if process.pid is not None]
        connection.wait([process.sentinel for process in processes])
        clean = told
        if not told:
            stop()
        codes = [_end(process) for process in processes]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    # SIGTERM's own code is that of a process that was told before it had begun to listen.
    if not clean or any(code not in {0, -signal.SIGTERM} for code in codes):
        log.error("processes.ended", codes=codes)
        return 1
    return 0


def _end(process: SpawnProcess) -> int | None:
    """The exit code of a process that was told to end."""
    process.join(STOP_DEADLINE_S)
    if process.exitcode is None:
        log.error("process.killed", pid=process.pid, seconds=STOP_DEADLINE_S)
        process.kill()
        process.join()
    return process.exitcode


def _enter(entry: Callable[[], int], number: int) -> None:
    structlog.contextvars.bind_contextvars(process=number)
    raise SystemExit(entry())


class ParentWatch:
    """A part of a process that ends it when the process that started it is gone, however that died."""

    name = "parent"

    def __init__(self) -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None, "for processes that `run` starts"
        self._sentinel = parent.sentinel
        self._gone = asyncio.Event()

    async def start(self) -> None:
        """Watch."""
        asyncio.get_running_loop().add_reader(self._sentinel, self._gone.set)

    async def failed(self) -> BaseException:
        """Return when the parent is gone."""
        await self._gone.wait()
        return RuntimeError("the process that started this one is gone")

    async def stop(self) -> None:
        """Watch no more."""
        asyncio.get_running_loop().remove_reader(self._sentinel)

    def started(self) -> bool:
        """Always."""
        return True

    def ready(self) -> bool:
        """Always."""
        return True
