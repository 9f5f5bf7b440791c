"""The records as msgspec structs: what the workers decode and encode on hot paths.

The same shapes as :mod:`schemas.records`, held together by tests field by field and example by example.
Unknown fields are skipped on reading, so that a newer producer breaks no older worker; optional fields
that are ``None`` are left out on writing.

Every ``decode_*`` takes the bytes of one record and raises

- :class:`msgspec.ValidationError` where the shape is wrong (dead-letter reason ``invalid``), and
- :class:`msgspec.DecodeError`, its base, where the bytes are not JSON in UTF-8 or are nested too deeply
  (reason ``unreadable``); catch the former first.
"""

from __future__ import annotations

from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from msgspec import Raw
from msgspec.json import Decoder, Encoder

from schemas.fields import (
    Channel,
    Count,
    Crossing,
    DecisionKind,
    EngagementType,
    EventType,
    MessageId,
    Millis,
    ScoreDirection,
    SubjectType,
    Text,
    TriggerKind,
    Values,
)
from schemas.wire_base import Feed as Feed
from schemas.wire_base import FeedItem as FeedItem
from schemas.wire_base import FeedShow as FeedShow
from schemas.wire_base import FeedStep as FeedStep
from schemas.wire_base import Record as Record
from schemas.wire_entry import EnrollRequest as EnrollRequest
from schemas.wire_entry import EnrollSegment as EnrollSegment
from schemas.wire_entry import ExitBatch as ExitBatch
from schemas.wire_entry import ExitRequest as ExitRequest
from schemas.wire_entry import MemberScore as MemberScore
from schemas.wire_gate import SendAnswer as SendAnswer
from schemas.wire_gate import SendAsk as SendAsk
from schemas.wire_gate import SendSettled as SendSettled
from schemas.wire_gate import Suppress as Suppress
from schemas.wire_identity import Erase as Erase
from schemas.wire_identity import FeedMoved as FeedMoved
from schemas.wire_identity import Forwarded as Forwarded
from schemas.wire_identity import MemberMoved as MemberMoved
from schemas.wire_identity import Merged as Merged
from schemas.wire_identity import MergeRequest as MergeRequest
from schemas.wire_identity import PersonErased as PersonErased
from schemas.wire_identity import PersonMerged as PersonMerged
from schemas.wire_identity import Released as Released
from schemas.wire_llm import LlmAnswered as LlmAnswered
from schemas.wire_llm import LlmAsked as LlmAsked
from schemas.wire_llm import LlmExchange as LlmExchange
from schemas.wire_llm import LlmMessage as LlmMessage
from schemas.wire_llm import LlmRecord as LlmRecord
from schemas.wire_llm import LlmWithdrawn as LlmWithdrawn
from schemas.wire_messages import Delivery as Delivery
from schemas.wire_messages import Message as Message
from schemas.wire_messages import MessageContext as MessageContext
from schemas.wire_messages import MessageRequest as MessageRequest
from schemas.wire_messages import RequestedMessage as RequestedMessage
from schemas.wire_objects import ObjectAttributes as ObjectAttributes
from schemas.wire_objects import ObjectsChanged as ObjectsChanged
from schemas.wire_objects import ObjectValues as ObjectValues
from schemas.wire_operations import DeadLetter as DeadLetter
from schemas.wire_operations import ImportCheckpoint as ImportCheckpoint
from schemas.wire_operations import StepCount as StepCount
from schemas.wire_subjects import Backfilled as Backfilled
from schemas.wire_subjects import ConsentChange as ConsentChange
from schemas.wire_workspace import InForce as InForce
from schemas.wire_workspace import JourneyLine as JourneyLine
from schemas.wire_workspace import JourneyState as JourneyState
from schemas.wire_workspace import OlderVersion as OlderVersion
from schemas.wire_workspace import Publication as Publication
from schemas.wire_workspace import PublishedVersion as PublishedVersion
from schemas.wire_workspace import VersionPart as VersionPart
from schemas.wire_workspace import WorkspaceRecord as WorkspaceRecord

if TYPE_CHECKING:
    from collections.abc import Callable

ABSENT: Final = Raw(b"null")
"""What ``properties`` and ``traits`` hold when the event has none: this very object, so test by ``is``."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_OBJECT = ord("{")


class EventContext(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the engine reads of an event's ``context``: the account (Segment's ``groupId``), the device."""

    group_id: str | None = None
    device: Raw = ABSENT


class ProductEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One record of ``product-events``, as far as the engine reads it (Segment spec, camelCase on the wire).

    ``properties`` and ``traits`` stay undecoded until something asks: see :func:`values`. An event that
    decodes still has to pass :func:`problem`, which holds the rules between fields.
    """

    type: EventType
    message_id: MessageId
    timestamp: datetime
    user_id: str | None = None
    anonymous_id: str | None = None
    event: str | None = None
    group_id: str | None = None
    previous_id: str | None = None
    context: EventContext | None = None
    properties: Raw = ABSENT
    traits: Raw = ABSENT


class HasIds(Protocol):
    """Anything with the two ids of a person: both :class:`ProductEvent` and the pydantic events."""

    @property
    def user_id(self) -> str | None:
        """The id of a known user."""

    @property
    def anonymous_id(self) -> str | None:
        """The id of a visitor who is not known yet."""


def subject(event: HasIds) -> str:
    """The person an event is about: the user id, else the anonymous id, else ``""`` (see :func:`problem`)."""
    return event.user_id or event.anonymous_id or ""


def account(event: ProductEvent) -> str | None:
    """The account of an event: ``groupId`` of a group call, else ``context.groupId``; None without one."""
    if event.type == "group":
        return event.group_id
    return (event.context.group_id or None) if event.context is not None else None


def to_ms(moment: datetime) -> int:
    """Integer UTC milliseconds of a moment, cut (not rounded); a moment without a zone is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000


def at_ms(event: ProductEvent) -> int:
    """When the event happened, in integer UTC milliseconds (event time)."""
    return to_ms(event.timestamp)


def values(raw: Raw) -> Values:
    """``properties`` or ``traits`` decoded; ``{}`` where the event has none.

    Raises :class:`msgspec.DecodeError` where JSON's grammar allows what a value cannot be: a number beyond
    a double, half of a surrogate pair. The hot decode skips what it need not read.
    """
    return {} if raw is ABSENT else (_decode_values(raw) or {})


def problem(event: ProductEvent) -> str | None:
    """What makes a decoded event unusable, as a sentence that names the field; None where all is well."""
    if not (event.user_id or event.anonymous_id):
        return "userId or anonymousId is required and must not be empty"
    properties = event.properties
    if properties is not ABSENT and not _is_object_or_null(properties):
        return "properties must be an object"
    if event.traits is not ABSENT and not _is_object_or_null(event.traits):
        return "traits must be an object"
    if event.type == "track" and event.event:
        return None
    for required, name in _REQUIRED[event.type]:
        if not required(event):
            return f"{name} is required in the call {event.type} and must not be empty"
    return None


_REQUIRED: Final[dict[str, tuple[tuple[Callable[[ProductEvent], Any], str], ...]]] = {
    "track": ((attrgetter("event"), "event"),),
    "identify": (),
    "group": ((attrgetter("group_id"), "groupId"),),
    "alias": ((attrgetter("previous_id"), "previousId"), (attrgetter("user_id"), "userId")),
    "page": (),
    "screen": (),
}


def _is_object_or_null(raw: Raw) -> bool:
    text = bytes(raw)
    return text[0] == _OBJECT or text == b"null"


