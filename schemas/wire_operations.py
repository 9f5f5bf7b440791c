"""Structs of records about the running of it all: what could not be handled, how far an import came."""

from __future__ import annotations

from schemas.fields import Count, DeadLetterReason, Millis, Position, SubjectType, Text  # noqa: TC001  read at run time
from schemas.wire_base import Record


class DeadLetter(Record, frozen=True, kw_only=True):
    """A record that could not be read or handled, with where it lies and why."""

    id: Text
    app: Text
    topic: Text
    partition: Position
    offset: Position
    reason: DeadLetterReason
    detail: str
    key: str | None = None
    payload: str
    payload_bytes: Count
    truncated: bool
    at_ms: Millis


class StepCount(Record, frozen=True, kw_only=True):
    """How many subjects of a partition stand at a step of a journey now."""

    partition: Count
    subject_type: SubjectType
    journey: Text
    version: Text
    step: Text
    number: Count
    at_ms: Millis


class ImportCheckpoint(Record, frozen=True, kw_only=True):
    """How far an import came; the newest record of a name replaces the older ones."""

    name: Text
    run: Count
    source: Text
    position: str | None = None
    rows_read: Count
    rows_sent: Count
    rows_rejected: Count
    mark_ms: Millis | None = None
    newest_ms: Millis | None = None
    done: bool
    started_at_ms: Millis
    at_ms: Millis
