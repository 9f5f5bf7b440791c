"""The workspace as pydantic models: what journey files may say, refused with a reason where they say more."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from schemas.workspace.base import AsList, Identifier, Model, format_duration, parse_duration_ms
from schemas.workspace.comparisons import Comparison, DateComparison, NumberComparison, Operators, Where
from schemas.workspace.conditions import (
    AccountCondition,
    AllCondition,
    AnyCondition,
    Condition,
    ConsentCondition,
    ConvertedCondition,
    EnrolledCondition,
    FirstCondition,
    LastCondition,
    MeasureCondition,
    NotCondition,
    PerformedCondition,
    PropertyCondition,
    ReceivedCondition,
    RelatedCondition,
    ScoreCondition,
    SegmentCondition,
    SustainedCondition,
    TraitCondition,
)
from schemas.workspace.gate import Cap, Exclusive, Hours, MessageSettings, QuietHours, Transactional
from schemas.workspace.journeys import (
    Arm,
    BranchStep,
    Entry,
    Exit,
    ExitChange,
    ExitEvent,
    Goal,
    Journey,
    OnEvent,
    Otherwise,
    Recipients,
    Send,
    SendStep,
    Step,
    WaitStep,
)
from schemas.workspace.scores import Score
from schemas.workspace.segments import Segment
from schemas.workspace.spans import BillingPeriod, SpanValue
from schemas.workspace.tracking_plan import PlannedEvent, PlannedTraits, Property, TrackingPlan
from schemas.workspace.values import FieldRef, TimeZone


class Settings(Model):
    """The file ``workspace.yaml``: what holds for all journeys."""

    timezone: TimeZone = Field("UTC", description="The zone of subjects of which none is known.")
    messages: MessageSettings = Field(
        default_factory=MessageSettings, description="What every message passes on its way out."
    )


class Workspace(Model):
    """All that is published together: journeys, segments, scores, templates, and the tracking plan if any.

    ``templates`` holds each template as a record ``{channel, fields}`` by its name. ``timezone`` is the zone
    of subjects of which none is known. ``messages`` are the rules of the gate.
    """

    name: Identifier
    timezone: TimeZone = "UTC"
    journeys: Annotated[tuple[Journey, ...], AsList] = ()
    segments: Annotated[tuple[Segment, ...], AsList] = ()
    scores: Annotated[tuple[Score, ...], AsList] = ()
    templates: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tracking_plan: TrackingPlan | None = None
    messages: MessageSettings = Field(default_factory=MessageSettings)


__all__ = [
    "AccountCondition",
    "AllCondition",
    "AnyCondition",
    "Arm",
    "BillingPeriod",
    "BranchStep",
    "Cap",
    "Comparison",
    "Condition",
    "ConsentCondition",
    "ConvertedCondition",
    "DateComparison",
    "EnrolledCondition",
    "Entry",
    "Exclusive",
    "Exit",
    "ExitChange",
    "ExitEvent",
    "FieldRef",
    "FirstCondition",
    "Goal",
    "Hours",
    "Journey",
    "LastCondition",
    "MeasureCondition",
    "MessageSettings",
    "NotCondition",
    "NumberComparison",
    "OnEvent",
    "Operators",
    "Otherwise",
    "PerformedCondition",
    "PlannedEvent",
    "PlannedTraits",
    "Property",
    "PropertyCondition",
    "QuietHours",
    "ReceivedCondition",
    "Recipients",
    "RelatedCondition",
    "Score",
    "ScoreCondition",
    "Segment",
    "SegmentCondition",
    "Send",
    "SendStep",
    "Settings",
    "SpanValue",
    "Step",
    "SustainedCondition",
    "TrackingPlan",
    "TraitCondition",
    "Transactional",
    "WaitStep",
    "Where",
    "Workspace",
    "format_duration",
    "parse_duration_ms",
]
