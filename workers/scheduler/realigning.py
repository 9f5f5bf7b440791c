"""After a publication, or a word about a journey: all enrollments of a partition, in the background.

How far it is needs no row of its own: it is repeated after a crash, and doing it twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time
from workers.core.journeys.moving import realign
from workers.shell import Subject
from workers.state import TABLES
from workers.stream.tables import Table
from workers.stream.walks import Walk, go_on

if TYPE_CHECKING:
    from workers.shell import EngineParts
    from workers.stream.background import Done
    from workers.stream.store import PartitionStore
    from workers.stream.view import View

log = structlog.get_logger(__name__)

REALIGNED = Table("inside_realigned", b"w", str)
"""What all enrollments of a kind of subject, the key, were last brought in line with."""


class Aligning(Walk, frozen=True, kw_only=True):
    """The subjects of a kind that are to be brought in line."""

    kind: SubjectType


class Realigning:
    """Brings those inside in line with what was put in force, in one partition."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._inside: dict[SubjectType, str] = {
            "user": parts.plan.user.inside,
            "account": parts.plan.account.inside,
        }
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[Aligning]:
        """All subjects of each kind that were not brought in line with what is in force."""
        self._store = store
        begun = []
        for kind, inside in self._inside.items():
            stored = store.get(REALIGNED.key(kind.encode()))
            if inside and inside != (REALIGNED.decode(stored) if stored is not None else ""):
                log.info("enrollments.realign", kind=kind, inside=inside)
                begun.append(Aligning(TABLES[kind].progress.prefix, kind=kind))
        return begun

    def work(self, aligning: Aligning, most: int, view: View, now_ms: int) -> Done:
        """Look at the next subjects."""
        assert self._store is not None, "the partition is open"
        kind = aligning.kind

        def align(key: bytes) -> None:
            subject = Subject(kind, key, view, self._parts)
            subject.take(realign(subject.plan, subject.progress, now_ms), now_ms)

        done = go_on(self._store, aligning, most, align)
        if done.rest is None:
            view.table(REALIGNED).put(kind.encode(), self._inside[kind])
        return done
