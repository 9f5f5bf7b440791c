"""Bugs that the simulation has to find: each breaks the code in one place, as a mistake would.

Each is a function that is given pytest's ``MonkeyPatch``; its docstring says what it breaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace as with_fields

from workers.core.activity import row as activity
from workers.core.commands import CancelTimer
from workers.core.gate import sending
from workers.core.journeys import actions, entry
from workers.core.journeys import inside as journeys
from workers.identity import merging, places
from workers.scheduler import agent
from workers.senders import ledger
from workers.senders import logic as senders
from workers.shell import Subject
from workers.simulate.log import MemoryLog, Producer
from workers.simulate.store import MemoryStore
from workers.state import PERSONAL, USERS
from workers.stream import changelog, store, turn
from workers.stream.store import POSITION

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from workers.core.journeys.progress import Enrollment, Progress
    from workers.stream.store import Timer


def exits_leave_the_timer(patch: pytest.MonkeyPatch) -> None:
    """An exit does not cancel the timer of the wait."""
    execute = Subject.execute

    def execute_all_but_that(subject: Subject, command: Any) -> None:
        if not isinstance(command, CancelTimer):
            execute(subject, command)

    patch.setattr(Subject, "execute", execute_all_but_that)


def exits_are_overlooked_during_a_wait(patch: pytest.MonkeyPatch) -> None:
    """An exit ends only those who do not wait."""
    leave = journeys._exit

    def overlook(plan: Any, journey: Any, reason: str, values: Any, progress: Progress, now_ms: int) -> Any:
        inside = progress.active_in(journey.name)
        waits = inside is not None and inside.timer_id is not None
        return (progress, ()) if waits else leave(plan, journey, reason, values, progress, now_ms)

    patch.setattr(journeys, "_exit", overlook)


def message_ids_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """An event that is sent again counts again."""
    patch.setattr(activity, "is_duplicate", lambda *_: False)


def records_are_acknowledged_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """The markers of what is applied are written before, and not in, the transaction."""
    produce = Producer.produce

    def acknowledge(
        producer: Producer, topic: str, number: int, changes: Any, marker: Any, outputs: Any
    ) -> None:
        held = list(changes)
        for key, value in held:
            if key.startswith(POSITION):
                producer._log.append(topic, key, value, number)
        rest = [change for change in held if not change[0].startswith(POSITION)]
        produce(producer, topic, number, rest, marker, outputs)

    patch.setattr(Producer, "produce", acknowledge)


def outputs_are_seen_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """Outputs are written before, and not in, the transaction."""
    produce = Producer.produce

    def leak(producer: Producer, topic: str, number: int, changes: Any, marker: Any, outputs: Any) -> None:
        producer._log.check_owner(producer)
        for output in outputs:
            producer._log.append(output.topic, output.key, output.value, output.partition)
        produce(producer, topic, number, changes, marker, ())

    patch.setattr(Producer, "produce", leak)


def zombies_are_not_fenced(patch: pytest.MonkeyPatch) -> None:
    """Whoever owned a partition before goes on to commit."""
    patch.setattr(MemoryLog, "check_owner", lambda *_: None)


def rows_are_not_restored(patch: pytest.MonkeyPatch) -> None:
    """A new owner goes on with what its own disk has, and with the newest markers."""
    apply_run = changelog.apply_run

    def markers_alone(into: Any, records: list[Any], now_ms: int) -> None:
        apply_run(into, [one for one in records if not one.key.startswith(USERS.progress.prefix)], now_ms)

    patch.setattr(changelog, "apply_run", markers_alone)


def intents_are_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    """The next owner of a partition does not ask what was being sent when the last one died."""
    patch.setattr(senders.SenderLogic, "opened", lambda *_: ())


def unknown_outcomes_are_tried_again(patch: pytest.MonkeyPatch) -> None:
    """A message that may have been sent is sent again, whatever the channel's policy."""
    follow = ledger.next_step

    def again(pending: Any, result: Any, on_unknown: Any, now_ms: int) -> Any:
        step = follow(pending, result, on_unknown, now_ms)
        unknown = getattr(step, "outcome", "") == "unknown" and pending.attempt < 5
        return ledger.TryAgain(1_000, "unknown") if unknown else step

    patch.setattr(senders, "next_step", again)


def the_holdout_is_messaged(patch: pytest.MonkeyPatch) -> None:
    """The gate does not ask who is of the holdout."""
    send = sending.send_through
    patch.setattr(
        actions, "send_through", lambda request, *rest: send(with_fields(request, holdout=False), *rest)
    )


