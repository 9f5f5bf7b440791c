"""The engine's slots when a workspace with others comes: noted, handed over, filled, forgotten.

See :mod:`workers.core.activity.backfill`. A partition notes its position before it counts anything by the
new plan, and then looks at every row once, in the background.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from msgspec.structs import replace

from schemas import wire
from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time
from workers.core.activity import backfill
from workers.core.activity.backfill import Book, Noter, Position
from workers.core.activity.row import Activity
from workers.identity.places import elsewhere, erasure_hash
from workers.shell import Subject
from workers.state import BOOKS, ERASED, TABLES
from workers.stream.walks import Walk, go_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.stream.background import Done
    from workers.stream.store import PartitionStore
    from workers.stream.view import View

log = structlog.get_logger(__name__)


class Noting(NamedTuple):
    """The slots of the plan with this stamp are to be noted, with how far the partition had come."""

    kind: SubjectType
    stamp: str
    events: int
    bundles: int


class Tidying(Walk, frozen=True, kw_only=True):
    """The rows of a kind that may hold slots which nobody asks for any more."""

    kind: SubjectType


class SlotBooks:
    """The books of one partition."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._plans = {"user": parts.plan.user, "account": parts.plan.account}
        self._stamps = {kind: backfill.stamp_of(plan) for kind, plan in self._plans.items()}
        self._noter = Noter(parts.plan.name, parts.serial, parts.published_at_ms)
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[Any]:
        """Notices to begin with; the first transaction takes them before it counts anything."""
        self._store = store
        positions, topics = store.positions(), self._parts.topics
        events, bundles = (positions.get(topics(name), 0) for name in ("product-events", "account-events"))
        return [
            Noting(kind, self._stamps[kind], events, bundles)
            for kind in TABLES
            if self._is_news(kind, store.get(BOOKS.key(kind.encode())))
        ]

    def _is_news(self, kind: SubjectType, stored: bytes | None) -> bool:
        """Whether the plan keeps other slots than were noted, or rows wait to be tidied."""
        book = BOOKS.decode(stored) if stored is not None else None
        if book is not None and backfill.is_behind(book, self._noter):
            return backfill.stand_in(book, self._plans[kind]) is not None
        news = backfill.adopt(book, self._plans[kind], Position(0, 0, 0))
        return news is not None or bool(book is not None and book.leaving)

    def take(self, notices: Sequence[Any], view: View, now_ms: int) -> None:
        """Note. What waits from the workspace before is passed over: its slots are not those of this plan."""
        for notice in notices:
            if isinstance(notice, Noting) and notice.stamp == self._stamps[notice.kind]:
                self._note(notice, view, now_ms)

    def _note(self, noting: Noting, view: View, now_ms: int) -> None:
        books, key = view.table(BOOKS), noting.kind.encode()
        held = books.get(key)
        if held is not None and backfill.is_behind(held, self._noter):
            self._stand_in(noting.kind, held, view)
            return
        if held is not None and (again := backfill.returning(held, self._plans[noting.kind])):
            self._drop(noting.kind, again, view)
            held = backfill.tidied(held, again)
        at = Position(noting.events, noting.bundles, now_ms)
        book = backfill.adopt(held, self._plans[noting.kind], at, self._noter)
        if book is not None:
            books.put(key, book)
            new = sum(not mark.whole for mark in book.slots.values())
            log.info("slots.noted", kind=noting.kind, slots=len(book.slots), to_fill=new)
        if (book or held or Book()).leaving:
            view.after_commit(Tidying(TABLES[noting.kind].activity.prefix, kind=noting.kind))

    def _stand_in(self, kind: SubjectType, held: Book, view: View) -> None:
        """Note what this worker, which is behind, does not count, and leave all else to one that is not."""
        known = backfill.stand_in(held, self._plans[kind])
        if known is not None:
            view.table(BOOKS).put(kind.encode(), known)
        log.warning("slots.behind", kind=kind, serial=self._noter.serial, noted_by=held.serial)

    def work(self, tidying: Tidying, most: int, view: View, now_ms: int) -> Done:
        """Tidy the next rows."""
        assert self._store is not None, "the partition is open"
        kind, table = tidying.kind, TABLES[tidying.kind].activity
        books, rows, plan = view.table(BOOKS), view.table(table), self._plans[kind]
        book = books.get(kind.encode())
        assert book is not None, "it was noted before"

        def tidy(key: bytes) -> None:
            row = rows.get(key)
            if row is not None and backfill.tidy(row, book, plan, now_ms):
                rows.put(key, row)
                Subject(kind, key, view, self._parts).settle_all(now_ms)

        done = go_on(self._store, tidying, most, tidy)
        if done.rest is None:
            books.put(kind.encode(), backfill.tidied(book, book.leaving))
        return done

    def _drop(self, kind: SubjectType, slot_ids: frozenset[int], view: View) -> None:
        """Forget slots in all rows at once: a workspace came back before the one between was through."""
        assert self._store is not None, "the partition is open"
        table = TABLES[kind].activity
        rows = view.table(table)
        for stored_key, _ in self._store.scan(table.prefix):
            key = stored_key[len(table.prefix) :]
            row = rows.get(key)
            if row is not None and slot_ids & row.windows.keys():
                row.windows = {slot: held for slot, held in row.windows.items() if slot not in slot_ids}
                rows.put(key, row)


