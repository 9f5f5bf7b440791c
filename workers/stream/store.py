r"""The state of one partition on disk: a RocksDB database that is never ahead of the changelog.

The database holds the rows of all tables, the timers, and a few bookkeeping keys (prefix ``\x00``):
how far the changelog is applied, and up to which offset each source topic is applied. One WriteBatch
per transaction changes them together, so the files always show the state after some committed
transaction. The write-ahead log of RocksDB is off: after a crash the database shows an earlier
committed state, and the changelog brings it up to date; the log exists once, in Kafka.

Timers are two keys each: ``t<id>`` holds due time and payload and is in the changelog; ``d<due><id>``
is the index in order of due time, derived from it. The index is scanned from a remembered cursor,
because a scan from its beginning walks over the tombstones of all timers that ever fired.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any, cast

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from workers.errors import BrimfulError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

META = b"\x00"
TIMER = b"t"
DUE = b"d"

_CHANGELOG_NEXT = META + b"changelog-next"
_WRITTEN_MS = META + b"written-ms"
_TIMER_CURSOR = META + b"timer-cursor"
POSITION = META + b"position:"
"""Key prefix of the markers "applied up to offset N of topic T"; they are changelog records too."""

_I64 = Struct(">q")
_U64 = Struct(">Q")

WRITE_BUFFER_BYTES = 8 * 1024 * 1024
"""RocksDB's write buffer, per partition. Four times as much makes writes twice as slow (measured: fresh
pages), and is also how much a crash leaves to be restored from the changelog."""

_DECODED_BYTES = 1024
"""What a decoded row is taken to cost: a struct, a dict, a list and a few values (measured: 500 to 900)."""

_ROW_OVERHEAD_BYTES = 170
"""What a cached row costs beside its bytes: two bytes objects and a dict slot in CPython 3.11."""


class StoreBroken(BrimfulError):
    """The database cannot be read; it has to be rebuilt from the changelog. Nothing is lost by that."""


class DiskFull(BrimfulError):
    """No space is left to write. Operator action: free or add disk; the partition goes on by itself."""


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that was set: ``timer_id`` is 16 bytes, ``payload`` is the setter's own."""

    timer_id: bytes
    due_ms: int
    payload: bytes


