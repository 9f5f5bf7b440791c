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
    ScoreCondition,
    SegmentCondition,
    SustainedCondition,
    TraitCondition,
)
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
from schemas.workspace.objects import Fill, ObjectType, OnObject, Reference, Relationship
from schemas.workspace.relations import ObjectCondition, Related, RelatedCondition
from schemas.workspace.scores import Score
from schemas.workspace.segments import Segment
from schemas.workspace.spans import BillingPeriod, SpanValue
from schemas.workspace.tracking_plan import PlannedEvent, PlannedTraits, Property, TrackingPlan
from schemas.workspace.values import FieldRef, TimeZone


class Settings(Model):
    """The file ``workspace.yaml``: what holds for all journeys."""

    timezone: TimeZone = Field("UTC", description="The zone of subjects of which none is known.")


class Workspace(Model):
    """All that is published together: journeys, segments, scores, types of objects, templates, tracking plan.

    ``templates`` holds each template as a record ``{channel, fields}`` by its name. ``timezone`` is the zone
    of subjects of which none is known.
    """

    name: Identifier
    timezone: TimeZone = "UTC"
    journeys: Annotated[tuple[Journey, ...], AsList] = ()
    segments: Annotated[tuple[Segment, ...], AsList] = ()
    scores: Annotated[tuple[Score, ...], AsList] = ()
    templates: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tracking_plan: TrackingPlan | None = None
    objects: Annotated[tuple[ObjectType, ...], AsList] = ()


__all__ = [
    "AccountCondition",
    "AllCondition",
    "AnyCondition",
    "Arm",
    "BillingPeriod",
    "BranchStep",
    "Comparison",
    "Condition",
    "ConsentCondition",
    "ConvertedCondition",
    "DateComparison",
    "EnrolledCondition",
    "Entry",
    "Exit",
    "ExitChange",
    "ExitEvent",
    "FieldRef",
    "Fill",
    "FirstCondition",
    "Goal",
    "Journey",
    "LastCondition",
    "MeasureCondition",
    "NotCondition",
    "NumberComparison",
    "ObjectCondition",
    "ObjectType",
    "OnEvent",
    "OnObject",
    "Operators",
    "Otherwise",
    "PerformedCondition",
    "PlannedEvent",
    "PlannedTraits",
    "Property",
    "PropertyCondition",
    "ReceivedCondition",
    "Recipients",
    "Reference",
    "Related",
    "RelatedCondition",
    "Relationship",
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
    "WaitStep",
    "Where",
    "Workspace",
    "format_duration",
    "parse_duration_ms",
]