def fill(brought: wire.Backfilled, view: View, parts: EngineParts, now_ms: int) -> None:
    """Take in what a subject did before its slots began to count: once, and segments alone follow.

    What belongs to another id by now goes on there. Of who was erased nothing comes back.
    """
    kind, key = brought.subject_type, brought.subject.encode()
    books, plan = view.table(BOOKS), parts.plan.user if kind == "user" else parts.plan.account
    book = books.get(kind.encode())
    archive = bool(brought.archive)
    contents = {int(slot_id): base64.b64decode(text) for slot_id, text in brought.slots.items()}
    if book is None:
        return
    if brought.done:
        books.put(kind.encode(), backfill.filled(book, list(contents), None, archive=archive))
        return
    if brought.moved:
        wanted = [slot_id for slot_id in contents if slot_id in book.slots]
    else:
        wanted = backfill.wanting(book, contents, brought.subject, archive=archive)
        books.put(kind.encode(), backfill.filled(book, wanted, brought.subject, archive=archive))
    known = [slot_id for slot_id in wanted if slot_id in plan.slot_parts]
    if len(known) < len(wanted):
        # This worker is behind: it cannot take in what it does not know, so that is to be brought again.
        book = view.table(BOOKS).get(kind.encode()) or book
        books.put(kind.encode(), backfill.without(book, set(wanted) - set(known)))
        wanted = known
    rows = view.table(TABLES[kind].activity)
    row = rows.get(key)
    if not wanted or (kind == "user" and _is_away(brought, row, wanted, view, parts, now_ms)):
        return
    row = row or Activity()
    for slot_id in wanted:
        backfill.bring(row, slot_id, contents[slot_id], plan, now_ms)
    rows.put(key, row)
    Subject(kind, key, view, parts).settle_all(now_ms)


def _is_away(
    brought: wire.Backfilled,
    row: Activity | None,
    wanted: Sequence[int],
    view: View,
    parts: EngineParts,
    now_ms: int,
) -> bool:
    key = brought.subject.encode()
    if view.table(ERASED).get(erasure_hash(parts, key)) is not None:
        return True
    away = elsewhere(view, parts, key, 0, now_ms) if row is None else None
    if away is not None and away.into is not None:
        left = {str(slot_id): brought.slots[str(slot_id)] for slot_id in wanted}
        moved = replace(brought, subject=away.into, slots=left, moved=True)
        view.send(parts.topics("scheduler"), away.into.encode(), wire.encode(moved))
    return away is not None
