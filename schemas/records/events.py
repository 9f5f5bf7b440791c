"""Product events as producers and SDKs send them: the six calls of the Segment spec.

``userId`` or ``anonymousId`` is required, and an empty string counts as absent. Fields that the engine does
not read (``name``, ``sentAt``, ``integrations``, extra ones) may hold any JSON value: an SDK's whim there is
no reason to lose an event. Moments are RFC 3339, the profile of ISO 8601 that all SDKs send: date, time with
seconds, zone; a moment without a zone is read as UTC. A date alone or a time without seconds is refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeAlias

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from schemas.fields import MessageId, Text, Values  # noqa: TC001  pydantic reads them at run time


def _moment(value: object) -> object:
    """Read text as the hot path does, so that both accept the same forms."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 date and time as text, such as 2026-03-14T10:02:00.000Z")  # noqa: TRY004
    try:
        return msgspec.convert(value, datetime)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{value[:40]!r} is not an ISO 8601 date and time with seconds, such as 2026-03-14T10:02:00.000Z",
        ) from error


MOMENT_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?$"
)
"""The form of a moment for the JSON Schema; that the day exists in its month is beyond a pattern."""

Moment: TypeAlias = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "pattern": MOMENT_PATTERN}),
]
"""A date and time in RFC 3339; UTC where it names no zone."""

_SOMEONE: dict[str, JsonValue] = {
    "anyOf": [
        {"required": ["userId"], "properties": {"userId": {"type": "string", "minLength": 1}}},
        {"required": ["anonymousId"], "properties": {"anonymousId": {"type": "string", "minLength": 1}}},
    ],
}


class EventContext(BaseModel):
    """Where an event came from. Only ``groupId``, the account, is read; everything else is kept."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow", strict=True, frozen=True)

    group_id: str | None = Field(None, description="The account that the person acts for.")


class Event(BaseModel):
    """What the six calls share."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="allow",
        strict=True,
        frozen=True,
        serialize_by_alias=True,
        json_schema_extra=_SOMEONE,
    )

    message_id: MessageId = Field(description="Unique per event; a repeat within 24 hours is dropped.")
    timestamp: Moment = Field(description="When it happened. RFC 3339; UTC where it names no zone.")
    user_id: str | None = Field(None, description="The known user. Required unless anonymousId is given.")
    anonymous_id: str | None = Field(None, description="The visitor. Required unless userId is given.")
    event: str | None = Field(None, description="Name of what happened; required in a track call.")
    group_id: str | None = Field(None, description="The account; required in a group call.")
    previous_id: str | None = Field(None, description="The former id; required in an alias call.")
    context: EventContext | None = Field(None, description="Where the event came from.")
    properties: Values | None = Field(None, description="Properties of what happened.")
    traits: Values | None = Field(None, description="Traits of the user or the account.")
    name: Any = Field(None, description="Name of the page or screen (text).")
    category: Any = Field(None, description="Category of the page (text).")
    sent_at: Any = Field(None, description="When the client sent it (RFC 3339); tells its clock's error.")
    received_at: Any = Field(None, description="When the gateway took it (RFC 3339).")
    original_timestamp: Any = Field(None, description="The client's own time of the event (RFC 3339).")
    integrations: Any = Field(None, description="Switches for destinations (object); kept, not read.")

    @model_validator(mode="after")
    def _is_about_someone(self) -> Self:
        if not (self.user_id or self.anonymous_id):
            raise ValueError("userId or anonymousId is required and must not be empty")
        return self


class Track(Event):
    """Someone did something."""

    type: Literal["track"]
    event: Text = Field(description="Name of what happened.")


class Identify(Event):
    """Who someone is: sets traits of a user."""

    type: Literal["identify"]


class Group(Event):
    """Someone belongs to an account: sets traits of the account."""

    type: Literal["group"]
    group_id: Text = Field(description="The account.")


class Alias(Event):
    """Someone known by one id is now known by another."""

    type: Literal["alias"]
    previous_id: Text = Field(description="The former id.")
    user_id: Text = Field(description="The id from now on.")


class Page(Event):
    """Someone looked at a page."""

    type: Literal["page"]


class Screen(Event):
    """Someone looked at a screen of an app."""

    type: Literal["screen"]


ProductEvent: TypeAlias = Annotated[
    Track | Identify | Group | Alias | Page | Screen,
    Field(discriminator="type"),
]
"""One record of ``product-events``."""

_adapter: TypeAdapter[ProductEvent] = TypeAdapter(ProductEvent)


def check_product_event(event: object) -> ProductEvent:
    """A product event from decoded JSON.

    Raises:
        pydantic.ValidationError: every problem, each with its field.
    """
    return _adapter.validate_python(event)


def parse_product_event(payload: bytes) -> ProductEvent:
    """A product event from the bytes of a record.

    Raises:
        msgspec.DecodeError: the bytes are not JSON in UTF-8, or nested too deeply.
        pydantic.ValidationError: every problem, each with its field.
    """
    try:
        event = msgspec.json.decode(payload)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(f"not readable as JSON: {error}") from error
    return check_product_event(event)
