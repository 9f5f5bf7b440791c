"""The state of one partition in memory, with the interface and the answers of the one on disk.

``tests/contract/test_stores.py`` holds the two together.
"""

from __future__ import annotations

import heapq
from struct import Struct
from typing import TYPE_CHECKING

from workers.stream.store import POSITION, TIMER, DecodedRows, RowCache, Timer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_I64 = Struct(">q")
_U64 = Struct(">Q")


class MemoryStore:
    """See :class:`workers.stream.store.PartitionStore`. :meth:`copy` is what a flush to disk would leave."""

    def __init__(self, *, cache_bytes: int = 0) -> None:
        self.cache = RowCache(cache_bytes // 2)
        self.decoded = DecodedRows(cache_bytes // 2)
        self.changelog_next = 0
        self.written_ms: int | None = None
        self._rows: dict[bytes, bytes] = {}
        self._sorted: list[bytes] | None = None
        self._due: list[tuple[bytes, bytes]] = []

    def copy(self, *, cache_bytes: int = 0) -> MemoryStore:
        """The same state without what is only in memory."""
        other = MemoryStore(cache_bytes=cache_bytes)
        other.changelog_next, other.written_ms = self.changelog_next, self.written_ms
        other._rows = dict(self._rows)
        other._due = list(self._due)
        return other

    def rows(self) -> dict[bytes, bytes]:
        """All rows by storage key, with timers and markers."""
        return dict(self._rows)

    def get(self, key: bytes) -> bytes | None:
        """One row by storage key."""
        row = self.cache.get(key)
        return row if row is not None else self._rows.get(key)

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Rows by storage key."""
        return [self._rows.get(key) for key in keys]

    def scan(
        self, prefix: bytes, start: bytes | None = None, most: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        """Rows whose key begins with ``prefix``, from ``start`` on, in key order, at most ``most``."""
        if self._sorted is None:
            self._sorted = sorted(self._rows)
        first = start if start is not None else prefix
        found = [(key, self._rows[key]) for key in self._sorted if key >= first and key.startswith(prefix)]
        return found if most is None else found[:most]

    def write(self, changes: Mapping[bytes, bytes | None], *, changelog_next: int, now_ms: int) -> None:
        """Apply committed changes (None deletes a row)."""
        for key, row in changes.items():
            if row is None:
                self._rows.pop(key, None)
                continue
            if key.startswith(TIMER):
                heapq.heappush(self._due, (row[:8], key[1:]))
            self._rows[key] = row
        self._sorted = None
        self.changelog_next, self.written_ms = changelog_next, now_ms
        self.cache.update(changes)

    def positions(self) -> dict[str, int]:
        """The markers: for each source topic the offset up to which it is applied."""
        return {
            key[len(POSITION) :].decode(): _I64.unpack(row)[0]
            for key, row in self._rows.items()
            if key.startswith(POSITION)
        }

    def due(self, now_ms: int, most: int) -> list[Timer]:
        """At most ``most`` timers due at ``now_ms``, by due time."""
        limit = _U64.pack(now_ms)
        found: list[Timer] = []
        while len(found) < most and self._next_due() is not None and self._due[0][0] <= limit:
            due, timer_id = heapq.heappop(self._due)
            while self._due and self._due[0] == (due, timer_id):
                heapq.heappop(self._due)
            found.append(Timer(timer_id, _U64.unpack(due)[0], self._rows[TIMER + timer_id][8:]))
        for timer in found:
            heapq.heappush(self._due, (_U64.pack(timer.due_ms), timer.timer_id))
        return found

    def next_due_ms(self) -> int | None:
        """When the next timer is due, or None without timers."""
        due = self._next_due()
        return None if due is None else int(_U64.unpack(due)[0])

    def _next_due(self) -> bytes | None:
        """The due time of the first timer that still stands; those moved or cancelled are forgotten here."""
        while self._due:
            due, timer_id = self._due[0]
            row = self._rows.get(TIMER + timer_id)
            if row is not None and row[:8] == due:
                return due
            heapq.heappop(self._due)
        return None
