"""CSV and Parquet files as rows."""

from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import parquet

from schemas.workspace.imports import CsvFormat
from workers.errors import Misconfigured
from workers.imports.csv_file import CsvFile
from workers.imports.parquet_file import ParquetFile

if TYPE_CHECKING:
    from pathlib import Path

    from workers.imports.rows import Row


def rows(path: Path, content: bytes, after: str | None = None, **form: str) -> list[Row]:
    """The rows of a CSV file with this content."""
    path.write_bytes(content)
    file = CsvFile(path, CsvFormat.model_validate(form))
    try:
        return list(file.rows(file.columns, after, None))
    finally:
        file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file goes."""
    return tmp_path / "people.csv"


def test_rows_have_their_lines(path: Path) -> None:
    """Quoted line breaks and empty lines count as lines, not as rows; the first line of a row is told."""
    found = rows(path, b'id,name\nu1,"a\nb"\n\nu2,"say ""hi"""\r\nu3,')
    assert [(row.position, row.line) for row in found] == [("1", 2), ("2", 5), ("3", 6)]
    assert [row.values["name"] for row in found] == ["a\nb", 'say "hi"', ""]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_encodings_are_told_by_their_marks(path: Path, encoding: str) -> None:
    """Spreadsheets write them; the first column's name has no mark in it."""
    text = "id,name\nu1,Ä\n"
    mark = "﻿" if encoding == "utf-16-be" else ""
    (row,) = rows(path, (mark + text).encode(encoding))
    assert row.values == {"id": "u1", "name": "Ä"}


def test_delimiter_quote_and_encoding_are_declared(path: Path) -> None:
    """What no mark tells."""
    (row,) = rows(path, "id;name\nu1;'Ä;'\n".encode("latin-1"), delimiter=";", quote="'", encoding="latin-1")
    assert row.values["name"] == "Ä;"


def test_a_broken_row_is_told_and_the_next_one_is_read(path: Path) -> None:
    """Too few fields, too many, a stray quote, bytes that are no text."""
    found = rows(path, b'id,name\nu1\nu2,a,b\nu3,"a"b\nu4,\xff\nu5,ok\n')
    assert [row.problem for row in found] == [
        "has 1 fields where the header has 2",
        "has 3 fields where the header has 2",
        "is not CSV: ',' expected after '\"'",
        None,
        None,
    ]
    assert found[3].values["name"] == "\udcff"
    assert found[4].values == {"id": "u5", "name": "ok"}


def test_a_file_that_ends_in_a_quote_tells_the_line_where_it_opened(path: Path) -> None:
    """Not the last line of the file."""
    (row,) = rows(path, b'id,name\nu1,"open\nu2,x\n')
    assert (row.line, row.problem) == (2, "is not CSV: unexpected end of data")


def test_a_position_leads_behind_its_row(path: Path) -> None:
    """Broken rows count too."""
    content = b"id,name\nu1,a\nu2\nu3,c\n"
    assert [row.position for row in rows(path, content, after="2")] == ["3"]
    assert rows(path, content, after="3") == []


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    """And a cut file is told with the line up to which it was read."""
    packed = gzip.compress(b"id,name\n" + b"u1,a\n" * 20_000)
    assert len(rows(tmp_path / "a.csv.gz", packed)) == 20_000
    with pytest.raises(Misconfigured, match=r"a.csv.gz:\d+: cannot be read any further"):
        rows(tmp_path / "a.csv.gz", packed[:-20])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b"id;name\n", "is the delimiter ';'"),
        (b"id,,name\n", "column 2 has no name"),
        (b"id,name,id\n", "column 'id' comes twice"),
    ],
)
def test_a_header_that_is_none_is_refused(path: Path, content: bytes, told: str) -> None:
    """Before any row is read."""
    with pytest.raises(Misconfigured, match=told):
        rows(path, content)


def test_what_cannot_be_opened_is_named(path: Path) -> None:
    """File and reason."""
    with pytest.raises(Misconfigured, match=r"people.csv: cannot be read: No such file"):
        CsvFile(path, CsvFormat())
    path.write_bytes(b"id\n")
    with pytest.raises(Misconfigured, match="no encoding 'klingon'"):
        CsvFile(path, CsvFormat(encoding="klingon"))


def test_the_fingerprint_changes_with_the_file(path: Path) -> None:
    """And with how it is read, but not by being read."""
    path.write_bytes(b"id\n1\n")
    first = CsvFile(path, CsvFormat()).fingerprint()
    assert CsvFile(path, CsvFormat()).fingerprint() == first
    assert CsvFile(path, CsvFormat(quote="'")).fingerprint() != first
    path.write_bytes(b"id\n2\n")
    assert CsvFile(path, CsvFormat()).fingerprint() != first


def test_parquet_has_the_types_of_its_columns(tmp_path: Path) -> None:
    """Only the columns that are asked for are read; a position leads behind its row."""
    path = tmp_path / "people.parquet"
    count = 12_000
    table = pa.table(
        {
            "id": [f"u{number}" for number in range(count)],
            "mrr": [Decimal("1.50")] * count,
            "day": [date(2026, 3, 1)] * count,
            "other": [None] * count,
        }
    )
    parquet.write_table(table, path, row_group_size=1_000)
    file = ParquetFile(path)
    assert tuple(file.columns) == ("id", "mrr", "day", "other")
    found = list(file.rows(["id", "mrr", "day"], "7500", None))
    assert (found[0].position, found[0].line, len(found)) == ("7501", 7501, 4_500)
    assert found[0].values == {"id": "u7500", "mrr": Decimal("1.50"), "day": date(2026, 3, 1)}
    assert file.progress() == (count, count)
    first = file.fingerprint()
    file.close()
    parquet.write_table(table.slice(1), path)
    assert ParquetFile(path).fingerprint() != first


def test_what_is_not_parquet_is_named(tmp_path: Path) -> None:
    """File and reason."""
    path = tmp_path / "people.parquet"
    with pytest.raises(Misconfigured, match=r"people.parquet: cannot be read"):
        ParquetFile(path)
    path.write_bytes(b"id,name\n")
    with pytest.raises(Misconfigured, match=r"people.parquet: is not Parquet"):
        ParquetFile(path)
