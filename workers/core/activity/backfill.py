"""Which slots of a partition hold all that they should, and how what is missing gets into them.

A slot's id changes with its event, its filter and its length, so that old content is never read as new. When
a workspace with other slots comes, each partition notes from which record on a new slot counts. What came
before is missing, until ``brimful backfill`` brings it: exactly the records before that one.

A slot whose predecessor was at least as long, and otherwise the same, takes over what that one holds and
misses what that one missed. All other old content goes away.

A worker that is behind the publication by which a partition has noted its slots goes by the book of the newer
one: it gives nothing away that it does not know, and says what it did not count (:func:`stand_in`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from workers.core.activity import slots as slot_values
from workers.core.activity import windows
from workers.core.ids import stable_id
from workers.core.merge import merge_windows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from workers.core.activity.row import Activity
    from workers.core.plan import SubjectPlan

LAYOUTS_MAX: Final = 20
"""Layouts remembered: an item of a worker with an older one is in flight for seconds."""

FOR_EVER: Final = 2**62
"""The retention of what is kept for ever, so that lengths compare."""


class Family(NamedTuple):
    """What slots have in common that differ in their length alone, and the length."""

    name: str
    retention_ms: int


class Mark(msgspec.Struct, array_like=True, frozen=True):
    """From where on a slot has counted.

    ``from_event`` is the first offset of ``product-events`` in this partition that the slot knows of, and
    ``from_bundle`` the same of ``account-events``, noted at ``since_ms``. Until what came before is
    brought, it is not ``whole``; ``filled_to`` is the last subject, in the order of their ids, to whom it
    was brought. ``archived`` and ``archived_to`` say the same of what the topic never had, and files have:
    a slot takes that once, also one that has counted from the start. ``missed``: a worker that is behind did
    not count it, so that it has to begin anew.
    """

    family: str
    retention_ms: int
    from_event: int = 0
    from_bundle: int = 0
    since_ms: int = 0
    filled_to: str | None = None
    whole: bool = True
    archived_to: str | None = None
    archived: bool = False
    missed: bool = False

    def wants(self, subject: str, *, archive: bool = False) -> bool:
        """Whether what came before of a subject is still to come."""
        is_done, reached = (self.archived, self.archived_to) if archive else (self.whole, self.filled_to)
        return not is_done and (reached is None or subject > reached)


class Book(msgspec.Struct, array_like=True, frozen=True):
    """State row of a partition for users or accounts: the slots of the plan, and those that are to go.

    ``layouts`` holds the lengths of the families by the stamp of each plan that ran here, the latest last.
    ``workspace``, ``serial`` and ``at_ms`` are those of the publication that it was noted by; 0: of none.
    """

    slots: dict[int, Mark] = {}
    leaving: dict[int, Mark] = {}
    layouts: dict[str, dict[str, int]] = {}
    workspace: str = ""
    serial: int = 0
    at_ms: int = 0


class Noter(NamedTuple):
    """The publication that a worker runs: its workspace, number and time; 0 where nothing is published."""

    workspace: str = ""
    serial: int = 0
    at_ms: int = 0


FOLDER: Final = Noter()
"""Who runs what was not published."""


class Position(NamedTuple):
    """How far a partition has come when a plan begins to run: the next offsets, and when."""

    events: int
    bundles: int
    now_ms: int


def families(plan: SubjectPlan) -> dict[int, Family]:
    """The family of each slot of a plan, by its id."""
    found = {}
    for slot_id, (kind, *parts, length) in plan.slot_parts.items():
        retention_ms = FOR_EVER if length == "None" else int(length)
        found[slot_id] = Family(stable_id(kind, *parts)[:16], retention_ms)
    return found


def stamp_of(plan: SubjectPlan) -> str:
    """What tells plans apart that keep other slots."""
    return stable_id("layout", *map(str, sorted(plan.slot_parts)))[:16]


def is_behind(book: Book | None, noter: Noter) -> bool:
    """Whether a worker runs an earlier publication than the one that the book was noted by.

    A topic that was written anew counts from 1 again, at a later time; clocks of two publishers may differ.
    """
    if book is None or not noter.serial or noter.workspace != book.workspace:
        return False
    return noter.serial < book.serial and noter.at_ms < book.at_ms


def stand_in(book: Book, plan: SubjectPlan) -> Book | None:
    """The book while a worker that is behind has the partition; None where it changes nothing.

    It counts what its own plan knows. Of that, what the newer plan has in another length is handed over when
    a worker is back that runs it; what the newer plan alone knows is missed, and begins anew then.
    """
    ours = families(plan)
    longest_ms: dict[str, int] = {}
    for family in ours.values():
        longest_ms[family.name] = max(family.retention_ms, longest_ms.get(family.name, 0))
    slots = {
        slot_id: mark
        if slot_id in ours or longest_ms.get(mark.family, 0) >= mark.retention_ms
        else replace(mark, missed=True)
        for slot_id, mark in book.slots.items()
    }
    mine = {slot_id: Mark(*family) for slot_id, family in ours.items() if slot_id not in book.slots}
    known = replace(book, slots=slots, leaving=mine | book.leaving)
    return None if known == book else known


def without(book: Book, slot_ids: Collection[int]) -> Book:
    """The book when these slots have missed something."""
    slots = {
        slot_id: replace(mark, missed=True) if slot_id in slot_ids else mark
        for slot_id, mark in book.slots.items()
    }
    return replace(book, slots=slots)


def adopt(book: Book | None, plan: SubjectPlan, at: Position, noter: Noter = FOLDER) -> Book | None:
    """The book after a plan began to run; None where it changes nothing.

    A partition without a book has had this plan from the start: an older worker kept none. No slot of the
    plan may be among those that are leaving: :func:`returning` names what rows have to forget first.
    """
    wanted, stamp = families(plan), stamp_of(plan)
    missed = book is not None and any(mark.missed for mark in book.slots.values())
    if book is not None and book.slots.keys() == wanted.keys() and stamp in book.layouts and not missed:
        return None
    first, held = book is None, book or Book()
    counted = {slot_id: mark for slot_id, mark in held.slots.items() if not mark.missed}
    by_family = {mark.family: mark for mark in counted.values()}
    marks = {}
    for slot_id, family in wanted.items():
        before = counted.get(slot_id) or by_family.get(family.name)
        if before is not None and before.retention_ms >= family.retention_ms:
            marks[slot_id] = replace(before, retention_ms=family.retention_ms)
        elif first:
            marks[slot_id] = Mark(*family)
        else:
            marks[slot_id] = Mark(*family, at.events, at.bundles, at.now_ms, whole=False)
    gone = {slot_id: mark for slot_id, mark in held.slots.items() if slot_id not in wanted}
    leaving = held.leaving | gone
    layouts = {known: one for known, one in held.layouts.items() if known != stamp}
    layouts[stamp] = {family.name: family.retention_ms for family in wanted.values()}
    kept = dict(list(layouts.items())[-LAYOUTS_MAX:])
    return Book(marks, leaving, kept, *noter)


def returning(book: Book, plan: SubjectPlan) -> frozenset[int]:
    """Slots that were to go and are wanted again, or were missed: what rows still hold of them has a hole."""
    missed = {slot_id for slot_id, mark in book.slots.items() if mark.missed}
    return frozenset((book.leaving.keys() - book.slots.keys() | missed) & plan.slot_parts.keys())


def unknown_to(book: Book, stamp: str) -> frozenset[int]:
    """The slots for which items of another plan do not count: they are brought with what came before.

    Of a plan that never ran here nothing is known: it is newer, and counts.
    """
    known = book.layouts.get(stamp)
    if known is None:
        return frozenset()
    return frozenset(
        slot_id for slot_id, mark in book.slots.items() if known.get(mark.family, 0) < mark.retention_ms
    )


def tidy(row: Activity, book: Book, plan: SubjectPlan, now_ms: int) -> bool:
    """Hand what old slots hold to those that can use it, and forget the rest; whether ``row`` changed."""
    truths = {slot.id for slot in plan.truths}
    old = [slot_id for slot_id in row.windows if slot_id not in book.slots and slot_id not in truths]
    heirs = {mark.family: slot_id for slot_id, mark in book.slots.items()}
    for slot_id in old:
        held, mark = row.windows.pop(slot_id), book.leaving.get(slot_id)
        heir = heirs.get(mark.family) if mark is not None else None
        if mark is None or mark.missed or heir is None or mark.retention_ms < book.slots[heir].retention_ms:
            continue
        retention_ms = plan.retentions_ms.get(heir)
        if retention_ms is not None:
            held = windows.refit(held, mark.retention_ms, retention_ms, now_ms)
        bring(row, heir, held, plan, now_ms)
    return bool(old)


def bring(row: Activity, slot_id: int, content: bytes, plan: SubjectPlan, now_ms: int) -> None:
    """Add the content of another row's slot of the same id, as if its events had been counted here."""
    held, retention_ms = row.windows.get(slot_id), plan.retentions_ms.get(slot_id)
    merged = (
        merge_windows(held, content, now_ms, retention_ms)
        if retention_ms is not None
        else slot_values.merge(plan.measures[slot_id], held, content, now_ms)
    )
    if merged is not None:
        row.windows[slot_id] = merged


def wanting(book: Book, slot_ids: Mapping[int, bytes], subject: str, *, archive: bool = False) -> list[int]:
    """The slots of these that still want what came before of a subject; ``archive``: what files have."""
    return [
        slot_id
        for slot_id in slot_ids
        if (mark := book.slots.get(slot_id)) is not None and mark.wants(subject, archive=archive)
    ]


def filled(book: Book, slot_ids: list[int], subject: str | None, *, archive: bool = False) -> Book:
    """The book after these slots of a subject were filled; None: of all subjects."""
    if archive:
        changed: dict[str, Any] = {"archived": True} if subject is None else {"archived_to": subject}
    else:
        changed = {"whole": True} if subject is None else {"filled_to": subject}
    kept = [slot_id for slot_id in slot_ids if slot_id in book.slots]
    marks = {slot_id: replace(book.slots[slot_id], **changed) for slot_id in kept}
    return replace(book, slots=book.slots | marks)


def tidied(book: Book, slot_ids: Collection[int]) -> Book:
    """The book after no row holds these slots any more."""
    leaving = {slot_id: mark for slot_id, mark in book.leaving.items() if slot_id not in slot_ids}
    return replace(book, leaving=leaving)
