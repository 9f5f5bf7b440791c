"""One partition that a simulated worker owns: the kernel's steps, one by one, so that others come between.

The order is that of :mod:`workers.stream.partition`; what is decided is decided by the same code
(:class:`workers.stream.turn.Turn`). Each ``yield`` is a moment at which others go on, or the worker dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from workers.errors import Fenced, Retryable
from workers.simulate.log import Producer
from workers.stream import changelog
from workers.stream.batch import TP, Batch
from workers.stream.mailbox import Mailbox
from workers.stream.partition import SEAL
from workers.stream.transaction import Step
from workers.stream.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Generator

    from workers.simulate.log import MemoryLog
    from workers.simulate.loop import VirtualLoop
    from workers.simulate.store import MemoryStore
    from workers.stream.app import AppSpec
    from workers.stream.store import Timer

Pauses: TypeAlias = "Generator[int | None, None, None]"
"""What an owner does, in pieces: each yields how long it takes (ms); None: until there is work."""

_EFFECTS_MS = 10_000
"""How long an owner that lets go waits for effects under way, as ``KernelConfig.effects_s``."""

_AGAIN_MS = 500
"""The pause after a failure."""

_ROWS = 7
"""What a slice of a task looks at: so few that others come between."""


class Surroundings(Protocol):
    """What an owner is told by who drives it."""

    loop: VirtualLoop
    log: MemoryLog

    def batch_records(self, owner: Owner) -> int:
        """At most how many records of each topic the next transaction takes."""
        ...

    def step(self, owner: Owner, step: Step) -> int:
        """A step is done: how long (ms) until the next; raises what goes wrong between them."""
        ...

    def is_owner(self, owner: Owner) -> bool:
        """Whether the group still counts this owner as the partition's."""
        ...

    def wake(self, owner: Owner) -> None:
        """Resume an owner that is idle, if it has work now."""
        ...