class RowCache:
    """Rows used lately, bounded in bytes: two generations, the older dropped when the newer is full."""

    def __init__(self, limit_bytes: int) -> None:
        self._half = max(0, limit_bytes) // 2
        self._new: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._new_bytes = 0

    def get(self, key: bytes) -> bytes | None:
        """The row, or None where it is not cached."""
        row = self._new.get(key)
        if row is None:
            row = self._old.get(key)
        return row

    def split(self, keys: Iterable[bytes]) -> tuple[dict[bytes, bytes | None], list[bytes]]:
        """The cached rows among ``keys``, and the keys that are not cached."""
        new, old = self._new.get, self._old.get
        found: dict[bytes, bytes | None] = {}
        missing: list[bytes] = []
        for key in keys:
            row = new(key)
            if row is None:
                row = old(key)
                if row is None:
                    missing.append(key)
                    continue
            found[key] = row
        return found, missing

    def update(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Take over committed changes (None deletes)."""
        if not self._half:
            return
        new, old = self._new, self._old
        grown = 0
        for key, row in changes.items():
            if row is None:
                new.pop(key, None)
                old.pop(key, None)
            else:
                if key not in new:
                    grown += len(key) + len(row) + _ROW_OVERHEAD_BYTES
                new[key] = row
        self._new_bytes += grown
        if self._new_bytes > self._half:
            self._old, self._new, self._new_bytes = new, {}, 0


class DecodedRows:
    """Committed rows in their decoded form, bounded in number.

    Decoding costs more than all else of a small change. A row is *taken out* by the transaction that looks
    at it and *kept* again when that commits. A transaction that fails never brings its rows back, so what
    it did to them is gone with it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._half = max(0, limit_bytes) // _DECODED_BYTES // 2
        self._new: dict[bytes, Any] = {}
        self._old: dict[bytes, Any] = {}

    def absent(self, keys: set[bytes]) -> set[bytes]:
        """Those of some storage keys whose rows are not here."""
        # One after the other: of several dictionaries all but the first would be gone through, row by row.
        return keys.difference(self._new).difference(self._old)

    def take(self, key: bytes) -> Any:
        """The row of a storage key, which the caller owns from now on; None where it is not here."""
        row = self._new.pop(key, None)
        # An older form may be there too: two parts of a transaction kept the row, and the generations changed
        # in between. It must not come back when the row is asked for again.
        older = self._old.pop(key, None)
        return row if row is not None else older

    def clear(self) -> None:
        """Forget all rows: the changelog may hold newer ones, written by another owner."""
        self._new, self._old = {}, {}

    def keep(self, prefix: bytes, rows: Mapping[bytes, Any]) -> None:
        """Take over a committed transaction's rows of one table, by key; None stands for a deleted row."""
        if not self._half:
            return
        new, old = self._new, self._old
        for key, row in rows.items():
            stored_key = prefix + key
            if row is None:
                new.pop(stored_key, None)
                old.pop(stored_key, None)
            else:
                new[stored_key] = row
        if len(new) > self._half:
            self._old, self._new = new, {}


class PartitionStore:
    """One open database. Not safe for concurrent use: a partition has one writer."""

    def __init__(self, path: Path, *, cache_bytes: int = 0, block_cache: Cache | None = None) -> None:
        self.path = path
        self.cache = RowCache(cache_bytes // 2)
        self.decoded = DecodedRows(cache_bytes // 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = Rdict(str(path), _options(block_cache))
        except Exception as error:
            raise StoreBroken(f"cannot open {path.name}: {error}") from error
        self._write_options = WriteOptions()
        self._write_options.disable_wal = True  # type: ignore[assignment, method-assign]  # a property; its stub says method
        try:
            cursor = self.read((_TIMER_CURSOR,))[0]
        except StoreBroken:
            # Who catches this opens another database in its place; the traceback would hold this one's lock.
            self._db.close()
            raise
        self._cursor = cursor or DUE
        self._since_clean = 0

    def close(self) -> None:
        """Flush what is in memory to disk and close the files."""
        self._db.flush(True)
        self._db.close()

    def abandon(self) -> None:
        """Close without flushing, as a crash would; what is on disk stays a committed state."""
        self._db.close()

    @staticmethod
    def destroy(path: Path) -> None:
        """Remove a database that is not open."""
        shutil.rmtree(path, ignore_errors=True)

    # -- rows

    def get(self, key: bytes) -> bytes | None:
        """One row by storage key."""
        row = self.cache.get(key)
        return row if row is not None else self.read((key,))[0]

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Rows by storage key, from disk, in one multi-get that does not hold the GIL."""
        try:
            rows = cast("list[bytes | None]", self._db.get(list(keys)))
        except Exception as error:
            raise StoreBroken(f"cannot read {self.path.name}: {error}") from error
        return rows

    def scan(
        self, prefix: bytes, start: bytes | None = None, most: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        """Rows whose key begins with ``prefix``, from ``start`` on, in key order, at most ``most``."""
        found: list[tuple[bytes, bytes]] = []
        rows = self._db.iter()
        rows.seek(start if start is not None else prefix)
        while rows.valid() and (most is None or len(found) < most):
            key = rows.key()
            if not key.startswith(prefix):
                break
            found.append((key, rows.value()))
            rows.next()
        self._check(rows)
        return found

    def write(
        self,
        changes: Mapping[bytes, bytes | None],
        *,
        changelog_next: int,
        now_ms: int,
    ) -> None:
        """Apply committed changes in one WriteBatch (None deletes a row).

        Args:
            changes: rows, timers (``t`` keys; their index follows), markers.
            changelog_next: the changelog offset after the last record that the state now contains.
            now_ms: kept as the time of the last write, to recognise a database too old to be continued.
        """
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        timers = [key for key in changes if key.startswith(TIMER)]
        if timers:
            self._index(timers, changes, batch)
        for key, row in changes.items():
            if row is None:
                delete(key)
            else:
                put(key, row)
        put(_CHANGELOG_NEXT, _I64.pack(changelog_next))
        put(_WRITTEN_MS, _I64.pack(now_ms))
        try:
            self._db.write(batch, self._write_options)
        except Exception as error:
            if "No space left" in str(error):
                raise DiskFull(f"cannot write {self.path.name}: {error}") from error
            raise StoreBroken(f"cannot write {self.path.name}: {error}") from error
        self.cache.update(changes)

    # -- bookkeeping

    @property
    def changelog_next(self) -> int:
        """Where the changelog has to be read on from; 0 for an empty database."""
        return self._number(_CHANGELOG_NEXT, 0)

    @property
    def written_ms(self) -> int | None:
        """When the database was last written, or None if never."""
        number = self._number(_WRITTEN_MS, -1)
        return None if number < 0 else number

    def positions(self) -> dict[str, int]:
        """The markers: for each source topic the offset up to which it is applied."""
        return {key[len(POSITION) :].decode(): _I64.unpack(value)[0] for key, value in self.scan(POSITION)}

    def disk_bytes(self) -> int:
        """Bytes of the live files."""
        return int(self._db.property_int_value("rocksdb.live-sst-files-size") or 0)

    # -- timers

    def due(self, now_ms: int, most: int) -> list[Timer]:
        """At most ``most`` timers due at ``now_ms``, by due time; moves the cursor up to the first."""
        end = DUE + _U64.pack(now_ms + 1)
        keys: list[bytes] = []
        index = self._db.iter()
        index.seek(self._cursor)
        while index.valid() and len(keys) < most:
            key = index.key()
            if key >= end or not key.startswith(DUE):
                break
            keys.append(key)
            index.next()
        self._check(index)
        if keys:
            self._cursor = keys[0]
        rows = self.read([TIMER + key[9:] for key in keys]) if keys else []
        return [
            Timer(key[9:], _U64.unpack_from(key, 1)[0], row[8:])
            for key, row in zip(keys, rows, strict=True)
            if row is not None
        ]

    def next_due_ms(self) -> int | None:
        """When the next timer is due, or None without timers."""
        index = self._db.iter()
        index.seek(self._cursor)
        key = index.key() if index.valid() else None
        self._check(index)
        if key is None or not key.startswith(DUE):
            return None
        self._cursor = key
        due_ms: int = _U64.unpack_from(key, 1)[0]
        return due_ms

    def _index(self, timers: list[bytes], changes: Mapping[bytes, bytes | None], batch: WriteBatch) -> None:
        """Bring the due-time index in line with changed timers, and the cursor below the earliest."""
        cursor = self._cursor
        for key, old in zip(timers, self.read(timers), strict=True):
            new = changes[key]
            if old is not None:
                batch.delete(DUE + old[:8] + key[1:])
            if new is not None:
                entry = DUE + new[:8] + key[1:]
                batch.put(entry, b"")
                cursor = min(cursor, entry)
        self._cursor = cursor
        batch.put(_TIMER_CURSOR, cursor)

    # -- helpers

    def _number(self, key: bytes, default: int) -> int:
        stored = self.read((key,))[0]
        if stored is None:
            return default
        number: int = _I64.unpack(stored)[0]
        return number

    def _check(self, rows: object) -> None:
        """A corrupt block ends an iteration silently; only the iterator's status tells."""
        try:
            rows.status()  # type: ignore[attr-defined]
        except Exception as error:
            raise StoreBroken(f"cannot scan {self.path.name}: {error}") from error


def timer_row(due_ms: int, payload: bytes) -> bytes:
    """The stored form of a timer."""
    return _U64.pack(due_ms) + payload


def position_change(topic: str, offset: int) -> tuple[bytes, bytes]:
    """The marker "applied up to ``offset`` of ``topic``" as a change."""
    return POSITION + topic.encode(), _I64.pack(offset)


def _options(block_cache: Cache | None) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_keep_log_file_num(2)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    if block_cache is not None:
        table.set_block_cache(block_cache)
    options.set_block_based_table_factory(table)
    return options
