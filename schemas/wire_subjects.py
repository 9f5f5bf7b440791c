"""Records about one subject's state as structs: what a person agrees to, what a subject did before.

See :mod:`schemas.records.engine` and :mod:`schemas.wire`.
"""

from __future__ import annotations

from schemas.fields import (  # noqa: TC001  msgspec reads them at run time
    Channel,
    ConsentState,
    Millis,
    SubjectType,
    Text,
)
from schemas.wire_base import Record


class ConsentChange(Record, tag_field="type", tag="consent_change", frozen=True, kw_only=True):
    """A person agreed to messages, refused them, or took either back."""

    id: Text
    subject: Text
    channel: Channel | None = None
    topic: str | None = None
    state: ConsentState
    source: Text
    at_ms: Millis


class Backfilled(Record, tag_field="type", tag="backfilled", frozen=True, kw_only=True):
    """What a subject did before a slot began to count; or that all subjects' past was brought."""

    id: Text
    subject_type: SubjectType
    subject: Text
    slots: dict[str, str]
    done: bool | None = None
    moved: bool | None = None
    archive: bool | None = None
    at_ms: Millis
