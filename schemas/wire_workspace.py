"""The records of the topic ``workspace`` as structs; see :mod:`schemas.records.workspace`."""

from __future__ import annotations

import msgspec

from schemas.fields import (  # noqa: TC001  msgspec reads them at run time
    Count,
    EditPolicy,
    JourneyCondition,
    Millis,
    Text,
)
from schemas.wire_base import Record


class OlderVersion(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What becomes of those who are inside an older version of a journey."""

    policy: EditPolicy
    source: Text
    to: str | None = None
    moves: dict[str, str | None]
    longer_ms: dict[str, int | None]
    at_ms: Millis


class JourneyLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The versions of one journey: the newest, which takes new entries, and older ones with people inside."""

    version: str | None = None
    source: str | None = None
    shadow: str | None = None
    shadow_source: str | None = None
    shadow_at_ms: Millis | None = None
    older: dict[str, OlderVersion]


class Publication(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One line of the history: what was put in force, when and by whom."""

    version: Text
    at_ms: Millis
    by: str
    message: str


class InForce(Record, tag_field="type", tag="in_force", frozen=True, kw_only=True):
    """The workspace version that workers run; the newest record of a name replaces the older ones."""

    workspace: Text
    version: Text
    serial: Count
    journeys: dict[str, JourneyLine]
    history: list[Publication]
    at_ms: Millis


class PublishedVersion(Record, tag_field="type", tag="version", frozen=True, kw_only=True):
    """The content of a workspace version, or the list of its parts."""

    workspace: Text
    version: Text
    data: str | None = None
    parts: list[str]
    content_bytes: Count
    at_ms: Millis


class VersionPart(Record, tag_field="type", tag="part", frozen=True, kw_only=True):
    """A part of the content of a workspace version."""

    workspace: Text
    version: Text
    id: Text
    data: Text


class JourneyState(Record, tag_field="type", tag="journey_state", frozen=True, kw_only=True):
    """Whether a journey runs, as people said last."""

    workspace: Text
    journey: Text
    state: JourneyCondition
    paused_at_ms: Millis | None = None
    spread_ms: Count
    by: str
    at_ms: Millis


WorkspaceRecord = InForce | PublishedVersion | VersionPart | JourneyState
