"""Records of the topic ``workspace``: published versions, the one in force, and the state of journeys.

Keys: ``NAME`` is the version in force; ``NAME@VERSION`` a version's content; ``NAME@VERSION/ID`` a part of a
content that is too large for one record; ``NAME/journey/JOURNEY`` whether a journey runs.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from schemas.fields import (  # noqa: TC001  pydantic reads them at run time
    Count,
    EditPolicy,
    JourneyCondition,
    Millis,
    Text,
)
from schemas.records.base import Part, Record


class OlderVersion(Part):
    """What becomes of those who are inside an older version of a journey."""

    policy: EditPolicy = Field(
        description="pin: they finish it, and who was found eligible under it may still enter; drain: they "
        "finish it; follow: they go on in the version `to`."
    )
    source: Text = Field(description="The workspace version that has this version of the journey.")
    to: str | None = Field(
        None, description="For follow: the journey's next version; absent: none, they end."
    )
    moves: dict[str, str | None] = Field(
        description="For follow: the path in `to` of each step whose path differs, also of what closes it "
        "(PATH.join, PATH.again) and of events it waits for (PATH#0); null: there is none.",
    )
    longer_ms: dict[str, int | None] = Field(
        description="For follow: by how much the wait at a path became longer; below 0: shorter; null: only "
        "the step itself can say, of each who waits.",
    )
    at_ms: Millis = Field(description="When it was replaced.")


class JourneyLine(Part):
    """The versions of one journey: the newest, which takes new entries, and older ones with people inside."""

    version: str | None = Field(None, description="The newest version; absent: the journey takes nobody.")
    source: str | None = Field(None, description="The workspace version that has it.")
    shadow: str | None = Field(
        None, description="A version that runs beside it, whose sends are recorded and not delivered."
    )
    shadow_source: str | None = Field(None, description="The workspace version that has the shadow.")
    shadow_at_ms: Millis | None = Field(None, description="When the shadow was published first.")
    older: dict[str, OlderVersion]


class Publication(Part):
    """One line of the history: what was put in force, when and by whom."""

    version: Text
    at_ms: Millis
    by: str
    message: str


class InForce(Record):
    """The workspace version that workers run; the newest record of a name replaces the older ones."""

    type: Literal["in_force"]
    workspace: Text
    version: Text
    serial: Count = Field(description="Counts publications, roll-backs included.")
    journeys: dict[str, JourneyLine]
    history: list[Publication] = Field(description="The last publications, the newest last.")
    at_ms: Millis


class PublishedVersion(Record):
    """The content of a workspace version, or the list of its parts."""

    type: Literal["version"]
    workspace: Text
    version: Text = Field(description="Hash of the content.")
    data: str | None = Field(None, description="The bundle in base64; absent where it comes in parts.")
    parts: list[str] = Field(description="Ids of the parts, in their order; none where data is there.")
    content_bytes: Count = Field(description="Size of the bundle.")
    at_ms: Millis


class VersionPart(Record):
    """A part of the content of a workspace version."""

    type: Literal["part"]
    workspace: Text
    version: Text
    id: Text = Field(description="Hash of the part's bytes.")
    data: Text = Field(description="The part in base64.")


class JourneyState(Record):
    """Whether a journey runs, as people said last."""

    type: Literal["journey_state"]
    workspace: Text
    journey: Text
    state: JourneyCondition = Field(
        description="running; paused: nobody enters and no step runs; draining: nobody enters; stopped: "
        "nobody enters and all inside are ended."
    )
    paused_at_ms: Millis | None = Field(None, description="When the last pause began.")
    spread_ms: Count = Field(description="After a pause: over how long what is due runs, in due order.")
    by: str
    at_ms: Millis


WorkspaceRecord: TypeAlias = Annotated[
    InForce | PublishedVersion | VersionPart | JourneyState, Field(discriminator="type")
]
