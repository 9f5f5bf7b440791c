"""Rows as records: people become identify and group events, accounts and objects statements. Pure.

The id of a record is a function of the import's name, the run, the row's position and what it says. So a row
that is sent again because a run was cut off has the id that it had, and the engine drops it; and a value that
goes there and back between two runs is not taken for a repeat, as it would be without the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from schemas import wire
from schemas.workspace.imports import TraitColumn
from workers.core.ids import stable_id
from workers.core.objects.row import ID_MAX_BYTES as OBJECT_ID_MAX_BYTES
from workers.core.objects.row import object_key
from workers.imports.values import BadValueError, convert, id_text, is_empty, iso_of_ms, moment_ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.workspace.imports import ImportMapping

RECORD_MAX_BYTES: Final = 900_000
"""Largest record that is sent; Kafka's own limit is 1 MiB with the overhead of a batch."""

LIBRARY: Final = {"name": "brimful-import", "version": "1"}

_encode = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """One row of a source.

    ``position`` is what a later run hands back to begin behind this row. ``line`` counts from 1, as editors
    do, or is the row's number where a source has no lines. ``problem`` says why a source could not read it.
    """

    position: str
    line: int
    values: Mapping[str, Any]
    problem: str | None = None


class Sent(NamedTuple):
    """One record to write. ``topic`` is the name without prefix; without ``partition`` the key decides."""

    topic: str
    key: bytes
    value: bytes
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a row becomes. ``updated_ms`` is None where the row does not say."""

    records: tuple[Sent, ...]
    updated_ms: int | None
    preview: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be used; ``column`` is "" where no single one is at fault."""

    column: str
    reason: str


class _BadRow(Exception):  # a way out of the nested steps that never leaves this module
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.rejected = Rejected(column, reason)


class BadColumnsError(ValueError):
    """Mapping and source do not fit: a column is not there, or two would be one trait."""


