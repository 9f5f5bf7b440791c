"""What one transaction sees and changes: committed rows below, its own on top, nothing on disk yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from workers.stream.store import TIMER, timer_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.stream.batch import TP
    from workers.stream.tables import Table

Row = TypeVar("Row")

_ABSENT: Any = object()
"""Tells a row known to be missing (None) from one not looked up yet; a ``KeyError`` costs ten times that."""


class Output(msgspec.Struct, frozen=True):
    """A record to produce. ``partition`` None lets the key decide."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A source record that cannot be used, with the reason."""

    tp: TP
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    detail: str


class TableView(Generic[Row]):
    """A table inside a transaction. Rows are decoded once and are the transaction's own: change and ``put``.

    ``rows`` and ``dirty`` are open to loops that run for every event, where a method call counts: a row in
    ``rows`` is what ``get`` would return, and a key added to ``dirty`` that was read before is what ``put``
    would do.
    """

    __slots__ = ("_prefix", "_stored", "_table", "_take", "dirty", "rows")

    def __init__(
        self,
        table: Table[Row],
        stored: Callable[[bytes], bytes | None],
        take: Callable[[bytes], Row | None],
    ) -> None:
        self._table = table
        self._take = take
        self._prefix = table.prefix
        self._stored = stored
        self.rows: dict[bytes, Row | None] = {}
        self.dirty: set[bytes] = set()

    def get(self, key: bytes) -> Row | None:
        """The row of ``key`` as this transaction sees it, or None."""
        row = self.rows.get(key, _ABSENT)
        if row is _ABSENT:
            stored_key = self._prefix + key
            row = self._take(stored_key)
            if row is None:
                stored = self._stored(stored_key)
                row = None if stored is None else self._table.decode(stored)
            self.rows[key] = row
        return row

    def put(self, key: bytes, row: Row) -> None:
        """Store the row when the transaction commits."""
        if key not in self.rows:
            self._take(self._prefix + key)  # its decoded form below is no longer the row
        self.rows[key] = row
        self.dirty.add(key)

    def delete(self, key: bytes) -> None:
        """Delete the row when the transaction commits."""
        if key not in self.rows:
            self._take(self._prefix + key)
        self.rows[key] = None
        self.dirty.add(key)

    def settle(self, changes: dict[bytes, bytes | None]) -> None:
        """Encode what changed into ``changes`` by storage key."""
        rows, prefix, tag, encode = self.rows, self._prefix, self._table.tag, self._table.encode_row
        for key in self.dirty:
            row = rows[key]
            changes[prefix + key] = None if row is None else tag + encode(row)
        self.dirty.clear()


class _WatchedTableView(TableView[Row]):
    """A table that tells its watcher of each change."""

    __slots__ = ("_view", "_watch")

    def __init__(
        self,
        table: Table[Row],
        stored: Callable[[bytes], bytes | None],
        take: Callable[[bytes], Row | None],
        view: View,
    ) -> None:
        super().__init__(table, stored, take)
        self._watch = table.watch
        self._view = view

    def put(self, key: bytes, row: Row) -> None:
        """See :meth:`TableView.put`."""
        before = self.get(key)
        super().put(key, row)
        if self._watch is not None:
            self._watch(self._view, before, row)

    def delete(self, key: bytes) -> None:
        """See :meth:`TableView.delete`."""
        before = self.get(key)
        super().delete(key)
        if self._watch is not None:
            self._watch(self._view, before, None)


def _nothing_decoded(stored_key: bytes) -> None:
    """For views without decoded rows below them."""


