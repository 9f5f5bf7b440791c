"""Who is in which segment, at every instant: entered and left by events, by changes, and by time alone.

Nobody polls. A segment is looked at when something that its conditions ask about has happened, and at the
instant at which the passing of time may change its outcome (``CompiledCondition.changes_at_ms``). That
instant is a timer of the subject: one, for the earliest of its segments.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from schemas import wire
from workers.core.conditions.outcome import Outcome
from workers.core.facts import Moment, SubjectFacts
from workers.core.ids import VERSION_CHARS, stable_id
from workers.core.journeys.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from schemas.fields import SubjectType
    from workers.core.conditions.compiled import Values
    from workers.core.plan import SegmentPlan, SegmentsPlan

Change: TypeAlias = Literal["entered", "left"]


class Memberships(msgspec.Struct, frozen=True, array_like=True):
    """State row of a subject.

    ``since_ms``: since when it has been in each of its segments. ``due_ms``: when a segment has to be looked
    at again though nothing happens, by its name. ``told``: of an account, what its members were told of the
    segments that conditions of users name (``SegmentsPlan.told``).
    """

    since_ms: dict[str, int] = {}
    due_ms: dict[str, int] = {}
    told: dict[str, bool] = {}

    @property
    def is_empty(self) -> bool:
        """Whether the row says nothing."""
        return not (self.since_ms or self.due_ms or self.told)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A subject came into a segment, or left it; ``values`` are those that its conditions saw.

    ``version`` is the segment's; ``""`` for one that the plan has no more.
    """

    segment: str
    version: str
    change: Change
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settled:
    """The row as it is now, and who crossed what, in the order of the plan."""

    memberships: Memberships
    crossings: tuple[Crossing, ...]


def settle(
    plan: SegmentsPlan,
    held: Memberships,
    facts: SubjectFacts,
    progress: Progress,
    now_ms: int,
    concerned: Collection[str] | None,
    *,
    counted: bool = True,
) -> Settled:
    """Look at the segments that are concerned (None: at all), and at those that use one that was crossed.

    Where all are looked at, those that the plan has no more are left. Without ``counted`` no event came into
    its windows since they were looked at: those that ask about nothing else are passed over until their time.
    """
    since, due = dict(held.since_ms), dict(held.due_ms)
    crossings: list[Crossing] = []
    if concerned is None:
        crossings += [Crossing(name, "", "left", {}) for name in since if name not in plan.places]
        since = {name: at_ms for name, at_ms in since.items() if name in plan.places}
        due = {name: at_ms for name, at_ms in due.items() if name in plan.places}
        places = _all_places(plan, held, facts.windows if counted else None, now_ms)
    else:
        places = sorted([plan.places[name] for name in concerned if name in plan.places])
    moment = _moment(facts, since, progress, now_ms)
    for place in places:
        segment = plan.ordered[place]
        if segment.static:
            continue
        name, values = segment.name, dict[str, Any]()
        is_in = _belongs(segment, moment, values)
        due_ms = _changes_ms(segment, moment)
        if due_ms is not None:
            due[name] = due_ms
        else:
            due.pop(name, None)
        if is_in is not (name in since):
            change: Change = "entered" if is_in else "left"
            crossings.append(Crossing(name, segment.version, change, values))
            if is_in:
                since[name] = now_ms
            else:
                del since[name]
            if _concerns_users(plan, name, places):
                moment = _moment(facts, since, progress, now_ms)
    told = _told(plan, held, since, None if concerned is None else crossings)
    return Settled(_row(held, since, due, told), tuple(crossings))


def is_quiet(plan: SegmentsPlan, held: Memberships, now_ms: int) -> bool:
    """Whether :func:`settle` with all segments and without ``counted`` has nothing to look at."""
    if plan.standing or plan.told or held.told or not held.since_ms.keys() <= plan.places.keys():
        return False
    due_ms = next_due_ms(held)
    return due_ms is None or due_ms > now_ms


def _all_places(
    plan: SegmentsPlan, held: Memberships, windows: Iterable[int] | None, now_ms: int
) -> list[int]:
    """Where those stand that the subject may cross now, in order; ``windows`` None: those did not change."""
    found, due = set(plan.standing), held.due_ms
    if windows is None:
        names: Iterable[str] = (name for name, due_ms in due.items() if due_ms <= now_ms)
    else:
        names = (*held.since_ms, *due)
        for slot_id in windows:
            found.update(plan.by_slot.get(slot_id, ()))
    found.update(plan.places[name] for name in names if name in plan.places)
    return sorted(found)


def _concerns_users(plan: SegmentsPlan, name: str, places: list[int]) -> bool:
    """A segment was crossed: those that speak of it are looked at too. Whether there are any.

    They come behind it, and are looked at whatever else they are concerned with.
    """
    users = plan.used_by.get(name, ())
    for user in users:
        if user not in places:
            insort(places, user)
    return bool(users)