class Owner:
    """The owner of one partition of one application, on the worker whose clock is ``skew_ms`` ahead.

    ``store`` is what its disk holds when it begins. Drive it by :meth:`resume`.
    """

    def __init__(
        self, spec: AppSpec, number: int, around: Surroundings, worker: str, skew_ms: int, store: MemoryStore
    ) -> None:
        self.spec = spec
        self.number = number
        self.worker = worker
        self.skew_ms = skew_ms
        self.store = store
        self.over = False
        self.idle = False
        self.stopping = False
        self.renewed = False
        self._around = around
        self._logic = spec.new_logic(number)
        self._mailbox = Mailbox(spec.config.sources, spec.config.batch_records)
        self._producer: Producer | None = None
        self._now_ms = 0
        self._next_due_ms: int | None = None
        self._life = self._live()

    @property
    def name(self) -> str:
        """For people: application, partition and worker."""
        return f"{self.spec.config.app_id}/{self.number}@{self.worker}"

    def clock_ms(self) -> int:
        """What the worker's clock reads."""
        return self._around.loop.now_ms + self.skew_ms

    def now_ms(self) -> int:
        """The partition's time: the clock's, never going back."""
        self._now_ms = max(self._now_ms, self.clock_ms())
        return self._now_ms

    def resume(self) -> int | None:
        """Go on to the next pause: its length (ms), or None: until :meth:`has_work`, or for good."""
        self.idle = False
        try:
            pause_ms = next(self._life)
        except StopIteration:
            self.over = True
            return None
        self.idle = pause_ms is None
        return pause_ms

    def kill(self) -> None:
        """Be gone at once, with all that was only in memory."""
        self.over = True
        self._life.close()
        self._around.loop.complete(self._logic.close())

    def wakes_ms(self) -> int | None:
        """When, by true time, its next timer is due; None without timers."""
        return None if self._next_due_ms is None else self._next_due_ms - self.skew_ms

    def has_work(self) -> bool:
        """Whether something waits for it."""
        news = self.stopping or self.renewed
        waiting = bool(self._mailbox.waiting or self._mailbox.task)
        return news or waiting or self._is_due() or self._can_read()

    def renew(self) -> None:
        """Decide by a new logic from the next transaction on; the one under way ends with the old."""
        self.renewed = True
        self._around.wake(self)

    # -- its life

    def _live(self) -> Pauses:
        while not self.stopping:
            try:
                yield from self._acquire()
                while not self.stopping:
                    if not self.has_work():
                        yield None
                        continue
                    if self.renewed:
                        self._take_new_logic()
                    yield from self._turn(self._around.batch_records(self))
                yield from self._finish_effects()
            except (Retryable, Fenced) as failure:
                if isinstance(failure, Fenced) and not self._around.is_owner(self):
                    break
                self._around.loop.complete(self._logic.close())
                self._logic = self.spec.new_logic(self.number)
                yield _AGAIN_MS
        self._around.loop.complete(self._logic.close())

    def _take_new_logic(self) -> None:
        self.renewed = False
        self._around.loop.complete(self._logic.close())
        self._logic = self.spec.new_logic(self.number)
        self._mailbox.begin(self._logic.opened(self.store))  # type: ignore[arg-type]  # as above

    def _acquire(self) -> Pauses:
        """Fence, claim, restore, seek."""
        config, log = self.spec.config, self._around.log
        self._producer = Producer(log, f"{config.app_id}-{self.number}")
        self._producer.fence()
        self._producer.begin()
        claim = (changelog.CLAIM, msgspec.msgpack.encode({"at_ms": self.now_ms()}))
        self._producer.produce(config.changelog, self.number, (), claim, ())
        claim_offset = self._producer.flush()
        self._producer.commit()
        yield 1
        records = log.read(config.changelog, self.number, self.store.changelog_next, 10**9)
        changelog.apply_run(
            self.store,  # type: ignore[arg-type]  # the same interface, held by a contract test
            [record for record in records if record.offset <= claim_offset],
            self.now_ms(),
        )
        yield 1
        markers = self.store.positions()
        self._mailbox = Mailbox(config.sources, config.batch_records)
        self._mailbox.reset({self._tp(topic): markers.get(topic, 0) for topic in config.sources})
        self._next_due_ms = self.store.next_due_ms()
        self._mailbox.begin(self._logic.opened(self.store))  # type: ignore[arg-type]  # as above

    def _turn(self, most: int) -> Pauses:
        """One transaction; steps as in :mod:`workers.stream.transaction`."""
        config, around = self.spec.config, self._around
        now_ms = self.now_ms()
        if most:
            self._fetch(most)
        batches, notices = self._mailbox.take(most * len(config.sources))
        timers = self._due(now_ms) if most else []
        if not (batches or notices or timers or self._mailbox.task):
            return
        turn = Turn(self._logic, self.store, batches, notices, timers, now_ms)
        missing = turn.prepare()
        turn.fill(dict(zip(missing, self.store.read(missing), strict=True)))
        yield around.step(self, Step.READ)
        put_off = turn.decide()
        assert not put_off, "a timer could not be decided: see the log"
        task = self._mailbox.task if most else None
        rest = turn.work(task, _ROWS).rest if task is not None else None
        turn.finish()
        changes, outputs = turn.changes(), turn.outputs(config.dead_letters, config.app_id)
        yield around.step(self, Step.DECIDE)
        producer = self._producer
        assert producer is not None, "it was acquired"
        producer.begin()
        yield around.step(self, Step.BEGIN)
        # Rows are changed in the order of a set: sorted, a run is the same in every process.
        rows = sorted(changes.items(), key=lambda change: change[0])
        producer.produce(config.changelog, self.number, rows, (SEAL, b""), outputs)
        yield around.step(self, Step.PRODUCE)
        seal_offset = producer.flush()
        yield around.step(self, Step.FLUSH)
        producer.commit()
        yield around.step(self, Step.COMMIT)
        self.store.write(changes, changelog_next=seal_offset + 1, now_ms=self.clock_ms())
        yield around.step(self, Step.WRITE)
        self._next_due_ms = self.store.next_due_ms()
        if task is not None:
            self._mailbox.task_done(rest)
        if turn.view.effects:
            yield from self._wait_for(self._logic.act(turn.view.effects, self._notify))
        turn.keep()
        yield around.step(self, Step.ACK)

    def _finish_effects(self) -> Pauses:
        deadline_ms = self._around.loop.now_ms + _EFFECTS_MS
        while self._logic.busy or self._mailbox.notices_wait:
            if self._mailbox.notices_wait:
                yield from self._turn(0)
            elif self._around.loop.now_ms >= deadline_ms:
                return
            else:
                yield 100

    def _wait_for(self, coroutine: Any) -> Pauses:
        task = self._around.loop.run(coroutine)
        while not task.done():
            yield 1
        task.result()

    # -- its input

    def _notify(self, notice: Any) -> None:
        if not self.over:
            self._mailbox.notify(notice)
            self._around.wake(self)

    def _tp(self, topic: str) -> TP:
        return TP(topic, self.number)

    def _can_read(self) -> bool:
        expected, log = self._mailbox.expected, self._around.log
        return any(
            log.has_more(tp.topic, self.number, at) and self._logic.has_room(tp.topic)
            for tp, at in expected.items()
        )

    def _fetch(self, most: int) -> None:
        """Put the next records of each topic into the mailbox; the batch before is taken already."""
        for topic in self.spec.config.sources:
            tp = self._tp(topic)
            if not self._logic.has_room(topic):
                continue
            start = self._mailbox.expected[tp]
            records = self._around.log.read(topic, self.number, start, most)
            if records:
                accepted = self._mailbox.put(Batch(tp, records, start, records[-1].offset + 1))
                assert accepted, "a batch begins where the last one ended"

    def _is_due(self) -> bool:
        return self._next_due_ms is not None and self._next_due_ms <= self.clock_ms()

    def _due(self, now_ms: int) -> list[Timer]:
        if self._next_due_ms is None or self._next_due_ms > now_ms:
            return []
        return self.store.due(now_ms, self.spec.config.timers_per_turn)
