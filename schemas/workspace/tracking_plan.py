"""The tracking plan: which events producers are expected to send, with which properties, and who owns them.

One file, ``tracking_plan.yaml``. An event or call that it names is *planned*; every other track event is
*unknown*. What the plan says of a value:

==================  ==================================================================================
``type``            one type or several; without it any type but null
``required``        the property is there; ``false`` where nothing is said
``nullable``        null is a value like any other; ``false`` where nothing is said
``enum``            the value is one of these; ``1`` is not ``true``, ``5`` is not ``"5"``
``minimum``         a number of this or above; texts, truth values and lists are not compared
``maximum``         a number of this or below
``pattern``         a text in which this regular expression is found (``^`` and ``$`` hold it to the whole)
``items``           what holds of every item of a list
``properties``      what holds of the fields of an object; fields beside them are allowed
==================  ==================================================================================

``integer`` is a number without a fraction, also where it is written ``5.0``; ``date-time`` is a text in
RFC 3339 with seconds, as the ``timestamp`` of an event.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable  # noqa: TC003  pydantic reads the module's names at run time
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from schemas.workspace.base import AsList, EventName, Model, described, refuse

MAX_EVENTS: Final = 2_000
MAX_PROPERTIES: Final = 500
"""Properties of one event or object."""

MAX_DEPTH: Final = 5
"""How deep objects and lists may be described."""

MAX_ENUM: Final = 500
MAX_PATTERN_CHARS: Final = 500

PropertyType: TypeAlias = Literal["string", "number", "integer", "boolean", "date-time", "array", "object"]
OnViolation: TypeAlias = Literal["flag", "dead_letter"]
"""flag: count it and go on; dead_letter: count it, and put the event into ``dead-letters``."""
OnUnknown: TypeAlias = Literal["allow", "flag", "dead_letter"]
"""allow: it is no violation; else as :data:`OnViolation`."""


def _types(value: Any) -> Any:
    """A single type is a list of one."""
    if not isinstance(value, (str, list, tuple)):
        refuse("type", f"a type is expected: {', '.join(get_args(PropertyType))}; not {described(value)}")
    return (value,) if isinstance(value, str) else tuple(value)


def _enum_value(value: Any) -> Any:
    plain = isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))
    if not plain:
        refuse("enum", f"a text, a number, true or false is expected; not {described(value)}")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse("number", f"a number is expected; not {described(value)}")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        refuse("pattern", f"this is no regular expression: {error}")
    return value


def _since(value: Any) -> Any:
    """YAML reads an unquoted day as a date."""
    return value.isoformat() if type(value) is dt.date else value


Values: TypeAlias = Annotated[
    tuple[
        Annotated[
            Any,
            AfterValidator(_enum_value),
            WithJsonSchema({"type": ["string", "number", "boolean"]}),
        ],
        ...,
    ],
    AsList,
    Field(min_length=1, max_length=MAX_ENUM),
]
Number: TypeAlias = Annotated[Any, AfterValidator(_number), WithJsonSchema({"type": "number"})]
Types: TypeAlias = Annotated[
    tuple[PropertyType, ...],
    BeforeValidator(_types),
    Field(min_length=1, max_length=7),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(get_args(PropertyType))},
                {"type": "array", "items": {"enum": list(get_args(PropertyType))}, "minItems": 1},
            ]
        }
    ),
]
PropertyName: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Text: TypeAlias = Annotated[str, Field(max_length=2_000)]
Since: TypeAlias = Annotated[str, BeforeValidator(_since), Field(min_length=1, max_length=64)]
"""A version of the plan or of the product, or a day: for people."""


class Property(Model):
    """What holds of one property or trait; see the table of the module."""

    type: Types | None = Field(None, description="One type or several; any where nothing is said.")
    description: Text = ""
    required: bool = False
    nullable: bool = False
    deprecated: bool = False
    since: Since | None = None
    enum: Values | None = None
    minimum: Number = None
    maximum: Number = None
    pattern: (
        Annotated[str, AfterValidator(_pattern), Field(min_length=1, max_length=MAX_PATTERN_CHARS)] | None
    ) = None
    items: Property | None = Field(None, description="Of every item of a list.")
    properties: Properties = Field(default_factory=dict, description="Of the fields of an object.")

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            refuse("minimum", f"minimum {self.minimum} is above maximum {self.maximum}: nothing is allowed")
        needs: tuple[tuple[str, bool, tuple[PropertyType, ...]], ...] = (
            ("minimum", self.minimum is not None, ("number", "integer")),
            ("maximum", self.maximum is not None, ("number", "integer")),
            ("pattern", self.pattern is not None, ("string",)),
            ("items", self.items is not None, ("array",)),
            ("properties", bool(self.properties), ("object",)),
        )
        for name, used, types in needs:
            if used and self.type is not None and not set(types) & set(self.type):
                refuse(name, f"{name} is for type {' or '.join(types)}; the type is {', '.join(self.type)}")
        for value in self.enum or ():
            if self.type is not None and not any(is_of_type(value, kind) for kind in self.type):
                refuse("enum", f"{described(value)} in enum is not of type {', '.join(self.type)}")
        if _depth(self) > MAX_DEPTH:
            refuse("properties", f"objects and lists are described at most {MAX_DEPTH} deep")
        return self


Properties: TypeAlias = Annotated[dict[PropertyName, Property], Field(max_length=MAX_PROPERTIES)]
Property.model_rebuild()


class _Planned(Model):
    """What is said of every planned event and call."""

    description: Text = ""
    owner: Annotated[str, Field(max_length=200)] = Field("", description="The team that answers for it.")
    since: Since | None = None
    deprecated: bool = Field(False, description="No producer should send it any more.")
    on_violation: OnViolation | None = Field(None, description="Else as the plan says.")
    unknown_properties: OnUnknown | None = Field(None, description="Else as the plan says.")


class PlannedEvent(_Planned):
    """A track event, or the page or screen call."""

    properties: Properties = Field(default_factory=dict)


class PlannedTraits(_Planned):
    """The identify call, whose traits are a user's, or the group call, whose traits are an account's."""

    traits: Properties = Field(default_factory=dict)


class TrackingPlan(Model):
    """The file ``tracking_plan.yaml``."""

    version: Annotated[int, Field(ge=1, description="Raised by people when the plan changes.")] = 1
    description: Text = ""
    owner: Annotated[str, Field(max_length=200)] = Field("", description="Of events that name no owner.")
    on_violation: OnViolation = "flag"
    unknown_events: OnUnknown = "flag"
    unknown_properties: OnUnknown = "allow"
    events: Annotated[dict[EventName, PlannedEvent], Field(max_length=MAX_EVENTS)] = Field(
        default_factory=dict, description="Track events by name."
    )
    page: PlannedEvent | None = None
    screen: PlannedEvent | None = None
    identify: PlannedTraits | None = None
    group: PlannedTraits | None = None

    def rules(self, planned: PlannedEvent | PlannedTraits) -> dict[str, Property]:
        """The properties or traits of a planned event or call."""
        return planned.properties if isinstance(planned, PlannedEvent) else planned.traits

    def calls(self) -> dict[str, PlannedEvent | PlannedTraits]:
        """The planned calls other than track, by type."""
        named = {"page": self.page, "screen": self.screen, "identify": self.identify, "group": self.group}
        return {name: planned for name, planned in named.items() if planned is not None}


def is_of_type(value: Any, kind: PropertyType) -> bool:
    """Whether a decoded JSON value is of a type of the plan.

    A text is a ``date-time`` where it has the form of one; null is of no type.
    """
    return TYPE_CHECKS[kind](value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return value.is_integer() if isinstance(value, float) else _is_number(value)


def is_moment(value: str) -> bool:
    """Whether a text is a date and time with seconds, in the forms that an event's ``timestamp`` may have."""
    try:
        msgspec.convert(value, dt.datetime)
    except msgspec.ValidationError:
        return False
    return True


TYPE_CHECKS: Final[dict[PropertyType, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": _is_integer,
    "boolean": lambda value: isinstance(value, bool),
    "date-time": lambda value: isinstance(value, str) and is_moment(value),
    "array": lambda value: isinstance(value, (list, tuple)),
    "object": lambda value: isinstance(value, dict),
}
"""What :func:`is_of_type` asks, by type."""


def _depth(rules: Property) -> int:
    inner = [*rules.properties.values(), *([rules.items] if rules.items is not None else [])]
    return 1 + max(map(_depth, inner), default=0)
