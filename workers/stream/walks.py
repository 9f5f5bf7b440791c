"""All rows of a table, looked at in the background: each task knows from which storage key on it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from workers.stream.background import Done, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.stream.store import PartitionStore


class Walk(Task, frozen=True):
    """The rows under ``prefix`` from the storage key ``start`` on; empty: all of them."""

    prefix: bytes
    start: bytes = b""


def go_on(store: PartitionStore, walk: Walk, most: int, look: Callable[[bytes], object]) -> Done:
    """Let ``look`` have the keys of the next rows, without their prefix; nothing remains after the last."""
    found = [key for key, _ in store.scan(walk.prefix, walk.start or walk.prefix, most)]
    for key in found:
        look(key[len(walk.prefix) :])
    rest = replace(walk, start=found[-1] + b"\0") if len(found) == most else None
    return Done(len(found), rest)
