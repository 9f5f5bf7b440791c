"""One owned partition: it acquires, restores, and then turns batches, timers and notices into transactions.

On assignment, in this order: take the partition's producer, which fences the former owner and ends its
open transaction; claim; restore the changelog up to the claim; let reading begin at the markers; run.
The order matters: a former owner that still lives cannot commit any more when the restore begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from aiokafka import TopicPartition

from workers.clock import SystemClock
from workers.errors import Fenced, Retryable
from workers.stream import changelog, deadletters
from workers.stream.background import Background
from workers.stream.mailbox import Mailbox
from workers.stream.store import META, DiskFull, PartitionStore, StoreBroken
from workers.stream.transaction import PartitionProducer, Step
from workers.stream.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from rocksdict import Cache

    from workers.clock import Clock
    from workers.stream.background import Task
    from workers.stream.batch import TP, Batch
    from workers.stream.logic import PartitionLogic
    from workers.stream.metrics import StreamMetrics
    from workers.stream.store import Timer

log = structlog.get_logger(__name__)

WALL = SystemClock()
"""Kafka's retention runs on the wall clock, whatever clock the application runs on."""

SEAL = META + b"seal"
"""Key of the last changelog record of each transaction. It is not a row; its offset tells where the
changelog stands, also for a transaction without any change."""

_READ_INLINE = 64
"""Fewer rows than this are read on the loop: a hop to a thread costs more."""

_LONGEST_CYCLE_S = 0.25
"""Longest wait for more records between two small transactions."""

_BACKOFF_S = (0.1, 0.5, 2.0, 5.0)
"""Waits before a partition begins again after a failure: short at first, never long."""


_DECIDE_S = 1.0
"""How long one transaction may decide: nothing else of the process runs meanwhile, and a rebalance waits."""

_FIRST_RECORDS = 2_000
"""What a transaction takes before it is known how long a record takes."""

_LEAST_RECORDS = 100
"""Fewer tell little of how long a record takes, and do not pay for a transaction."""


@dataclass(frozen=True)
class KernelConfig:
    """What the partitions of one application share.

    ``sources`` are the topics of the application in the order in which a transaction takes them;
    ``linger_ms`` is the least time between two transactions of a partition that has little to do;
    ``tombstone_retention_ms`` is how long the changelog keeps deletions; ``drain_s`` is how long a partition
    may take to let go, of which ``effects_s`` are for deliveries under way.
    """

    app_id: str
    bootstrap: str
    state_dir: Path
    sources: tuple[str, ...]
    changelog: str
    dead_letters: str = "dead-letters"
    batch_records: int = 20_000
    timers_per_turn: int = 5_000
    linger_ms: int = 20
    cache_bytes: int = 256 * 1024 * 1024
    dead_letter_share: float = 0.5
    tombstone_retention_ms: int = 6 * 86_400_000
    drain_s: float = 30.0
    effects_s: float = 10.0
    producer_options: tuple[tuple[str, Any], ...] = ()
    consumer_options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class KernelParts:
    """The running parts that the partitions of one application share.

    ``on_step`` is told of every step; ``background`` says when which of them may work on a task.
    """

    clock: Clock
    metrics: StreamMetrics
    executor: Executor
    block_cache: Cache | None
    new_logic: Callable[[int], PartitionLogic]
    on_step: Callable[[Step, int], None]
    background: Background = field(default_factory=Background)


def cycle_s(linger_ms: int, turn_s: float) -> float:
    """Least time from the beginning of one small transaction to that of the next; the last took ``turn_s``.

    Twice as long as that, within limits: brokers that are busy get fewer and larger transactions, which is
    what makes them fast again.
    """
    return min(max(linger_ms / 1000, 2 * turn_s), max(linger_ms / 1000, _LONGEST_CYCLE_S))


def records_in_time(before: int, most: int, records: int, decided_s: float) -> int:
    """How many records the next transaction takes, at most ``most``, after ``records`` took ``decided_s``.

    So many as are decided within ``_DECIDE_S``, and never fewer than ``_LEAST_RECORDS``; as many as
    ``before`` where there were too few to tell.
    """
    if records < _LEAST_RECORDS or decided_s <= 0:
        return before
    return max(_LEAST_RECORDS, min(most, int(records * _DECIDE_S / decided_s)))


