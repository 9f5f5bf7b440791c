"""What a condition compares with: constants, dates, and other fields of the same subject."""

from __future__ import annotations

import math
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Final, Self, TypeAlias
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from schemas.workspace.base import MAX_LIST, AsList, Model, Path, described, refuse

MAX_TEXT_CHARS: Final = 500

FIELD_KINDS: Final = ("trait", "account", "property")
"""Where a field may lie: in the subject, in the user's account, in the triggering event."""


def _scalar(value: Any) -> Any:
    plain = isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))
    if not plain:
        refuse(
            "scalar",
            f"a text, a number, true or false is expected (quote dates; `exists: false` asks for nothing); "
            f"not {described(value)}",
        )
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
        refuse("scalar", f"a text to compare with has at most {MAX_TEXT_CHARS} characters")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse("number", f"a number is expected; not {described(value)}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT_CHARS:
        refuse("text", f"a text of 1 to {MAX_TEXT_CHARS} characters is expected; not {described(value)}")
    return value


def _date(value: Any) -> str:
    """An ISO 8601 date or moment, kept as it is written."""
    try:
        text = value if isinstance(value, str) else ""
        date.fromisoformat(text) if is_plain_date(text) else datetime.fromisoformat(text)
    except ValueError:
        refuse(
            "date",
            f'a date is written in quotes, as "2026-04-01" or "2026-04-01T09:30:00Z"; not {described(value)}',
        )
    return text


@cache
def _zones() -> frozenset[str]:
    """All zones; the tables lie in hundreds of files, which are listed once."""
    return frozenset(available_timezones())


def _zone(value: str) -> str:
    if value not in _zones():
        refuse(
            "timezone", f"a time zone is written as IANA does, such as Europe/Oslo; not {described(value)}"
        )
    return value


def is_plain_date(text: str) -> bool:
    """Whether a text is written like a day without a time: ``2026-04-01``."""
    return len(text) == len("2026-04-01") and text[4] == text[7] == "-"


class FieldRef(Model):
    """Another field by its name: a trait of the subject, of the user's account, a property of the event."""

    trait: Path | None = None
    account: Path | None = None
    property_: Path | None = Field(None, alias="property")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if sum(path is not None for path in (self.trait, self.account, self.property_)) != 1:
            refuse("field", f"a field is named by exactly one of {', '.join(FIELD_KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """Where the field lies, one of :data:`FIELD_KINDS`."""
        if self.trait is not None:
            return "trait"
        return "account" if self.account is not None else "property"

    @property
    def path(self) -> str:
        """Its name there."""
        return self.trait or self.account or self.property_ or ""

    @property
    def label(self) -> str:
        """As values are noted in decisions."""
        return f"account trait {self.path}" if self.kind == "account" else f"{self.kind} {self.path}"


def _operand_tag(value: Any) -> str:
    return "#field" if isinstance(value, (dict, FieldRef)) else "#value"


_FIELD = Annotated[FieldRef, Tag("#field")]
_BY_FORM = Discriminator(_operand_tag)

Scalar: TypeAlias = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Number: TypeAlias = Annotated[Any, AfterValidator(_number), WithJsonSchema({"type": "number"})]
Scalars: TypeAlias = Annotated[tuple[Scalar, ...], AsList, Field(min_length=1, max_length=MAX_LIST)]
Text: TypeAlias = Annotated[
    Any, BeforeValidator(_text), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 500})
]
DateText: TypeAlias = Annotated[
    Any, BeforeValidator(_date), WithJsonSchema({"type": "string", "examples": ["2026-04-01"]})
]

TimeZone: TypeAlias = Annotated[str, AfterValidator(_zone)]

Locale: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$")
]
"""As BCP 47 writes it: ``de``, ``de-AT``, ``zh-Hant``."""
"""The name of a zone, as IANA writes it: ``Europe/Oslo``."""

ScalarOperand: TypeAlias = Annotated[Annotated[Scalar, Tag("#value")] | _FIELD, _BY_FORM]
"""A constant, or another field."""
NumberOperand: TypeAlias = Annotated[Annotated[Number, Tag("#value")] | _FIELD, _BY_FORM]
"""A number, or another field that holds one."""
DateOperand: TypeAlias = Annotated[Annotated[DateText, Tag("#value")] | _FIELD, _BY_FORM]
"""A date, or another field that holds one."""
