"""What subjects did before new slots began to count, computed from the topics for ``brimful backfill``.

The engine counts a record, or this does, and never both: a slot of a user wants the product events before the
offset that the partition noted; a slot of an account wants those before the offset of its members' partition,
and the bundles that its own partition read too early (from a worker that knew the slot before it did). Events
that the engine sends on to another partition are left out here: their copies stand in the topic too.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from schemas import wire
from schemas.fields import SubjectType
from workers.core.activity import row as activities
from workers.core.activity.backfill import Book
from workers.reading.gathered import KINDS, Gathered, record_of
from workers.reading.members import follow, leaves
from workers.signals.account_events import Counted, Occurred, decode
from workers.signals.intake import FUTURE_TOLERANCE_MS
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from schemas.wire import ProductEvent
    from workers.core.activity.row import Activity
    from workers.core.plan import Plan
    from workers.reading.gathered import Wanted
    from workers.reading.members import Members
    from workers.reading.topics import Found

Books: TypeAlias = dict[SubjectType, dict[int, Book]]
"""The books of each kind by partition."""

Refusal: TypeAlias = "Callable[[ProductEvent, bytes], bool]"
"""Whether the tracking plan kept an event from being counted."""


_DESCRIBING: Final = frozenset({"identify", "group", "alias"})
"""Calls that say which account their user acts for, whatever a workspace asks about."""

Brought: TypeAlias = tuple[str, wire.Backfilled]
"""A record for the engine, with its key."""


class Past:
    """Gathers the past of all subjects; ``now_ms`` decides what has left its window.

    Of an event that names no account, ``members`` says which its user was in when the topic begins; from
    there on the topic tells. With ``archived`` files may tell the accounts of others; see :meth:`records`.
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
        self._archived = archived
        self.wanted: Wanted = {kind: wanted(books, kind) for kind in KINDS}
        self._gathered = Gathered(plan, self.wanted, now_ms)
        self._layouts = {
            stamp: lengths for book in books["account"].values() for stamp, lengths in book.layouts.items()
        }
        self._followed = _DESCRIBING | plan.user.events.keys() | plan.account.events.keys()
        self._begins: dict[int, Found] = {}
        self._unsure: set[str] = set()
        self._joined: dict[str, set[str]] = defaultdict(set)
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
        self._begins.setdefault(found.partition, found)
        before = self._is_before(found)
        if not before and not (self._pending and b'"group"' in found.value):
            return
        event = decoded(found.value)
        if event is None or (found.key or b"") != wire.subject(event).encode():
            return
        user, at_ms = wire.subject(event), wire.at_ms(event)
        if partition_of(user.encode(), self._partitions) != found.partition:
            return
        if at_ms > found.timestamp_ms + FUTURE_TOLERANCE_MS or refused(event, found.value):
            return
        if before:
            self._happened(found, event, user, min(at_ms, found.timestamp_ms))
        elif event.type == "group":
            self._settle(event, user, found.partition)

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
        account = wire.account(event)
        if not any(early.values()) and not self._tells(event, name, user, found.partition):
            return
        row = self._row(user, found.partition)
        if activities.is_duplicate(row, event.message_id, found.timestamp_ms):
            return
        if event.type == "group":
            self._settle(event, user, found.partition)
        follow(row, event, at_ms)
        if account in row.accounts or len(row.accounts) == 1:
            self._unsure.discard(user)
        if early.get("user"):
            self._gathered.count("user", user, name, early["user"], at_ms, event.properties, None)
        if not early.get("account"):
            return
        account = account or (row.accounts[-1] if row.accounts and user not in self._unsure else None)
        if account is not None:
            self._gathered.count("account", account, name, early["account"], at_ms, event.properties, user)
        elif not row.accounts and self._may_have_been_in_one(user, found.partition):
            self._pending[user].append((name, early["account"], at_ms, event.properties))

    def _tells(self, event: ProductEvent, name: str, user: str, partition: int) -> bool:
        """Whether an event that no slot wants says which account its user acts for from now on."""
        if not self.wanted["account"]:
            return False
        if event.type == "group":
            return True
        if not wire.account(event) or name not in self._followed:
            return False
        row = self._gathered.known("user", user)
        return len(self._began_in(user, partition) if row is None else row.accounts) > 1

    def _row(self, user: str, partition: int) -> Activity:
        """A user's row; it begins with the accounts that the user was in when the topic begins."""
        row = self._gathered.known("user", user)
        if row is None:
            row = self._gathered.row("user", user)
            row.accounts.extend(self._began_in(user, partition))
            # Of when the user last acted for one of them is known that it was before: late calls are older.
            row.acted_ms = self._begins[partition].timestamp_ms if row.accounts else 0
            if len(row.accounts) > 1:
                # The state tells which of them is the present one now, not which was.
                self._unsure.add(user)
        return row

    def _began_in(self, user: str, partition: int) -> Sequence[str]:
        return self._members.before(user, self._begins[partition].offset)

    def _may_have_been_in_one(self, user: str, partition: int) -> bool:
        """Whether what comes later, or a file, may tell an account of a user who is in none that is known.

        A group call that ends a membership tells that there was one, where the topic has lost its beginning.
        """
        if self._archived or self._begins[partition].offset > 0:
            return True
        return user in self._members.accounts and not self._members.dates(user)

    def _settle(self, event: ProductEvent, user: str, partition: int) -> None:
        """A group call tells of the time before it: who leaves an account that no call here joined was in it.

        Who joins one is not known to have been in another.
        """
        account = wire.account(event)
        if user not in self._pending or account is None:
            return
        if leaves(event):
            if account not in self._joined[user]:
                self._count_for(account, user, self._pending.pop(user))
        elif self._archived or self._begins[partition].offset > 0:
            self._joined[user].add(account)
        else:
            self._pending.pop(user)

    def _count_pending(self, members: Mapping[str, str]) -> None:
        """Of whom no group call stands in the topic, everything was for the account that they are in."""
        for user, happened in self._pending.items():
            is_told = user in self._joined or self._members.dates(user)
            of_state = None if is_told else self._members.accounts.get(user)
            self._count_for(members.get(user) or of_state, user, happened)
        self._pending.clear()

    def _count_for(
        self, account: str | None, user: str, happened: list[tuple[str, set[int], int, msgspec.Raw]]
    ) -> None:
        if account is None:
            return
        for name, early, at_ms, properties in happened:
            self._gathered.count("account", account, name, early, at_ms, properties, user)

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
