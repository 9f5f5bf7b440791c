"""The field types that the pydantic models and the msgspec structs share, with both libraries' limits.

A type that stands here once cannot mean one thing to :mod:`schemas.records` and another to
:mod:`schemas.wire`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import pydantic

MESSAGE_ID_MAX_CHARS = 100
"""Longest ``messageId`` that Segment takes (segment-docs issue 5924); a UUID has 36."""

Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1), pydantic.Field(min_length=1)]
"""A string that says something: never empty."""

MessageId: TypeAlias = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=MESSAGE_ID_MAX_CHARS),
    pydantic.Field(min_length=1, max_length=MESSAGE_ID_MAX_CHARS),
]
"""A producer's id of one event; the same id within 24 hours is the same event."""

ObjectId: TypeAlias = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=256),
    pydantic.Field(min_length=1, max_length=256),
]
"""The id of an object among those of its type."""

Millis: TypeAlias = int
"""A moment in integer UTC milliseconds since 1970; fields of this type end in ``_ms``."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0), pydantic.Field(ge=0)]
"""A number of things, or a length of time: never negative."""

Position: TypeAlias = Annotated[int, msgspec.Meta(ge=-1), pydantic.Field(ge=-1)]
"""A partition or an offset; -1 where the record was refused before it reached a topic."""

Values: TypeAlias = dict[str, Any]
"""A JSON object with whatever the workspace or the producer put in it."""

Version: TypeAlias = Literal[1]
"""Version of the record's shape. A record without ``v`` is read as version 1; what we write always has it."""

EventType: TypeAlias = Literal["track", "identify", "group", "alias", "page", "screen"]
SubjectType: TypeAlias = Literal["user", "account"]
Channel: TypeAlias = Literal["email", "sms", "push", "in_app", "webhook"]
DeliveryOutcome: TypeAlias = Literal["sent", "failed", "suppressed", "skipped", "unknown"]
ScoreDirection: TypeAlias = Literal["up", "down"]
DecisionKind: TypeAlias = Literal["entry", "send", "exit", "goal", "split", "assignment", "llm", "problem"]
LlmTask: TypeAlias = Literal["classify", "choose", "fill"]
TriggerKind: TypeAlias = Literal["segment", "score", "schedule", "api", "changed", "object", "journey"]
EngagementType: TypeAlias = Literal[
    "delivered",
    "opened",
    "clicked",
    "dismissed",
    "replied",
    "bounced",
    "complained",
    "unsubscribed",
    "converted_link",
    "soft_bounced",
    "deferred",
    "unregistered",
]
ConsentState: TypeAlias = Literal["opted_in", "opted_out", "unknown"]
Crossing: TypeAlias = Literal["entered", "left"]
MergeCause: TypeAlias = Literal["identify", "alias"]
EditPolicy: TypeAlias = Literal["pin", "follow", "drain"]
JourneyCondition: TypeAlias = Literal["running", "paused", "draining", "stopped"]
FeedForm: TypeAlias = Literal["banner", "post", "modal", "tooltip", "checklist", "tour", "chat"]
FeedOnce: TypeAlias = Literal["user", "session"]
FeedPosition: TypeAlias = Literal["top", "bottom"]
DeadLetterReason: TypeAlias = Literal[
    "unreadable", "invalid", "too_large", "future", "no_subject", "handler_error"
]
