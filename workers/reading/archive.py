"""What files have of the past and the topic never had, for ``brimful backfill --files``.

An event counts here unless the topic has it, by its subject and its message id: what stands in the topic
is counted by the engine, or brought by :mod:`workers.reading.past`. A slot takes what files have once,
whether it began empty or has counted from the start.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from xxhash import xxh3_64_digest

from schemas import wire
from workers.core.activity import row as activities
from workers.reading.gathered import KINDS, Gathered
from workers.reading.past import decoded, endings, wanted
from workers.signals.membership import REMOVE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.fields import SubjectType
    from schemas.wire import ProductEvent
    from workers.core.activity.row import Activity
    from workers.core.plan import Plan
    from workers.reading.gathered import Wanted
    from workers.reading.members import Members
    from workers.reading.past import Books, Brought, Refusal
    from workers.reading.topics import Found

ON_ITS_WAY_MS: Final = 86_400_000
"""What happened in the last 24 hours and is not in the topic yet may be on its way there: producers and
gateways keep what they could not send."""

_BUCKETS: Final = 1 << 16
_DIGEST_BYTES: Final = 8


class Ids:
    """Messages by their subject and id: 8 bytes for each of any number.

    They are told by a hash of 64 bits: of ten million, two are taken for one with a chance of 1 in 370,000.
    """

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(_BUCKETS)]

    def __contains__(self, message: tuple[str, str]) -> bool:
        """Whether this subject's message is among them."""
        bucket, digest = self._place(message)
        return _holds(bucket, digest)

    def add(self, message: tuple[str, str]) -> bool:
        """Add a message; False where it is among them."""
        bucket, digest = self._place(message)
        if _holds(bucket, digest):
            return False
        bucket += digest
        return True

    def _place(self, message: tuple[str, str]) -> tuple[bytearray, bytes]:
        subject, message_id = message
        digest = xxh3_64_digest(f"{len(subject)}:{subject}{message_id}".encode())
        return self._buckets[int.from_bytes(digest[:2])], digest


class Archive:
    """Gathers what files have: all of the topic goes to :meth:`know`, then their events go to :meth:`take`.

    ``members`` tells the account of users of whom no group call may stand in the files. What happened at
    ``before_ms`` or later is left out.
    """

    def __init__(self, plan: Plan, books: Books, members: Members, now_ms: int, before_ms: int) -> None:
        self.wanted: Wanted = {kind: wanted(books, kind, archive=True) for kind in KINDS}
        self.outcomes: Counter[str] = Counter()
        self.oldest_ms: int | None = None
        self.newest_ms: int | None = None
        self._gathered = Gathered(plan, self.wanted, now_ms)
        self._members = members
        self._before_ms = before_ms
        self._in_topic, self._in_files = Ids(), Ids()

    def know(self, found: Found) -> None:
        """Remember a record of ``product-events``, whatever became of it."""
        event = decoded(found.value)
        if event is not None and self._is_asked(_name(event)):
            self._in_topic.add((wire.subject(event), event.message_id))

    def take(self, event: ProductEvent, payload: bytes, refused: Refusal) -> None:
        """Take in one event of a file; ``outcomes`` counts what became of it."""
        at_ms = wire.at_ms(event)
        self.oldest_ms = at_ms if self.oldest_ms is None else min(self.oldest_ms, at_ms)
        self.newest_ms = at_ms if self.newest_ms is None else max(self.newest_ms, at_ms)
        self.outcomes[self._become(event, payload, at_ms, refused)] += 1

    def last_accounts(self) -> Mapping[str, str]:
        """The account of each user at the end of the files, where they tell one."""
        return self._gathered.last_accounts()

    @property
    def counted(self) -> int:
        """Events counted, each as often as slots ask for it."""
        return self._gathered.counted

    def records(self, now_ms: int) -> Iterator[Brought]:
        """What to send, with the key: the subjects of each kind in the order of their ids."""
        yield from self._gathered.records(now_ms, archive=True)

    def endings(self, partitions: int, now_ms: int) -> Iterator[Brought]:
        """What to send when all of that is kept: no slot takes from files again."""
        yield from endings(self.wanted, partitions, now_ms, archive=True)

    def _become(self, event: ProductEvent, payload: bytes, at_ms: int, refused: Refusal) -> str:
        if at_ms >= self._before_ms:
            return "late"
        name = _name(event)
        is_member = event.type == "group" and bool(self.wanted["account"])
        if not (is_member or self._is_asked(name)):
            return "unasked"
        if refused(event, payload):
            return "refused"
        user = wire.subject(event)
        account = self._account_of(event, user, at_ms)
        if not self._is_asked(name):
            return "unasked"
        message = (user, event.message_id)
        is_known = message in self._in_topic
        if is_known or not self._in_files.add(message):
            return "in_topic" if is_known else "repeated"
        is_strangers = self._gathered.asks("user", name) and self._members.since(user) > 0
        if self._gathered.asks("user", name) and not is_strangers:
            self._count("user", user, event, at_ms, None)
        if account is not None and self._gathered.asks("account", name):
            self._count("account", account, event, at_ms, user)
        return "strangers" if is_strangers else "taken"

    def _account_of(self, event: ProductEvent, user: str, at_ms: int) -> str | None:
        """The account that the event is for; what it says of the user's accounts is remembered."""
        account = wire.account(event)
        row = self._gathered.row("user", user)
        follow(row, event, at_ms)
        return account or (row.accounts[-1] if row.accounts else self._members.only_account(user))

    def _count(
        self, kind: SubjectType, subject: str, event: ProductEvent, at_ms: int, member: str | None
    ) -> None:
        slot_ids, properties = self.wanted[kind], event.properties
        self._gathered.count(kind, subject, _name(event), slot_ids, at_ms, properties, member)

    def _is_asked(self, name: str) -> bool:
        return self._gathered.asks("user", name) or self._gathered.asks("account", name)


def gone(books: Books, begins: Mapping[int, int]) -> list[int]:
    """The partitions of ``product-events`` that have lost records which a slot that wants files has counted.

    Whether these are in the files, too, cannot be told by their ids. ``begins`` is the first offset that each
    partition has.
    """
    found = set()
    for by_partition in books.values():
        for partition, book in by_partition.items():
            for mark in book.slots.values():
                counted_from = 0 if mark.whole or mark.filled_to is not None else mark.from_event
                if not mark.archived and begins.get(partition, 0) > counted_from:
                    found.add(partition)
    return sorted(found)


def follow(row: Activity, event: ProductEvent, at_ms: int) -> None:
    """Change a user's accounts as the engine does when it takes in an event of theirs."""
    acted = event.context.group_id if event.context is not None else None
    if acted and len(row.accounts) > 1:
        activities.act_for(row, acted, at_ms)
    account = wire.account(event)
    if event.type != "group" or not account:
        return
    if wire.values(event.traits).get(REMOVE) is True:
        if account in row.accounts:
            row.accounts.remove(account)
        return
    activities.join_account(row, account, at_ms)
    del row.accounts[: -activities.ACCOUNTS_MAX]


def _name(event: ProductEvent) -> str:
    return (event.event or "") if event.type == "track" else event.type


def _holds(bucket: bytearray, digest: bytes) -> bool:
    at = bucket.find(digest)
    while at >= 0 and at % _DIGEST_BYTES:
        at = bucket.find(digest, at + 1)
    return at >= 0
