"""What subjects did before new slots began to count, computed from the topics for ``brimful backfill``.

The engine counts a record, or this does, and never both: a slot of a user wants the product events before the
offset that the partition noted; a slot of an account wants those before the offset of its members' partition,
and the bundles that its own partition read too early (from a worker that knew the slot before it did). Events
that the engine sends on to another partition are left out here: their copies stand in the topic too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from schemas import wire
from schemas.fields import SubjectType
from workers.core.activity import row as activities
from workers.core.activity.acted_for import UNKNOWN
from workers.core.activity.backfill import Book
from workers.reading.gathered import KINDS, Gathered, record_of
from workers.signals.account_events import Counted, Occurred, decode
from workers.signals.intake import FUTURE_TOLERANCE_MS
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from schemas.wire import ProductEvent
    from workers.core.plan import Plan
    from workers.reading.gathered import Wanted
    from workers.reading.members import Members
    from workers.reading.topics import Found

Books: TypeAlias = dict[SubjectType, dict[int, Book]]
"""The books of each kind by partition."""

Refusal: TypeAlias = "Callable[[ProductEvent, bytes], bool]"
"""Whether the tracking plan kept an event from being counted."""


Brought: TypeAlias = tuple[str, wire.Backfilled]
"""A record for the engine, with its key."""


class Past:
    """Gathers the past of all subjects; ``now_ms`` decides what has left its window.

    Of an event that names no account, ``members`` says which its user acted for. With ``archived`` files may
    tell the account of who was in none yet, see :meth:`records`. ``untold`` counts the events, of those that
    accounts are asked about, by their users of whom nobody tells: they count for no account. ``strangers``
    counts those, of what users are asked about, that an id did for another person than it is of now.
    """

    def __init__(
        self,
        plan: Plan,
        books: Books,
        partitions: int,
        members: Members,
        now_ms: int,
        *,
        archived: bool = False,
    ) -> None:
        self._books = books
        self._partitions = partitions
        self._members = members
        self.wanted: Wanted = {kind: wanted(books, kind) for kind in KINDS}
        self._gathered = Gathered(plan, self.wanted, now_ms)
        self._layouts = {
            stamp: lengths for book in books["account"].values() for stamp, lengths in book.layouts.items()
        }
        self._archived = archived
        self.untold: Counter[str] = Counter()
        self.strangers: Counter[str] = Counter()
        self._pending: dict[str, list[tuple[str, set[int], int, msgspec.Raw]]] = defaultdict(list)
        self.oldest_ms: int | None = None

    @property
    def counted(self) -> int:
        """Events counted, each as often as slots ask for it."""
        return self._gathered.counted

    def take(self, found: Found, refused: Refusal) -> None:
        """Take in one record of ``product-events``; what the engine does not count is not counted here."""
        if self.oldest_ms is None or found.timestamp_ms < self.oldest_ms:
            self.oldest_ms = found.timestamp_ms
        if not self._is_before(found):
            return
        event = decoded(found.value)
        if event is None or (found.key or b"") != wire.subject(event).encode():
            return
        user, at_ms = wire.subject(event), wire.at_ms(event)
        if partition_of(user.encode(), self._partitions) != found.partition:
            return
        if at_ms > found.timestamp_ms + FUTURE_TOLERANCE_MS or refused(event, found.value):
            return
        self._happened(found, event, user, min(at_ms, found.timestamp_ms))

    def take_bundle(self, found: Found) -> None:
        """Take in one record of ``account-events``: what its partition read before it knew the slots."""
        book = self._books["account"].get(found.partition, Book())
        lengths = self._layouts.get((found.key or b"").decode(errors="replace"), {})
        early = {
            slot_id
            for slot_id in self.wanted["account"]
            if (mark := book.slots.get(slot_id)) is not None
            and found.offset < mark.from_bundle
            and lengths.get(mark.family, 0) >= mark.retention_ms
        }
        if not early:
            return
        for item in decode(found.value):
            if isinstance(item, Counted):
                for at_ms in item.times_ms:
                    self._gathered.count(
                        "account", item.account, item.event, early, at_ms, msgspec.Raw(b"null"), None
                    )
            elif isinstance(item, Occurred):
                raw = msgspec.Raw(item.properties or b"null")
                self._gathered.count("account", item.account, item.event, early, item.at_ms, raw, item.user)

    def records(self, now_ms: int, members: Mapping[str, str] | None = None) -> Iterator[Brought]:
        """What to send, with the key: the subjects of each kind in the order of their ids.

        ``members`` are accounts of users as files know them.
        """
        self._count_pending(members or {})
        yield from self._gathered.records(now_ms, archive=False)

    def endings(self, now_ms: int) -> Iterator[Brought]:
        """What to send when all of that is kept: each partition is told that nothing is missing any more.

        Not before: the offsets that it has noted are needed until then, also by other partitions' accounts.
        """
        yield from endings(self.wanted, self._partitions, now_ms, archive=False)

    def _is_before(self, found: Found) -> bool:
        """Whether some slot may want the record, so that it is worth decoding."""
        books = (by_partition.get(found.partition, Book()) for by_partition in self._books.values())
        return any(found.offset < mark.from_event for book in books for mark in book.slots.values())

    def _happened(self, found: Found, event: ProductEvent, user: str, at_ms: int) -> None:
        name = (event.event or "") if event.type == "track" else event.type
        early: dict[SubjectType, set[int]] = {
            kind: self._early(kind, found) for kind in KINDS if self._gathered.asks(kind, name)
        }
        row = self._gathered.row("user", user) if any(early.values()) else None
        if row is None or activities.is_duplicate(row, event.message_id, found.timestamp_ms):
            return
        if early.get("user") and found.offset < self._members.since(user):
            self.strangers[user] += 1
        elif early.get("user"):
            self._gathered.count("user", user, name, early["user"], at_ms, event.properties, None)
        if early.get("account"):
            self._count_for_account(found, event, user, name, early["account"], at_ms)

    def _count_for_account(
        self, found: Found, event: ProductEvent, user: str, name: str, early: set[int], at_ms: int
    ) -> None:
        account = wire.account(event)
        if account is None:
            account = self._members.account_at(user, found.offset)
        if account == UNKNOWN:
            self.untold[user] += 1
        elif account is not None:
            self._gathered.count("account", account, name, early, at_ms, event.properties, user)
        elif self._archived and self._members.has_been_in_none(user, found.offset):
            self._pending[user].append((name, early, at_ms, event.properties))

    def _count_pending(self, accounts: Mapping[str, str]) -> None:
        for user, happened in self._pending.items():
            account = accounts.get(user)
            for name, early, at_ms, properties in happened if account is not None else ():
                assert account is not None, "it was looked at"
                self._gathered.count("account", account, name, early, at_ms, properties, user)
        self._pending.clear()

    def _early(self, kind: SubjectType, found: Found) -> set[int]:
        book = self._books[kind].get(found.partition, Book())
        return {
            slot_id
            for slot_id in self.wanted[kind]
            if (mark := book.slots.get(slot_id)) is not None and found.offset < mark.from_event
        }


def wanted(books: Books, kind: SubjectType, *, archive: bool = False) -> frozenset[int]:
    """The slots that lack their past in some partition; ``archive``: what files may bring to them."""
    marks = (one for book in books[kind].values() for one in book.slots.items())
    return frozenset(slot_id for slot_id, mark in marks if not (mark.archived if archive else mark.whole))


def endings(of: Wanted, partitions: int, at_ms: int, *, archive: bool) -> Iterator[Brought]:
    """What tells each partition that nothing of these slots is missing any more."""
    for kind, slot_ids in of.items():
        plain = {str(slot_id): "" for slot_id in sorted(slot_ids)}
        for number in range(partitions) if plain else ():
            key = key_of(number, partitions)
            yield key, record_of(kind, key, plain, at_ms, archive=archive, done=True)


def key_of(partition: int, partitions: int) -> str:
    """A key that belongs to a partition."""
    return next(
        key
        for key in (f"backfill-{number}" for number in range(10**6))
        if partition_of(key.encode(), partitions) == partition
    )


def decoded(value: bytes) -> ProductEvent | None:
    """The event, where it is one; what is none is in ``dead-letters`` already."""
    try:
        event = wire.decode_product_event(value)
    except msgspec.DecodeError:
        return None
    return event if wire.problem(event) is None else None
