"""Engines whose partitions take up another workspace, each when it is told to, and are backfilled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import wire
from tests.unit.identity.kit import Cluster
from tests.unit.stream.kit import Waiting
from workers.core.activity import distinct, series, windows
from workers.core.compile import compile_workspace
from workers.engine import EngineLogic
from workers.reading.archive import Archive
from workers.reading.events import Events
from workers.reading.members import Members
from workers.reading.past import Past
from workers.reading.topics import Found
from workers.shell import EngineParts
from workers.state import ACCOUNTS, BOOKS, USERS
from workers.stream.partitioner import partition_of
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import SubjectType
    from schemas.workspace import Workspace
    from tests.unit.stream.kit import Rec
    from workers.core.activity.backfill import Book
    from workers.core.plan import SubjectPlan
    from workers.reading.past import Books


class _Store:
    """What an engine asks of the store when it is opened."""

    def __init__(self, rows: dict[bytes, bytes], positions: Mapping[str, int]) -> None:
        self._rows = rows
        self._positions = positions
        self.get = rows.get

    def positions(self) -> Mapping[str, int]:
        """The markers."""
        return dict(self._positions)

    def scan(self, prefix: bytes, start: bytes | None = None, most: int | None = None) -> list[Any]:
        """Rows in order."""
        keys = sorted(key for key in self._rows if key.startswith(prefix) and key >= (start or prefix))
        return [(key, self._rows[key]) for key in keys[:most]]


class Changing(Cluster):
    """A cluster whose workspace changes."""

    def __init__(self, workspace: Workspace, partitions: int = 2) -> None:
        super().__init__(plan=compile_workspace(workspace), partitions=partitions)
        self.begins: dict[int, int] = {}
        for number in range(partitions):
            self.open(number, workspace)

    def trim(self) -> None:
        """``product-events`` drops what it holds now: its retention has passed."""
        self.begins = {number: len(self.log["product-events", number]) for number in range(self.partitions)}

    def _append(self, topic: str, key: bytes | None, value: bytes | None, partition: int | None) -> None:
        super()._append(topic, key, value, partition)
        if partition is None:
            partition = partition_of(key or b"", self.partitions)
        self.log[topic, partition][-1].timestamp = self.now_ms

    def open(self, number: int, workspace: Workspace, *, tidied: bool = True) -> None:
        """A worker with this workspace takes the partition over."""
        plan = compile_workspace(workspace)
        parts = EngineParts(
            plan, self.partitions, lambda name: name, self.parts.metrics, erasure_key=b"a key of the tests"
        )
        self.plan = plan
        positions = {topic: at for (topic, partition), at in self.read.items() if partition == number}
        logic = self.engines[number] = EngineLogic(number, parts)
        waiting = Waiting()
        waiting.begin(logic.opened(_Store(self.rows[number], positions)))  # type: ignore[arg-type]
        while waiting:
            view = View(self.rows[number].get)
            waiting.turn(logic, view, self.now_ms)
            self._commit(number, view)
            if not tidied:
                return
            waiting.more(view.effects)

    def books(self) -> Books:
        """As the command reads them."""
        found: Books = {"user": {}, "account": {}}
        for number, rows in enumerate(self.rows):
            for kind in found:
                stored = rows.get(BOOKS.key(kind.encode()))
                if stored is not None:
                    found[kind][number] = BOOKS.decode(stored)
        return found

    def book(self, kind: SubjectType, number: int = 0) -> Book:
        """One of them."""
        return self.books()[kind][number]

    def members(self) -> Members:
        """As the command reads them."""
        members = Members()
        for rows in self.rows:
            for key, stored in rows.items():
                members.take(key, stored)
        return members

    def archive(self, lines: list[bytes], before_ms: int | None = None) -> Archive:
        """What the command would gather now of files with these lines."""
        before_ms = self.now_ms + 1 if before_ms is None else before_ms
        archive = Archive(self.plan, self.books(), self.members(), self.now_ms, before_ms)
        for number in range(self.partitions):
            for record in self.log["product-events", number]:
                archive.know(found(record, number))
        for one, event in Events([Found(-1, number, line) for number, line in enumerate(lines, 1)]):
            archive.take(event, one.value, lambda *_: False)
        return archive

    def backfill_files(self, lines: list[bytes], most: int = 10**9) -> Archive:
        """The command with files; with ``most`` it is broken off after so many records."""
        archive, past = self.archive(lines), self.past(archived=True)
        records = [*archive.records(self.now_ms), *archive.endings(self.partitions, self.now_ms)]
        records += [*past.records(self.now_ms, archive.last_accounts()), *past.endings(self.now_ms)]
        for key, record in records[:most]:
            self.send("scheduler", key, wire.encode(record))
        return archive

    def past(self, *, archived: bool = False) -> Past:
        """What the command would gather now."""
        past = Past(self.plan, self.books(), self.partitions, self.members(), self.now_ms, archived=archived)
        for topic, take in (
            ("product-events", lambda one: past.take(one, lambda *_: False)),
            ("account-events", past.take_bundle),
        ):
            for number in range(self.partitions):
                begins = self.begins.get(number, 0) if topic == "product-events" else 0
                for record in self.log[topic, number][begins:]:
                    take(found(record, number))
        return past

    def backfill(self, most: int = 10**9) -> None:
        """The command; with ``most`` it is broken off after so many records."""
        past = self.past()
        records = [*past.records(self.now_ms), *past.endings(self.now_ms)]
        for key, record in records[:most]:
            self.send("scheduler", key, wire.encode(record))

    def contents(self) -> dict[tuple[str, str, int], Any]:
        """What every slot of every subject holds, as what it counts."""
        result: dict[tuple[str, str, int], Any] = {}
        for kind, tables, plan in (("user", USERS, self.plan.user), ("account", ACCOUNTS, self.plan.account)):
            for rows in self.rows:
                for key, stored in rows.items():
                    if not key.startswith(tables.activity.prefix):
                        continue
                    row = tables.activity.decode(stored)
                    for slot_id, held in row.windows.items():
                        counted = plain(plan, slot_id, held, self.now_ms)
                        if counted:
                            result[kind, key[1:].decode(), slot_id] = counted
        return result


def plain(plan: SubjectPlan, slot_id: int, held: bytes, now_ms: int) -> Any:
    """What a slot counts now, without what its encoding is free to choose.

    A plain window folds in steps, so that how many occurrences it keeps singly, beyond those it must keep,
    depends on how many came in one transaction.
    """
    retention_ms = plan.retentions_ms.get(slot_id)
    if retention_ms is not None:
        singles = windows.decode(held, retention_ms).singles
        return [at for at in sorted(singles)[-windows.EXACT_OCCURRENCES :] if at > now_ms - retention_ms]
    measure = plan.measures[slot_id]
    if measure.retention_ms is None:
        return held
    floor_ms = now_ms - measure.retention_ms
    if measure.function in {"distinct", "members"}:
        return sorted(at_ms for at_ms in distinct.times(held) if at_ms > floor_ms)
    return sorted(entry for entry in series.entries(held) if entry[0] > floor_ms)


def found(record: Rec, partition: int) -> Found:
    """A record as a reader finds it."""
    return Found(partition, record.offset, record.value or b"", record.key, record.timestamp)
