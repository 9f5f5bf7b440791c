"""Typed tables inside one partition store: how a row's key and value become bytes.

Every storage key begins with the table's prefix byte, so the tables of a partition share one RocksDB
database, one changelog and one writer. Every stored value begins with the schema version of its codec:
a newer worker reads what an older one wrote through an upcaster, and an older worker refuses, by name,
what a newer one wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.stream.view import View

Row = TypeVar("Row")

RESERVED_PREFIXES = frozenset({b"\x00", b"t", b"d"})
"""Used by the kernel: ``\\x00`` bookkeeping, ``t`` timers by id, ``d`` the due-time index."""


@dataclass(frozen=True)
class Table(Generic[Row]):
    """A logical table of rows of one type.

    Args:
        name: for people and metrics.
        prefix: one byte, unique in the application; it is part of every key for ever.
        row_type: a msgspec-encodable type, stored as msgpack.
        version: schema version of ``row_type``, 1 to 255.
        upcast: for each older version a function from its plain decoded form to the present one's.
        watch: is told of each row that a transaction puts or deletes, with the view, the row before and the
            row after (None: there is none); what it changes belongs to the same transaction.
    """

    name: str
    prefix: bytes
    row_type: type[Row]
    version: int = 1
    upcast: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)
    watch: Callable[[View, Row | None, Row | None], None] | None = None
    tag: bytes = field(init=False, repr=False)
    """The version byte before each stored row."""
    encode_row: Callable[[Row], bytes] = field(init=False, repr=False)
    """Encodes a row without its version byte."""
    _decode: Callable[[bytes], Row] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.prefix) != 1 or self.prefix in RESERVED_PREFIXES:
            raise Misconfigured(
                f"table {self.name!r}: prefix {self.prefix!r} must be one byte that the kernel does not use"
            )
        object.__setattr__(self, "tag", bytes([self.version]))
        object.__setattr__(self, "encode_row", msgspec.msgpack.Encoder().encode)
        object.__setattr__(self, "_decode", msgspec.msgpack.Decoder(self.row_type).decode)

    def key(self, key: bytes) -> bytes:
        """The storage key of a row."""
        return self.prefix + key

    def encode(self, row: Row) -> bytes:
        """The stored form of a row."""
        return self.tag + self.encode_row(row)

    def decode(self, stored: bytes) -> Row:
        """The row of a stored form.

        Raises:
            Misconfigured: the row was written by a newer version than this worker knows.
        """
        version = stored[0]
        return self._decode(stored[1:]) if version == self.version else self._decode_older(version, stored)

    def _decode_older(self, version: int, stored: bytes) -> Row:
        if version > self.version:
            raise Misconfigured(
                f"table {self.name!r} holds rows of version {version}, "
                f"this worker knows up to {self.version}: a newer worker wrote them; run that version",
            )
        plain = msgspec.msgpack.decode(stored[1:])
        for step in range(version, self.version):
            plain = self.upcast[step](plain)
        return msgspec.convert(plain, self.row_type)
