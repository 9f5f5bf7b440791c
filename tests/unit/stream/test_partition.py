"""One partition's loop, on a real store and a producer that only remembers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.stream.kit import COUNTS, NOW, TP0, Bench, CountLogic, FakeProducer, batch
from workers.errors import Misconfigured, Retryable, TooManyDead
from workers.stream.background import Done, Task
from workers.stream.batch import TP
from workers.stream.deadletters import PANE_RECORDS
from workers.stream.partition import SEAL, cycle_s
from workers.stream.store import DiskFull, StoreBroken, position_change
from workers.stream.transaction import Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from workers.stream.store import PartitionStore
    from workers.stream.view import View

SECOND = TP("second", 0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A running partition."""
    made = Bench(tmp_path)
    yield made
    await made.close()


async def test_a_turn_is_one_transaction_of_rows_outputs_and_markers(bench: Bench) -> None:
    """What was read, decided and sent commits as a whole, then the store shows it."""
    await bench.turn(batch(0, b"a", b"b"), batch(0, b"x", tp=SECOND))
    assert bench.producer.transactions == 1
    assert bench.outputs("echo") == [b"a", b"b", b"x"]
    assert bench.count() == 3
    assert (
        dict([position_change("events", 2), position_change("second", 1)]).items()
        <= dict(bench.producer.changes).items()
    )
    assert bench.store.positions() == {"events": 2, "second": 1}
    assert bench.store.changelog_next == bench.producer.offset
    assert bench.partition.applied == {TP0: 2, SECOND: 1}
    assert SEAL not in dict(bench.producer.changes)


async def test_a_poison_record_is_put_aside_and_the_partition_goes_on(bench: Bench) -> None:
    """Dead letters are part of the same transaction; the marker passes them."""
    await bench.turn(batch(0, b"a", b"bad", b"unreadable", b"bug", b"b"))
    await bench.turn(batch(5, b"c"))
    assert bench.dead() == [(2, "unreadable"), (1, "invalid"), (3, "handler_error")]
    assert bench.count() == 3
    assert bench.store.positions() == {"events": 6}


async def test_most_of_a_topic_being_bad_stops_the_loop(bench: Bench) -> None:
    """Not only the counter: `run` ends with the error, and the last transaction was not committed."""
    running = asyncio.create_task(bench.partition.run())
    start = 0
    while not running.done():
        assert bench.partition.submit(batch(start, *[b"unreadable"] * 200))
        start += 200
        while bench.partition.mailbox.waiting and not running.done():  # noqa: ASYNC110 - the loop tells nobody
            await asyncio.sleep(0)
        assert start <= 2 * PANE_RECORDS
    with pytest.raises(TooManyDead):
        await running
    assert not bench.partition.running
    committed = bench.store.positions()["events"]
    assert len(bench.dead()) == committed < PANE_RECORDS
    assert not bench.partition.submit(batch(start, b"a"))
    assert not await bench.partition.recover(TooManyDead("events", 1, 1), 1)


async def test_an_allowed_share_of_bad_records_stops_nothing(bench: Bench) -> None:
    """A tenth of the records is bad, and a transaction takes many batches: each letter counts once."""
    values = [b"a"] * 90 + [b"unreadable"] * 10
    for turn in range(3):
        await bench.turn(*(batch((turn * 10 + part) * 100, *values) for part in range(10)))
    assert bench.store.positions() == {"events": 3_000}
    assert len(bench.dead()) == 300


async def test_the_topics_are_judged_apart(bench: Bench) -> None:
    """A good topic does not hide a bad one."""
    with pytest.raises(TooManyDead, match="'second'"):
        await bench.turn(batch(0, *[b"a"] * 3_000), batch(0, *[b"unreadable"] * PANE_RECORDS, tp=SECOND))
    assert bench.producer.transactions == 0


