"""Runs the parts of a process: starts them, serves health and metrics, ends cleanly when told to."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from typing import TYPE_CHECKING, Protocol

import structlog
import uvloop
from starlette.applications import Starlette

from workers import telemetry
from workers.web import serve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

log = structlog.get_logger(__name__)

_GC_YOUNG = 500_000
"""Objects allocated before the collector looks for cycles. A batch allocates some ten thousand objects that
die by reference count; looking at them again and again costs a tenth of the throughput (measured)."""

_SWITCH_S = 0.02
"""How long a busy thread may keep the interpreter lock while others wait (Python's default is 5 ms). The loop
decides in runs of tens of milliseconds while fetching and committing threads want a moment each; fewer
switches cost a sixth less processor time per event (measured), and an idle worker switches at once anyway."""

STOP_DEADLINE_S = 60.0
"""Longest a clean stop may take. What is cut off by then is what a crash would cut off: nothing is lost."""


class Part(Protocol):
    """One thing that a process runs."""

    name: str

    async def start(self) -> None:
        """Start; returns when started, while restores may go on."""
        ...

    async def failed(self) -> BaseException:
        """Return when the part cannot go on, with the reason."""
        ...

    async def stop(self) -> None:
        """Finish what is under way, and let go of everything."""
        ...

    def started(self) -> bool:
        """Whether start-up, restores included, was completed once."""
        ...

    def ready(self) -> bool:
        """Whether it does its work now."""
        ...


def run(parts: Sequence[Part], registry: CollectorRegistry, host: str, port: int) -> int:
    """Run the parts until SIGTERM or SIGINT (0) or until one fails (1). Returns the exit code."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_YOUNG, 50, 1_000)
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(parts, registry, host, port))


async def _run(parts: Sequence[Part], registry: CollectorRegistry, host: str, port: int) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    admin = Starlette(routes=telemetry.routes(registry, lambda: parts))
    end_admin = asyncio.Event()
    admin_server = asyncio.create_task(serve(admin, host, port, end_admin, name="admin"))
    failure: BaseException | None = None
    running: list[Part] = []
    try:
        for part in parts:
            running.append(part)
            await part.start()
            log.info("part.started", part=part.name)
        failure = await _until_stop_or_failure(parts, stop, admin_server)
    except Exception as error:  # noqa: BLE001 - whatever keeps a part from starting ends the process, with its reason
        failure = error
    if failure is not None:
        log.error("worker.failed", error=type(failure).__name__, detail=str(failure))
    for part in reversed(running):
        await _stop(part)
    end_admin.set()
    await asyncio.gather(admin_server, return_exceptions=True)
    log.info("worker.stopped", clean=failure is None)
    return 0 if failure is None else 1


async def _until_stop_or_failure(
    parts: Sequence[Part], stop: asyncio.Event, admin_server: asyncio.Task[None]
) -> BaseException | None:
    stopping = asyncio.create_task(stop.wait())
    failures = [asyncio.create_task(part.failed()) for part in parts]
    done, pending = await asyncio.wait(
        {stopping, admin_server, *failures}, return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending - {admin_server}:
        task.cancel()
    for failure in failures:
        if failure in done:
            return failure.result()
    if admin_server in done:
        return admin_server.exception() or RuntimeError("the server of health and metrics ended")
    return None


async def _stop(part: Part) -> None:
    try:
        async with asyncio.timeout(STOP_DEADLINE_S):
            await part.stop()
    except TimeoutError:
        log.error("part.stop_timeout", part=part.name, seconds=STOP_DEADLINE_S)
    except Exception as error:  # noqa: BLE001 - one part that fails to stop must not keep the others from stopping
        log.error("part.stop_failed", part=part.name, error=repr(error))
    else:
        log.info("part.stopped", part=part.name)
