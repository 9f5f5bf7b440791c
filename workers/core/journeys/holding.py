"""Messages that the gate holds, when the enrollment that they are of goes on: along with it, or given up.

A held message stands at the step that wants to send it. Where a new version has that step at another place it
goes along, under its own id: it is one message. Where the step is gone, or says another message, or the
enrollment does not stand there any more, it is given up, with a decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from workers.core.commands import Transition
from workers.core.decisions import given_up_decision
from workers.core.journeys.lineage import step_now, version_now
from workers.core.journeys.progress import with_waiting, without_waiting
from workers.core.journeys.step_plans import SendStepPlan

if TYPE_CHECKING:
    from collections.abc import Collection

    from schemas import wire
    from schemas.fields import SubjectType
    from workers.core.commands import Command
    from workers.core.journeys.progress import Enrollment, Progress, Waiting
    from workers.core.plan import JourneyPlan, SubjectPlan

STEP_GONE: Final = "step_gone"
"""The version that governs now does not have the step, or sends another message there."""

JOURNEY_GONE: Final = "journey_gone"
"""The journey was removed, and its people were not to finish it."""

GIVEN_UP: Final = "given_up"
"""The enrollment stands at the step no more: another part came first."""


class Asked(NamedTuple):
    """The step of an account's journey that asked for a member's message, as it is now.

    ``gone`` is why the message is not wanted any more: journey_gone or step_gone. Of a version that this
    worker has not heard of yet, nothing is gone, and the step is known where it stands where it stood.
    """

    journey: JourneyPlan | None
    step: SendStepPlan | None
    gone: str | None = None


def asked_by(plan: SubjectPlan, record: wire.MessageRequest) -> Asked:
    """What has become of the step that asked; ``plan`` is that of accounts.

    The step of a pinned or draining version is what it was. Where the version was left for another, the step
    goes on under the path that it has there, or is gone.
    """
    journey = version_now(plan, record.journey, record.version)
    path = step_now(plan, record.journey, record.version, record.step)
    step = journey.steps.get(path) if journey is not None and path is not None else None
    found = step if isinstance(step, SendStepPlan) else None
    if record.version in plan.moves.get(record.journey, {}):
        gone = JOURNEY_GONE if journey is None else STEP_GONE if found is None else None
        return Asked(journey, found, gone)
    message = record.message
    stands = found is not None and _says(found, message.channel, message.template)
    return Asked(journey, found if stands else None)


def held_at(progress: Progress, enrollment: str, step: str) -> Waiting | None:
    """The message of an enrollment that is held at a step; None where none is."""
    if not progress.waiting:
        return None
    return next((one for one in _of(progress, enrollment) if one.step == step), None)


def follow(
    plan: SubjectPlan,
    before: Enrollment,
    journey: JourneyPlan,
    carried: Enrollment,
    progress: Progress,
    now_ms: int,
) -> Transition:
    """What is held, as the version that ``carried`` was carried to has it."""
    if not progress.waiting or before.version == carried.version:
        return Transition(progress)
    commands: list[Command] = []
    for one in _of(progress, before.id):
        path = step_now(plan, before.journey, before.version, one.step)
        step = journey.steps.get(path) if path is not None else None
        if isinstance(step, SendStepPlan) and _says(step, one.channel, one.template):
            progress = with_waiting(progress, replace(one, step=step.path))
            continue
        progress = without_waiting(progress, one.id)
        told = given_up_decision(plan.subject, progress.subject, before, one, STEP_GONE, now_ms)
        commands.append(told)
    return Transition(progress, tuple(commands))


def left(
    subject_type: SubjectType, enrollment: Enrollment, steps: Collection[str], progress: Progress, now_ms: int
) -> Transition:
    """What is held at ``steps``, where the enrollment stands, and nothing else of it."""
    if not progress.waiting:
        return Transition(progress)
    commands: list[Command] = []
    for one in _of(progress, enrollment.id):
        if one.step not in steps:
            progress = without_waiting(progress, one.id)
            told = given_up_decision(subject_type, progress.subject, enrollment, one, GIVEN_UP, now_ms)
            commands.append(told)
    return Transition(progress, tuple(commands))


def _of(progress: Progress, enrollment: str) -> tuple[Waiting, ...]:
    """The held messages of an enrollment whose step is known."""
    return tuple(
        one for one in progress.waiting if one.enrollment == enrollment and not one.requested and one.step
    )


def _says(step: SendStepPlan, channel: str, template: str) -> bool:
    """Whether a step sends this message, as one of its variants perhaps."""
    arms = step.variants.arms if step.variants is not None else ()
    return step.channel == channel and template in {step.template, *(arm[2] for arm in arms)}
