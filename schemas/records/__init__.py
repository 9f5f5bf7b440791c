"""The public records as pydantic models: documented, exported as JSON Schema, checked at the borders.

Hot paths use the structs of the same names and shapes in :mod:`schemas.wire`.
"""

from __future__ import annotations

from schemas.records.engine import (
    AccountFacts,
    Eligible,
    Feed,
    ListEntry,
    Message,
    MessageContext,
    MessageRequest,
    RequestedMessage,
    SchedulerRecord,
    Trigger,
)
from schemas.records.events import (
    Alias,
    EventContext,
    Group,
    Identify,
    Page,
    ProductEvent,
    Screen,
    Track,
    check_product_event,
    parse_product_event,
)
from schemas.records.feeds import FeedItem
from schemas.records.identity import (
    Erase,
    FeedMoved,
    Forwarded,
    IdentityRecord,
    MemberMoved,
    Merged,
    MergeRequest,
    PersonErased,
    PersonMerged,
    Released,
)
from schemas.records.imports import AccountTraits, ImportCheckpoint
from schemas.records.outcomes import (
    Conversion,
    DeadLetter,
    Decision,
    Delivery,
    Engagement,
    ScoreCrossed,
    ScorePart,
    SegmentChange,
)
from schemas.records.workspace import (
    InForce,
    JourneyLine,
    JourneyState,
    OlderVersion,
    Publication,
    PublishedVersion,
    VersionPart,
    WorkspaceRecord,
)
from schemas.wire import subject

__all__ = [
    "AccountFacts",
    "AccountTraits",
    "Alias",
    "Conversion",
    "DeadLetter",
    "Decision",
    "Delivery",
    "Eligible",
    "Engagement",
    "Erase",
    "EventContext",
    "Feed",
    "FeedItem",
    "FeedMoved",
    "Forwarded",
    "Group",
    "Identify",
    "IdentityRecord",
    "ImportCheckpoint",
    "InForce",
    "JourneyLine",
    "JourneyState",
    "ListEntry",
    "MemberMoved",
    "MergeRequest",
    "Merged",
    "Message",
    "MessageContext",
    "MessageRequest",
    "OlderVersion",
    "Page",
    "PersonErased",
    "PersonMerged",
    "ProductEvent",
    "Publication",
    "PublishedVersion",
    "Released",
    "RequestedMessage",
    "SchedulerRecord",
    "ScoreCrossed",
    "ScorePart",
    "Screen",
    "SegmentChange",
    "Track",
    "Trigger",
    "VersionPart",
    "WorkspaceRecord",
    "check_product_event",
    "parse_product_event",
    "subject",
]
