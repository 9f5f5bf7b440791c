"""After a workspace with other definitions came: what is known of objects and who follows them is mended.

Every partition tells the others again what definitions now read of its objects, and every subject's relations
lose what nobody asks for and follow what somebody watches. Doing it twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import structlog

from workers.relations import tidy
from workers.state import OBJECTS, OBJECTS_SWEPT, TABLES
from workers.stream.walks import Walk, go_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.signals.objects import ObjectSignals
    from workers.stream.background import Done
    from workers.stream.store import PartitionStore
    from workers.stream.view import View

log = structlog.get_logger(__name__)

KINDS: tuple[Literal["objects", "user", "account"], ...] = ("objects", "user", "account")


class Mending(Walk, frozen=True, kw_only=True):
    """The rows of a kind that are to be put right."""

    kind: Literal["objects", "user", "account"]


class ObjectSweep:
    """The sweep of one partition."""

    def __init__(self, parts: EngineParts, objects: ObjectSignals) -> None:
        self._parts = parts
        self._objects = objects
        self._version = parts.plan.types.version
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[Mending]:
        """All rows of each kind that was not looked at under these definitions."""
        self._store = store
        begun = []
        for kind in KINDS:
            stored = store.get(OBJECTS_SWEPT.key(kind.encode()))
            if self._version != (OBJECTS_SWEPT.decode(stored) if stored is not None else ""):
                log.info("relations.sweep", kind=kind, version=self._version)
                begun.append(Mending(_prefix(kind), kind=kind))
        return begun

    def work(self, mending: Mending, most: int, view: View, now_ms: int) -> Done:
        """Put the next rows right."""
        assert self._store is not None, "the partition is open"
        kind = mending.kind
        if kind == "objects":
            keys: list[bytes] = []
            done = go_on(self._store, mending, most, keys.append)
            self._spread(keys, view, now_ms)
        else:
            done = go_on(self._store, mending, most, lambda key: tidy(kind, key, view, self._parts))
        if done.rest is None:
            view.table(OBJECTS_SWEPT).put(kind.encode(), self._version)
        return done

    def _spread(self, keys: Sequence[bytes], view: View, now_ms: int) -> None:
        values: list[Any] = []
        for key in keys:
            kind, _, object_id = key.decode().partition(":")
            row = view.table(OBJECTS).get(key)
            if row is None:
                continue
            if self._objects.is_home(key):
                values.append(self._objects.values_of(kind, object_id, row))
            elif kind not in self._parts.plan.types.needed:
                # A copy that nobody reads any more.
                view.table(OBJECTS).delete(key)
        self._objects.spread([one for one in values if one is not None], view, now_ms)


def _prefix(kind: Literal["objects", "user", "account"]) -> bytes:
    return OBJECTS.prefix if kind == "objects" else TABLES[kind].relations.prefix
