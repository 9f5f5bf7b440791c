"""After a workspace with other segments came: every subject is looked at once, a hundred at a time.

Events and timers keep memberships right from then on. The sweep is repeated after a crash, and looking twice
changes nothing. Who comes into a segment by it enters no journey (``Subject.sweep``); journeys that want
those too look at them afterwards, at a rate of their own (:mod:`workers.signals.batches`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from workers.shell import Subject
from workers.state import SWEPT, TABLES, Swept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.fields import SubjectType
    from workers.core.plan import SegmentsPlan
    from workers.shell import EngineParts
    from workers.stream.store import PartitionStore
    from workers.stream.view import View

log = structlog.get_logger(__name__)

CHUNK = 100
"""Subjects of one transaction: some 25 ms for people who are in ten journeys (measured). All partitions of a
process take turns on one loop, and an event needs several of them to come through."""


class Chunk(NamedTuple):
    """The next subjects to look at: of a kind, from a storage key on, for a version of the segments."""

    kind: SubjectType
    start: bytes
    version: str


class Sweep:
    """The sweep of one partition."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._plans: dict[SubjectType, SegmentsPlan] = {
            "user": parts.plan.user.segments,
            "account": parts.plan.account.segments,
        }
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[Chunk]:
        """The first chunk of each kind whose segments are others than those it was swept for."""
        self._store = store
        chunks = []
        for kind, plan in self._plans.items():
            stored = store.get(SWEPT.key(kind.encode()))
            swept = SWEPT.decode(stored) if stored is not None else Swept()
            # One that was broken off has left some under its target, also where that is taken back.
            if {swept.version, swept.target} - {plan.version}:
                log.info("segments.sweep", kind=kind, version=plan.version)
                chunks.append(Chunk(kind, TABLES[kind].activity.prefix, plan.version))
        return chunks

    def take(self, chunks: Sequence[Any], view: View, now_ms: int) -> None:
        """Look at the subjects of the chunks, and ask for the next when that is committed."""
        assert self._store is not None, "the partition is open"
        table = view.table(SWEPT)
        for kind, start, version in chunks:
            plan, prefix = self._plans[kind], TABLES[kind].activity.prefix
            if version != plan.version:
                continue  # of the workspace before this one; its successor began anew
            swept = table.get(kind.encode()) or Swept()
            if swept.target != plan.version:
                if swept.target != swept.version:
                    swept.lineages = {}
                swept.target, swept.cursor, swept.since_ms = plan.version, b"", now_ms
            found = self._store.scan(prefix, start, CHUNK)
            for stored_key, _ in found:
                Subject(kind, stored_key[len(prefix) :], view, self._parts).segments.sweep(now_ms)
            if len(found) == CHUNK:
                swept.cursor = max(swept.cursor, found[-1][0] + b"\0")
                view.after_commit(Chunk(kind, found[-1][0] + b"\0", version))
            else:
                swept.version, swept.lineages, swept.cursor = plan.version, dict(plan.lineages), b""
            table.put(kind.encode(), swept)
