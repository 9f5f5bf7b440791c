"""What has to be true of counts and of state, seen from outside: nothing lost, nothing counted twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from schemas import wire
from tests.simulation.actions import HOUR
from tests.simulation.evidence import APPS, SLACK_MS, live
from workers.core.activity import windows
from workers.erasure.proof import Names
from workers.senders.people import PENDING, WAITING
from workers.state import ACCOUNTS, ERASED, TABLES, USERS
from workers.step_counts import count
from workers.tallies import SIZES, STANDING, TALLIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.simulation.evidence import Event, Evidence
    from workers.core.plan import Slot, SubjectPlan

CLOCK_MS = 4 * HOUR
"""Clocks of workers may be this far ahead."""


def everything_is_taken_in(found: Evidence) -> Iterator[str]:
    """No record of a source topic is left unread, and no message is left on its way."""
    log = found.left.log
    for (app_id, number), owner in found.left.cluster.owners.items():
        positions = owner.store.positions()
        for topic in owner.spec.config.sources:
            if log.has_more(topic, number, positions.get(topic, 0)):
                yield f"{app_id}: {topic}/{number} has unread records after {positions.get(topic, 0)}"
    for rows in found.rows("brimful-senders").values():
        for key, row in rows.items():
            if key.startswith(PENDING.prefix):
                yield f"message {PENDING.decode(row).message.id} is still on its way"
            elif key.startswith(WAITING.prefix):
                yield f"{key[1:]!r} still waits for messages"


def disks_agree_with_changelogs(found: Evidence) -> Iterator[str]:
    """What each owner's database holds is what its changelog comes to."""
    for app in APPS:
        rows = found.rows(app)
        for (app_id, number), owner in found.left.cluster.owners.items():
            if app_id == app and owner.store.rows() != rows.get(number, {}):
                differing = dict(owner.store.rows().items() ^ rows.get(number, {}).items())
                yield f"{app}/{number}: {sorted(differing)[:3]} differ"


def only_bad_records_are_put_aside(found: Evidence) -> Iterator[str]:
    """Each record that cannot be used is a dead letter, once; no other is, and no bug put one aside."""
    dead = Counter((one.topic, one.partition, one.offset) for _, one in found.of("dead-letters"))
    yield from (f"{place} was put aside {times} times" for place, times in dead.items() if times > 1)
    wrong = {
        (record.topic, record.partition, record.offset): action.note
        for action, record in found.left.sent
        if action.note in ("malformed", "future")
    }
    for _, letter in found.of("dead-letters"):
        place = (letter.topic, letter.partition, letter.offset)
        if place not in wrong:
            yield f"{place} was put aside: {letter.reason}, {letter.detail}"
    for place, note in wrong.items():
        # What was dated ahead is not so any more after a long stall.
        if not dead[place] and not (note == "future" and found.long_stall):
            yield f"{place} is {note} and was not put aside"


def nothing_went_wrong_unseen(found: Evidence) -> Iterator[str]:
    """No error is logged but of what the provider's adapter does wrong."""
    for entry in found.left.errors:
        if entry.get("event") != "channel.bug":
            yield f"logged: {entry}"


def windows_equal_a_recount(found: Evidence) -> Iterator[str]:
    """What users' windows hold is what their producers sent, each id once, also of ids that became one."""
    first, *others = (plan.user for plan in found.plans)
    for slot in _slots(first, others):
        groups: dict[str, list[Event]] = defaultdict(list)
        for event in found.events:
            if _counts(slot, event):
                groups[found.persons.get(event.subject, event.subject)].append(event)
        for person, events in groups.items():
            ids = {one for one, stands in found.persons.items() if stands == person} or {person}
            held = sum(_held(found.row(USERS.activity, one), slot) for one in sorted(ids))
            last_ms = max(found.end_time(event.applied) for event in found.events if event.subject in ids)
            low, high = _bounds(found, events, slot, last_ms)
            if not low <= held <= high:
                yield f"{person}: {slot.event} was counted {held} times, expected {low} to {high}"


def account_windows_equal_a_recount(found: Evidence) -> Iterator[str]:
    """The same for accounts, over all of their members."""
    first, *others = (plan.account for plan in found.plans)
    members = {event.subject for event in found.events if event.event.type == "group"} | found.persons.keys()
    for slot in _slots(first, others):
        said: dict[str, list[Event]] = defaultdict(list)
        unsaid = 0
        for event in found.events:
            if _counts(slot, event):
                account = event.event.context.group_id if event.event.context is not None else None
                if account is not None:
                    said[account].append(event)
                elif event.subject in members:
                    unsaid += 1
        for account, events in said.items():
            held = _held(found.row(ACCOUNTS.activity, account), slot)
            low, high = _bounds(found, events, slot, found.last_account_ms(account))
            if not low <= held <= high + unsaid:
                yield f"account {account}: {slot.event} counted {held} times, not {low} to {high + unsaid}"


