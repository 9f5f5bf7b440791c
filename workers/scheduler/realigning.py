"""After a publication, or a word about a journey: all enrollments of a partition, a thousand rows at a time.

How far it is needs no row of its own: it is repeated after a crash, and doing it twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from workers.core.journeys.moving import realign
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

REALIGNED = Table("inside_realigned", b"w", str)
"""What all enrollments of a kind of subject, the key, were last brought in line with."""


class People(NamedTuple):
    """The next subjects to look at: of a kind, from a storage key on, for what was put in force."""

    kind: SubjectType
    start: bytes
    inside: str


class Realigning:
    """Brings those inside in line with what was put in force, in one partition."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._inside: dict[SubjectType, str] = {
            "user": parts.plan.user.inside,
            "account": parts.plan.account.inside,
        }
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[People]:
        """The first subjects of each kind that were not brought in line with what is in force."""
        self._store = store
        begun = []
        for kind, inside in self._inside.items():
            stored = store.get(REALIGNED.key(kind.encode()))
            if inside and inside != (REALIGNED.decode(stored) if stored is not None else ""):
                log.info("enrollments.realign", kind=kind, inside=inside)
                begun.append(People(kind, TABLES[kind].progress.prefix, inside))
        return begun

    def take(self, chunks: Sequence[Any], view: View, now_ms: int) -> None:
        """Look at the subjects of the chunks, and ask for the next when that is committed."""
        assert self._store is not None, "the partition is open"
        for kind, start, inside in chunks:
            if inside != self._inside[kind]:
                continue  # of what was in force before; its successor began anew
            prefix = TABLES[kind].progress.prefix
            found = self._store.scan(prefix, start, CHUNK)
            for stored_key, _ in found:
                subject = Subject(kind, stored_key[len(prefix) :], view, self._parts)
                subject.take(realign(subject.plan, subject.progress, now_ms), now_ms)
            if len(found) == CHUNK:
                view.after_commit(People(kind, found[-1][0] + b"\0", inside))
            else:
                view.table(REALIGNED).put(kind.encode(), inside)
