"""Rows as bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from workers.errors import Misconfigured
from workers.stream.tables import Table


class Old(msgspec.Struct, array_like=True):
    """The first version."""

    name: str


class New(msgspec.Struct, array_like=True):
    """The third."""

    first: str
    last: str
    age: int


def split(plain: Any) -> Any:
    """1 to 2."""
    return plain[0].split(" ")


def aged(plain: Any) -> Any:
    """2 to 3."""
    return [*plain, 0]


def test_a_row_is_read_as_it_was_written() -> None:
    """Key and value carry the table's prefix and version."""
    table = Table("people", b"p", New, version=3)
    row = New("Ada", "Lovelace", 36)
    assert table.decode(table.encode(row)) == row
    assert table.encode(row)[0] == 3
    assert table.key(b"u1") == b"pu1"


def test_rows_of_older_versions_are_lifted_step_by_step() -> None:
    """What a worker wrote two releases ago is read today."""
    now = Table("people", b"p", New, version=3, upcast={1: split, 2: aged})
    stored = Table("people", b"p", Old).encode(Old("Ada Lovelace"))
    assert now.decode(stored) == New("Ada", "Lovelace", 0)
    assert now.decode(b"\2" + msgspec.msgpack.encode(["Ada", "Lovelace"])) == New("Ada", "Lovelace", 0)


def test_a_row_of_a_newer_version_is_refused_by_name() -> None:
    """An older worker must not guess; the message says which version to run."""
    stored = Table("people", b"p", New, version=3).encode(New("Ada", "Lovelace", 1))
    with pytest.raises(Misconfigured, match=r"'people' holds rows of version 3, this worker knows up to 1"):
        Table("people", b"p", Old).decode(stored)


@pytest.mark.parametrize("prefix", [b"", b"ab", b"t", b"d", b"\x00"])
def test_a_prefix_is_one_byte_that_the_kernel_does_not_use(prefix: bytes) -> None:
    """Two tables on one prefix would overwrite each other."""
    with pytest.raises(Misconfigured, match="prefix"):
        Table("people", prefix, Old)
