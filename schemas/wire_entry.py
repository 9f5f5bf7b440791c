"""The records of :mod:`schemas.records.entry` as structs; see :mod:`schemas.wire`."""

from __future__ import annotations

from schemas.fields import (  # noqa: TC001  msgspec reads them at run time
    Count,
    Millis,
    SubjectType,
    Text,
    Values,
)
from schemas.wire_base import Record


class EnrollRequest(Record, tag_field="type", tag="enroll_request", frozen=True, kw_only=True):
    """Asks that a subject enters a journey whose entry allows it."""

    id: Text
    journey: Text
    subject_type: SubjectType
    subject: Text
    properties: Values
    at_ms: Millis


class EnrollSegment(Record, tag_field="type", tag="enroll_segment", frozen=True, kw_only=True):
    """Asks one partition to look at all that are in a segment, so many a second."""

    id: Text
    journey: Text
    subject_type: SubjectType
    segment: Text
    rate: Count
    at_ms: Millis


class ExitRequest(Record, tag_field="type", tag="exit_request", frozen=True, kw_only=True):
    """Asks that a subject leaves a journey now."""

    id: Text
    journey: Text
    subject_type: SubjectType
    subject: Text
    reason: str | None = None
    at_ms: Millis


class ExitBatch(Record, tag_field="type", tag="exit_batch", frozen=True, kw_only=True):
    """Asks one partition that all who are in a journey leave it, so many a second."""

    id: Text
    journey: Text
    subject_type: SubjectType
    segment: str | None = None
    rate: Count
    reason: str | None = None
    at_ms: Millis


class MemberScore(Record, tag_field="type", tag="member_score", frozen=True, kw_only=True):
    """Tells an account how much a member's score is, because it has changed much."""

    id: Text
    subject: Text
    user: Text
    score: Text
    standing: float
    fading: float
    at_ms: Millis