class View:
    """One transaction's view of a partition. All of it is dropped when the transaction does not commit."""

    def __init__(
        self,
        stored: Callable[[bytes], bytes | None],
        take: Callable[[bytes], Any] | None = None,
    ) -> None:
        self._below = stored
        self._take = take or _nothing_decoded
        self._absorbed: list[tuple[bytes, dict[bytes, Any]]] = []
        self._base: dict[bytes, bytes | None] = {}
        self._fetched: dict[bytes, bytes | None] = {}
        self._changes: dict[bytes, bytes | None] = {}
        self._tables: dict[bytes, TableView[Any]] = {}
        self.outputs: list[Output] = []
        self.dead: list[DeadLetter] = []
        self.effects: list[Any] = []
        self.marks: set[bytes] = set()
        """Rows that whoever finishes the transaction is to look at, as those who changed them mark them."""

    def fill(self, rows: dict[bytes, bytes | None]) -> None:
        """Rows read ahead by storage key, so that ``get`` finds them without touching the disk."""
        self._fetched = rows

    def stored(self, key: bytes) -> bytes | None:
        """A row's stored form by storage key, as this transaction sees it."""
        row: bytes | None = self._changes.get(key, _ABSENT) if self._changes else _ABSENT
        if row is _ABSENT and self._base:
            row = self._base.get(key, _ABSENT)
        if row is _ABSENT:
            row = self._fetched.get(key, _ABSENT)
            if row is _ABSENT:
                row = self._fetched[key] = self._below(key)
        return row

    def table(self, table: Table[Row]) -> TableView[Row]:
        """The table inside this transaction."""
        view = self._tables.get(table.prefix)
        if view is None:
            view = self._tables[table.prefix] = (
                TableView(table, self.stored, self._take)
                if table.watch is None
                else _WatchedTableView(table, self.stored, self._take, self)
            )
        return view

    # -- what a transaction may ask for

    def set_timer(self, timer_id: bytes, due_ms: int, payload: bytes) -> None:
        """Fire once at ``due_ms``; a timer with the same id (16 bytes) is replaced."""
        self._changes[TIMER + timer_id] = timer_row(due_ms, payload)

    def cancel_timer(self, timer_id: bytes) -> None:
        """Forget a timer; one that does not exist is no error."""
        key = TIMER + timer_id
        if self.stored(key) is not None:
            self._changes[key] = None

    def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        """Produce a record as a part of the transaction."""
        self.outputs.append(Output(topic, key, value, partition))

    def dead_letter(self, tp: TP, record: Any, reason: str, detail: str) -> None:
        """Put a source record aside with its reason, as a part of the transaction."""
        self.dead.append(DeadLetter(tp, record.offset, record.key, record.value, reason, detail))

    def after_commit(self, effect: Any) -> None:
        """Do something outside when, and only when, the transaction is committed."""
        self.effects.append(effect)

    # -- what the kernel does with it

    def loaded(self) -> list[tuple[bytes, dict[bytes, Any]]]:
        """The decoded rows by table prefix and key, in the order in which a later one replaces an earlier."""
        return [*self._absorbed, *((prefix, table.rows) for prefix, table in self._tables.items())]

    def changes(self) -> dict[bytes, bytes | None]:
        """All changes by storage key, encoded."""
        for view in self._tables.values():
            view.settle(self._changes)
        return self._changes

    def close(self) -> None:
        """Let go of the rows.

        Views and their tables refer to each other: without this, tens of thousands of rows a second would
        wait for the collector of cycles, and fresh memory be touched for the next ones.
        """
        self._tables.clear()
        self._fetched = {}
        self._absorbed = []

    def child(self) -> View:
        """A view on top of this one whose changes can be kept (:meth:`absorb`) or dropped."""
        self.changes()
        self._tables.clear()
        child = View(self._below, self._take)
        child._base = {**self._base, **self._changes} if self._base else self._changes
        child._fetched = self._fetched
        return child

    def absorb(self, child: View) -> None:
        """Keep what a child changed."""
        self._changes.update(child.changes())
        self._absorbed += child.loaded()
        self.outputs.extend(child.outputs)
        self.dead.extend(child.dead)
        self.effects.extend(child.effects)
        self.marks |= child.marks
        child.close()