def once_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Nobody remembers that a template which may come once has come."""
    patch.setattr(sending, "with_once", lambda progress, _key: progress)


def again_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    """Whoever left a journey may enter it at once."""
    held_back = entry._held_back
    patch.setattr(
        entry,
        "_held_back",
        lambda journey, key, progress, now_ms: held_back(
            journey, key, with_fields(progress, entered={}, keys={}), now_ms
        ),
    )


def goals_are_credited_each_time(patch: pytest.MonkeyPatch) -> None:
    """A second event of a goal converts again."""
    goal = journeys._goal

    def anew(plan: Any, journey: Any, happened: Any, progress: Progress, now_ms: int) -> Any:
        held = tuple(with_fields(one, converted_at_ms=None) for one in progress.enrollments)
        return goal(plan, journey, happened, with_fields(progress, enrollments=held), now_ms)

    patch.setattr(journeys, "_goal", anew)


def timers_fire_early(patch: pytest.MonkeyPatch) -> None:
    """Timers are due an hour before their time, and nobody looks again, at no place of an enrollment."""
    due, next_due_ms = MemoryStore.due, MemoryStore.next_due_ms

    def early(held: MemoryStore, now_ms: int, most: int) -> list[Timer]:
        return due(held, now_ms + 3_600_000, most)

    def early_ms(held: MemoryStore) -> int | None:
        due_ms = next_due_ms(held)
        return None if due_ms is None else due_ms - 3_600_000

    patch.setattr(MemoryStore, "due", early)

    def due_at(one: Enrollment, now_ms: int) -> Enrollment:
        places = tuple(
            with_fields(place, due_ms=now_ms, until_ms=place.until_ms and now_ms) for place in one.positions
        )
        return with_fields(one, due_ms=now_ms, positions=places)

    def whenever(plan: Any, progress: Progress, enrollment_id: str, facts: Any, now_ms: int) -> Any:
        held = tuple(due_at(one, now_ms) if one.due_ms else one for one in progress.enrollments)
        return resume(plan, with_fields(progress, enrollments=held), enrollment_id, facts, now_ms)

    resume = journeys.resume
    patch.setattr(MemoryStore, "next_due_ms", early_ms)
    patch.setattr(agent, "resume", whenever)


def merged_journeys_lose_their_timers(patch: pytest.MonkeyPatch) -> None:
    """The waits of an id that is merged are not set again for the person."""
    merge = merging._merge_progress

    def without(theirs: Progress, person: str, view: Any, now_ms: int) -> None:
        set_timer = view.set_timer
        view.set_timer = lambda *_: None
        merge(theirs, person, view, now_ms)
        view.set_timer = set_timer

    patch.setattr(merging, "_merge_progress", without)


def erasing_forgets_a_table(patch: pytest.MonkeyPatch) -> None:
    """A table of people is not among those that are erased."""
    patch.setattr(places, "PERSONAL", tuple(table for table in PERSONAL if table is not USERS.profiles))


def a_timer_that_fired_stays(patch: pytest.MonkeyPatch) -> None:
    """Timers are decided and not removed when they have fired."""

    def fire(logic: Any, timers: Any, view: Any, now_ms: int) -> int:
        child = view.child()
        logic.fire(timers, child, now_ms)
        view.absorb(child)
        return 0

    patch.setattr(turn, "fire_timers", fire)


def decoded_rows_come_back_in_an_older_form(patch: pytest.MonkeyPatch) -> None:
    """The bug that the simulation found first: see ``workers.stream.store.DecodedRows.take``."""

    def take(rows: store.DecodedRows, key: bytes) -> Any:
        row = rows._new.pop(key, None)
        return row if row is not None else rows._old.pop(key, None)

    patch.setattr(store.DecodedRows, "take", take)


MUTATIONS: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    exits_leave_the_timer: "each_wait_has_its_timer",
    exits_are_overlooked_during_a_wait: "exits_stop_messages",
    message_ids_are_forgotten: "windows_equal_a_recount",
    records_are_acknowledged_before_the_commit: "windows_equal_a_recount",
    outputs_are_seen_before_the_commit: "decisions_are_written_once",
    zombies_are_not_fenced: "each_message_ends_once",
    rows_are_not_restored: "disks_agree_with_changelogs",
    intents_are_not_looked_for: "each_message_ends_once",
    unknown_outcomes_are_tried_again: "the_provider_is_called_to_effect_once",
    the_holdout_is_messaged: "the_holdout_is_never_messaged",
    once_is_forgotten: "once_is_once",
    again_is_not_asked: "again_is_respected",
    goals_are_credited_each_time: "goals_are_credited_once",
    timers_fire_early: "steps_run_once_and_not_early",
    merged_journeys_lose_their_timers: "each_wait_has_its_timer",
    erasing_forgets_a_table: "erased_people_are_gone",
    a_timer_that_fired_stays: "GoesRoundError",
    decoded_rows_come_back_in_an_older_form: "windows_equal_a_recount",
}
"""For each mutation a check that it breaks."""
