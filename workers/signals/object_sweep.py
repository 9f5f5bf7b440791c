"""After a workspace with other definitions came: what is known of objects and who follows them is mended.

Every partition tells the others again what definitions now read of its objects, and every subject's relations
lose what nobody asks for and follow what somebody watches. Doing it twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import structlog

from workers.relations import tidy
from workers.signals.sweep import CHUNK
from workers.state import OBJECTS, OBJECTS_SWEPT, TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.shell import EngineParts
    from workers.signals.objects import ObjectSignals
    from workers.stream.store import PartitionStore
    from workers.stream.view import View

log = structlog.get_logger(__name__)

KINDS: tuple[Literal["objects", "user", "account"], ...] = ("objects", "user", "account")


class ObjectChunk(NamedTuple):
    """The next rows to put right: of a kind, from a storage key on, for a version of the definitions."""

    kind: Literal["objects", "user", "account"]
    start: bytes
    version: str


class ObjectSweep:
    """The sweep of one partition."""

    def __init__(self, parts: EngineParts, objects: ObjectSignals) -> None:
        self._parts = parts
        self._objects = objects
        self._version = parts.plan.types.version
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[ObjectChunk]:
        """The first chunk of each kind that was not looked at under these definitions."""
        self._store = store
        chunks = []
        for kind in KINDS:
            stored = store.get(OBJECTS_SWEPT.key(kind.encode()))
            if self._version != (OBJECTS_SWEPT.decode(stored) if stored is not None else ""):
                log.info("relations.sweep", kind=kind, version=self._version)
                chunks.append(ObjectChunk(kind, _prefix(kind), self._version))
        return chunks

    def take(self, chunks: Sequence[ObjectChunk], view: View, now_ms: int) -> None:
        """Put the rows of the chunks right, and ask for the next when that is committed."""
        for kind, start, version in chunks:
            if version != self._version:
                continue  # of the workspace before this one; its successor began anew
            assert self._store is not None, "the partition is open"
            prefix = _prefix(kind)
            found = self._store.scan(prefix, start, CHUNK)
            if kind == "objects":
                self._spread([stored_key[len(prefix) :] for stored_key, _ in found], view, now_ms)
            else:
                for stored_key, _ in found:
                    tidy(kind, stored_key[len(prefix) :], view, self._parts)
            if len(found) == CHUNK:
                view.after_commit(ObjectChunk(kind, found[-1][0] + b"\0", version))
            else:
                view.table(OBJECTS_SWEPT).put(kind.encode(), self._version)

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
