"""Messages on their way from a step to a person, and what became of them: see :mod:`schemas.wire`."""

from __future__ import annotations

import msgspec

from schemas.fields import (  # noqa: TC001 - msgspec reads the annotations at run time
    Channel,
    Count,
    DeliveryOutcome,
    Millis,
    SubjectType,
    Text,
    Values,
)
from schemas.wire_base import Record


class RequestedMessage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What an account journey wants one of its recipients to get."""

    channel: Channel
    template: Text
    tags: list[str]
    variant: str | None = None
    withdrawn: str | None = None


class MessageContext(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """The values a template may use: traits of the person and the account, properties of events."""

    user: Values
    account: Values
    event: Values
    awaited: Values | None = None
    related: Values | None = None
    evidence: Values | None = None
    llm: Values | None = None


class MessageRequest(Record, tag_field="type", tag="message_request", frozen=True, kw_only=True):
    """An account journey asks a person's partition to message them, under their own consent and caps."""

    id: Text
    request: str | None = None
    subject: Text
    account: Text
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    message: RequestedMessage
    context: MessageContext
    holdout: bool | None = None
    at_ms: Millis


class Message(Record, frozen=True, kw_only=True):
    """One message to render and deliver. ``id`` is its idempotency key, also towards the provider."""

    id: Text
    channel: Channel
    person: Text
    account: str | None = None
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    template: Text
    tags: list[str]
    variant: str | None = None
    to: str | None = None
    context: MessageContext
    requested_at_ms: Millis
    withdrawn: str | None = None
    subject_type: SubjectType | None = None


class Delivery(Record, frozen=True, kw_only=True):
    """What became of a message."""

    id: Text
    message_id: Text
    channel: Channel
    person: Text
    account: str | None = None
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    template: Text
    outcome: DeliveryOutcome
    reason: str | None = None
    provider: Text
    provider_message_id: str | None = None
    cost_micros: Count | None = None
    latency_ms: Count
    at_ms: Millis
    subject_type: SubjectType | None = None
    variant: str | None = None
    rendered_template: str | None = None
    template_version: str | None = None
    locale: str | None = None
