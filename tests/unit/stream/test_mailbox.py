"""What waits for a partition's next transaction."""

from __future__ import annotations

from tests.unit.stream.kit import NOW, TP0, batch
from workers.stream.background import Task
from workers.stream.batch import TP
from workers.stream.mailbox import Mailbox

OTHER = TP("second", 0)


def mailbox(room: int = 10) -> Mailbox:
    """An empty one that reads both topics from their beginning."""
    box = Mailbox(("events", "second"), room)
    box.reset({TP0: 0, OTHER: 0})
    return box


def test_a_batch_that_skips_or_repeats_is_refused() -> None:
    """Whatever the transport did: only the batch that begins where the last one ended is taken."""
    box = mailbox()
    assert box.put(batch(0, b"a", b"b"))
    assert not box.put(batch(0, b"a", b"b"))
    assert not box.put(batch(3, b"d"))
    assert box.put(batch(2, b"c"))
    assert not box.put(batch(0, b"x", tp=TP("unknown", 0)))
    assert box.expected[TP0] == 3
    assert box.waiting == 3


def test_topics_are_taken_in_their_order() -> None:
    """Whatever came first: the first topic's records are decided first."""
    box = mailbox()
    box.put(batch(0, b"x", tp=OTHER))
    box.put(batch(0, b"a"))
    taken, _ = box.take(10)
    assert [one.tp for one in taken] == [TP0, OTHER]


def test_at_most_so_many_records_are_taken() -> None:
    """A batch that does not fit is split; the rest waits at its place."""
    box = mailbox()
    box.put(batch(0, b"a", b"b", b"c"))
    box.put(batch(3, b"d", b"e"))
    sizes = []
    while box.waiting:
        taken, _ = box.take(2)
        sizes.append([(one.start, one.end) for one in taken])
    assert sizes == [[(0, 2)], [(2, 3), (3, 4)], [(4, 5)]]


def test_notices_are_all_taken_also_without_room_for_records() -> None:
    """What effects brought back is never held up by records."""
    box = mailbox()
    box.put(batch(0, b"a"))
    box.notify("one")
    box.notify("two")
    assert box.notices_wait
    assert box.take(0) == ([], ["one", "two"])
    assert not box.notices_wait
    assert box.waiting == 1


def test_room_is_counted_by_topic_in_records() -> None:
    """A full topic is left out of the next fetch, and comes back when it was taken from."""
    box = mailbox(room=2)
    box.put(batch(0, b"a", b"b"))
    assert not box.has_room("events")
    assert box.has_room("second")
    box.take(1)
    assert box.has_room("events")


def test_a_reset_forgets_batches_and_keeps_notices() -> None:
    """Batches are read again; what an effect brought back would be lost."""
    box = mailbox()
    box.put(batch(0, b"a"))
    box.notify("kept")
    box.reset({TP0: 7})
    assert box.oldest_ms("events") is None
    assert box.has_room("events")
    assert box.put(batch(7, b"h"))
    taken, notices = box.take(10)
    assert ([one.start for one in taken], notices) == ([7], ["kept"])


def test_the_oldest_waiting_record_tells_the_lag() -> None:
    """By Kafka's timestamp; None where nothing waits."""
    box = mailbox()
    assert box.oldest_ms("events") is None
    box.put(batch(0, b"a"))
    assert box.oldest_ms("events") == NOW


class Looking(Task, frozen=True):
    """A task."""

    at: int


def test_tasks_take_turns_and_what_remains_waits_behind_the_others() -> None:
    """One that waits already is not queued twice, and none holds up the end, as a notice does."""
    box = mailbox()
    for task in (Looking(1), Looking(2), Looking(1)):
        box.notify(task)
    assert not box.notices_wait
    assert box.waiting == 0
    seen = []
    while box.task is not None:
        seen.append(box.task)
        box.task_done(Looking(3) if box.task == Looking(1) else None)
    assert seen == [Looking(1), Looking(2), Looking(3)]


def test_a_new_logic_begins_with_tasks_of_its_own() -> None:
    """Going on with half a sweep would say that all of it was done; what an effect brought back is kept."""
    box = mailbox()
    box.notify(Looking(1))
    box.notify("kept")
    box.begin([Looking(2), "new"])
    assert box.task == Looking(2)
    assert box.take(0)[1] == ["kept", "new"]