class Partition:
    """One partition that this worker owns."""

    def __init__(self, number: int, config: KernelConfig, parts: KernelParts, cache_bytes: int) -> None:
        self.number = number
        self.running = False
        self.acquired = False
        self.applied: dict[TP, int] = {}
        self.applied_ms: dict[TP, int] = {}
        self.mailbox = Mailbox(config.sources, config.batch_records)
        self._config = config
        self._parts = parts
        self._cache_bytes = cache_bytes
        self._logic = parts.new_logic(number)
        self._limits = {
            topic: deadletters.DeadLetterLimit(topic, config.dead_letter_share) for topic in config.sources
        }
        self._store: PartitionStore | None = None
        self._producer: PartitionProducer | None = None
        self._wake = asyncio.Event()
        self._stopping = self._renew = False
        self._now_ms = 0
        self._next_due_ms: int | None = None
        self._last_turn = self._turn_s = 0.0
        self._most = min(config.batch_records, _FIRST_RECORDS)

    @property
    def path(self) -> Path:
        """Where the partition's database lives."""
        return self._config.state_dir / self._config.app_id / f"p{self.number}"

    @property
    def store(self) -> PartitionStore:
        """The open store; only while the partition is acquired."""
        assert self._store is not None, "the partition is not acquired"
        return self._store

    def now_ms(self) -> int:
        """The partition's time: the clock's, never going back."""
        self._now_ms = max(self._now_ms, self._parts.clock.now_ms())
        return self._now_ms

    # -- acquire

    async def acquire(self) -> None:
        """Fence, claim, restore. May be called again after a failure.

        Returns early, with :attr:`acquired` False, when the partition is told to stop meanwhile: a restore of
        an hour must not hold up a rebalance, and goes on where it was interrupted.
        """
        self.acquired = False
        started = time.monotonic()
        if self._store is None:
            self._store = await self._in_thread(self._open_store)
        claim_offset = await self._in_thread(self._fence_and_claim)
        options = dict(self._config.consumer_options)
        async with changelog.open_reader(
            self._config.bootstrap, self._config.changelog, self.number, options
        ) as reader:
            tp = TopicPartition(self._config.changelog, self.number)
            reason = await changelog.must_rebuild(
                reader, tp, self.store, WALL.now_ms(), self._config.tombstone_retention_ms
            )
            if reason is not None:
                log.warning(
                    "partition.rebuild", app=self._config.app_id, partition=self.number, reason=reason
                )
                await self._wipe()
                self._store = await self._in_thread(self._open_store)
            records = await changelog.restore(
                reader,
                tp,
                self.store,
                claim_offset=claim_offset,
                now_ms=WALL.now_ms,
                report=self._parts.metrics.restoring,
                keep_on=lambda: not self._stopping,
            )
        if records is None:
            return
        self.acquired = True
        self._next_due_ms = self.store.next_due_ms()
        self.mailbox.begin(self._logic.opened(self.store))
        took_s = time.monotonic() - started
        self._parts.metrics.restored(self.number, records, took_s)
        log.info(
            "partition.acquired",
            app=self._config.app_id,
            partition=self.number,
            restored=records,
            seconds=round(took_s, 3),
        )

    def _open_store(self) -> PartitionStore:
        try:
            return PartitionStore(
                self.path, cache_bytes=self._cache_bytes, block_cache=self._parts.block_cache
            )
        except StoreBroken as broken:
            # A database that cannot be opened is not repaired: repairing loses rows silently (measured).
            log.warning("store.broken", app=self._config.app_id, partition=self.number, error=str(broken))
            PartitionStore.destroy(self.path)
            return PartitionStore(
                self.path, cache_bytes=self._cache_bytes, block_cache=self._parts.block_cache
            )

    def adopt(self, store: PartitionStore | None) -> None:
        """Take over the store of a warm standby, if it has one."""
        self._store = store

    def _fence_and_claim(self) -> int:
        config = self._config
        self._close_producer()
        self._producer = PartitionProducer(
            config.bootstrap, config.app_id, self.number, dict(config.producer_options)
        )
        self._producer.fence()
        self._producer.begin()
        value = msgspec.msgpack.encode({"at_ms": self.now_ms()})
        self._producer.produce(config.changelog, self.number, (), (changelog.CLAIM, value), ())
        offset = self._producer.flush()
        self._producer.commit()
        return offset

    # -- run

    async def run(self) -> None:
        """Turn what arrives into transactions until :meth:`stop_taking` is called or something fails."""
        try:
            while not self._stopping:
                if self._renew:
                    await self._take_new_logic()
                await self._wait_for_work()
                if not self._stopping:
                    await self._turn(self._most)
            await self._finish_effects()
        finally:
            self.running = False

    async def _finish_effects(self) -> None:
        """Give effects under way the time to end, and commit what became of them."""
        deadline = time.monotonic() + self._config.effects_s
        while self._logic.busy or self.mailbox.notices_wait:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                log.warning("partition.effects_cut_off", app=self._config.app_id, partition=self.number)
                return
            if self.mailbox.notices_wait:
                await self._turn(0)
                continue
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left_s)

    def renew(self) -> None:
        """Decide by a new logic from the next transaction on; the one under way ends with the old."""
        self._renew = True
        self._wake.set()

    async def _take_new_logic(self) -> None:
        self._renew = False
        await self._logic.close()
        self._logic = self._parts.new_logic(self.number)
        self.mailbox.begin(self._logic.opened(self.store))

    def has_room(self, topic: str) -> bool:
        """Whether another batch of ``topic`` should be fetched."""
        takes = self.running and not self._stopping
        return takes and self.mailbox.has_room(topic) and self._logic.has_room(topic)

    def submit(self, batch: Batch) -> bool:
        """Queue a batch; False where the kernel does not expect it."""
        accepted = self.running and not self._stopping and self.mailbox.put(batch)
        if accepted:
            self._wake.set()
        return accepted

    def notify(self, notice: Any) -> None:
        """Queue what an effect brought back."""
        self.mailbox.notify(notice)
        self._wake.set()

    async def _wait_for_work(self) -> None:
        while not (self._stopping or self._renew or self.mailbox.waiting):
            wait_s = self._seconds_to_work()
            if wait_s is not None and wait_s <= 0:
                break
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)
        if self.mailbox.waiting < self._config.batch_records // 2:
            linger_s = self._last_turn + cycle_s(self._config.linger_ms, self._turn_s) - time.monotonic()
            if linger_s > 0 and not self._stopping:
                await asyncio.sleep(linger_s)

    def _seconds_to_work(self) -> float | None:
        """How long until a timer is due, or a task may go on; None: until something comes."""
        waits_s = []
        if self._next_due_ms is not None:
            waits_s.append(self._parts.clock.seconds_until(self._next_due_ms))
        if self.mailbox.task is not None:
            waits_s.append(self._parts.background.wait_s())
        return min(waits_s, default=None)

    async def _turn(self, most: int) -> None:
        """One transaction of at most ``most`` records: steps 1 to 8 of :mod:`workers.stream.transaction`.

        With ``most`` 0 only notices are taken.
        """
        self._last_turn = started = time.monotonic()
        now_ms = self.now_ms()
        batches, notices = self.mailbox.take(most)
        timers = self._due(now_ms) if most else []
        idle = not (batches or notices or timers)
        if idle and not (most and self._may_work()):
            return
        turn = Turn(self._logic, self.store, batches, notices, timers, now_ms)
        await self._read(turn)
        self._step(Step.READ)
        deciding = time.monotonic()
        self._parts.metrics.put_off(turn.decide())
        if most:
            records = sum(len(batch.records) for batch in batches)
            decided_s = time.monotonic() - deciding
            self._most = records_in_time(self._most, self._config.batch_records, records, decided_s)
        task = self.mailbox.task if most and self._may_work() else None
        if task is None and idle:
            return  # another partition's task came first
        rest = self._work(task, turn) if task is not None else None
        turn.finish()
        for topic, seen, dead in turn.seen_and_dead():
            self._limits[topic].count(seen, dead)
        changes = turn.changes()
        outputs = turn.outputs(self._config.dead_letters, self._config.app_id)
        self._step(Step.DECIDE)
        await self._in_thread(self._commit, changes, outputs)
        self.applied.update(turn.positions)
        self.applied_ms.update((batch.tp, batch.records[-1].timestamp) for batch in batches)
        self._next_due_ms = self.store.next_due_ms()
        if task is not None:
            self.mailbox.task_done(rest)
        if turn.view.effects:
            await self._logic.act(turn.view.effects, self.notify)
        turn.keep()
        self._step(Step.ACK)
        self._turn_s = time.monotonic() - started
        self._parts.metrics.turn(batches, timers, changes, turn.view, self._turn_s)

    def _may_work(self) -> bool:
        return self.mailbox.task is not None and self._parts.background.wait_s() <= 0

    def _work(self, task: Task, turn: Turn) -> Task | None:
        """A slice of a task; what remains of it."""
        background, began = self._parts.background, time.monotonic()
        done = turn.work(task, background.rows(task))
        background.took(task, done.rows, time.monotonic() - began)
        return done.rest

    def _due(self, now_ms: int) -> list[Timer]:
        if self._next_due_ms is None or self._next_due_ms > now_ms:
            return []
        return self.store.due(now_ms, self._config.timers_per_turn)

    async def _read(self, turn: Turn) -> None:
        """Step 1."""
        missing = turn.prepare()
        if not missing:
            turn.fill({})
        elif len(missing) < _READ_INLINE:
            turn.fill(dict(zip(missing, self.store.read(missing), strict=True)))
        else:
            rows = await self._in_thread(self.store.read, missing)
            turn.fill(dict(zip(missing, rows, strict=True)))

    def _commit(self, changes: dict[bytes, bytes | None], outputs: list[Any]) -> None:
        """Steps 3 to 7; blocks."""
        producer = self._producer
        assert producer is not None, "the partition is not acquired"
        producer.begin()
        self._step(Step.BEGIN)
        producer.produce(self._config.changelog, self.number, changes.items(), (SEAL, b""), outputs)
        self._step(Step.PRODUCE)
        seal_offset = producer.flush()
        self._step(Step.FLUSH)
        producer.commit()
        self._step(Step.COMMIT)
        self.store.write(changes, changelog_next=seal_offset + 1, now_ms=WALL.now_ms())
        self._step(Step.WRITE)

    def _step(self, step: Step) -> None:
        self._parts.on_step(step, self.number)

    # -- let go

    @property
    def stopping(self) -> bool:
        """Whether the partition was told to take no further work."""
        return self._stopping

    def stop_taking(self) -> None:
        """Finish the transaction under way and no more; :meth:`run` returns, the state stays open."""
        self._stopping = True
        self._wake.set()

    def take_again(self) -> None:
        """Undo :meth:`stop_taking`."""
        self._stopping = False

    def resume(self, positions: dict[TP, int]) -> None:
        """Let reading begin at ``positions``; what waits in the mailbox is forgotten."""
        self.applied = dict(positions)
        self.mailbox.reset(positions)
        self.running = True

    async def close(self, *, flush: bool = True) -> None:
        """Give up the partition: effects, producer, files."""
        self.running = False
        await self._logic.close()
        await self._in_thread(self._close_producer)
        if self._store is not None:
            store, self._store = self._store, None
            await self._in_thread(store.close if flush else store.abandon)

    async def recover(self, failure: Exception, attempt: int) -> bool:
        """Drop what is in memory after a failure; False where the failure is not one to begin again from."""
        if not isinstance(failure, (Retryable, Fenced, StoreBroken, DiskFull)):
            return False
        self.running = self.acquired = False
        await self._logic.close()
        self._logic = self._parts.new_logic(self.number)
        await self._in_thread(self._close_producer)
        if isinstance(failure, StoreBroken):
            await self._wipe()
        await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
        return True

    async def _wipe(self) -> None:
        if self._store is not None:
            store, self._store = self._store, None
            await self._in_thread(store.abandon)
        await self._in_thread(PartitionStore.destroy, self.path)

    def _close_producer(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.close()

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._parts.executor, call, *args)