class Trigger(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What made a subject a candidate: an event, or (with a ``kind``) something else that it names."""

    event: Text
    message_id: Text
    at_ms: Millis
    properties: Values
    kind: TriggerKind | None = None


class Eligible(Record, tag_field="type", tag="eligible", frozen=True, kw_only=True):
    """A subject met every condition of a journey's entry."""

    id: Text
    journey: Text
    version: Text
    subject_type: SubjectType
    subject: Text
    account: str | None = None
    trigger: Trigger
    evidence: Values
    at_ms: Millis
    hops: Count | None = None


class AccountFacts(Record, tag_field="type", tag="account_facts", frozen=True, kw_only=True):
    """Facts of an account that journeys of its members refer to; sent to each member when they change."""

    id: Text
    subject: Text
    account: Text
    facts: Values
    changed: list[str] | None = None
    at_ms: Millis


class AccountSegments(Record, tag_field="type", tag="account_segments", frozen=True, kw_only=True):
    """Which segments an account is in, of those that conditions of users name; sent to each member."""

    id: Text
    subject: Text
    account: Text
    segments: dict[str, bool]
    by_definition: bool | None = None
    at_ms: Millis


class ListEntry(Record, tag_field="type", tag="list_entry", frozen=True, kw_only=True):
    """A subject was put on a static segment's list, or taken off it."""

    id: Text
    subject_type: SubjectType
    subject: Text
    segment: Text
    member: bool
    at_ms: Millis


class Decision(Record, frozen=True, kw_only=True):
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
    values: Values
    variant: str | None = None
    holdout: bool | None = None
    template_version: str | None = None
    at_ms: Millis


class Conversion(Record, frozen=True, kw_only=True):
    """A goal reached within its window after entry."""

    id: Text
    subject_type: SubjectType
    subject: Text
    account: str | None = None
    journey: Text
    version: Text
    enrollment: Text
    event: Text
    message_id: Text
    entered_at_ms: Millis
    converted_at_ms: Millis
    time_to_convert_ms: Count
    attributed: bool
    holdout: bool
    revenue: float | None = None


class SegmentChange(Record, frozen=True, kw_only=True):
    """A subject came into a segment or left it, with the values that its conditions saw."""

    id: Text
    segment: Text
    version: Text
    subject_type: SubjectType
    subject: Text
    change: Crossing
    values: Values
    at_ms: Millis


class ScorePart(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What one contribution brings to a score."""

    name: Text
    points: float


class ScoreCrossed(Record, frozen=True, kw_only=True):
    """A score reached a threshold, or fell below it."""

    id: Text
    score: Text
    version: Text
    subject_type: SubjectType
    subject: Text
    account: str | None = None
    threshold: Text
    level: float
    direction: ScoreDirection
    value: float
    contributions: list[ScorePart]
    event: str | None = None
    message_id: str | None = None
    at_ms: Millis


class Engagement(Record, frozen=True, kw_only=True):
    """What a person, or their mail server, did with a message."""

    id: Text
    type: EngagementType
    person: Text
    message_id: Text
    channel: Channel
    journey: str | None = None
    step: str | None = None
    url: str | None = None
    at_ms: Millis
    link: Count | None = None
    prefetch: bool | None = None
    reason: str | None = None
    address: str | None = None
    device: str | None = None


class AccountTraits(Record, frozen=True, kw_only=True):
    """Traits of an account, from a system that knows the account and not who acts for it."""

    id: Text
    account: Text
    traits: Values
    source: Text
    at_ms: Millis


SchedulerRecord = (
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
    | AccountSegments
)
IdentityRecord = PersonMerged | FeedMoved | PersonErased


def _decoder(shape: Any) -> Callable[[bytes], Any]:
    decode = Decoder(shape).decode

    def read(payload: bytes) -> Any:
        # msgspec skips what it need not decode without looking at its UTF-8, and tells of bad UTF-8 and of
        # deep nesting by other exceptions than of bad JSON: one check up front, one exception outwards.
        try:
            if not payload.isascii():
                str(payload, "utf-8")
            return decode(payload)
        except (UnicodeDecodeError, RecursionError) as error:
            raise msgspec.DecodeError(f"not readable as JSON: {error}") from error

    return read


_decode_values: Callable[[Raw], Values | None] = Decoder(Values | None).decode

encode: Callable[[Record], bytes] = Encoder().encode
"""The bytes of a record of ours, optional fields left out where they are None."""

decode_product_event: Callable[[bytes], ProductEvent] = _decoder(ProductEvent)
decode_scheduler: Callable[[bytes], SchedulerRecord] = _decoder(SchedulerRecord)
decode_message: Callable[[bytes], Message] = _decoder(Message)
decode_delivery: Callable[[bytes], Delivery] = _decoder(Delivery)
decode_decision: Callable[[bytes], Decision] = _decoder(Decision)
decode_conversion: Callable[[bytes], Conversion] = _decoder(Conversion)
decode_segment_change: Callable[[bytes], SegmentChange] = _decoder(SegmentChange)
decode_score_crossed: Callable[[bytes], ScoreCrossed] = _decoder(ScoreCrossed)
decode_engagement: Callable[[bytes], Engagement] = _decoder(Engagement)
decode_identity: Callable[[bytes], IdentityRecord] = _decoder(IdentityRecord)
decode_llm: Callable[[bytes], LlmRecord] = _decoder(LlmRecord)
decode_feed: Callable[[bytes], Feed] = _decoder(Feed)
decode_dead_letter: Callable[[bytes], DeadLetter] = _decoder(DeadLetter)
decode_account_traits: Callable[[bytes], AccountTraits] = _decoder(AccountTraits)
decode_object_attributes: Callable[[bytes], ObjectAttributes] = _decoder(ObjectAttributes)
decode_step_count: Callable[[bytes], StepCount] = _decoder(StepCount)
decode_import_checkpoint: Callable[[bytes], ImportCheckpoint] = _decoder(ImportCheckpoint)
decode_workspace: Callable[[bytes], WorkspaceRecord] = _decoder(WorkspaceRecord)