def at_rest(ordered: Sequence[SegmentPlan]) -> tuple[dict[int, tuple[int, ...]], tuple[int, ...]]:
    """``SegmentsPlan.by_slot`` and ``SegmentsPlan.standing`` of these segments."""
    by_slot: dict[int, list[int]] = defaultdict(list)
    standing: list[int] = []
    nobody = Moment(SubjectFacts(0), Progress(""), 0)
    for place, segment in enumerate(ordered):
        if segment.slots is None or _belongs(segment, nobody, {}):
            standing += () if segment.static else (place,)
            continue
        for slot_id in segment.slots:
            by_slot[slot_id].append(place)
    return {slot_id: tuple(places) for slot_id, places in by_slot.items()}, tuple(standing)


def enlist(
    plan: SegmentsPlan, held: Memberships, name: str, now_ms: int, *, member: bool
) -> tuple[Memberships, Crossing | None]:
    """Put a subject on a static segment's list, or take it off.

    None where nothing changes, and where the plan has no static segment of that name.
    """
    segment = next((one for one in plan.ordered if one.name == name and one.static), None)
    if segment is None or member is (name in held.since_ms):
        return held, None
    since = {**held.since_ms, name: now_ms}
    if not member:
        del since[name]
    crossing = Crossing(name, segment.version, "entered" if member else "left", {})
    return _row(held, since, held.due_ms, _told(plan, held, since, (crossing,))), crossing


def change_record(crossing: Crossing, kind: SubjectType, subject: str, now_ms: int) -> wire.SegmentChange:
    """The record that others may follow; the same crossing at the same instant has the same id."""
    return wire.SegmentChange(
        id=stable_id("segment", kind, subject, crossing.segment, crossing.change, str(now_ms)),
        segment=crossing.segment,
        version=crossing.version or "gone",
        subject_type=kind,
        subject=subject,
        change=crossing.change,
        values=crossing.values,
        at_ms=now_ms,
    )


def next_due_ms(memberships: Memberships) -> int | None:
    """When the subject's segments have to be looked at again; None: only when something happens."""
    return min(memberships.due_ms.values(), default=None)


def due_segments(memberships: Memberships, now_ms: int) -> frozenset[str]:
    """The segments whose time has come."""
    return frozenset(name for name, due_ms in memberships.due_ms.items() if due_ms <= now_ms)


def lineages(ordered: Iterable[SegmentPlan]) -> dict[str, str]:
    """By segment a hash of its definition and of those of all that it uses, directly or not."""
    found: dict[str, str] = {}
    for segment in ordered:
        used = (found.get(name, "") for name in sorted(segment.uses))
        found[segment.name] = stable_id("lineage", segment.version, *used)[:VERSION_CHARS]
    return found


def using(plan: SegmentsPlan, name: str) -> frozenset[str]:
    """The segments that speak of a segment."""
    return frozenset(plan.ordered[place].name for place in plan.used_by.get(name, ()))


def _moment(facts: SubjectFacts, since_ms: dict[str, int], progress: Progress, now_ms: int) -> Moment:
    if facts.now_ms != now_ms or facts.segments != since_ms.keys():
        facts = replace(facts, now_ms=now_ms, segments=frozenset(since_ms))
    return Moment(facts, progress, now_ms)


def _belongs(segment: SegmentPlan, moment: Moment, values: Values) -> bool:
    """Whether the subject is to be in the segment; ``values`` gets what was looked at until it was clear."""
    for condition in segment.require:
        if condition.test(moment, values) is not Outcome.TRUE:
            return False
    exclude = segment.exclude
    # One that is missing excludes nobody.
    return not exclude or not any(condition.test(moment, values) is Outcome.TRUE for condition in exclude)


def _changes_ms(segment: SegmentPlan, moment: Moment) -> int | None:
    """When time alone may next bring the subject in or out."""
    first_ms = None
    for condition in segment.changing:
        at_ms = condition.changes_at_ms(moment)
        if at_ms is not None and (first_ms is None or at_ms < first_ms) and at_ms > moment.now_ms:
            first_ms = at_ms
    return first_ms


def _told(
    plan: SegmentsPlan, held: Memberships, since_ms: dict[str, int], crossings: Iterable[Crossing] | None
) -> dict[str, bool]:
    """What members are told now. Where not all segments were looked at, others than before are not known.

    ``crossings``: what was found; None: all were looked at.
    """
    if not plan.told and not held.told:
        return held.told
    if crossings is None:
        names: Iterable[str] = plan.told
    else:
        names = {*held.told, *(one.segment for one in crossings if one.segment in plan.told)}
    return {name: name in since_ms for name in sorted(names)}


def _row(held: Memberships, since: dict[str, int], due: dict[str, int], told: dict[str, bool]) -> Memberships:
    """The very row where nothing changed, so that nobody writes it again."""
    if since == held.since_ms and due == held.due_ms and told == held.told:
        return held
    return Memberships(since, due, told)
