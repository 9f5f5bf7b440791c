"""The engine's rows as its changelog has them, for commands: workers need not run, and nothing is changed."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from workers.reading.topics import read_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from workers.settings import Settings

CHANGELOG: Final = "brimful-engine-changelog"


def options_of(settings: Settings) -> dict[str, Any]:
    """Librdkafka's options of a reader."""
    return {"bootstrap.servers": settings.kafka, **settings.librdkafka()}


def read_rows(
    settings: Settings,
    prefixes: Collection[bytes],
    only: Collection[int] | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[tuple[bytes, bytes]]:
    """Storage keys that begin with one of ``prefixes``, with each value they had, in order; ``b""``: deleted.

    The last value of a key is the committed state. ``only`` names the partitions to read (None: all).
    ``progress`` is told how many records are read, and of how many.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    topic = settings.topic(CHANGELOG)
    for found in read_topic(options_of(settings), topic, None, progress, deletions=True, only=only):
        if found.key is not None and found.key[:1] in prefixes:
            yield found.key, found.value


class Kept:
    """What matched of each key's newest value, in a file that goes with this object: memory is bounded.

    An item has a ``group`` to count by, an ``at_ms`` to order by, and itself, which JSON can hold. ``link``
    is an id that items of another key may have too (:meth:`linked`).
    """

    def __init__(self) -> None:
        # SQLite's name for a private file that is deleted by itself. Threads may use it, one after the other.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute("pragma journal_mode = off")  # nothing is ever taken back
        self._db.execute("create table kept (key blob, link text, grouped text, at_ms integer, item blob)")
        self._db.execute("create index of_key on kept (key)")
        self._db.execute("create index of_link on kept (link)")

    def put(self, key: bytes, items: Iterable[tuple[str, str, int, Any]]) -> None:
        """In the place of what the key had: items as (link, group, at_ms, item); none: it matches no more."""
        self._db.execute("delete from kept where key = ?", (key,))
        self._db.executemany(
            "insert into kept values (?, ?, ?, ?, ?)",
            ((key, link, group, at_ms, msgspec.json.encode(item)) for link, group, at_ms, item in items),
        )

    def groups(self) -> list[tuple[str, int]]:
        """How many items each group has, the largest first."""
        found = self._db.execute("select grouped, count(*) from kept group by grouped order by 2 desc, 1")
        return [(str(group), int(number)) for group, number in found]

    def items(self, limit: int | None = None) -> Iterator[Any]:
        """The items in order of time and key, at most ``limit``."""
        found = self._db.execute(
            "select item from kept order by at_ms, key limit ?", (-1 if limit is None else limit,)
        )
        return (msgspec.json.decode(item) for (item,) in found)

    def after(self, link: str, limit: int) -> list[Any]:
        """At most ``limit`` items whose link comes after this one, in the order of their links."""
        found = self._db.execute("select item from kept where link > ? order by link limit ?", (link, limit))
        return [msgspec.json.decode(item) for (item,) in found]

    def pairs(self, prefix: bytes) -> Iterator[tuple[Any, Any]]:
        """Items of keys that begin with a table's prefix, in order of time, each with one of another table.

        Both have the same link; None in the place of the other where there is none.
        """
        found = self._db.execute(
            "select a.item, b.item from kept a left join kept b "
            "on b.link = a.link and substr(b.key, 1, 1) != substr(a.key, 1, 1) "
            "where substr(a.key, 1, 1) = ? order by a.at_ms, a.key",
            (prefix,),
        )
        return ((msgspec.json.decode(a), None if b is None else msgspec.json.decode(b)) for a, b in found)


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: as wide as a terminal, or as it needs where it goes to a file."""
    from rich.console import Console  # noqa: PLC0415 - other commands start faster without
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def time_text(at_ms: int | None) -> str:
    """A time for people, in UTC to the second; ``-`` where there is none."""
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
