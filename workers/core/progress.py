"""How far a subject is in its journeys: one state row per user or account, immutable and bounded.

Every function returns a new row; a row that was stored is never changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Container

EnrollmentState: TypeAlias = Literal["active", "ended"]

ACTIVE_MAX: Final = 32
"""Journeys that a subject may be in at once. Entry declines beyond it (``too_many_enrollments``): each keeps
the properties of its trigger, up to 32 KB, and the row must stay far below Kafka's record limit of 1 MB."""

ENDED_MAX: Final = 128
"""Ended enrollments kept for their goal. Beyond it the oldest is given up and can convert no more."""

ENTERED_MAX: Final = 1_000
"""Journeys of which the last entry is remembered. Entry declines beyond it (``too_many_journeys``): to forget
would let someone in again who must not be."""

MESSAGES_MAX: Final = 1_000
"""Messages remembered. The gate skips beyond it (``too_many_messages``): to forget would break exclusions."""

ONCE_MAX: Final = 1_000
"""Once-per-user templates remembered. The gate skips beyond it (``too_many_once``)."""

VISITS_RADIX: Final = 1_000
"""More rounds than a loop may have: rounds of loops in one another make one number of it."""

GOAL_LATENESS_MS: Final = 86_400_000
"""An event of the goal's window still counts when it arrives up to a day after the window's end."""

ELIGIBLE_MAX_AGE_MS: Final = 7 * 86_400_000
"""How long an eligible record may wait for its enrolment. Windows remember exits that long, and rows remember
who was enrolled on what; an older record is declined as stale, because it can no longer be judged."""

MESSAGE_MEMORY_MS: Final = 7 * 86_400_000
"""Every message is remembered for a week at least, so that a repeated request is recognised."""


class TriggerFacts(msgspec.Struct, frozen=True, array_like=True):
    """The event that led to an enrollment. ``properties`` are kept while it is active, for its templates."""

    event: str
    message_id: str
    at_ms: int
    properties: dict[str, Any]


class Position(msgspec.Struct, frozen=True, array_like=True):
    """One place where an enrollment stands; there are several while parts of it run side by side.

    ``step`` is the path of a step: one that it waits at since ``since_ms``, or (None) is to run. Time takes
    it on at ``due_ms``; ``until_ms`` is when a wait is over (None: the step is to say). ``rounds`` are those
    of the loops around it, from 1, by the loop's path, the outermost first.
    """

    step: str
    due_ms: int
    since_ms: int | None = None
    until_ms: int | None = None
    rounds: dict[str, int] = {}

    @property
    def visit(self) -> int:
        """How often its step was come to, as a number that no other round has: 1 outside of loops."""
        visit = 1
        for number in self.rounds.values():
            visit = (visit - 1) * VISITS_RADIX + number
        return visit


class Early(msgspec.Struct, frozen=True, array_like=True):
    """An event that came before the step that waits for it."""

    at_ms: int
    properties: dict[str, Any]


class Enrollment(msgspec.Struct, frozen=True, array_like=True):
    """One run of the subject through one journey.

    ``step`` is the path of the step that ran last, or is to run first (see :mod:`workers.core.plan`), and
    ``visit`` counts from 1 how often a loop came by it. While it waits, it stands at ``positions``, and
    ``timer_id`` (32 hex digits) is set and due at ``due_ms``, for the earliest of them.
    The other times are None until they happen. ``account`` is the account of a user at entry.

    ``awaited`` are the properties of the event that it waited for last. ``early`` are events that came before
    the step that waits for them, by the step's path and the event's place there. ``look_ms`` is when time
    alone may make a condition true that ends it. ``hops``: how many journeys enrolled one another, within an
    hour each, until this one.
    """

    id: str
    journey: str
    version: str
    entered_at_ms: int
    trigger: TriggerFacts
    step: str
    visit: int = 1
    state: EnrollmentState = "active"
    holdout: bool = False
    account: str | None = None
    timer_id: str | None = None
    due_ms: int | None = None
    goal_until_ms: int | None = None
    converted_at_ms: int | None = None
    first_sent_at_ms: int | None = None
    ended_at_ms: int | None = None
    end_reason: str | None = None
    positions: tuple[Position, ...] = ()
    awaited: dict[str, Any] = {}
    early: dict[str, Early] = {}
    look_ms: int | None = None
    hops: int = 0

    @property
    def places(self) -> tuple[Position, ...]:
        """Where it stands; rows from before there were positions have one step that they wait at."""
        if self.positions or self.due_ms is None:
            return self.positions
        return (Position(self.step, self.due_ms, since_ms=self.entered_at_ms),)

    @property
    def is_active(self) -> bool:
        """Whether it still runs; otherwise it is kept for its goal alone."""
        return self.state == "active"


class SentMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message that was sent to the subject, or asked for by an account's journey."""

    id: str
    channel: str
    tags: tuple[str, ...]
    at_ms: int


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """State row of one subject, whose key is ``subject``.

    ``entered`` is the time of the last entry by journey, kept for ``again``. ``messages`` are in order of
    time. ``once`` names what may not come twice. ``converted``: when a journey's goal was reached last.
    """

    subject: str
    enrollments: tuple[Enrollment, ...] = ()
    entered: dict[str, int] = {}
    messages: tuple[SentMessage, ...] = ()
    once: tuple[str, ...] = ()
    converted: dict[str, int] = {}

    def enrollment(self, enrollment_id: str) -> Enrollment | None:
        """The enrollment of that id; None where it is not kept (any more)."""
        return next((held for held in self.enrollments if held.id == enrollment_id), None)

    def active_in(self, journey: str) -> Enrollment | None:
        """The active enrollment in a journey; there is one at most."""
        return next((held for held in self.enrollments if held.journey == journey and held.is_active), None)


def last_received_ms(
    progress: Progress, tags: Container[str], channel: str | None, after_ms: int, until_ms: int
) -> int | None:
    """When the newest message in ``(after_ms, until_ms]`` with one of ``tags``, over ``channel``, was sent.

    No tags: any message. None as channel: any channel. None as a result: there was no such message.
    """
    for message in reversed(progress.messages):
        if not after_ms < message.at_ms <= until_ms:
            continue
        if channel is not None and message.channel != channel:
            continue
        if not tags or any(tag in tags for tag in message.tags):
            return message.at_ms
    return None


def was_sent(progress: Progress, message_id: str) -> bool:
    """Whether the message of this idempotency key is remembered as sent."""
    return any(message.id == message_id for message in progress.messages)


def with_enrollment(progress: Progress, enrollment: Enrollment) -> Progress:
    """The row with one enrollment added, or put in the place of its older form."""
    held = progress.enrollments
    if progress.enrollment(enrollment.id) is None:
        return replace(progress, enrollments=(*held, enrollment))
    return replace(
        progress, enrollments=tuple(enrollment if one.id == enrollment.id else one for one in held)
    )


def with_message(progress: Progress, message: SentMessage) -> Progress:
    """The row that remembers a message."""
    return replace(progress, messages=(*progress.messages, message))


def with_once(progress: Progress, once_key: str | None) -> Progress:
    """The row that remembers what may not come twice; None changes nothing."""
    if once_key is None or once_key in progress.once:
        return progress
    return replace(progress, once=(*progress.once, once_key))


def pruned(progress: Progress, now_ms: int, memory_ms: int) -> Progress:
    """The row without what nothing can ask for any more; the very row where that is nothing.

    Ended enrollments go when their goal can no longer be reached and their trigger can no longer enrol
    anew; messages when they are older than
    ``memory_ms`` (``SubjectPlan.message_memory_ms``) and than a week.
    """
    after_ms = now_ms - max(memory_ms, MESSAGE_MEMORY_MS)
    if progress.messages and progress.messages[0].at_ms <= after_ms:
        messages = tuple(held for held in progress.messages if held.at_ms > after_ms)
        progress = replace(progress, messages=messages)
    kept = [held for held in progress.enrollments if held.is_active or _is_needed(held, now_ms)]
    ended = [held for held in kept if not held.is_active]
    if len(ended) > ENDED_MAX:
        given_up = {held.id for held in ended[: len(ended) - ENDED_MAX]}
        kept = [held for held in kept if held.id not in given_up]
    return progress if len(kept) == len(progress.enrollments) else replace(progress, enrollments=tuple(kept))


def _is_needed(enrollment: Enrollment, now_ms: int) -> bool:
    # One that has converted stays too: a second goal event must not be credited to the one before it.
    enrolls_until_ms = enrollment.trigger.at_ms + ELIGIBLE_MAX_AGE_MS
    goal_until_ms = enrollment.goal_until_ms
    return now_ms <= enrolls_until_ms or (
        goal_until_ms is not None and now_ms < goal_until_ms + GOAL_LATENESS_MS
    )
