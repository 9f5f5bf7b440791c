"""What account-level definitions need of product events, re-keyed: from a user's partition to the account's.

One record of ``account-events`` carries everything that one transaction has for one partition, packed as
msgpack. A record per event would double the work of the whole engine; a bundle costs a tenth of that,
and it also lets an account's row be read and written once for many events. The topic is internal: its
partition is chosen by the account's key, and nobody but the engine reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from schemas.wire import ProductEvent
    from workers.stream.view import View

BUNDLE_ITEMS_MAX = 4_000
"""Items of one record; at some 60 to 200 bytes an item it stays below Kafka's message limit."""

BUNDLE_BYTES_MAX = 600_000


class Counted(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """Members did something at these times; nobody asks who, or how."""

    account: str
    event: str
    times_ms: list[int]


class Occurred(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=0):
    """A member did something. ``properties`` is the event's JSON, or None where it has none."""

    account: str
    user: str
    event: str
    at_ms: int
    message_id: str
    properties: bytes | None = None


class Described(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """A group call: the user belongs to the account, in a role if told; the account has these traits."""

    account: str
    user: str
    role: str
    at_ms: int
    traits: dict[str, Any]


class Departed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """The user is no member of the account any more."""

    account: str
    user: str


Item = Occurred | Described | Counted | Departed

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Item]).decode


class Outbox:
    """Gathers what one transaction has for accounts, by their partitions.

    ``stamp`` is the key of each record: it says by which plan its items were chosen.

    Occurrences that are only counted are joined by account and event; the order of all other items of an
    account is kept. Counting does not depend on order, so joining changes no window.
    """

    def __init__(self, partitions: int, stamp: bytes) -> None:
        self._partitions = partitions
        self._stamp = stamp
        self._counted: dict[str, dict[str, list[int]]] = {}
        self._items: dict[int, list[Item]] = {}

    def times(self, event: str) -> dict[str, list[int]]:
        """The occurrences of an event of which only the time matters, by account; add to it as they come."""
        held = self._counted.get(event)
        if held is None:
            held = self._counted[event] = {}
        return held

    def occurred(self, account: str, event: ProductEvent, at_ms: int) -> None:
        """An occurrence that something may be decided on. What was counted before it goes before it."""
        name = event.event or event.type
        user = event.user_id or event.anonymous_id or ""
        for counted, by_account in self._counted.items():
            times_ms = by_account.pop(account, None)
            if times_ms:
                self._add(Counted(account, counted, times_ms))
        self._add(Occurred(account, user, name, at_ms, event.message_id, bytes(event.properties)))

    def described(self, item: Described | Departed) -> None:
        """A membership or traits, or that a membership is over."""
        self._add(item)

    def send(self, topic: str, view: View) -> None:
        """Hand everything to the transaction."""
        for event, by_account in self._counted.items():
            for account, times_ms in by_account.items():
                self._add(Counted(account, event, times_ms))
        self._counted.clear()
        for partition, items in self._items.items():
            for packed in bundles(items):
                view.send(topic, self._stamp, packed, partition)

    def _add(self, item: Item) -> None:
        partition = partition_of(item.account.encode(), self._partitions)
        held = self._items.get(partition)
        if held is None:
            self._items[partition] = [item]
        else:
            held.append(item)


def bundles(items: list[Item]) -> list[bytes]:
    """The items of one partition as record values, each within Kafka's limits, in order."""
    packed = encode(items)
    if len(items) == 1 or (len(items) <= BUNDLE_ITEMS_MAX and len(packed) <= BUNDLE_BYTES_MAX):
        return [packed]
    half = len(items) // 2
    return bundles(items[:half]) + bundles(items[half:])