class RowMapper:
    """Maps the rows of one source with these columns.

    Raises:
        BadColumnsError: the mapping names others, or two columns become one trait.
    """

    def __init__(self, mapping: ImportMapping, columns: Sequence[str]) -> None:
        self._mapping = mapping
        self._traits = trait_columns(mapping, columns)
        wanted = [mapping.id, mapping.account, mapping.role, *mapping.skip]
        wanted += [spec.column for spec in self._traits.values()]
        wanted += [mapping.updated_at.column] if mapping.updated_at else []
        missing = [name for name in wanted if name and name not in columns]
        if missing:
            listed = ", ".join(columns[:50])
            named = ", ".join(map(repr, missing))
            raise BadColumnsError(f"the mapping names {named}, and the columns are {listed}")
        self.columns = tuple(dict.fromkeys(name for name in wanted if name and name not in mapping.skip))

    def map(self, row: Row, run: int, started_ms: int) -> Mapped | Rejected:
        """The records of a row. ``started_ms`` is when a row was so that does not say it itself."""
        try:
            return self._map(row, run, started_ms)
        except _BadRow as bad:
            return bad.rejected

    def _map(self, row: Row, run: int, started_ms: int) -> Mapped:
        if row.problem is not None:
            raise _BadRow("", row.problem)
        mapping = self._mapping
        subject = self._id(row, mapping.id)
        updated_ms = self._updated_ms(row)
        traits = self._read_traits(row)
        # What lies ahead is a clock that is off; the engine would put it aside.
        at_ms = min(updated_ms, started_ms) if updated_ms is not None else started_ms
        try:
            said = _encode([subject, traits, updated_ms]).hex()
        except UnicodeEncodeError:
            raise _BadRow(
                self._undecoded(row), "has bytes that are not text in the file's encoding"
            ) from None
        message_id = stable_id("import", mapping.name, str(run), row.position, said)
        records: tuple[Sent, ...]
        if mapping.as_ == "accounts":
            records = (self._account(subject, traits, message_id, at_ms),)
        elif mapping.object_ is not None:
            records = (self._object(mapping.object_, subject, traits, message_id, at_ms),)
        else:
            records = self._user(row, subject, traits, message_id, at_ms)
        for record in records:
            if len(record.value) > RECORD_MAX_BYTES:
                raise _BadRow("", f"the row is larger than {RECORD_MAX_BYTES} bytes")
        return Mapped(records, updated_ms, {"id": subject, **traits})

    def _account(self, account: str, traits: dict[str, Any], message_id: str, at_ms: int) -> Sent:
        told = wire.AccountTraits(
            id=message_id, account=account, traits=traits, source=f"import:{self._mapping.name}", at_ms=at_ms
        )
        return Sent("account-traits", account.encode(), wire.encode(told))

    def _object(
        self, kind: str, object_id: str, attributes: dict[str, Any], message_id: str, at_ms: int
    ) -> Sent:
        if len(object_id.encode()) > OBJECT_ID_MAX_BYTES:
            raise _BadRow(self._mapping.id, f"an object's id has at most {OBJECT_ID_MAX_BYTES} bytes")
        told = wire.ObjectAttributes(
            id=message_id,
            object=kind,
            object_id=object_id,
            attributes=attributes,
            source=f"import:{self._mapping.name}",
            at_ms=at_ms,
        )
        return Sent("objects", object_key(kind, object_id).encode(), wire.encode(told))

    def _user(
        self, row: Row, user: str, traits: dict[str, Any], message_id: str, at_ms: int
    ) -> tuple[Sent, ...]:
        mapping, key = self._mapping, user.encode()
        event = {
            "type": "identify",
            "messageId": message_id,
            "timestamp": iso_of_ms(at_ms),
            "userId": user,
            "traits": traits,
            "context": {"library": LIBRARY, "import": mapping.name},
        }
        identify = Sent("product-events", key, _encode(event))
        if mapping.account is None or is_empty(row.values.get(mapping.account)):
            return (identify,)
        account = self._id(row, mapping.account)
        role = row.values.get(mapping.role) if mapping.role else None
        membership = {} if is_empty(role) else {"role": str(role).strip()}
        try:
            said = stable_id("group", message_id, account, membership.get("role", ""))
            group = event | {"type": "group", "messageId": said, "groupId": account, "traits": membership}
            return (identify, Sent("product-events", key, _encode(group)))
        except UnicodeEncodeError:
            raise _BadRow(
                self._undecoded(row), "has bytes that are not text in the file's encoding"
            ) from None

    def _id(self, row: Row, column: str) -> str:
        try:
            return id_text(row.values.get(column))
        except BadValueError as error:
            raise _BadRow(column, str(error)) from None

    def _updated_ms(self, row: Row) -> int | None:
        spec = self._mapping.updated_at
        if spec is None:
            return None
        value = row.values.get(spec.column)
        if is_empty(value):
            return None
        try:
            updated_ms = moment_ms(value, spec)
        except BadValueError as error:
            raise _BadRow(spec.column, str(error)) from None
        if updated_ms < 0:
            raise _BadRow(spec.column, "lies before 1970")
        return updated_ms

    def _read_traits(self, row: Row) -> dict[str, Any]:
        remove = self._mapping.empty == "remove"
        traits: dict[str, Any] = {}
        for name, spec in self._traits.items():
            value = row.values.get(spec.column)
            if is_empty(value):
                if remove:
                    traits[name] = None
                continue
            try:
                traits[name] = convert(value, spec)
            except BadValueError as error:
                raise _BadRow(spec.column, str(error)) from None
        return traits

    def _undecoded(self, row: Row) -> str:
        for column in self.columns:
            try:
                str(row.values.get(column, "")).encode()
            except UnicodeEncodeError:
                return column
        return ""


def trait_columns(mapping: ImportMapping, columns: Sequence[str]) -> dict[str, TraitColumn]:
    """Trait -> its column; without ``traits``, each column that has no other use, spaces and dots as ``_``.

    Raises:
        BadColumnsError: two columns become one trait.
    """
    if mapping.traits is not None:
        return dict(mapping.traits)
    used = {mapping.id, mapping.account, mapping.role, *mapping.skip}
    used |= {mapping.updated_at.column} if mapping.updated_at else set()
    traits: dict[str, TraitColumn] = {}
    for column in columns:
        if column in used:
            continue
        trait = "_".join(column.replace(".", " ").split())
        if trait in traits:
            other = traits[trait].column
            raise BadColumnsError(f"columns {other!r} and {column!r} would both be the trait {trait!r}")
        traits[trait] = TraitColumn(column=column)
    return traits
