"""Records between the agents of the engine and the senders: what to decide, what to send, what people see."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from schemas.fields import (  # noqa: TC001  pydantic reads them at run time
    Channel,
    ConsentState,
    Count,
    Millis,
    ObjectId,
    SubjectType,
    Text,
    TriggerKind,
    Values,
)
from schemas.records.base import Part, Record
from schemas.records.entry import EnrollRequest, EnrollSegment, ExitBatch, ExitRequest, MemberScore
from schemas.records.feeds import FeedItem  # noqa: TC001  pydantic reads it at run time
from schemas.records.gate import SendAnswer, SendAsk, SendSettled, Suppress
from schemas.records.identity import Erase, Forwarded, MemberMoved, Merged, MergeRequest, Released
from schemas.records.llm import LlmAnswered


class Trigger(Part):
    """What made a subject a candidate."""

    event: Text = Field(description="The event; of another kind, the segment, score, trait or the like.")
    message_id: Text = Field(description="The event's id; of another kind one that a repetition has again.")
    at_ms: Millis
    properties: Values
    kind: TriggerKind | None = Field(None, description="None: a product event.")


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
    hops: Count | None = Field(
        None, description="Journeys that enrolled one another until here, within an hour each."
    )


class AccountFacts(Record):
    """Facts of an account that journeys of its members refer to; sent to each member when they change."""

    type: Literal["account_facts"]
    id: Text
    subject: Text = Field(description="The member: a user id.")
    account: Text
    facts: Values
    changed: list[str] | None = Field(None, description="Names of the facts that have another value now.")
    at_ms: Millis


class AccountSegments(Record):
    """Which segments an account is in, of those that conditions of users name; sent to each member."""

    type: Literal["account_segments"]
    id: Text
    subject: Text = Field(description="The member: a user id.")
    account: Text
    segments: dict[str, bool] = Field(description="By each of the segments, whether the account is in it.")
    by_definition: bool | None = Field(
        None, description="True: definitions are others now. Nobody enters a journey by that."
    )
    at_ms: Millis


class RequestedMessage(Part):
    """What an account journey wants one of its recipients to get."""

    channel: Channel
    template: Text
    tags: list[str]
    variant: str | None = None
    withdrawn: str | None = Field(None, description="See the messages' own.")


class MessageContext(Part):
    """The values a template may use."""

    user: Values = Field(description="Traits of the person.")
    account: Values = Field(description="Traits of the account.")
    event: Values = Field(description="Properties of the event that started the enrollment.")
    awaited: Values | None = Field(
        None, description="Properties of the event that the journey waited for last."
    )
    related: Values | None = Field(None, description="Related objects that templates show, by relationship.")
    evidence: Values | None = Field(
        None, description="What made the subject eligible, where templates show it: docs/templates.md."
    )
    llm: Values | None = Field(None, description="What came of the journey's LLM steps, by their ids.")


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


class ConsentChange(Record):
    """A person agreed to messages, refused them, or took either back."""

    type: Literal["consent_change"]
    id: Text
    subject: Text = Field(description="The person: a user id.")
    channel: Channel | None = Field(None, description="Over which channel; none: over any.")
    topic: str | None = Field(None, description="About which topic over that channel; none: about any.")
    state: ConsentState = Field(description="unknown: as if the person had never said anything about it.")
    source: Text = Field(description="Who brought it: an import, a preference page, a provider.")
    at_ms: Millis = Field(description="When the person said it; the latest word counts.")


class ObjectValues(Part):
    """What definitions read of one object, as it is now."""

    object: Text = Field(description="Its type.")
    object_id: ObjectId
    attributes: Values = Field(description="All that are needed and known; what is not here is not known.")


class ObjectsChanged(Record):
    """Objects that changed, told to one partition; it tells those of its subjects whom it concerns."""

    type: Literal["objects_changed"]
    id: Text
    objects: list[ObjectValues]
    at_ms: Millis


class Backfilled(Record):
    """What a subject did before a slot began to count; or that all subjects' past was brought."""

    type: Literal["backfilled"]
    id: Text
    subject_type: SubjectType
    subject: Text = Field(description="Whose past; with `done` any key of the partition that is told.")
    slots: dict[str, str] = Field(description="Content of each slot by its id: bytes in base64.")
    done: bool | None = Field(None, description="True: these slots of this partition hold all now.")
    moved: bool | None = Field(None, description="True: it was brought to another id, which was merged.")
    archive: bool | None = Field(None, description="True: of what files have and the topic never had.")
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
    | MemberMoved
    | ConsentChange
    | ObjectsChanged
    | Backfilled
    | EnrollRequest
    | EnrollSegment
    | MemberScore
    | ExitRequest
    | ExitBatch
    | LlmAnswered
    | AccountSegments,
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
    withdrawn: str | None = Field(
        None,
        description="Why the messages of this enrollment are taken back; nothing is sent instead.",
    )
    subject_type: SubjectType | None = Field(
        None, description="account: a call for an account's journey; ``person`` is the account. Else a user."
    )


class Feed(Record):
    """All in-app messages a person can see; the newest record of a key replaces the older ones."""

    person: Text
    items: list[FeedItem]
    updated_at_ms: Millis
