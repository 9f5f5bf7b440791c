"""How many subjects stand at each step of each journey: counted where they move, in the same transaction.

A partition keeps a row for each step at which somebody stands, so the numbers are exact whatever moves
people: events, timers, requests, merges, erasures. Of each number that changed, one record per transaction
goes to the topic ``step-counts``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import msgspec

from schemas import wire
from workers.core.journeys.progress import Progress
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from schemas.fields import SubjectType
    from workers.core.journeys.progress import Enrollment
    from workers.stream.store import PartitionStore
    from workers.stream.view import View


class StepCount(msgspec.Struct, array_like=True):
    """How many stand at a step; the key names it (:func:`key_of`)."""

    number: int


STEP_COUNTS: Final = Table("step_counts", b"N", StepCount)

_BEGUN: Final = b""
"""The key of the row that says that these counts are kept: state from before they were has none."""

_PREFIXES: Final[dict[SubjectType, bytes]] = {"user": b"e", "account": b"E"}
"""The tables of :mod:`workers.state` with the rows that are counted; that module stands on this one."""


_CHUNK: Final = 2_000
"""Rows that are read at once where all are counted."""


class Counting(NamedTuple):
    """A notice: what is there is to be counted."""


@lru_cache(maxsize=8_192)
def key_of(kind: SubjectType, journey: str, version: str, step: str) -> bytes:
    """The key of a step's row."""
    return f"{kind}\0{journey}\0{version}\0{step}".encode()


def moves(kind: SubjectType) -> Callable[[View, Progress | None, Progress | None], None]:
    """What watches the rows of subjects of a kind and counts who comes to a step and who leaves it.

    It is called for each row that is stored, so most of it is about doing nothing where nobody moved.
    """

    def watch(view: View, before: Progress | None, after: Progress | None) -> None:
        was = before.enrollments if before is not None else ()
        now = after.enrollments if after is not None else ()
        if was is now:
            return
        known, stay = set(map(id, was)), set(map(id, now))
        gone = [held for held in was if held.state == "active" and id(held) not in stay]
        came = [held for held in now if held.state == "active" and id(held) not in known]
        if len(gone) == len(came) == 1 and _place(gone[0]) == _place(came[0]):
            return
        for held, by in (*((one, -1) for one in gone), *((one, 1) for one in came)):
            for step in _steps(held):
                _add(view, key_of(kind, held.journey, held.version, step), by)

    return watch


def _place(held: Enrollment) -> tuple[str, str, tuple[str, ...]]:
    return held.journey, held.version, _steps(held)


def count(rows: Iterable[Progress], kind: SubjectType) -> dict[bytes, int]:
    """How many of these subjects stand at each step, by :func:`key_of`."""
    counts: dict[bytes, int] = {}
    for progress in rows:
        for held in progress.enrollments:
            for step in _steps(held) if held.state == "active" else ():
                key = key_of(kind, held.journey, held.version, step)
                counts[key] = counts.get(key, 0) + 1
    return counts


def stored_counts(counts: Mapping[bytes, int]) -> dict[bytes, bytes]:
    """The rows, by storage key, of a partition that keeps these counts, by :func:`key_of`."""
    numbers = {_BEGUN: 0, **counts}
    return {STEP_COUNTS.key(key): STEP_COUNTS.encode(StepCount(number)) for key, number in numbers.items()}


def _steps(held: Enrollment) -> tuple[str, ...]:
    places = held.places
    if len(places) == 1:
        return (places[0].step,)
    return tuple(one.step for one in places) if places else (held.step,)


def _add(view: View, key: bytes, by: int) -> None:
    table = view.table(STEP_COUNTS)
    row = table.get(key)
    if row is None:
        table.put(key, StepCount(by))
    else:
        row.number += by
        table.dirty.add(key)
    view.marks.add(key)


class StepCounts:
    """The counts of one partition, which tells them on ``topic``."""

    def __init__(self, partition: int, topic: str) -> None:
        self._partition = partition
        self._topic = topic
        self._store: PartitionStore | None = None
        self._begun = False

    def opened(self, store: PartitionStore) -> Sequence[Any]:
        """A notice where people are inside and were never counted."""
        self._store = store
        self._begun = store.get(STEP_COUNTS.key(_BEGUN)) is not None
        people = any(store.scan(prefix, prefix, 1) for prefix in _PREFIXES.values())
        return () if self._begun or not people else (Counting(),)

    def begin(self, view: View) -> None:
        """Count all who are inside; before anything else of the transaction is decided."""
        if self._begun or self._store is None:
            return
        table = view.table(STEP_COUNTS)
        for stored_key, _ in self._store.scan(STEP_COUNTS.prefix):
            table.put(stored_key[1:], StepCount(0))
            view.marks.add(stored_key[1:])
        for kind, prefix in _PREFIXES.items():
            for key, number in count(self._people(prefix), kind).items():
                table.put(key, StepCount(number))
                view.marks.add(key)
        table.put(_BEGUN, StepCount(0))

    def _people(self, prefix: bytes) -> Iterator[Progress]:
        assert self._store is not None, "asked before it was opened"
        decode, start = Table("progress", prefix, Progress).decode, prefix
        while some := self._store.scan(prefix, start, _CHUNK):
            yield from (decode(stored) for _, stored in some)
            start = some[-1][0] + b"\0"

    def tell(self, view: View, now_ms: int) -> None:
        """A record of each number that the transaction changed."""
        if not view.marks:
            return
        table = view.table(STEP_COUNTS)
        if table.get(_BEGUN) is None:
            table.put(_BEGUN, StepCount(0))
        for key in sorted(view.marks):
            row = table.get(key)
            number = 0 if row is None else row.number
            if not number:
                table.delete(key)
            kind, journey, version, step = key.decode().split("\0")
            told = wire.StepCount(
                partition=self._partition,
                subject_type=cast("SubjectType", kind),
                journey=journey,
                version=version,
                step=step,
                number=number,
                at_ms=now_ms,
            )
            view.send(self._topic, b"%d/%s" % (self._partition, key), wire.encode(told))
