"""Values of columns."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.workspace.imports import TraitColumn
from workers.imports.values import BadValueError, convert, id_text, is_empty, iso_of_ms, moment_ms

SUMMER_MS = 1_782_036_000_000  # 2026-06-21T10:00:00Z


def column(**more: Any) -> TraitColumn:
    """A column as a mapping declares it."""
    return TraitColumn.model_validate({"column": "c", **more})


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ({}, " as it is ", " as it is "),
        ({}, Decimal("12.50"), 12.5),
        ({}, Decimal("12.00"), 12),
        ({}, datetime(2026, 6, 21, 12, tzinfo=timezone(timedelta(hours=2))), "2026-06-21T10:00:00.000Z"),
        ({}, date(2026, 6, 21), "2026-06-21"),
        ({}, UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ({}, {"a": [Decimal(1), None]}, {"a": [1, None]}),
        ({"type": "string"}, 7, "7"),
        ({"type": "string"}, True, "true"),
        ({"type": "number"}, " 1200.50 ", 1200.5),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number"}, "-7", -7),
        ({"type": "integer"}, "7", 7),
        ({"type": "integer"}, "7.0", 7),
        ({"type": "integer"}, Decimal(7), 7),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, 0, False),
        ({"type": "date"}, "2026-06-21", "2026-06-21"),
        ({"type": "date", "format": "%d.%m.%Y"}, "21.06.2026", "2026-06-21"),
        ({"type": "datetime"}, "2026-06-21T12:00:00+02:00", "2026-06-21T10:00:00.000Z"),
        ({"type": "datetime", "zone": "Europe/Berlin"}, "2026-06-21 12:00", "2026-06-21T10:00:00.000Z"),
        ({"type": "datetime", "zone": "Europe/Berlin"}, "2026-01-21 12:00", "2026-01-21T11:00:00.000Z"),
        ({"type": "datetime"}, datetime.fromisoformat("2026-06-21T10:00:00.250"), "2026-06-21T10:00:00.250Z"),
    ],
)
def test_a_value_is_read_in_its_type(declared: dict[str, Any], value: Any, expected: Any) -> None:
    """Text as files have it, and the types that Parquet and PostgreSQL have."""
    found = convert(value, column(**declared))
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("declared", "value", "told"),
    [
        ({"type": "number"}, "1,200.50", "is no number"),
        ({"type": "number"}, "nan", "is no number"),
        ({"type": "number"}, float("inf"), "not a finite number"),
        ({"type": "number"}, True, "is no number"),
        ({}, Decimal("NaN"), "not a finite number"),
        ({}, 2**63, "beyond 64 bits"),
        ({"type": "integer"}, "7.5", "no whole number"),
        ({"type": "boolean"}, "maybe", "neither true nor false"),
        ({"type": "date"}, "20260621", "not a date or time in ISO 8601"),
        ({"type": "date"}, "2026-02-30", "not a date or time in ISO 8601"),
        ({"type": "date", "format": "%d.%m.%Y"}, "2026-06-21", "of the format %d.%m.%Y"),
        ({"type": "datetime"}, 5, "not a date or time"),
        ({"type": "string"}, {"a": 1}, "is no text"),
        ({}, b"\x00", "of the type bytes"),
    ],
)
def test_a_value_of_another_type_is_refused_without_showing_it(
    declared: dict[str, Any], value: Any, told: str
) -> None:
    """A reason is read by people who may not read the value."""
    with pytest.raises(BadValueError, match=told) as refused:
        convert(value, column(**declared))
    assert str(value) not in str(refused.value).replace(declared.get("format", ""), "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(" u1 ", "u1"), (42, "42"), (Decimal(42), "42"), (UUID(int=1), str(UUID(int=1)))],
)
def test_an_id_is_text(value: Any, expected: str) -> None:
    """As all other producers of the person write it."""
    assert id_text(value) == expected


@pytest.mark.parametrize("value", [None, "", "  ", 1.5, True, Decimal("1.5"), "x" * 256])
def test_what_is_no_id_is_refused(value: Any) -> None:
    """A record needs somebody whom it is about."""
    with pytest.raises(BadValueError):
        id_text(value)


def test_a_moment_is_milliseconds() -> None:
    """A day begins at midnight in its column's zone."""
    assert moment_ms("2026-06-21T10:00:00.0009Z", column(type="datetime")) == SUMMER_MS
    assert (
        moment_ms(date(2026, 6, 21), column(type="datetime", zone="Europe/Berlin")) == SUMMER_MS - 43_200_000
    )
    last = datetime.fromisoformat("9999-12-31T23:59:59")
    assert moment_ms(last, column(type="datetime")) > SUMMER_MS
    with pytest.raises(BadValueError, match="outside the years"):
        moment_ms(last, column(type="datetime", zone="America/New_York"))


@given(st.integers(0, 253_402_300_799_999))
def test_a_moments_text_reads_back(at_ms: int) -> None:
    """Nothing is lost to the text's form."""
    assert moment_ms(iso_of_ms(at_ms), column(type="datetime")) == at_ms
    assert moment_ms(datetime.fromisoformat(iso_of_ms(at_ms)), column(type="datetime")) == at_ms


def test_only_null_and_blanks_are_empty() -> None:
    """0 and false say something."""
    assert [is_empty(value) for value in (None, "", " \t")] == [True, True, True]
    full: list[Any] = [0, False, "0", {}]
    assert [is_empty(value) for value in full] == [False, False, False, False]
