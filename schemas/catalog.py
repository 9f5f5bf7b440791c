"""Which record shape each public topic carries: the one table that export, validation and examples share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from pydantic import TypeAdapter, ValidationError

from schemas import records, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MESSAGE_TOPIC_PREFIX = "messages."
"""``messages.<channel>``: one topic per channel, one shape for all."""


@dataclass(frozen=True)
class RecordSchema:
    """One record shape, in one version.

    ``models`` are the pydantic models of the records by name: several where the topic carries a tagged
    union. ``decode`` reads the same shape on hot paths; None where no hot path reads it. ``written_by_us``
    is False where producers write: then others' old records must stay readable, while for our own
    records their readers count too (see :mod:`schemas.compat`).
    """

    name: str
    version: int
    adapter: TypeAdapter[Any]
    models: Mapping[str, type[Any]]
    decode: Callable[[bytes], Any] | None
    topics: tuple[str, ...]
    written_by_us: bool = True

    @property
    def file_name(self) -> str:
        """Name of the exported JSON Schema."""
        return f"{self.name}.v{self.version}.schema.json"


def _schema(
    name: str,
    shape: Any,
    models: tuple[type[Any], ...],
    decode: Callable[[bytes], Any] | None,
    **more: Any,
) -> RecordSchema:
    return RecordSchema(
        name=name,
        version=1,
        adapter=TypeAdapter(shape),
        models={model.__name__: model for model in models},
        decode=decode,
        **({"topics": (name,)} | more),
    )


_CHANNELS = ("email", "sms", "push", "in_app", "webhook")

_EVENTS = (
    records.Track,
    records.Identify,
    records.Group,
    records.Alias,
    records.Page,
    records.Screen,
)
_SCHEDULED = (
    records.Eligible,
    records.AccountFacts,
    records.MessageRequest,
    records.ListEntry,
    records.SendAsk,
    records.SendAnswer,
    records.SendSettled,
    records.Suppress,
    records.MergeRequest,
    records.Merged,
    records.Released,
    records.Forwarded,
    records.Erase,
    records.MemberMoved,
    records.ConsentChange,
    records.ObjectsChanged,
    records.Backfilled,
    records.EnrollRequest,
    records.EnrollSegment,
    records.MemberScore,
    records.ExitRequest,
    records.ExitBatch,
    records.LlmAnswered,
    records.AccountSegments,
)
_IDENTITY = (records.PersonMerged, records.FeedMoved, records.PersonErased)
_LLM = (records.LlmAsked, records.LlmWithdrawn)
_WORKSPACE = (records.InForce, records.PublishedVersion, records.VersionPart, records.JourneyState)


def _decode_product_event(payload: bytes) -> wire.ProductEvent:
    """Decode as the engine does: shape first, then the rules between fields."""
    event = wire.decode_product_event(payload)
    problem = wire.problem(event)
    if problem is not None:
        raise msgspec.ValidationError(problem)
    return event


SCHEMAS: Final[tuple[RecordSchema, ...]] = (
    _schema("product-events", records.ProductEvent, _EVENTS, _decode_product_event, written_by_us=False),
    _schema("scheduler", records.SchedulerRecord, _SCHEDULED, wire.decode_scheduler),
    _schema(
        "messages",
        records.Message,
        (records.Message,),
        wire.decode_message,
        topics=tuple(MESSAGE_TOPIC_PREFIX + channel for channel in _CHANNELS),
    ),
    _schema("deliveries", records.Delivery, (records.Delivery,), wire.decode_delivery),
    _schema("decisions", records.Decision, (records.Decision,), wire.decode_decision),
    _schema("conversions", records.Conversion, (records.Conversion,), wire.decode_conversion),
    _schema("segments", records.SegmentChange, (records.SegmentChange,), wire.decode_segment_change),
    _schema("step-counts", records.StepCount, (records.StepCount,), wire.decode_step_count),
    _schema("scores", records.ScoreCrossed, (records.ScoreCrossed,), wire.decode_score_crossed),
    _schema("engagement", records.Engagement, (records.Engagement,), wire.decode_engagement),
    _schema("identity", records.IdentityRecord, _IDENTITY, wire.decode_identity),
    _schema("llm-requests", records.LlmRecord, _LLM, wire.decode_llm),
    _schema("feeds", records.Feed, (records.Feed,), wire.decode_feed),
    _schema("dead-letters", records.DeadLetter, (records.DeadLetter,), wire.decode_dead_letter),
    _schema(
        "account-traits",
        records.AccountTraits,
        (records.AccountTraits,),
        wire.decode_account_traits,
        written_by_us=False,
    ),
    _schema(
        "objects",
        records.ObjectAttributes,
        (records.ObjectAttributes,),
        wire.decode_object_attributes,
        written_by_us=False,
    ),
    _schema("imports", records.ImportCheckpoint, (records.ImportCheckpoint,), wire.decode_import_checkpoint),
    _schema("workspace", records.WorkspaceRecord, _WORKSPACE, wire.decode_workspace),
)

TOPICS: Final[dict[str, RecordSchema]] = {topic: schema for schema in SCHEMAS for topic in schema.topics}
"""The public topics, and the shape of their records."""


def problems_of(topic: str, payload: bytes, *, refuse_unknown: bool = False) -> list[str]:
    """Everything that is wrong with one record, each as ``field: what``; empty where it is valid.

    ``refuse_unknown`` also refuses fields that the models of our own records do not have: right for what we
    write, wrong for what we read.

    Raises:
        KeyError: there is no public topic of that name.
    """
    schema = TOPICS[topic]
    try:
        decoded = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [f"not readable as JSON in UTF-8: {error}"]
    extra: Literal["forbid"] | None = "forbid" if refuse_unknown and schema.written_by_us else None
    try:
        record = schema.adapter.validate_python(decoded, extra=extra)
    except ValidationError as error:
        return [_sentence(schema, problem["loc"], problem["msg"]) for problem in error.errors()]
    channel = topic.removeprefix(MESSAGE_TOPIC_PREFIX)
    if topic.startswith(MESSAGE_TOPIC_PREFIX) and record.channel != channel:
        return [f"channel: {record.channel!r} does not belong into the topic {topic}"]
    return []


def _sentence(schema: RecordSchema, location: tuple[int | str, ...], message: str) -> str:
    """``properties.plan: Input should be ...``, without the arm of the union that pydantic puts first."""
    steps = location[1:] if len(schema.models) > 1 else location
    return f"{'.'.join(map(str, steps)) or 'record'}: {message.removeprefix('Value error, ')}"
