"""The workspace as pydantic models: what journey files may say, refused with a reason where they say more."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from schemas.workspace.base import AsList, Identifier, Model, format_duration, parse_duration_ms
from schemas.workspace.conditions import (
    AccountCondition,
    AllCondition,
    AnyCondition,
    Comparison,
    Condition,
    EnrolledCondition,
    NotCondition,
    PerformedCondition,
    ReceivedCondition,
    TraitCondition,
    Where,
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
from schemas.workspace.tracking_plan import PlannedEvent, PlannedTraits, Property, TrackingPlan


class Workspace(Model):
    """All journeys and templates that are published together, and the tracking plan where there is one.

    ``templates`` holds each template as a record ``{channel, fields}`` by its name.
    """

    name: Identifier
    journeys: Annotated[tuple[Journey, ...], AsList] = ()
    templates: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tracking_plan: TrackingPlan | None = None


__all__ = [
    "AccountCondition",
    "AllCondition",
    "AnyCondition",
    "Arm",
    "BranchStep",
    "Comparison",
    "Condition",
    "EnrolledCondition",
    "Entry",
    "Exit",
    "ExitChange",
    "ExitEvent",
    "Goal",
    "Journey",
    "NotCondition",
    "OnEvent",
    "Otherwise",
    "PerformedCondition",
    "PlannedEvent",
    "PlannedTraits",
    "Property",
    "ReceivedCondition",
    "Recipients",
    "Send",
    "SendStep",
    "Step",
    "TrackingPlan",
    "TraitCondition",
    "WaitStep",
    "Where",
    "Workspace",
    "format_duration",
    "parse_duration_ms",
]