async def test_a_timer_due_before_a_record_acts_before_it(bench: Bench) -> None:
    """Timers fire in the order of their times, and once."""
    values = [(b"late", b"timer:%d" % (NOW + 9)), (b"soon", b"timer:%d" % (NOW + 5))]
    for at, (key, value) in enumerate(values):
        await bench.turn(batch(at, value, key=key))
    await bench.turn(batch(2, b"now"))
    assert bench.logic.fired == []
    bench.clock.time_ms = NOW + 10
    await bench.turn(batch(3, b"then"))
    assert [key for key, _ in bench.logic.fired] == [b"soon", b"late"]
    assert bench.outputs("echo")[2:] == [b"now", b"fired", b"fired", b"then"]
    bench.clock.time_ms = NOW + 1_000
    await bench.turn(batch(4, b"more"))
    assert len(bench.logic.fired) == 2


@pytest.mark.parametrize(
    ("linger_ms", "turn_s", "expected_s"),
    [
        # quick brokers: what is set
        (20, 0.005, 0.020),
        # brokers that take longer get half of the time to themselves
        (20, 0.040, 0.080),
        # but nobody waits for long
        (20, 3.0, 0.250),
        # unless that is what is set
        (1_000, 3.0, 1.0),
    ],
)
def test_slow_transactions_become_fewer(linger_ms: int, turn_s: float, expected_s: float) -> None:
    """The pause grows with what a transaction takes, within limits."""
    assert cycle_s(linger_ms, turn_s) == pytest.approx(expected_s)


async def test_a_partitions_time_never_goes_back(bench: Bench) -> None:
    """Whatever the clock of the machine does."""
    assert bench.partition.now_ms() == NOW
    bench.clock.time_ms = NOW - 5_000
    assert bench.partition.now_ms() == NOW


@pytest.mark.parametrize("step", ["begin", "produce", "flush", "commit"])
async def test_a_transaction_that_fails_leaves_nothing(bench: Bench, step: str) -> None:
    """Rows, also decoded ones, are those of the last commit; a batch that is repeated counts once."""
    await bench.turn(batch(0, b"a"))
    bench.producer.fail_at = step
    with pytest.raises(Retryable):
        await bench.turn(batch(1, b"b", b"c"))
    assert bench.count() == 1
    assert bench.partition.applied == {TP0: 1, SECOND: 0}
    assert bench.outputs("echo") == [b"a"]
    assert await bench.partition.recover(Retryable(step), 0)
    assert bench.producer.closed
    bench.partition._producer = FakeProducer()  # type: ignore[assignment]
    bench.partition.resume({TP0: 1, SECOND: 0})
    await bench.turn(batch(1, b"b", b"c"))
    assert bench.count() == 3


async def test_the_steps_are_taken_in_their_order(tmp_path: Path) -> None:
    """Each once for a transaction, none where there is nothing to do."""
    steps: list[Step] = []
    bench = Bench(tmp_path, on_step=lambda step, number: steps.append(step))
    await bench.turn()
    assert steps == []
    await bench.turn(batch(0, b"a"))
    assert steps == list(Step)
    await bench.close()


async def test_a_broken_store_is_removed_and_a_full_disk_is_not(bench: Bench) -> None:
    """What cannot be read is rebuilt from the changelog; what is only full is kept."""
    await bench.turn(batch(0, b"a"))
    assert await bench.partition.recover(DiskFull("no space"), 0)
    assert bench.partition.path.exists()
    assert await bench.partition.recover(StoreBroken("bad block"), 0)
    assert not bench.partition.path.exists()
    assert bench.logic.closed == 2


async def test_what_is_no_failure_to_begin_again_from_is_handed_on(bench: Bench) -> None:
    """A bug or a wrong setting does not go away by trying again."""
    assert not await bench.partition.recover(Misconfigured("x"), 0)
    assert not await bench.partition.recover(KeyError("x"), 0)


async def test_a_partition_that_lets_go_finishes_its_transaction_and_takes_no_more(bench: Bench) -> None:
    """What waits in the mailbox is read again by the next owner."""
    assert bench.partition.submit(batch(0, b"a"))
    running = asyncio.create_task(bench.partition.run())
    while not bench.partition.applied[TP0]:  # noqa: ASYNC110 - the loop tells nobody
        await asyncio.sleep(0)
    bench.partition.stop_taking()
    assert not bench.partition.submit(batch(1, b"b"))
    assert not bench.partition.has_room("events")
    await running
    assert bench.store.positions() == {"events": 1}
    assert COUNTS.key(b"k") in dict(bench.producer.changes)


