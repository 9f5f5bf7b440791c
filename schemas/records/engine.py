"""Records between the agents of the engine and the senders: what to decide, what to send, what people see."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from schemas.fields import (  # noqa: TC001  pydantic reads them at run time
    Channel,
    Millis,
    SubjectType,
    Text,
    Values,
)
from schemas.records.base import Part, Record
from schemas.records.feeds import FeedItem  # noqa: TC001  pydantic reads it at run time
from schemas.records.gate import SendAnswer, SendAsk, SendSettled, Suppress
from schemas.records.identity import Erase, Forwarded, MemberMoved, Merged, MergeRequest, Released


class Trigger(Part):
    """The event that made a subject a candidate."""

    event: Text
    message_id: Text
    at_ms: Millis
    properties: Values


class Eligible(Record):
    """A subject met every condition of a journey's entry."""

    type: Literal["eligible"]
    id: Text
    journey: Text
    version: Text
    subject_type: SubjectType
    subject: Text
    account: str | None = None
    trigger: Trigger
    evidence: Values = Field(description="The value of each condition, by its name.")
    at_ms: Millis


class AccountFacts(Record):
    """Facts of an account that journeys of its members refer to; sent to each member when they change."""

    type: Literal["account_facts"]
    id: Text
    subject: Text = Field(description="The member: a user id.")
    account: Text
    facts: Values
    at_ms: Millis


class RequestedMessage(Part):
    """What an account journey wants one of its recipients to get."""

    channel: Channel
    template: Text
    tags: list[str]
    variant: str | None = None


class MessageContext(Part):
    """The values a template may use."""

    user: Values = Field(description="Traits of the person.")
    account: Values = Field(description="Traits of the account.")
    event: Values = Field(description="Properties of the event that started the enrollment.")


class MessageRequest(Record):
    """An account journey asks a person's partition to message them, under their own consent and caps."""

    type: Literal["message_request"]
    id: Text
    request: str | None = Field(None, description="The account's request: the same for all its recipients.")
    subject: Text = Field(description="The recipient: a user id.")
    account: Text
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    message: RequestedMessage
    context: MessageContext
    holdout: bool | None = Field(None, description="true: the account is of the holdout; nothing is sent.")
    at_ms: Millis


class ListEntry(Record):
    """A subject was put on a static segment's list, or taken off it."""

    type: Literal["list_entry"]
    id: Text
    subject_type: SubjectType
    subject: Text
    segment: Text = Field(description="Name of a static segment.")
    member: bool
    at_ms: Millis


SchedulerRecord: TypeAlias = Annotated[
    Eligible
    | AccountFacts
    | MessageRequest
    | ListEntry
    | SendAsk
    | SendAnswer
    | SendSettled
    | Suppress
    | MergeRequest
    | Merged
    | Released
    | Forwarded
    | Erase
    | MemberMoved,
    Field(discriminator="type"),
]
"""One record of ``scheduler``."""


class Message(Record):
    """One message to render and deliver."""

    id: Text = Field(description="Idempotency key, also towards the provider.")
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
    to: str | None = Field(None, description="Address, where the channel needs one (e-mail).")
    context: MessageContext
    requested_at_ms: Millis


class Feed(Record):
    """All in-app messages a person can see; the newest record of a key replaces the older ones."""

    person: Text
    items: list[FeedItem]
    updated_at_ms: Millis
