"""Records that tell what happened: for measuring, for explaining, for putting right."""

from __future__ import annotations

from pydantic import Field

from schemas.fields import (  # noqa: TC001  pydantic reads them at run time
    Channel,
    Count,
    Crossing,
    DeadLetterReason,
    DecisionKind,
    DeliveryOutcome,
    EngagementType,
    Millis,
    Position,
    ScoreDirection,
    SubjectType,
    Text,
    Values,
)
from schemas.records.base import Part, Record


class Delivery(Record):
    """What became of a message."""

    id: Text
    message_id: Text = Field(description="The id of the message: its idempotency key.")
    channel: Channel
    person: Text
    account: str | None = None
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    template: Text
    outcome: DeliveryOutcome
    reason: str | None = Field(None, description="Why it was not sent, or not known to be.")
    provider: Text
    provider_message_id: str | None = None
    cost_micros: Count | None = Field(None, description="Millionths of the provider's currency.")
    latency_ms: Count = Field(description="From the request to the outcome, in milliseconds.")
    at_ms: Millis
    subject_type: SubjectType | None = Field(
        None, description="account: of a call for an account's journey, which ``person`` names. Else a user."
    )
    variant: str | None = Field(None, description="The variant of the send step; none where it has none.")
    rendered_template: str | None = Field(
        None,
        description="Whose texts were handed over last: ``template`` or a fallback's. None: nobody's.",
    )
    template_version: str | None = Field(
        None, description="The version of these texts, which depends on all that they say."
    )
    locale: str | None = Field(None, description="The locale of these texts, such as de or de-AT.")


class Decision(Record):
    """One decision about a candidate entry, send, exit or goal, with the values it was taken on."""

    id: Text
    kind: DecisionKind
    subject_type: SubjectType
    subject: Text
    account: str | None = None
    journey: Text
    version: Text
    enrollment: str | None = None
    step: str | None = None
    outcome: Text
    reason: str | None = None
    values: Values = Field(description="The value of each condition and cap that was looked at, by its name.")
    variant: str | None = None
    holdout: bool | None = None
    template_version: str | None = None
    at_ms: Millis


class Conversion(Record):
    """A goal reached within its window after entry."""

    id: Text
    subject_type: SubjectType
    subject: Text
    account: str | None = None
    journey: Text
    version: Text
    enrollment: Text
    event: Text
    message_id: Text = Field(description="The messageId of the product event that reached the goal.")
    entered_at_ms: Millis
    converted_at_ms: Millis
    time_to_convert_ms: Count
    attributed: bool
    holdout: bool
    revenue: float | None = None


class SegmentChange(Record):
    """A subject came into a segment or left it, with the values that its conditions saw."""

    id: Text
    segment: Text
    version: Text = Field(
        description="Hash of the segment's definition; gone: the workspace, or the subject, is no more."
    )
    subject_type: SubjectType
    subject: Text
    change: Crossing
    values: Values
    at_ms: Millis


class StepCount(Record):
    """How many subjects of a partition stand at a step of a journey now; a key's newest record counts."""

    partition: Count = Field(description="The engine's partition whose subjects these are.")
    subject_type: SubjectType
    journey: Text
    version: Text
    step: Text
    number: Count = Field(description="0: nobody any more.")
    at_ms: Millis


class ScorePart(Part):
    """What one contribution brings to a score."""

    name: Text
    points: float = Field(description="Below 0 where it takes away.")


class ScoreCrossed(Record):
    """A score reached a threshold, or fell below it."""

    id: Text
    score: Text
    version: Text = Field(description="A hash of all that the score's file says.")
    subject_type: SubjectType
    subject: Text
    account: str | None = None
    threshold: Text = Field(description="The threshold's name.")
    level: float = Field(description="The points to reach, or those it fell below.")
    direction: ScoreDirection = Field(description="up: reached; down: fell below.")
    value: float = Field(description="The score at this instant.")
    contributions: list[ScorePart] = Field(description="What makes the value, the largest first.")
    event: str | None = Field(None, description="The event that did it; absent where a trait or time did.")
    message_id: str | None = Field(None, description="The messageId of that event.")
    at_ms: Millis


class Engagement(Record):
    """What a person, or their mail server, did with a message."""

    id: Text
    type: EngagementType
    person: Text
    message_id: Text
    channel: Channel
    journey: str | None = None
    step: str | None = None
    url: str | None = None
    reason: str | None = Field(None, description="Why it bounced, such as 5.1.1; never the server's words.")
    address: str | None = Field(
        None, description="Hash of the address that it is about; absent: the one the person has."
    )
    at_ms: Millis
    link: Count | None = Field(None, description="Which link of the message, counted from 0.")
    prefetch: bool | None = Field(
        None, description="A machine did it, such as a link scanner: counts for nothing."
    )
    device: str | None = Field(None, description="The device that it is about: a hash of its token.")


class DeadLetter(Record):
    """A record that could not be read or handled, with where it lies and why."""

    id: Text
    app: Text = Field(description="The application that gave it up.")
    topic: Text
    partition: Position = Field(description="-1 where it was refused before it reached a topic.")
    offset: Position = Field(description="-1 where it was refused before it reached a topic.")
    reason: DeadLetterReason
    detail: str = Field(description="For people: what was wrong, and where.")
    key: str | None = Field(None, description="The record's key in base64.")
    payload: str = Field(description="The record's value in base64, cut where truncated says so.")
    payload_bytes: Count = Field(description="Size of the whole value in bytes.")
    truncated: bool
    at_ms: Millis
