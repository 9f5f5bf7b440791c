"""Imports: which column of a file or query is the id, which are traits, and how their values are read."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from schemas.workspace.base import AsList, Duration, Identifier, Model, described, refuse

MAX_COLUMNS: Final = 1_000
OVERLAP_MS: Final = 300_000
"""How far behind its mark an incremental import begins: rows become visible some time after the moment that
they carry, when the transaction that wrote them commits."""

ColumnName: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
"""A column, as the header, the schema or the query names it."""

TraitName: TypeAlias = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^.\s]+$")]
"""A trait; without dots and spaces, which conditions could not name."""

ValueType: TypeAlias = Literal["auto", "string", "number", "integer", "boolean", "date", "datetime"]


def _zone(value: str) -> str:
    if value not in available_timezones():
        refuse("zone", f"a zone has a name such as UTC or Europe/Berlin; not {described(value)}")
    return value


Zone: TypeAlias = Annotated[str, AfterValidator(_zone)]


class TraitColumn(Model):
    """A column and how its values are read.

    ``auto`` keeps the value as the source has it: text from CSV, the column's own type from others.
    ``format`` is Python's ``strptime`` format of a date or datetime that is not ISO 8601. ``zone`` is that of
    a datetime that names none.
    """

    column: ColumnName
    type: ValueType = "auto"
    format: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    zone: Zone = "UTC"

    @model_validator(mode="after")
    def _of_moments_only(self) -> Self:
        if self.format is not None and self.type not in {"date", "datetime"}:
            refuse("format", "a format is for the types date and datetime")
        if self.zone != "UTC" and self.type != "datetime":
            refuse("zone", "a zone is for the type datetime")
        return self

    def tz(self) -> ZoneInfo:
        """The zone of values that name none."""
        return ZoneInfo(self.zone)


def _column(value: Any) -> Any:
    """A column's name alone stands for the column as it is."""
    return {"column": value} if isinstance(value, str) else value


def _moment_column(value: Any) -> Any:
    return {"column": value, "type": "datetime"} if isinstance(value, str) else value


def _named(what: str) -> WithJsonSchema:
    column: dict[str, Any] = {
        "type": "object",
        "required": ["column"],
        "additionalProperties": False,
        "properties": {
            "column": {"type": "string", "minLength": 1},
            "type": {"enum": ["auto", "string", "number", "integer", "boolean", "date", "datetime"]},
            "format": {"type": "string"},
            "zone": {"type": "string"},
        },
    }
    return WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, column], "description": what})


Trait: TypeAlias = Annotated[TraitColumn, BeforeValidator(_column), _named("A column, or how to read it.")]
Moment: TypeAlias = Annotated[
    TraitColumn, BeforeValidator(_moment_column), _named("A column of moments, or how to read it.")
]


class CsvFormat(Model):
    """How a CSV file is written. ``encoding`` None: UTF-8, or UTF-16 where the file begins with its mark."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    encoding: Annotated[str, Field(min_length=1, max_length=40)] | None = None


class PostgresQuery(Model):
    """What to ask a PostgreSQL database. ``key`` is unique in the result: rows are read in its order.

    Where the database is and who asks comes from libpq's own environment (``PGHOST``, ``PGUSER``, ...), from
    a ``service`` of its service file, and from its password file: there is no field for a password.
    """

    query: Annotated[str, Field(min_length=1, max_length=100_000)]
    key: ColumnName
    service: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class ImportMapping(Model):
    """One import. Without ``traits`` every column that is not named otherwise, nor skipped, is a trait.

    Of a CSV file of users or accounts its type is then what all of its values are.

    Of objects, what is called a trait here is an attribute.
    """

    import_: Identifier = Field(alias="import")
    as_: Literal["users", "accounts", "objects"] = Field(alias="as")
    id: ColumnName
    account: ColumnName | None = None
    role: ColumnName | None = None
    traits: dict[TraitName, Trait] | None = Field(None, min_length=1, max_length=MAX_COLUMNS)
    skip: Annotated[tuple[ColumnName, ...], AsList, Field(max_length=MAX_COLUMNS)] = ()
    empty: Literal["keep", "remove"] = "keep"
    updated_at: Moment | None = None
    overlap: Duration = OVERLAP_MS
    csv: CsvFormat | None = None
    postgres: PostgresQuery | None = None
    object_: Identifier | None = Field(None, alias="object", description="The type of the objects.")

    @property
    def name(self) -> str:
        """The import's name: its checkpoint's key, and part of its messages' ids."""
        return self.import_

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.as_ == "accounts" and (self.account or self.role):
            refuse("accounts", "account and role are for users; the account of `as: accounts` is its id")
        if self.as_ == "objects" and (self.account or self.role):
            refuse("objects", "account and role are for users")
        if (self.as_ == "objects") is (self.object_ is None):
            refuse("object", "`as: objects` names the type of the objects: object: product")
        if self.role and not self.account:
            refuse("role", "a role is one within an account: name the account's column too")
        if self.traits is not None and self.skip:
            refuse(
                "skip", "skip is for imports without traits; with traits, other columns are left out anyway"
            )
        if self.updated_at is not None and self.updated_at.type not in {"date", "datetime"}:
            refuse("updated_at", "updated_at is a column of the type date or datetime")
        return self
