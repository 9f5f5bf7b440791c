"""After a workspace with other segments came: every subject is looked at once, a thousand at a time.

Events and timers keep memberships right from then on. How far the sweep is needs no row of its own: it is
repeated after a crash, and looking twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from workers.shell import Subject
from workers.state import TABLES
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.fields import SubjectType
    from workers.shell import EngineParts
    from workers.stream.store import PartitionStore
    from workers.stream.view import View

log = structlog.get_logger(__name__)

CHUNK = 1_000
"""Subjects of one transaction: some 50 ms, so that events and timers do not wait for long."""

SWEPT = Table("segments_swept", b"v", str)
"""The version of the segments that all subjects of a kind, the key, have been looked at under."""


class Chunk(NamedTuple):
    """The next subjects to look at: of a kind, from a storage key on, for a version of the segments."""

    kind: SubjectType
    start: bytes
    version: str


class Sweep:
    """The sweep of one partition."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._versions: dict[SubjectType, str] = {
            "user": parts.plan.user.segments.version,
            "account": parts.plan.account.segments.version,
        }
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[Chunk]:
        """The first chunk of each kind whose segments are others than those it was swept for."""
        self._store = store
        chunks = []
        for kind, version in self._versions.items():
            stored = store.get(SWEPT.key(kind.encode()))
            if version != (SWEPT.decode(stored) if stored is not None else ""):
                log.info("segments.sweep", kind=kind, version=version)
                chunks.append(Chunk(kind, TABLES[kind].activity.prefix, version))
        return chunks

    def take(self, chunks: Sequence[Any], view: View, now_ms: int) -> None:
        """Look at the subjects of the chunks, and ask for the next when that is committed."""
        assert self._store is not None, "the partition is open"
        for kind, start, version in chunks:
            if version != self._versions[kind]:
                continue  # of the workspace before this one; its successor began anew
            prefix = TABLES[kind].activity.prefix
            found = self._store.scan(prefix, start, CHUNK)
            for stored_key, _ in found:
                Subject(kind, stored_key[len(prefix) :], view, self._parts).settle(now_ms, None)
            if len(found) == CHUNK:
                view.after_commit(Chunk(kind, found[-1][0] + b"\0", version))
            else:
                view.table(SWEPT).put(kind.encode(), self._versions[kind])
