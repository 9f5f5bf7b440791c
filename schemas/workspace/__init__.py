"""The workspace as pydantic models: what journey files may say, refused with a reason where they say more."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Field

from schemas.workspace.accounts import AccountCondition, AccountSegmentCondition
from schemas.workspace.base import AsList, Identifier, Model, format_duration, parse_duration_ms
from schemas.workspace.comparisons import Comparison, DateComparison, NumberComparison, Operators, Where
from schemas.workspace.conditions import (
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
from schemas.workspace.gate import Cap, Exclusive, Hours, MessageSettings, QuietHours, Transactional
from schemas.workspace.journeys import (
    Exit,
    ExitChange,
    ExitEvent,
    Goal,
    Journey,
    Recipients,
    TraitOfAccount,
)
from schemas.workspace.llm import Llm, LlmCondition
from schemas.workspace.objects import Fill, ObjectType, OnObject, Reference, Relationship
from schemas.workspace.relations import ObjectCondition, Related, RelatedCondition
from schemas.workspace.scores import Score
from schemas.workspace.segments import Segment
from schemas.workspace.sends import Send
from schemas.workspace.spans import BillingPeriod, SpanValue
from schemas.workspace.steps import (
    Arm,
    Awaited,
    BranchStep,
    EnrollStep,
    ExitStep,
    LlmStep,
    Otherwise,
    ParallelStep,
    RepeatStep,
    SendStep,
    SplitStep,
    Step,
    UpdateStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from schemas.workspace.tracking import LinkTracking
from schemas.workspace.tracking_plan import PlannedEvent, PlannedTraits, Property, TrackingPlan
from schemas.workspace.updates import Now
from schemas.workspace.values import FieldRef, Locale, TimeZone
from schemas.workspace.waits import Heard, WaitTime

TopicTitle: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class ConsentSettings(Model):
    """The section ``consent`` of ``workspace.yaml``: the topics among which people choose, by channel."""

    topics: dict[Identifier, TopicTitle] = Field(
        default_factory=dict, max_length=100, description="Name and title of each topic."
    )


class Settings(Model):
    """The file ``workspace.yaml``: what holds for all journeys."""

    timezone: TimeZone = Field("UTC", description="The zone of subjects of which none is known.")
    locale: Locale = Field("en", description="The language of templates whose file names none.")
    consent: ConsentSettings = Field(
        default_factory=ConsentSettings, description="What people agree to or refuse."
    )
    holdout: GlobalHoldout | None = Field(None, description="Who is in no journey's treatment, ever.")
    messages: MessageSettings = Field(
        default_factory=MessageSettings, description="What every message passes on its way out."
    )
    tracking: LinkTracking = Field(
        "clicks",
        description="What is known of e-mails: off, clicks, or all (opens too). A template may differ.",
    )


class Workspace(Model):
    """All that is published together: journeys, segments, scores, types of objects, templates, tracking plan.

    ``templates`` holds each template as a record ``{channel, fields}`` by its name. ``timezone`` is the zone
    of subjects of which none is known. ``messages`` are the rules of the gate.
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
    consent: ConsentSettings = Field(default_factory=ConsentSettings)
    objects: Annotated[tuple[ObjectType, ...], AsList] = ()
    messages: MessageSettings = Field(default_factory=MessageSettings)
    tracking: LinkTracking = "clicks"


__all__ = [
    "AccountCondition",
    "AccountSegmentCondition",
    "AllCondition",
    "AnyCondition",
    "Arm",
    "Awaited",
    "BillingPeriod",
    "BranchStep",
    "Cap",
    "Comparison",
    "Condition",
    "ConsentCondition",
    "ConsentSettings",
    "ConvertedCondition",
    "DateComparison",
    "EnrollStep",
    "EnrolledCondition",
    "Entry",
    "Exclusive",
    "Exit",
    "ExitChange",
    "ExitEvent",
    "ExitStep",
    "Experiment",
    "ExperimentCondition",
    "FieldRef",
    "Fill",
    "FirstCondition",
    "GlobalHoldout",
    "Goal",
    "Heard",
    "Hours",
    "Journey",
    "LastCondition",
    "LinkTracking",
    "Llm",
    "LlmCondition",
    "LlmStep",
    "MeasureCondition",
    "MessageSettings",
    "NotCondition",
    "Now",
    "NumberComparison",
    "ObjectCondition",
    "ObjectType",
    "OnChange",
    "OnEvent",
    "OnObject",
    "OnReaching",
    "OnRequest",
    "OnSchedule",
    "OnScore",
    "OnSegment",
    "Operators",
    "Otherwise",
    "ParallelStep",
    "PerformedCondition",
    "PlannedEvent",
    "PlannedTraits",
    "Property",
    "PropertyCondition",
    "QuietHours",
    "ReceivedCondition",
    "Recipients",
    "Reference",
    "Related",
    "RelatedCondition",
    "Relationship",
    "RepeatStep",
    "Score",
    "ScoreCondition",
    "Segment",
    "SegmentCondition",
    "Send",
    "SendStep",
    "Settings",
    "SpanValue",
    "SplitStep",
    "Step",
    "SustainedCondition",
    "TrackingPlan",
    "TraitCondition",
    "TraitOfAccount",
    "Transactional",
    "Trigger",
    "UpdateStep",
    "WaitForStep",
    "WaitStep",
    "WaitTime",
    "WaitUntilStep",
    "Where",
    "Workspace",
    "format_duration",
    "parse_duration_ms",
]