def _slots(first: SubjectPlan, others: Iterable[SubjectPlan]) -> list[Slot]:
    """The windows that every workspace of the run has."""
    slots = {slot.id: slot for plan in first.events.values() for slot in plan.slots}
    return [slot for slot in slots.values() if all(slot.id in other.retentions_ms for other in others)]


def _counts(slot: Slot, event: Event) -> bool:
    if event.name != slot.event:
        return False
    return slot.where is None or slot.where(wire.values(event.event.properties))


def _held(row: Any, slot: Slot) -> int:
    window = row.windows.get(slot.id) if row is not None else None
    if window is None:
        return 0
    held = windows.decode(window, slot.retention_ms)
    return len(held.singles) + sum(count for _, count in held.buckets)


def _bounds(found: Evidence, events: list[Event], slot: Slot, last_ms: int) -> tuple[int, int]:
    """How many must be held, and how many may be.

    What left the window may be gone, what is dated ahead may have been refused, and an id may count anew when
    the workers stood still for most of the day in which it is remembered.
    """
    after_ms = last_ms + CLOCK_MS - slot.retention_ms
    must = [
        event
        for event in events
        if event.at_ms > after_ms
        and event.at_ms <= event.record.timestamp + HOUR - SLACK_MS
        and event.subject not in found.erased
    ]
    repeats = found.repeats if found.long_stall else {}
    return len(must), len(events) + sum(repeats.get((one.subject, one.event.message_id), 0) for one in events)


def tallies_equal_a_recount(found: Evidence) -> Iterator[str]:
    """What insights counted is what the topics hold."""
    counted: Counter[tuple[str, str, str, str]] = Counter()
    for rows in found.rows("brimful-insights").values():
        for key, row in rows.items():
            if key.startswith(TALLIES.prefix):
                tally = TALLIES.decode(row)
                counted[tally.journey, tally.version, tally.kind, tally.outcome] += tally.count
    expected = Counter((one.journey, one.version, one.kind, one.outcome) for _, one in found.of("decisions"))
    expected += Counter(
        (one.journey, one.version, f"delivery_{one.channel}", one.outcome)
        for _, one in found.of("deliveries")
    )
    for _, one in found.of("conversions"):
        outcome = "holdout" if one.holdout else "attributed" if one.attributed else "organic"
        expected[one.journey, one.version, "conversion", outcome] += 1
    yield from _differences("tally", counted, expected)
    sizes: Counter[str] = Counter()
    for rows in found.rows("brimful-insights").values():
        for key, row in rows.items():
            if key.startswith(SIZES.prefix):
                sizes[SIZES.decode(row).segment] += SIZES.decode(row).members
    crossed: Counter[str] = Counter()
    for _, change in found.of("segments"):
        crossed[change.segment] += 1 if change.change == "entered" else -1
    yield from _differences("size of segment", sizes, crossed)


def who_stands_where_is_told(found: Evidence) -> Iterator[str]:
    """The insights know of each step how many the engine's rows have there."""
    told: Counter[tuple[str, str, str, str]] = Counter()
    for rows in found.rows("brimful-insights").values():
        for key, row in rows.items():
            if key.startswith(STANDING.prefix):
                one = STANDING.decode(row)
                told[one.subject_type, one.journey, one.version, one.step] += one.number
    stand: Counter[tuple[str, ...]] = Counter()
    for rows in found.rows("brimful-engine").values():
        for kind, tables in TABLES.items():
            table = tables.progress
            people = [table.decode(row) for key, row in rows.items() if key.startswith(table.prefix)]
            stand.update({tuple(key.decode().split("\0")): n for key, n in count(people, kind).items()})
    yield from _differences("who stands at", told, stand)


def _differences(what: str, counted: Mapping[Any, int], expected: Mapping[Any, int]) -> Iterator[str]:
    for key in sorted(counted.keys() | expected.keys()):
        if counted.get(key, 0) != expected.get(key, 0):
            yield f"{what} {key}: {counted.get(key, 0)}, recounted {expected.get(key, 0)}"


def erased_people_are_gone(found: Evidence) -> Iterator[str]:
    """No row names a person who was erased and did nothing since, and nothing was sent to them since."""
    for app in APPS:
        for number, rows in found.rows(app).items():
            for person in sorted(found.erased):
                names = Names([person])
                for key, row in live(rows):
                    if not key.startswith(ERASED.prefix) and names.are_in(key, row):
                        yield f"{app}/{number}: the row {key!r} still names {person}"
    answered = {
        one.subject: record.order
        for record, one in found.of("identity")
        if isinstance(one, wire.PersonErased) and one.app == "engine" and one.place == "state"
    }
    for record, message in found.messages:
        if message.person in answered and record.order > answered[message.person]:
            yield f"{message.person} got {message.template} after the erasure"


CHECKS = (
    everything_is_taken_in,
    disks_agree_with_changelogs,
    only_bad_records_are_put_aside,
    nothing_went_wrong_unseen,
    windows_equal_a_recount,
    account_windows_equal_a_recount,
    tallies_equal_a_recount,
    who_stands_where_is_told,
    erased_people_are_gone,
)