async def test_metrics_tell_what_was_committed(bench: Bench) -> None:
    """Records, rows, dead letters and timers, each counted once."""
    await bench.turn(batch(0, b"a", b"bad", b"timer:%d" % (NOW + 2_000)))
    bench.clock.time_ms = NOW + 5_000
    await bench.turn()
    value = bench.registry.get_sample_value
    labels = {"app": "app"}
    assert value("brimful_records_processed_total", labels | {"topic": "events"}) == 3
    assert value("brimful_transactions_total", labels) == 2
    assert value("brimful_dead_letters_total", labels | {"topic": "events", "reason": "invalid"}) == 1
    assert value("brimful_timers_fired_total", labels) == 1
    assert value("brimful_timer_lateness_seconds_sum", labels) == 3.0


async def test_a_new_logic_takes_over_between_two_transactions(bench: Bench) -> None:
    """Never inside one: what was read by the old logic is decided and committed by it."""
    old = bench.logic
    seen: list[object] = []

    def in_the_middle(step: Step, _: int) -> None:
        if step is Step.READ and not seen:
            seen.append(bench.partition._logic)
            bench.partition.renew()

    bench.partition._parts = replace(bench.partition._parts, on_step=in_the_middle)
    bench.logic = CountLogic("new")
    running = asyncio.create_task(bench.partition.run())
    assert bench.partition.submit(batch(0, b"a"))
    while bench.producer.transactions < 1:  # noqa: ASYNC110 - the loop tells nobody
        await asyncio.sleep(0)
    assert bench.partition.submit(batch(1, b"b"))
    while bench.producer.transactions < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    bench.partition.stop_taking()
    await running
    assert (bench.outputs("echo"), bench.outputs("new")) == ([b"a"], [b"b"])
    assert seen == [old]
    assert old.closed == 1


class Looking(Task, frozen=True):
    """So many rows remain to be looked at; at 0 something breaks."""

    rows: int


class Sweeper(CountLogic):
    """Looks at the rows that a task names."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.begins_with = rows

    def opened(self, store: PartitionStore) -> Sequence[Any]:
        """A task."""
        return [Looking(self.begins_with)]

    def work(self, task: Any, most: int, view: View, now_ms: int) -> Done:
        """One output of each slice."""
        if task.rows == 0:
            raise KeyError("a bug")
        rows = min(most, task.rows)
        view.send("looked", None, str(rows).encode())
        return Done(rows, Looking(task.rows - rows) if rows < task.rows else None)


async def work_off(bench: Bench, logic: Sweeper) -> None:
    """Let this logic do all its tasks."""
    bench.logic = logic
    await bench.partition._take_new_logic()
    while bench.partition.mailbox.task is not None:
        await bench.partition._wait_for_work()
        await bench.turn()


async def test_a_task_is_done_in_slices_beside_which_records_come_through(bench: Bench) -> None:
    """All of it, once; a slice that finds records takes them along."""
    assert bench.partition.submit(batch(0, b"a"))
    await work_off(bench, Sweeper(160))
    looked = [int(value or b"") for value in bench.outputs("looked")]
    assert sum(looked) == 160
    assert len(looked) > 1
    assert bench.outputs("echo") == [b"a"]


async def test_a_task_that_raises_is_dropped_and_the_partition_goes_on(bench: Bench) -> None:
    """Whoever opens the partition next begins it anew."""
    await work_off(bench, Sweeper(0))
    await bench.turn(batch(0, b"a"))
    assert bench.count() == 1


async def test_a_slice_whose_transaction_fails_is_no_progress(bench: Bench) -> None:
    """What remains is taken up when, and only when, it is committed."""
    bench.logic = Sweeper(60)
    bench.partition.renew()
    await bench.partition._take_new_logic()
    bench.producer.fail_at = "commit"
    with pytest.raises(Retryable):
        await bench.turn()
    assert bench.partition.mailbox.task == Looking(60)
