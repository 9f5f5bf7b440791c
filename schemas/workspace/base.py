"""What all models of the workspace share: strict fields, durations, names, shares."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, NoReturn, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

DAY_MS: Final = 86_400_000
MAX_DURATION_MS: Final = 730 * DAY_MS
"""Longest duration that a file may name: two years. Windows keep state that long."""

MAX_LIST: Final = 100
"""Longest list of values, names, conditions or steps."""

UNKNOWN_FIELD: Final = "unknown_field"
"""Error type of a field that a model does not have; its context holds ``field`` and ``allowed``."""

_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
_PERCENT: Final = re.compile(r"(0|[1-9][0-9]{0,2})(?:\.([0-9]{1,2}))?%")


def refuse(kind: str, message: str) -> NoReturn:
    """Raise what pydantic reports at the place of the value; ``message`` says what is allowed."""
    raise PydanticCustomError(kind, "{detail}", {"detail": message})


class Model(BaseModel):
    """A mapping of the workspace: immutable, and an unknown field is an error that names the known ones."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _known_fields_only(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            refuse("mapping", f"a mapping is expected, with {_listed(cls.fields())}; not {described(data)}")
        known = cls.fields()
        for key in data:
            if key not in known:
                raise PydanticCustomError(
                    UNKNOWN_FIELD,
                    "{field} is not known here; allowed: {allowed}",
                    {"field": str(key), "allowed": ", ".join(known)},
                )
        return data

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """The names of the fields as files write them."""
        return tuple(info.alias or name for name, info in cls.model_fields.items())


def described(value: Any) -> str:
    """A value of a file as an error message shows it: short, and named by kind where it is a container."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping with " + (_listed(tuple(map(str, value))[:8]) or "nothing in it")
    if isinstance(value, (list, tuple)):
        return "a list"
    return (repr(value) if isinstance(value, str) else str(value))[:60]


def tag_of(value: Any, keys: tuple[str, ...]) -> str | None:
    """The tag of a mapping in a union told apart by key: ``#`` and the first of ``keys`` that it has.

    Tags begin with ``#`` so that the path of an error can be told from the path in the file.
    """
    if isinstance(value, dict):
        return next((f"#{key}" for key in keys if key in value), None)
    alias_keys = {info.alias or name for name, info in getattr(type(value), "model_fields", {}).items()}
    return next((f"#{key}" for key in keys if key in alias_keys), None)


def parse_duration_ms(value: Any) -> int:
    """Milliseconds of a duration such as ``21d``; refuses anything else."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        refuse(
            "duration",
            f"a duration is a whole number above 0 with s, m, h, d or w, such as 90s, 1h or 21d; "
            f"not {described(value)}",
        )
    duration_ms = int(found[1]) * _UNITS_MS[found[2]]
    if duration_ms > MAX_DURATION_MS:
        refuse("duration", f"the longest duration is {format_duration(MAX_DURATION_MS)}; not {value}")
    return duration_ms


def format_duration(duration_ms: int) -> str:
    """The text of whole days, hours, minutes or seconds that :func:`parse_duration_ms` reads back."""
    for unit in ("d", "h", "m"):
        if duration_ms % _UNITS_MS[unit] == 0:
            return f"{duration_ms // _UNITS_MS[unit]}{unit}"
    return f"{duration_ms // 1000}s"


def _parse_share(value: Any) -> int:
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    basis_points = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else -1
    if not 0 <= basis_points <= 10_000:  # noqa: PLR2004  basis points of a whole
        refuse(
            "share", f"a share is 0% to 100% with at most two decimals, such as 10%; not {described(value)}"
        )
    return basis_points


def _format_share(basis_points: int) -> str:
    whole, rest = divmod(basis_points, 100)
    return f"{whole}.{rest:02}%" if rest else f"{whole}%"


def _one_or_more(value: Any) -> Any:
    """A single name is a list of one."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _sequence(value: Any) -> Any:
    """Files have lists; the models hold tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(value)
    refuse("list", f"a list is expected, one `- ` item a line; not {described(value)}")


Duration: TypeAlias = Annotated[
    int,
    BeforeValidator(parse_duration_ms),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["90s", "1h", "21d"]}),
]
"""Written ``90s``, ``15m``, ``1h``, ``21d``, ``2w``; held in milliseconds. A day is 24 hours."""

Share: TypeAlias = Annotated[
    int,
    BeforeValidator(_parse_share),
    PlainSerializer(_format_share, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_PERCENT.pattern}$", "examples": ["10%", "0.5%"]}),
]
"""Written ``10%`` or ``0.25%``; held in basis points, 0 to 10,000."""


def _check(pattern: str, what: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            refuse("name", f"{what}; not {value[:80]!r}")
        return value

    return AfterValidator(check)


IDENTIFIER: Final = r"[a-z][a-z0-9_]{0,63}"
"""The pattern of the names that files give to things."""

_TEMPLATE = r"[A-Za-z0-9_]{1,64}"
_PATH = r"[^.\s]+(\.[^.\s]+){0,7}"

Identifier: TypeAlias = Annotated[
    str,
    _check(IDENTIFIER, "a name has small letters, digits and _, begins with a letter, at most 64"),
    Field(json_schema_extra={"pattern": f"^{IDENTIFIER}$"}),
]
"""The name of a journey, a tag or a role."""

TemplateName: TypeAlias = Annotated[
    str,
    _check(_TEMPLATE, "a template's name has letters, digits and _, at most 64"),
    Field(json_schema_extra={"pattern": f"^{_TEMPLATE}$"}),
]
"""The name of a file in ``templates/``, without its ending."""

Path: TypeAlias = Annotated[
    str,
    _check(_PATH, "a field is a name, or names joined by dots, without spaces"),
    Field(json_schema_extra={"pattern": f"^{_PATH}$"}, max_length=200),
]
"""A trait or property; a dot leads into a nested object."""

EventName: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
"""The name of a product event, as producers send it."""


def names_schema(pattern: str) -> WithJsonSchema:
    """JSON Schema of one name or a list of names."""
    name = {"type": "string", "pattern": f"^{pattern}$"}
    return WithJsonSchema({"anyOf": [name, {"type": "array", "items": name, "minItems": 1}]})


Identifiers: TypeAlias = Annotated[
    tuple[Identifier, ...],
    BeforeValidator(_one_or_more),
    Field(min_length=1, max_length=MAX_LIST),
    names_schema(IDENTIFIER),
]
"""One name, or a list of them."""

AsList: Final = BeforeValidator(_sequence)
"""Annotates a tuple that files write as a list."""


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
