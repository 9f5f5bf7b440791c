"""How far a subject is in its journeys: one state row per user or account, immutable and bounded.

Every function returns a new row; a row that was stored is never changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from schemas.fields import TriggerKind  # noqa: TC001  msgspec reads it at run time
from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

EnrollmentState: TypeAlias = Literal["active", "ended"]

ACTIVE_MAX: Final = 32
"""Journeys that a subject may be in at once. Entry declines beyond it (``too_many_enrollments``): each keeps
the properties of its trigger, up to 32 KB, and the row must stay far below Kafka's record limit of 1 MB."""

ENDED_MAX: Final = 128
"""Ended enrollments kept for their goal. Beyond it the oldest is given up and can convert no more."""

KEYED_ACTIVE_MAX: Final = 16
"""Enrollments of a subject in one journey that has a key, at once. Entry declines beyond it
(``too_many_keys``): half of what there is room for, so that one journey does not keep the others out."""

KEYS_MAX: Final = 500
"""Keys of one journey that are remembered for ``again``, and for exits that came before the enrolment: the
latest. A key that came 500 keys ago does not come again by accident; a journey's take up to 15 KB."""

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
    """What led to an enrollment: an event, or (with a ``kind``) something else that ``event`` names.

    ``properties`` are kept while it is active, for its templates.
    """

    event: str
    message_id: str
    at_ms: int
    properties: dict[str, Any]
    kind: TriggerKind | None = None


class Position(msgspec.Struct, frozen=True, array_like=True):
    """One place where an enrollment stands; there are several while parts of it run side by side.

    ``step`` is the path of a step: one that it waits at since ``since_ms``, or (None) is to run. Time takes
    it on at ``due_ms``; ``until_ms`` is when a wait is over (None: the step is to say). ``rounds`` are those
    of the loops around it, from 1, by the loop's path, the outermost first. ``asked`` is the question whose
    answer an LLM step waits for, as :func:`asked_of` makes it.
    """

    step: str
    due_ms: int
    since_ms: int | None = None
    until_ms: int | None = None
    rounds: dict[str, int] = {}
    asked: str | None = None

    @property
    def visit(self) -> int:
        """How often its step was come to, as a number that no other round has: 1 outside of loops."""
        visit = 1
        for number in self.rounds.values():
            visit = (visit - 1) * VISITS_RADIX + number
        return visit


class LlmSaid(msgspec.Struct, frozen=True, array_like=True):
    """What came of an LLM step: the checked answer, or (with the reason in ``fallback``) the fallback.

    ``request`` is the question's id; empty where none was put.
    """

    value: str
    request: str = ""
    fallback: str | None = None


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
    ``key`` is what there is one enrollment of, ``""`` where a journey has one of the subject. ``variants``
    are those of the journey's experiments, by what is assigned. ``evidence`` are values of conditions at the
    entry that templates show, by label. ``said`` is what came of its LLM steps, by their ids.
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
    key: str = ""
    variants: dict[str, str] = {}
    evidence: dict[str, Any] = {}
    said: dict[str, LlmSaid] = {}

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

    def ended(self, reason: str, now_ms: int) -> Enrollment:
        """The same, over: what its templates and steps needed is forgotten, what its goal needs is kept."""
        return replace(
            self,
            state="ended",
            end_reason=reason,
            ended_at_ms=now_ms,
            timer_id=None,
            due_ms=None,
            trigger=replace(self.trigger, properties={}),
            positions=(),
            awaited={},
            early={},
            look_ms=None,
            evidence={},
            said=forgotten(self.said),
        )


class SentMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message that was sent to the subject, or asked for by an account's journey.

    ``uncapped``: it is exempt from caps, and counts in none.
    """

    id: str
    channel: str
    tags: tuple[str, ...]
    at_ms: int
    journey: str = ""
    uncapped: bool = False


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What an account said to a message that waits for it; not granted: why, and what then (see OnCap)."""

    granted: bool
    at_ms: int
    reason: str = ""
    action: str = "skip"
    until_ms: int = 0


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A message that the gate holds since ``since_ms``, to be looked at again at ``until_ms``.

    ``id`` is the message's idempotency key, or the account's request. ``enrollment`` is one of the person, or
    (``requested``) of the account whose journey asks for it. ``recorded``: the deferral stands in a decision.
    ``collect_until_ms``: until when it competes for an exclusive tag. ``ask`` is the question that was put to
    the account, and ``answer`` what came of it. ``step`` is where the enrollment stands for it, in the
    version that it runs; rows from before these last three were kept have none of them.
    """

    id: str
    enrollment: str
    journey: str
    tags: tuple[str, ...]
    since_ms: int
    until_ms: int
    reason: str
    rank: float = 0.0
    requested: bool = False
    recorded: bool = False
    collect_until_ms: int | None = None
    ask: str | None = None
    answer: Answer | None = None
    step: str = ""
    channel: str = ""
    template: str = ""


class Shadowed(msgspec.Struct, frozen=True, array_like=True):
    """What a journey's shadow, which began at ``since_ms``, would have sent: see ``core.journeys.shadowing``.

    ``messages``, ``withheld`` and ``once`` are as in :class:`Progress`, under the name of the journey itself.
    ``hidden`` are those of the row's ``once`` that the running version has set since the shadow began.
    """

    since_ms: int
    messages: tuple[SentMessage, ...] = ()
    withheld: tuple[SentMessage, ...] = ()
    once: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """State row of one subject, whose key is ``subject``.

    ``entered`` is the time of the last entry by journey, kept for ``again``. ``messages`` are in order of
    time. ``once`` names what may not come twice. ``converted``: when a journey's goal was reached last.
    ``keys``: by journey when each key last entered, ``left``: by journey when an exit last came for each key,
    both by :func:`key_hash` and in the order of the latest.
    ``withheld`` are messages that someone of a holdout would have had; caps count them like those sent.
    ``waiting`` are messages that the gate holds. ``shadows``: by the name of a shadow what it would have
    sent, which it alone sees.
    """

    subject: str
    enrollments: tuple[Enrollment, ...] = ()
    entered: dict[str, int] = {}
    messages: tuple[SentMessage, ...] = ()
    once: tuple[str, ...] = ()
    converted: dict[str, int] = {}
    keys: dict[str, dict[str, int]] = {}
    left: dict[str, dict[str, int]] = {}
    withheld: tuple[SentMessage, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    shadows: dict[str, Shadowed] = {}

    def enrollment(self, enrollment_id: str) -> Enrollment | None:
        """The enrollment of that id; None where it is not kept (any more)."""
        return next((held for held in self.enrollments if held.id == enrollment_id), None)

    def active_in(self, journey: str, key: str = "") -> Enrollment | None:
        """The active enrollment in a journey, of a key where the journey has one; there is one at most."""
        return next((held for held in self.all_active_in(journey) if held.key == key), None)

    def all_active_in(self, journey: str) -> tuple[Enrollment, ...]:
        """The active enrollments in a journey: one at most where it has no key."""
        return tuple(held for held in self.enrollments if held.journey == journey and held.is_active)

    def held_message(self, message: str) -> Waiting | None:
        """The held message of that idempotency key; None where none is held."""
        return next((held for held in self.waiting if held.id == message), None)


def last_received_ms(
    progress: Progress, tags: Container[str], channel: str | None, after_ms: int, until_ms: int
) -> int | None:
    """When the newest message in ``(after_ms, until_ms]`` with one of ``tags``, over ``channel``, was sent.

    No tags: any message. None as channel: any but ``webhook``, a call, which nobody receives. None as a
    result: there was no such message.
    """
    for message in reversed(progress.messages):
        if not after_ms < message.at_ms <= until_ms:
            continue
        if message.channel != channel if channel is not None else message.channel == "webhook":
            continue
        if not tags or any(tag in tags for tag in message.tags):
            return message.at_ms
    return None


def was_sent(progress: Progress, message_id: str) -> bool:
    """Whether the message of this idempotency key is remembered as sent."""
    return any(message.id == message_id for message in progress.messages)


def asked_of(connection: str, request: str) -> str:
    """What a position keeps of a question: the connection, which is its key, and its id."""
    return f"{connection}:{request}"


def forgotten(said: Mapping[str, LlmSaid]) -> dict[str, LlmSaid]:
    """What is kept of answers when an enrollment ends: which came, and not what they said."""
    return {step: replace(one, value="") for step, one in said.items()}


def key_hash(key: str) -> str:
    """What is remembered of a key: 16 hex digits, however long it is."""
    return stable_id("key", key)[:16]


def with_key(
    keys: dict[str, dict[str, int]], journey: str, key: str, at_ms: int
) -> dict[str, dict[str, int]]:
    """What is remembered by key, with one that was seen now as the latest; the oldest go."""
    of_journey = {name: held for name, held in keys.get(journey, {}).items() if name != key_hash(key)}
    of_journey[key_hash(key)] = at_ms
    return {**keys, journey: dict(list(of_journey.items())[-KEYS_MAX:])}


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


def with_withheld(progress: Progress, message: SentMessage) -> Progress:
    """The row that remembers a message that someone of a holdout would have had."""
    return replace(progress, withheld=(*progress.withheld, message))


def with_waiting(progress: Progress, waiting: Waiting) -> Progress:
    """The row in which a message is held, in the place of its older form."""
    others = tuple(held for held in progress.waiting if held.id != waiting.id)
    return replace(progress, waiting=(*others, waiting))


def without_waiting(progress: Progress, message: str) -> Progress:
    """The row in which a message is held no more; the very row where it was not."""
    if progress.held_message(message) is None:
        return progress
    return replace(progress, waiting=tuple(held for held in progress.waiting if held.id != message))


def with_once(progress: Progress, once_key: str | None) -> Progress:
    """The row that remembers what may not come twice; None changes nothing."""
    if once_key is None or once_key in progress.once:
        return progress
    return replace(progress, once=(*progress.once, once_key))


def pruned(progress: Progress, now_ms: int, memory_ms: int, shadows: Mapping[str, int]) -> Progress:
    """The row without what nothing can ask for any more; the very row where that is nothing.

    Ended enrollments go when their goal can no longer be reached and their trigger can no longer enrol
    anew; messages when they are older than
    ``memory_ms`` (``SubjectPlan.message_memory_ms``) and than a week; what a shadow would have sent likewise,
    and all of it with the shadow (``shadows`` is ``SubjectPlan.shadows``).
    """
    after_ms = now_ms - max(memory_ms, MESSAGE_MEMORY_MS)
    if progress.shadows:
        progress = _without_old(without_ended(progress, shadows), after_ms)
    if progress.messages and progress.messages[0].at_ms <= after_ms:
        messages = tuple(held for held in progress.messages if held.at_ms > after_ms)
        progress = replace(progress, messages=messages)
    if progress.withheld and progress.withheld[0].at_ms <= after_ms:
        withheld = tuple(held for held in progress.withheld if held.at_ms > after_ms)
        progress = replace(progress, withheld=withheld)
    kept = [held for held in progress.enrollments if held.is_active or _is_needed(held, now_ms)]
    ended = [held for held in kept if not held.is_active]
    if len(ended) > ENDED_MAX:
        given_up = {held.id for held in ended[: len(ended) - ENDED_MAX]}
        kept = [held for held in kept if held.id not in given_up]
    return progress if len(kept) == len(progress.enrollments) else replace(progress, enrollments=tuple(kept))


def without_ended(progress: Progress, shadows: Mapping[str, int]) -> Progress:
    """The row without what ended shadows would have sent; the very row where there is nothing of them."""
    kept = {name: one for name, one in progress.shadows.items() if shadows.get(name) == one.since_ms}
    return progress if len(kept) == len(progress.shadows) else replace(progress, shadows=kept)


def _without_old(progress: Progress, after_ms: int) -> Progress:
    kept = {
        name: replace(
            one,
            messages=tuple(sent for sent in one.messages if sent.at_ms > after_ms),
            withheld=tuple(sent for sent in one.withheld if sent.at_ms > after_ms),
        )
        for name, one in progress.shadows.items()
    }
    return progress if kept == progress.shadows else replace(progress, shadows=kept)


def _is_needed(enrollment: Enrollment, now_ms: int) -> bool:
    # One that has converted stays too: a second goal event must not be credited to the one before it.
    # For as long as messages may be held, an account is asked whether the journey they are of was left.
    enrolls_until_ms = enrollment.trigger.at_ms + ELIGIBLE_MAX_AGE_MS
    asked_until_ms = (enrollment.ended_at_ms or 0) + MESSAGE_MEMORY_MS
    goal_until_ms = enrollment.goal_until_ms
    return now_ms <= max(enrolls_until_ms, asked_until_ms) or (
        goal_until_ms is not None and now_ms < goal_until_ms + GOAL_LATENESS_MS
    )
