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
    ExperimentCondition,
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
from schemas.workspace.entries import (
    Entry,
    OnChange,
    OnEvent,
    OnReaching,
    OnRequest,
    OnSchedule,
    OnScore,
    OnSegment,
    Trigger,
)
from schemas.workspace.experiments import Experiment, GlobalHoldout
from schemas.workspace.journeys import (
    Arm,
    BranchStep,
    Exit,
    ExitChange,
    ExitEvent,
    Goal,
    Journey,
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
    holdout: GlobalHoldout | None = Field(None, description="Who is in no journey's treatment, ever.")


class Workspace(Model):
    """All that is published together: journeys, segments, scores, templates, and the tracking plan if any.

    ``templates`` holds each template as a record ``{channel, fields}`` by its name. ``timezone`` is the zone
    of subjects of which none is known.
    """

    name: Identifier
    timezone: TimeZone = "UTC"
    journeys: Annotated[tuple[Journey, ...], AsList] = ()
    segments: Annotated[tuple[Segment, ...], AsList] = ()
    scores: Annotated[tuple[Score, ...], AsList] = ()
    experiments: Annotated[tuple[Experiment, ...], AsList] = ()
    holdout: GlobalHoldout | None = None
    templates: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tracking_plan: TrackingPlan | None = None


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
    "Experiment",
    "ExperimentCondition",
    "FieldRef",
    "FirstCondition",
    "GlobalHoldout",
    "Goal",
    "Journey",
    "LastCondition",
    "MeasureCondition",
    "NotCondition",
    "NumberComparison",
    "OnChange",
    "OnEvent",
    "OnReaching",
    "OnRequest",
    "OnSchedule",
    "OnScore",
    "OnSegment",
    "Operators",
    "Otherwise",
    "PerformedCondition",
    "PlannedEvent",
    "PlannedTraits",
    "Property",
    "PropertyCondition",
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
    "Trigger",
    "WaitStep",
    "Where",
    "Workspace",
    "format_duration",
    "parse_duration_ms",
]
