"""Records about entering journeys other than by an event, on ``scheduler``; docs/entry.md tells the rest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.fields import (  # noqa: TC001  pydantic reads them at run time
    Count,
    Millis,
    SubjectType,
    Text,
    Values,
)
from schemas.records.base import Record


class EnrollRequest(Record):
    """Asks that a subject enters a journey whose entry allows it."""

    type: Literal["enroll_request"]
    id: Text = Field(description="The request: the same id enrols once.")
    journey: Text
    subject_type: SubjectType
    subject: Text
    properties: Values = Field(description="What templates and conditions see as the trigger's properties.")
    at_ms: Millis


class EnrollSegment(Record):
    """Asks one partition to look at all that are in a segment, so many a second."""

    type: Literal["enroll_segment"]
    id: Text = Field(description="The request: the same id begins one run.")
    journey: Text
    subject_type: SubjectType
    segment: Text
    rate: Count = Field(description="Subjects a second, on this partition.")
    at_ms: Millis


class ExitRequest(Record):
    """Asks that a subject leaves a journey now."""

    type: Literal["exit_request"]
    id: Text = Field(description="The request, as the decision names it.")
    journey: Text
    subject_type: SubjectType
    subject: Text
    reason: str | None = Field(None, description="Why, for people: it stands in the decision.")
    at_ms: Millis


class ExitBatch(Record):
    """Asks one partition that all who are in a journey leave it, so many a second."""

    type: Literal["exit_batch"]
    id: Text = Field(description="The request: the same id begins one run.")
    journey: Text
    subject_type: SubjectType
    segment: str | None = Field(None, description="Of this segment alone; without it, all.")
    rate: Count = Field(description="Subjects a second, on this partition.")
    reason: str | None = Field(None, description="Why, for people: it stands in the decisions.")
    at_ms: Millis


class MemberScore(Record):
    """Tells an account how much a member's score is, because it has changed much."""

    type: Literal["member_score"]
    id: Text
    subject: Text = Field(description="The account.")
    user: Text
    score: Text
    standing: float = Field(description="Points that stay.")
    fading: float = Field(description="Points that halve with each half-life after at_ms.")
    at_ms: Millis
