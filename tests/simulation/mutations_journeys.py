"""Mistakes in journeys that the simulation has to find; see :mod:`tests.simulation.mutations`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace as with_fields

from workers.core.commands import Transition
from workers.core.conditions.compile import evaluate_none
from workers.core.conditions.outcome import Outcome as Truth
from workers.core.gate import sending
from workers.core.journeys import actions, entry, releases, steps, waits, watching
from workers.core.journeys import recipients as members
from workers.core.journeys.run import Go
from workers.scheduler import account_facts, agent, realigning
from workers.shell import Subject
from workers.signals import batches
from workers.simulate.owner import Owner
from workers.versions import active

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from schemas import wire
    from workers.core.journeys.progress import Position
    from workers.core.journeys.run import Run
    from workers.core.journeys.step_plans import JoinStepPlan, WaitUntilStepPlan


def splits_are_drawn_anew(patch: pytest.MonkeyPatch) -> None:
    """Which way a split goes depends on the enrollment, and not on the subject alone."""
    choose = actions.choose
    patch.setattr(
        steps,
        "choose",
        lambda choice, held, _subject: choose(choice, with_fields(held, account=None), held.id),
    )


def loops_run_once_more(patch: pytest.MonkeyPatch) -> None:
    """A loop runs one round more than it says."""
    repeat = steps._repeat
    patch.setattr(
        steps,
        "_repeat",
        lambda run, step, position: repeat(run, replace(step, times=step.times + 1), position),
    )


def parts_do_not_wait_for_each_other(patch: pytest.MonkeyPatch) -> None:
    """Each part goes on behind the step by itself."""

    def join(_run: Run, step: JoinStepPlan) -> Any:
        return Go(step.next)

    patch.setattr(steps, "_join", join)


def what_is_waited_for_is_not_heard(patch: pytest.MonkeyPatch) -> None:
    """Events take nobody on: only time does."""
    patch.setattr(watching, "heard_at", lambda *_: None)


class _NeverTrue:
    """A condition that nothing makes true, now or later."""

    def test(self, *_: Any) -> Truth:
        """No."""
        return Truth.FALSE

    def changes_at_ms(self, *_: Any) -> None:
        """Time does not change it."""


def conditions_are_asked_once(patch: pytest.MonkeyPatch) -> None:
    """A wait for a condition asks when it begins; what becomes true later takes nobody on."""
    wait_until = waits.wait_until

    def asked_once(run: Run, step: WaitUntilStepPlan, position: Position) -> Any:
        begun = position.since_ms is not None
        never = replace(step, condition=cast("Any", _NeverTrue()))
        return wait_until(run, never if begun else step, position)

    patch.setattr(steps, "wait_until", asked_once)
    patch.setattr(watching, "wait_until", asked_once)


def _nothing(progress: Any) -> Any:
    return Transition(progress)


def everybody_is_written_to(patch: pytest.MonkeyPatch) -> None:
    """How many members are meant is not looked at."""
    choose = members.choose

    def all_of_them(some: Any, roles: Any, _limit: int, *rest: Any) -> Any:
        return choose(some, roles, 1_000, *rest)

    patch.setattr(members, "choose", all_of_them)


def exclusions_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """Nothing excludes anybody."""
    patch.setattr(entry, "evaluate_none", lambda _conditions, moment: evaluate_none((), moment))


def rivals_are_let_in(patch: pytest.MonkeyPatch) -> None:
    """Who is in a journey enters another of the tag too."""
    held_back = entry._held_back
    patch.setattr(
        entry,
        "_held_back",
        lambda journey, *rest: held_back(replace(journey, rivals=frozenset()), *rest),
    )


def runs_are_told_late(patch: pytest.MonkeyPatch) -> None:
    """A run of a schedule tells the time of the moment at which it began."""
    begin = batches.Batches._begin

    def later(self: Any, run_id: str, run: Any, view: Any, now_ms: int) -> None:
        begin(self, run_id, with_fields(run, due_ms=now_ms + 1), view, now_ms)

    patch.setattr(batches.Batches, "_begin", later)


def crossings_are_overlooked(patch: pytest.MonkeyPatch) -> None:
    """Who comes into a segment is told of, and is no candidate."""
    patch.setattr(Subject, "_segment_entered", lambda *_: None)


def accounts_end_nothing(patch: pytest.MonkeyPatch) -> None:
    """What an account is like reaches its members, and ends none of their enrollments."""
    patch.setattr(
        account_facts, "exit_by_account", lambda _plan, _changed, progress, _now_ms: _nothing(progress)
    )


def requests_to_leave_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """Who is asked to leave stays."""
    patch.setattr(agent, "exit_on_request", lambda *given: _nothing(given[4]))


def pauses_hold_nothing(patch: pytest.MonkeyPatch) -> None:
    """Steps of a paused journey run when they are due."""
    patch.setattr(steps, "_hold_all", steps._run)
    patch.setattr(watching, "hold", lambda _run, position: position)


def what_drains_takes_people(patch: pytest.MonkeyPatch) -> None:
    """Who is found eligible enters, whatever was said of the journey."""
    held_back = entry._held_back

    def running(journey: Any, *rest: Any) -> Any:
        open_to_all = replace(journey.running, condition="running")
        return held_back(replace(journey, running=open_to_all), *rest)

    patch.setattr(entry, "_held_back", running)


def shadows_are_delivered(patch: pytest.MonkeyPatch) -> None:
    """The gate takes a shadow's message for a real one."""
    send = sending.send_through
    patch.setattr(
        actions, "send_through", lambda request, *rest: send(with_fields(request, shadow=False), *rest)
    )


