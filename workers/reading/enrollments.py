"""Who is inside a journey, read from the engine's changelog: all at once, or a page at a time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from workers.errors import Retryable
from workers.listed import Page, Place, Wanted
from workers.reading.changelogs import CHANGELOG, Kept, read_rows
from workers.standing import enrollment_item, since_ms, stands_at
from workers.state import TABLES
from workers.stream.admin import partitions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from schemas.fields import SubjectType
    from workers.core.journeys.progress import Enrollment, Progress
    from workers.core.plan import Plan, SubjectPlan
    from workers.settings import Settings

KEPT_MS: Final = 60_000
"""How long what was read of a partition is good for further pages."""

KEPT_MOST: Final = 4
"""Readings of partitions that are kept for further pages: each is a file, as large as what was found."""

GO_ON_S: Final = 4.0
"""A page that is not full goes on with the next partition until then."""


def subject_plan(plan: Plan | None, kind: SubjectType) -> SubjectPlan | None:
    """The part of a plan that is about users, or accounts."""
    return None if plan is None else plan.user if kind == "user" else plan.account


def read_enrollments(
    settings: Settings,
    wanted: Wanted,
    kinds: Iterable[SubjectType],
    plan: Plan | None,
    now_ms: int,
    only: Collection[int] | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Kept:
    """Enrollments in a journey, in order of since when they stand where they are, linked by their ids.

    ``only`` names the partitions to read (None: all); ``progress`` is as that of :func:`read_rows`.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    by_prefix = {TABLES[kind].progress.prefix: kind for kind in kinds}
    # What a row holds of a name is its very bytes: most rows need not be decoded.
    name = wanted.journey.encode()
    kept = Kept()
    for key, value in read_rows(settings, by_prefix, only, progress):
        kind = by_prefix[key[:1]]
        row = TABLES[kind].progress.decode(value) if name in value else None
        found = (
            [
                (
                    held.id,
                    group,
                    since_ms(held),
                    enrollment_item(kind, row, held, subject_plan(plan, kind), now_ms),
                )
                for held, group in _matching(row, wanted)
            ]
            if row is not None
            else []
        )
        kept.put(key, found)
    return kept


def _matching(progress: Progress, wanted: Wanted) -> Iterable[tuple[Enrollment, str]]:
    for held in progress.enrollments:
        if held.journey != wanted.journey or wanted.state not in ("all", held.state):
            continue
        steps = stands_at(held)
        if wanted.step is None or wanted.step in steps:
            ended = f"ended: {held.end_reason}"
            yield held, " + ".join(steps) if held.is_active else ended


class Pages:
    """Gives the enrollments of a journey a page at a time. Its methods may be called by several threads.

    A partition is read whole for its first page; what was found is kept for :data:`KEPT_MS`, so that the
    next pages cost a look into a file. After that, or at another gateway, it is read again: a place in the
    list is good for ever, and who came or left meanwhile is in the rest of it or not.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Callable[[], Plan | None],
        now_ms: Callable[[], int],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._now_ms = now_ms
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Wanted, int], tuple[int, Kept]] = OrderedDict()

    def page(
        self,
        wanted: Wanted,
        place: Place,
        limit: int,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> Page:
        """At most ``limit`` enrollments from a place on; fewer, or none, does not mean that it is the end.

        Raises:
            Misconfigured: there is no changelog.
            Retryable: no broker answers, or what ``progress`` raises.
        """
        settings, until_s = self._settings, self._seconds() + GO_ON_S
        partitions = partitions_of(settings.kafka, settings.topic(CHANGELOG), settings.librdkafka())
        found = Page([], place if place.partition < partitions else None, self._now_ms())
        while found.next is not None and len(found.items) < limit:
            if found.next != place and self._seconds() > until_s:
                break
            try:
                read_ms, kept = self._reading(wanted, found.next.partition, progress)
            except Retryable:
                if found.next == place:
                    raise
                break
            with self._lock:
                some = kept.after(found.next.after, limit - len(found.items) + 1)
            more = len(some) > limit - len(found.items)
            found.items.extend(some[: limit - len(found.items)])
            if more:
                following = Place(found.next.partition, found.items[-1]["enrollment"])
            else:
                following = Place(found.next.partition + 1)
            end = following.partition >= partitions
            found = Page(found.items, None if end else following, min(read_ms, found.read_ms))
        return found

    def _reading(
        self, wanted: Wanted, partition: int, progress: Callable[[int, int], None]
    ) -> tuple[int, Kept]:
        now_ms, key = self._now_ms(), (wanted, partition)
        with self._lock:
            known = self._kept.get(key)
        if known is not None and 0 <= now_ms - known[0] <= KEPT_MS:
            return known
        kinds: tuple[SubjectType, ...] = tuple(TABLES)
        kept = read_enrollments(self._settings, wanted, kinds, self._plan(), now_ms, (partition,), progress)
        with self._lock:
            self._kept[key] = (now_ms, kept)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_MOST:
                self._kept.popitem(last=False)
        return now_ms, kept
