"""The gate: the one place through which every message to a person passes, and where it may be stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workers.core.consent import allows
from workers.core.ids import stable_id
from workers.core.progress import MESSAGE_MEMORY_MS, MESSAGES_MAX, ONCE_MAX, was_sent

if TYPE_CHECKING:
    from schemas.fields import Channel, SubjectType
    from workers.core.facts import Facts
    from workers.core.progress import Progress

REQUEST_MAX_AGE_MS: Final = MESSAGE_MEMORY_MS
"""A message asked for longer ago is not sent: whether it was sent before is forgotten by now."""


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A message that a step wants to send. ``id`` is its idempotency key.

    ``subject`` is the person, or for the request of an account's journey before it is routed the account.
    ``asked`` is the account's request that the message answers, the same for every id of a person (None for a
    journey of the person's own). ``once``: this template may reach the person once, ever.
    ``requested_at_ms`` is when the step ran. ``variant`` is the one that chance chose, if any. What a
    ``shadow`` asks for is decided, and neither sent nor remembered.
    """

    id: str
    subject_type: SubjectType
    subject: str
    account: str | None
    journey: str
    version: str
    enrollment: str
    step: str
    channel: Channel
    template: str
    tags: tuple[str, ...]
    once: bool
    holdout: bool
    requested_at_ms: int
    asked: str | None = None
    variant: str | None = None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """The message may go out, ``to`` this address (e-mail only); ``values`` are what was looked at."""

    to: str | None
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Skip:
    """The message is not sent, and the journey goes on. No failure: ``reason`` says why.

    already_sent, stale, no_consent, no_address, once, too_many_messages or too_many_once.
    """

    reason: str
    values: dict[str, Any]


Verdict: TypeAlias = Send | Skip


def decide_send(request: SendRequest, facts: Facts, progress: Progress, now_ms: int) -> Verdict:
    """Whether a message may go to a person now, by the person's own traits and messages.

    Consent is what :meth:`Facts.consent` says of the channel; a text message needs a yes. An address is never
    among the values.
    """
    values: dict[str, Any] = {}
    if was_sent(progress, request.id) or (request.asked is not None and was_sent(progress, request.asked)):
        return Skip("already_sent", values)
    if now_ms - request.requested_at_ms > REQUEST_MAX_AGE_MS:
        return Skip("stale", {"requested_at_ms": request.requested_at_ms})
    consent = values[f"consent {request.channel}"] = facts.consent(request.channel, None)
    if not allows(request.channel, consent):
        return Skip("no_consent", values)
    to = None
    if request.channel == "email":
        to = facts.traits.get("email")
        has_address = values["has address"] = isinstance(to, str) and "@" in to
        if not has_address:
            return Skip("no_address", values)
    return _remembered(request, progress, values) or Send(to, values)


def once_key(request: SendRequest) -> str | None:
    """What a row remembers of a message that may not come twice; None where it may.

    Someone of the holdout is remembered apart: they never got the message, yet must look to the
    comparison like someone who did.
    """
    if not request.once:
        return None
    return stable_id("once", request.channel, request.template, "holdout" if request.holdout else "sent")


def _remembered(request: SendRequest, progress: Progress, values: dict[str, Any]) -> Skip | None:
    key = once_key(request)
    if key is not None:
        if key in progress.once:
            return Skip("once", values)
        if len(progress.once) >= ONCE_MAX:
            return Skip("too_many_once", values)
    if len(progress.messages) >= MESSAGES_MAX:
        return Skip("too_many_messages", values)
    return None
