"""Which partitions this worker owns: Faust's rebalances become acquisitions, resumptions and releases.

Faust asks its table manager to bring the state of assigned partitions up to date before streams go on.
This one manages :class:`Partition` instead of Faust tables: each partition starts to be read as soon
as it is restored itself, and none waits for another.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import structlog
from faust.tables.manager import TableManager

from workers.errors import Fenced, Retryable, TooManyDead
from workers.stream.batch import TP, Batch
from workers.stream.partition import KernelConfig, KernelParts, Partition
from workers.stream.standby import Standby

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.stream.app import KernelApp
    from workers.stream.transport import BatchedConsumer

log = structlog.get_logger(__name__)

_ROOM_WAIT_S = 0.05

_CALM_S = 30.0
"""A partition that ran this long before it failed is not failing again and again: its back-off is reset."""


class PartitionManager(TableManager):
    """Faust's ``app.tables`` for kernel applications. ``create_app`` sets ``kernel`` before it starts."""

    kernel: tuple[KernelConfig, KernelParts]

    def __init__(self, app: Any, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.partitions: dict[int, Partition] = {}
        self.standbys: dict[int, Standby] = {}
        self._owners: dict[int, asyncio.Task[None]] = {}
        self._committed: dict[TP, int] = {}
        self._room = asyncio.Event()
        self._assigned_once = False

    @property
    def _kernel_app(self) -> KernelApp:
        return cast("KernelApp", self.app)

    @property
    def _consumer(self) -> BatchedConsumer:
        return cast("BatchedConsumer", self.app.consumer)

    # -- what the transport asks (``transport.Positions``)

    def has_room(self, tp: TP) -> bool:
        """Whether the partition takes another batch of this topic."""
        partition = self.partitions.get(tp.partition)
        return partition is not None and partition.has_room(tp.topic)

    async def room(self) -> None:
        """Return after a moment; nothing can be fetched now."""
        await asyncio.sleep(_ROOM_WAIT_S)

    def to_commit(self) -> dict[TP, int]:
        """Applied positions that changed since the last call."""
        changed = {
            tp: offset
            for partition in self.partitions.values()
            for tp, offset in partition.applied.items()
            if self._committed.get(tp) != offset
        }
        self._committed.update(changed)
        return changed

    def read_positions(self) -> dict[TP, int]:
        """Where reading goes on in each running partition."""
        return {
            tp: offset
            for partition in self.partitions.values()
            if partition.running
            for tp, offset in partition.mailbox.expected.items()
        }

    def renew(self) -> None:
        """Let every partition decide by a new logic, each between two of its transactions."""
        for partition in self.partitions.values():
            partition.renew()

    # -- what the agents call

    async def submit(self, batch: Batch) -> None:
        """Give a batch to its partition. One that the partition does not expect is dropped and read again."""
        partition = self.partitions.get(batch.tp.partition)
        if partition is None or partition.submit(batch):
            return
        expected = partition.mailbox.expected.get(batch.tp)
        if partition.running and expected is not None and batch.start > expected:
            self.kernel[1].metrics.refused(batch.tp)
            log.warning(
                "batch.refused",
                topic=batch.tp.topic,
                partition=batch.tp.partition,
                start=batch.start,
                expected=expected,
            )
            await self._consumer.begin_at({batch.tp: expected})

    # -- Faust's life cycle

    async def on_start(self) -> None:
        """Let Faust subscribe; there are no Faust tables to wait for."""
        self._tables_finalized.set()
        self._tables_registered.set()

    async def wait_until_recovery_completed(self) -> bool:
        """Nothing to wait for: partitions begin one by one."""
        return False

    def on_partitions_revoked(self, revoked: set[TP]) -> None:  # noqa: ARG002 - Faust's signature
        """Stop taking work; :meth:`drain` then waits for the transactions under way."""
        for partition in self.partitions.values():
            partition.stop_taking()

    async def drain(self) -> None:
        """Wait until no transaction is under way, for at most the time that the settings allow."""
        tasks = [task for task in self._owners.values() if not task.done()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.kernel[0].drain_s)
            if late:
                # A transaction that does not end cannot be taken back from its thread: end the process,
                # and let the next owner fence it.
                names = ", ".join(sorted(task.get_name() for task in late))
                self._kernel_app.fail(
                    Retryable(f"no end of the transactions of {names} within {self.kernel[0].drain_s:.0f} s")
                )
        self._owners.clear()

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],  # noqa: ARG002 - Faust's signature; what matters is what we hold
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,
    ) -> None:
        """Bring partitions in line with the new assignment, and let reading go on."""
        sources = set(self.kernel[0].sources)
        owned = {tp.partition for tp in assigned if tp.topic in sources}
        await self.drain()
        for number in sorted(set(self.partitions) - owned):
            partition = self.partitions.pop(number)
            await partition.close()
            log.info("partition.released", app=self.kernel[0].app_id, partition=number)
        await self._align_standbys(owned)
        self._committed.clear()
        for number in sorted(owned):
            task = asyncio.create_task(self._own(number), name=f"partition-{self.kernel[0].app_id}-{number}")
            task.add_done_callback(self._task_done)
            self._owners[number] = task
        self._assigned_once = True
        await self._let_flow(generation_id)

    async def _let_flow(self, generation_id: int) -> None:
        if self.app.consumer_generation_id != generation_id:
            return
        self.app.flow_control.resume()
        self.app.consumer.resume_flow()
        await self._kernel_app._fetcher.maybe_start()  # noqa: SLF001 - Faust's own recovery does the same
        self.on_actives_ready()
        self.on_standbys_ready()
        self.app.on_rebalance_end()

    async def _align_standbys(self, owned: set[int]) -> None:
        assigned = {
            tp.partition for tp in self.app.assignor.assigned_standbys() if tp.topic in self.kernel[0].sources
        }
        wanted = assigned - owned
        for number in sorted(set(self.standbys) - wanted - owned):
            await self.standbys.pop(number).stop()
        for number in sorted(wanted - set(self.standbys)):
            standby = Standby(number, *self.kernel, self._cache_share(owned))
            self.standbys[number] = standby
            standby.start()

    def _cache_share(self, owned: Iterable[int]) -> int:
        return self.kernel[0].cache_bytes // max(1, len(set(owned)))

    # -- one partition

    async def _own(self, number: int) -> None:
        """Own a partition until it is told to stop: acquire it if need be, run it, begin again on failure."""
        partition = self.partitions.get(number)
        if partition is None:
            partition = self.partitions[number] = Partition(
                number, *self.kernel, self._cache_share(self._owners)
            )
            standby = self.standbys.pop(number, None)
            if standby is not None:
                partition.adopt(await standby.promote())
        partition.take_again()
        attempt = 0
        while not partition.stopping:
            began_s = time.monotonic()
            try:
                if not partition.acquired:
                    await partition.acquire()
                if partition.acquired and not partition.stopping:
                    await self._begin_reading(partition)
                    await partition.run()
            except TooManyDead:
                raise
            except Exception as failure:
                attempt = 1 if time.monotonic() - began_s > _CALM_S else attempt + 1
                if not await self._begin_again(partition, failure, attempt):
                    raise

    async def _begin_again(self, partition: Partition, failure: Exception, attempt: int) -> bool:
        """Make ready to begin again; False where the failure is not one to begin again from."""
        log.warning(
            "partition.begin_again",
            app=self.kernel[0].app_id,
            partition=partition.number,
            error=type(failure).__name__,
            detail=str(failure),
        )
        self.kernel[1].metrics.begun_again(partition.number, type(failure).__name__)
        if not await partition.recover(failure, attempt):
            return False
        if isinstance(failure, Fenced):
            await self._confirm_membership()
        return True

    async def _begin_reading(self, partition: Partition) -> None:
        """Seek to the markers while the source partitions are paused, then resume them."""
        tps = {TP(topic, partition.number) for topic in self.kernel[0].sources}
        consumer = self._consumer
        markers = partition.store.positions()
        positions = {tp: markers[tp.topic] for tp in tps if tp.topic in markers}
        first = await consumer.earliest_offsets(*tps)
        for tp in tps:
            earliest = first.get(tp, 0)
            marker = positions.setdefault(tp, earliest)
            if marker < earliest:
                log.error(
                    "records.expired",
                    topic=tp.topic,
                    partition=tp.partition,
                    marker=marker,
                    earliest=earliest,
                )
                self.kernel[1].metrics.expired(tp, earliest - marker)
                positions[tp] = earliest
        partition.resume(positions)
        await consumer.begin_at(positions)
        consumer.resume_partitions(tps)

    async def _confirm_membership(self) -> None:
        """Ask the group coordinator whether this worker is still a member before it fences anybody.

        A worker that slept through a rebalance is fenced by the new owner. If it took its producer back
        at once, it would fence the true owner; a commit to the group is refused for a former member.
        """
        assigned = self.app.consumer.assignment()
        offsets = {
            tp: offset
            for partition in self.partitions.values()
            for tp, offset in partition.applied.items()
            if tp in assigned
        }
        if offsets:
            await self._consumer._commit(offsets)  # noqa: SLF001
        else:
            await asyncio.sleep(self.app.conf.broker_session_timeout)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        log.error("partition.failed", task=task.get_name(), exc_info=error)
        self._kernel_app.fail(error)

    async def on_stop(self) -> None:
        """Drain, then close everything cleanly."""
        await self._kernel_app._fetcher.stop()  # noqa: SLF001
        for partition in self.partitions.values():
            partition.stop_taking()
        await self.drain()
        for standby in self.standbys.values():
            await standby.stop()
        self.standbys.clear()
        for partition in self.partitions.values():
            await partition.close()
        self.partitions.clear()

    @property
    def ready(self) -> bool:
        """Whether every owned partition is restored and running; False before the first assignment."""
        return self._assigned_once and all(partition.running for partition in self.partitions.values())