def nobody_is_ejected(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks at those inside when something is put in force."""
    patch.setattr(realigning, "realign", lambda _plan, progress, _now_ms: _nothing(progress))


def kept_versions_are_left(patch: pytest.MonkeyPatch) -> None:
    """Who is to finish an older version goes on in the newest."""
    compose = releases.compose

    def followed(in_force: wire.InForce, *rest: Any) -> Any:
        lines = {
            name: with_fields(
                line,
                older={
                    version: with_fields(one, policy="follow", to=line.version, moves={}, longer_ms={})
                    for version, one in line.older.items()
                },
            )
            for name, line in in_force.journeys.items()
        }
        return compose(with_fields(in_force, journeys=lines), *rest)

    patch.setattr(active, "compose", followed)


def partitions_keep_their_version(patch: pytest.MonkeyPatch) -> None:
    """A partition that runs goes on with the version that it began with."""
    patch.setattr(Owner, "renew", lambda _owner: None)


MUTATIONS: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    splits_are_drawn_anew: "chance_is_sticky",
    loops_run_once_more: "loops_are_bounded",
    parts_do_not_wait_for_each_other: "parts_join_once",
    what_is_waited_for_is_not_heard: "first_waits_end_by_what_they_wait_for",
    conditions_are_asked_once: "first_waits_end_by_what_they_wait_for",
    everybody_is_written_to: "recipients_are_no_more_than_asked",
    exclusions_are_not_looked_at: "requirements_hold",
    rivals_are_let_in: "one_journey_at_a_time",
    runs_are_told_late: "schedules_run_at_their_times",
    crossings_are_overlooked: "crossings_make_candidates",
    accounts_end_nothing: "accounts_end_what_is_about_them",
    requests_to_leave_are_ignored: "requested_exits_stop_messages",
    pauses_hold_nothing: "paused_journeys_do_nothing",
    what_drains_takes_people: "nobody_enters_a_journey_that_drains",
    shadows_are_delivered: "shadows_write_to_nobody",
    nobody_is_ejected: "stopped_journeys_are_empty",
    kept_versions_are_left: "versions_are_kept",
    partitions_keep_their_version: "new_people_enter_the_newest_version",
}
