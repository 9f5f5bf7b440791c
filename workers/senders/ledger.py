"""The ledger of messages on their way: what each result of a delivery means for what happens next. Pure.

A message is *pending* from the transaction that takes it in until the one that records its end. The
pending row is committed before the channel is called, so that a worker that dies in the call leaves a
row without an outcome: its successor knows that it cannot know, and follows the channel's policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import msgspec

from schemas.wire import Delivery, Engagement, Message
from workers.core.engaged import address_hash
from workers.core.ids import bucket, stable_id
from workers.senders.channels.base import (
    Accepted,
    Bounce,
    DeliveryResult,
    Misconfigured,
    OnUnknown,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.limits import MISCONFIGURED_MS

if TYPE_CHECKING:
    from schemas.fields import DeliveryOutcome
    from workers.core.templates.render import RenderedContent

ATTEMPTS_MAX = 40
"""Tries of one message: more than fit into a day with the delays below, which is when it is given up."""

MESSAGE_AGE_MAX_MS = 86_400_000
"""A message that could not leave within a day is given up: the moment it was meant for is gone."""

RETRY_MIN_MS = 250
"""The first wait at least; a hand-off is to take less than five seconds, also where a try or two fail."""

RETRY_MAX_MS = 3_600_000

SENT_KEPT_MS = 35 * 86_400_000
"""How long the id of a message that ended is remembered, so that the same message is not sent again."""


SENT_MARK = "sent"
"""Stands among the marks of a message that goes to several devices, once one of them has it."""


class Texts(msgspec.Struct, array_like=True, frozen=True):
    """What was rendered: the template (a fallback's, where it took the place), its version and locale."""

    template: str
    version: str
    locale: str


class Pending(msgspec.Struct, array_like=True):
    """A message that was taken in and has not ended. ``attempt`` counts the calls begun, from 1.

    ``calling`` is True between the commit before a call and the commit of its result, ``queued`` while it
    waits for its turn; where both are False a timer brings it back. ``connection`` is its way out. ``done``
    are marks of the devices that are done with, where it goes to several. ``withdrawn``: its enrollment was
    left, and it is not to be tried again. ``texts`` are those of the last call; None: there was none.
    """

    message: Message
    attempt: int
    taken_at_ms: int
    calling: bool
    connection: str = ""
    queued: bool = False
    done: list[str] = msgspec.field(default_factory=list)
    withdrawn: bool = False
    texts: Texts | None = None


class Sent(msgspec.Struct, array_like=True):
    """A message that ended, and when it may be forgotten."""

    ended_at_ms: int


@dataclass(frozen=True, slots=True)
class End:
    """The message ended with this outcome."""

    outcome: DeliveryOutcome
    reason: str | None = None
    provider_message_id: str | None = None
    cost_micros: int | None = None
    bounce: Bounce | None = None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The message is tried again after ``delay_ms``."""

    delay_ms: int
    reason: str


def next_step(pending: Pending, result: DeliveryResult, on_unknown: OnUnknown, now_ms: int) -> End | TryAgain:
    """What follows from one result.

    Delays double from the one asked for, up to an hour, with up to half of it as jitter drawn from the
    message's id: the messages that one outage held up do not come back at the same moment.
    """
    match result:
        case Accepted(provider_message_id, cost_micros):
            return End("sent", None, provider_message_id, cost_micros)
        case Refused(reason, bounce):
            return End("failed", f"{bounce}_bounce:{reason}", bounce=bounce)
        case RetryAfter(delay_ms, reason, about):
            # Told to slow down, as often as that may be: the message did nothing wrong.
            return _again(pending, max(delay_ms, RETRY_MIN_MS), reason, now_ms, double=about != "rate")
        case Misconfigured(reason):
            return _again(pending, MISCONFIGURED_MS, reason, now_ms, double=False)
        case Unknown(reason):
            if on_unknown == "at_least_once":
                return _again(pending, RETRY_MIN_MS, reason, now_ms, double=True)
            return End("unknown", reason)
        case _:
            assert_never(result)


def texts_of(content: RenderedContent) -> Texts:
    """Whose texts a message has that was rendered."""
    return Texts(content.template, content.version, content.locale)


def delivery_of(message: Message, end: End, provider: str, texts: Texts | None, now_ms: int) -> Delivery:
    """The record of what became of a message, whose ``texts`` were handed over; None: none were."""
    return Delivery(
        id=stable_id("delivery", message.id),
        message_id=message.id,
        channel=message.channel,
        person=message.person,
        account=message.account,
        journey=message.journey,
        version=message.version,
        enrollment=message.enrollment,
        step=message.step,
        template=message.template,
        outcome=end.outcome,
        reason=end.reason,
        provider=provider,
        provider_message_id=end.provider_message_id,
        cost_micros=end.cost_micros,
        latency_ms=max(0, now_ms - message.requested_at_ms),
        at_ms=now_ms,
        subject_type=message.subject_type,
        variant=message.variant,
        rendered_template=texts.template if texts else None,
        template_version=texts.version if texts else None,
        locale=texts.locale if texts else None,
    )


def bounce_of(message: Message, end: End, now_ms: int) -> Engagement | None:
    """The record that closes the address of an e-mail that ended in a hard bounce; None for other ends."""
    if message.channel != "email" or message.to is None or end.bounce != "hard":
        return None
    return Engagement(
        id=stable_id("bounced", message.id),
        type="bounced",
        person=message.person,
        message_id=message.id,
        channel=message.channel,
        journey=message.journey,
        step=message.step,
        reason=(end.reason or "").partition(":")[2] or None,
        address=address_hash(message.to),
        at_ms=now_ms,
    )


def is_too_old(pending: Pending, now_ms: int) -> bool:
    """Whether the moment that a message was meant for is gone."""
    return now_ms - pending.taken_at_ms >= MESSAGE_AGE_MAX_MS


def _again(pending: Pending, delay_ms: int, reason: str, now_ms: int, *, double: bool) -> End | TryAgain:
    # Where some of the person's devices have it, it is sent: giving up the others is no failure of it.
    given_up = End("sent" if SENT_MARK in pending.done else "failed", f"gave_up:{reason}")
    if is_too_old(pending, now_ms):
        return given_up
    if double:
        if pending.attempt >= ATTEMPTS_MAX:
            return given_up
        delay_ms = max(delay_ms, min(delay_ms * 2 ** (pending.attempt - 1), RETRY_MAX_MS))
    jitter_ms = delay_ms * bucket(f"retry-{pending.attempt}", pending.message.id) // 20_000
    return TryAgain(delay_ms + jitter_ms, reason)
