"""One activation of an enrollment: what changes while its steps run, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.commands import AskModel, CancelTimer, SetTimer, Transition
from workers.core.decisions import exit_decision
from workers.core.facts import Moment
from workers.core.ids import stable_id
from workers.core.journeys.holding import left
from workers.core.journeys.progress import with_enrollment, without_waiting
from workers.core.journeys.shadowing import seen_by
from workers.core.journeys.withdrawing import stop_calls, withdraw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import SubjectType
    from workers.core.commands import Command
    from workers.core.facts import Facts
    from workers.core.journeys.progress import Enrollment, Position, Progress
    from workers.core.plan import JourneyPlan

COMPLETED: Final = "completed"
"""The reason of an end that is none: there are no more steps."""


class Go(msgspec.Struct, frozen=True):
    """Go on with the step at ``path``; None: the journey is over."""

    path: str | None


class Stay(msgspec.Struct, frozen=True):
    """Stand there until ``position.due_ms``, or until something else takes it on; then ask the step again."""

    position: Position


class Leave(msgspec.Struct, frozen=True):
    """The enrollment ends, with a reason; ``values`` are what was looked at."""

    reason: str
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Fork(msgspec.Struct, frozen=True):
    """Other positions go on in the place of this one; none where it has joined others."""

    paths: tuple[str, ...] = ()


Outcome: TypeAlias = Go | Stay | Leave | Fork


@dataclass(slots=True)
class Run:
    """An enrollment while its steps run: ``ready`` positions are to run, ``waiting`` ones stand still.

    ``halted``: something was done that must have its effects before another step runs.
    """

    journey: JourneyPlan
    enrollment: Enrollment
    facts: Facts
    progress: Progress
    now_ms: int
    ready: list[Position]
    waiting: list[Position]
    commands: list[Command] = field(default_factory=list)
    ran: int = 0
    halted: bool = False

    def __post_init__(self) -> None:
        """Conditions and templates look at the account that the enrollment is about."""
        self.facts = self.facts.of_account(self.enrollment.account)

    @property
    def moment(self) -> Moment:
        """What a condition of a step sees: of events the properties of the trigger."""
        held = self.enrollment
        return Moment(
            self.facts,
            seen_by(self.journey, self.progress),
            self.now_ms,
            properties=held.trigger.properties,
            variants=held.variants,
            llm={step: said.value for step, said in held.said.items()},
        )

    def take(self, transition: Transition) -> None:
        """Take over what a step did."""
        self.progress = transition.progress
        self.commands += transition.commands

    def look_ms(self) -> int | None:
        """When time alone may make a condition true that ends the enrollment."""
        moment = self.moment
        instants = (one.condition.changes_at_ms(moment) for one in self.journey.exit_conditions)
        return min((at_ms for at_ms in instants if at_ms is not None and at_ms > self.now_ms), default=None)

    def ended(
        self, reason: str, values: Mapping[str, Any] | None = None, *, by_step: bool = False
    ) -> Transition:
        """The enrollment ends here; ``by_step``: a step of its own says so."""
        ended = end(
            self.journey.subject,
            self.enrollment,
            self.progress,
            reason,
            values=values or {},
            now_ms=self.now_ms,
            by_step=by_step,
        )
        journey, subject = self.journey, self.progress.subject
        left_early = reason != COMPLETED
        taken_back = withdraw(journey, self.enrollment, subject, reason, self.now_ms) if left_early else ()
        return Transition(ended.progress, (*self.commands, *ended.commands, *taken_back))

    def waits(self) -> Transition:
        """The enrollment stands at its positions; one timer wakes the earliest of them."""
        standing = replace(self.enrollment, positions=tuple(self.waiting), look_ms=self.look_ms())
        standing, timers = with_timer(self.journey, standing, self.now_ms)
        steps = {position.step for position in self.waiting}
        self.take(left(self.journey.subject, standing, steps, self.progress, self.now_ms))
        return Transition(with_enrollment(self.progress, standing), (*self.commands, *timers))


def with_timer(
    journey: JourneyPlan, enrollment: Enrollment, now_ms: int
) -> tuple[Enrollment, tuple[Command, ...]]:
    """The enrollment with the one timer that it needs, and what sets it; ``()`` where it is set already.

    In a paused journey what is due is held, and wakes nobody: where nothing else is to come there is no
    timer.
    """
    instants = [position.due_ms for position in enrollment.places]
    if enrollment.look_ms is not None:
        instants.append(enrollment.look_ms)
    waking = instants
    if journey.running.condition == "paused":
        waking = [at_ms for at_ms in instants if at_ms > now_ms]
    timer_id = stable_id("timer", enrollment.id) if waking else None
    due_ms = min(waking or instants)
    standing = replace(enrollment, positions=enrollment.places, timer_id=timer_id, due_ms=due_ms)
    commands: list[Command] = []
    if enrollment.timer_id is not None and enrollment.timer_id != timer_id:
        commands.append(CancelTimer(enrollment.timer_id))
    if timer_id is not None and (enrollment.timer_id, enrollment.due_ms) != (timer_id, due_ms):
        commands.append(SetTimer(timer_id, due_ms, enrollment.id))
    return standing, tuple(commands)


def retry(enrollment: Enrollment, progress: Progress, at_ms: int) -> Transition:
    """Leave the enrollment as it is, and look at it again at ``at_ms``."""
    timer_id = stable_id("timer", enrollment.id)
    waiting = replace(enrollment, positions=enrollment.places, timer_id=timer_id, due_ms=at_ms)
    return Transition(with_enrollment(progress, waiting), (SetTimer(timer_id, at_ms, enrollment.id),))


def end(
    subject_type: SubjectType,
    enrollment: Enrollment,
    progress: Progress,
    reason: str,
    *,
    values: Mapping[str, Any],
    now_ms: int,
    by_step: bool = False,
) -> Transition:
    """End an active enrollment: its timer is cancelled, and no step of it runs any more.

    Calls that were asked for and not taken yet are stopped, unless the journey came to its end or a step
    (``by_step``) said so.
    """
    ended = enrollment.ended(reason, now_ms)
    cancelled = () if enrollment.timer_id is None else (CancelTimer(enrollment.timer_id),)
    decision = exit_decision(subject_type, progress.subject, ended, values, now_ms)
    held = [one.id for one in progress.waiting if one.enrollment == enrollment.id and not one.requested]
    for message in held:
        progress = without_waiting(progress, message)
    goes_on = by_step or reason == COMPLETED
    stopped = () if goes_on else stop_calls(subject_type, enrollment, progress, reason, now_ms)
    unasked = (AskModel(one) for one in withdrawn_questions(enrollment, now_ms))
    return Transition(with_enrollment(progress, ended), (*cancelled, *unasked, decision, *stopped))


def withdrawn_questions(enrollment: Enrollment, now_ms: int) -> list[wire.LlmWithdrawn]:
    """That nobody waits any more for the answers that an enrollment waits for."""
    asked = (position.asked.partition(":") for position in enrollment.places if position.asked is not None)
    return [
        wire.LlmWithdrawn(
            id=stable_id("llm withdrawn", request), request=request, connection=connection, at_ms=now_ms
        )
        for connection, _, request in asked
    ]
