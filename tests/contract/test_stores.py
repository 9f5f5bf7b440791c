"""One contract, two stores: the one on RocksDB and the one in memory answer alike, whatever was written."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.simulate.store import MemoryStore
from workers.stream.store import TIMER, PartitionStore, position_change, timer_row

if TYPE_CHECKING:
    from collections.abc import Sequence

Changes: TypeAlias = dict[bytes, bytes | None]

TIMES = st.sampled_from([0, 1, 5, 255, 256, 1_000, 2**40])
KEYS = st.sampled_from([b"a1", b"a2", b"a\xff", b"b", b"b1"])
ROWS = st.one_of(st.none(), st.binary(max_size=6))
IDS = st.sampled_from([bytes([number]) * 16 for number in range(5)])
TIMERS = st.one_of(st.none(), st.builds(timer_row, TIMES, st.binary(max_size=3)))
CHANGES = st.builds(
    lambda rows, timers, position: rows | {TIMER + one: row for one, row in timers.items()} | position,
    st.dictionaries(KEYS, ROWS, max_size=4),
    st.dictionaries(IDS, TIMERS, max_size=4),
    st.one_of(st.just({}), st.builds(lambda at: dict([position_change("events", at)]), st.integers(0, 99))),
)


@given(st.lists(st.tuples(CHANGES, TIMES, st.integers(1, 4)), max_size=12), st.sampled_from([0, 500, 10**6]))
@settings(max_examples=60, deadline=None)
def test_both_stores_give_the_same_answers(
    turns: Sequence[tuple[Changes, int, int]], cache_bytes: int
) -> None:
    """Rows, scans, due timers in their order, markers and how far the changelog is applied."""
    with TemporaryDirectory() as folder:
        disk = PartitionStore(Path(folder) / "p0", cache_bytes=cache_bytes)
        memory = MemoryStore(cache_bytes=cache_bytes)
        for number, (changes, now_ms, most) in enumerate(turns, 1):
            answers = []
            for store in (disk, memory):
                store.write(changes, changelog_next=number, now_ms=now_ms)
                answers.append(
                    (
                        [store.get(key) for key in (b"a1", b"b", b"missing")],
                        store.read([b"a1", b"a2", b"missing"]),
                        store.scan(b"a"),
                        store.scan(b"a", b"a2", 1),
                        store.scan(TIMER),
                        store.due(now_ms, most),
                        store.due(now_ms, most),
                        store.next_due_ms(),
                        store.positions(),
                        (store.changelog_next, store.written_ms),
                    )
                )
            assert answers[0] == answers[1]
        disk.abandon()


def test_a_copy_is_what_was_written_and_no_more() -> None:
    """A crash leaves what was flushed; what came later is gone."""
    store = MemoryStore(cache_bytes=1_000)
    store.write({b"a": b"1", TIMER + b"i" * 16: timer_row(5, b"x")}, changelog_next=3, now_ms=7)
    kept = store.copy()
    store.write({b"a": None, TIMER + b"i" * 16: None}, changelog_next=4, now_ms=8)
    assert (kept.get(b"a"), kept.next_due_ms(), kept.changelog_next, kept.written_ms) == (b"1", 5, 3, 7)
    assert (store.get(b"a"), store.next_due_ms(), store.changelog_next) == (None, None, 4)
