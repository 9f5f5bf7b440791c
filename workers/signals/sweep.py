"""After a workspace with other segments came: every subject is looked at once, in the background.

Events and timers keep memberships right from then on. The sweep is repeated after a crash, and looking twice
changes nothing. Who comes into a segment by it enters no journey (``Subject.sweep``); journeys that want
those too look at them afterwards, at a rate of their own (:mod:`workers.signals.batches`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time
from workers.shell import Subject
from workers.state import SWEPT, TABLES, Swept
from workers.stream.walks import Walk, go_on

if TYPE_CHECKING:
    from workers.core.plan import SegmentsPlan
    from workers.shell import EngineParts
    from workers.stream.background import Done
    from workers.stream.store import PartitionStore
    from workers.stream.view import View

log = structlog.get_logger(__name__)


class Sweeping(Walk, frozen=True, kw_only=True):
    """The subjects of a kind that are to be looked at."""

    kind: SubjectType


class Sweep:
    """The sweep of one partition."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._plans: dict[SubjectType, SegmentsPlan] = {
            "user": parts.plan.user.segments,
            "account": parts.plan.account.segments,
        }
        self._store: PartitionStore | None = None

    def opened(self, store: PartitionStore) -> list[Sweeping]:
        """All subjects of each kind whose segments are others than those it was swept for."""
        self._store = store
        begun = []
        for kind, plan in self._plans.items():
            stored = store.get(SWEPT.key(kind.encode()))
            swept = SWEPT.decode(stored) if stored is not None else Swept()
            # One that was broken off has left some under its target, also where that is taken back.
            if {swept.version, swept.target} - {plan.version}:
                log.info("segments.sweep", kind=kind, version=plan.version)
                begun.append(Sweeping(TABLES[kind].activity.prefix, kind=kind))
        return begun

    def work(self, sweeping: Sweeping, most: int, view: View, now_ms: int) -> Done:
        """Look at the next subjects."""
        assert self._store is not None, "the partition is open"
        table, kind, plan = view.table(SWEPT), sweeping.kind, self._plans[sweeping.kind]
        swept = table.get(kind.encode()) or Swept()
        if swept.target != plan.version:
            if swept.target != swept.version:
                swept.lineages = {}
            swept.target, swept.cursor, swept.since_ms = plan.version, b"", now_ms
        done = go_on(
            self._store,
            sweeping,
            most,
            lambda key: Subject(kind, key, view, self._parts).segments.sweep(now_ms),
        )
        if isinstance(done.rest, Walk):
            swept.cursor = max(swept.cursor, done.rest.start)
        else:
            swept.version, swept.lineages, swept.cursor = plan.version, dict(plan.lineages), b""
        table.put(kind.encode(), swept)
        return done
