"""What account-level definitions need of product events, re-keyed: from a user's partition to the account's.

One record of ``account-events`` carries everything that one transaction has for one partition, packed as
msgpack. A record per event would double the work of the whole engine; a bundle costs a tenth of that,
and it also lets an account's row be read and written once for many events. The topic is internal: its
partition is chosen by the account's key, and nobody but the engine reads it.
"""

from __future__ import annotations

from typing import Any

import msgspec

BUNDLE_ITEMS_MAX = 4_000
"""Items of one record; at some 60 to 200 bytes an item it stays below Kafka's message limit."""

BUNDLE_BYTES_MAX = 600_000


class Occurred(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=0):
    """A member did something. ``properties`` is the event's JSON, or None where no definition reads it."""

    account: str
    user: str
    event: str
    at_ms: int
    message_id: str
    properties: bytes | None = None


class Described(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """A group call: the user belongs to the account, with a role where one is told, and the account has these traits."""

    account: str
    user: str
    role: str
    at_ms: int
    traits: dict[str, Any]


Item = Occurred | Described

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Item]).decode


def bundles(items: list[Item]) -> list[bytes]:
    """The items of one partition as record values, each within Kafka's limits, in order."""
    packed = encode(items)
    if len(items) <= BUNDLE_ITEMS_MAX and len(packed) <= BUNDLE_BYTES_MAX:
        return [packed]
    if len(items) == 1:
        return [packed]
    half = len(items) // 2
    return bundles(items[:half]) + bundles(items[half:])
