"""Imports from a real PostgreSQL server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas.workspace.imports import PostgresQuery
from tests.support.postgres import PASSWORD, connect, postgres_server
from workers.errors import Misconfigured
from workers.imports.postgres import PostgresSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.imports.rows import Row

SETUP = """
CREATE TABLE people (id bigint PRIMARY KEY, plan text, mrr numeric, tags jsonb, changed timestamptz);
INSERT INTO people VALUES
  (1, 'pro', 120.50, '["a"]', '2026-03-01T10:00:00Z'),
  (2, '100% {free}', 0, NULL, '2026-03-01T10:00:00Z'),
  (10, NULL, NULL, NULL, '2026-03-02T10:00:00.123456Z'),
  (3, 'starter', 20, NULL, NULL),
  (4, 'starter', 20, NULL, NULL)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """One server with one table for all tests of this file."""
    with postgres_server() as variables:
        with connect(variables) as connection:
            connection.execute(SETUP)
        yield variables


@pytest.fixture(autouse=True)
def environment(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator sets."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)


def source(query: str = "SELECT * FROM people", updated_at: str | None = None, **more: Any) -> PostgresSource:
    """A source that asks this."""
    asked = PostgresQuery.model_validate({"query": query, "key": "id", **more})
    return PostgresSource(asked, updated_at)


def read(after: str | None = None, since_ms: int | None = None, **more: Any) -> list[Row]:
    """All rows behind a position."""
    opened = source(**more)
    try:
        return list(opened.rows(opened.columns, after, since_ms))
    finally:
        opened.close()


def ids(rows: list[Row]) -> list[int]:
    """Their keys."""
    return [row.values["id"] for row in rows]


def test_rows_come_with_their_types_in_the_order_of_the_key() -> None:
    """Numbers by their value, not as text."""
    rows = read()
    assert ids(rows) == [1, 2, 3, 4, 10]
    assert (str(rows[0].values["mrr"]), rows[0].values["tags"]) == ("120.50", ["a"])


@pytest.mark.parametrize("updated_at", [None, "changed"])
def test_every_position_leads_to_exactly_the_rows_behind_it(updated_at: str | None) -> None:
    """Equal moments, fractions of a millisecond and rows without a moment included."""
    rows = read(updated_at=updated_at)
    assert sorted(ids(rows)) == [1, 2, 3, 4, 10]
    for number, row in enumerate(rows, 1):
        assert ids(read(row.position, updated_at=updated_at)) == ids(rows[number:])


def test_the_mark_leaves_out_what_did_not_change() -> None:
    """A row that does not say when it changed is taken each time."""
    rows = read(since_ms=1_772_445_600_000, updated_at="changed")  # 2026-03-02T10:00:00Z
    assert ids(rows) == [10, 3, 4]
    assert ids(read(rows[0].position, 1_772_445_600_000, updated_at="changed")) == [3, 4]


def test_a_query_stands_as_it_is() -> None:
    """Comments, semicolons, percent signs and braces have no second meaning."""
    query = "SELECT id, '{}' AS brace FROM people WHERE plan LIKE '100%' -- 100% {}\n;"
    (row,) = read(query=query)
    assert row.values == {"id": 2, "brace": "{}"}
    assert read(row.position, query=query) == []


def test_a_row_without_key_is_told_and_hides_no_other() -> None:
    """Whoever goes on from it reads it again."""
    query = "SELECT NULLIF(id, 3) AS id, changed FROM people"
    rows = read(query=query)
    assert [row.problem is None for row in rows] == [True, True, True, True, False]
    assert "has no id" in (rows[-1].problem or "")
    assert ids(read(rows[-1].position, query=query)) == [None]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"query": "SELECT * FROM nowhere"}, 'relation "nowhere" does not exist'),
        ({"query": "SELECT plan FROM people"}, "the query has no column 'id': plan"),
        ({"query": "SELECT 1 AS id, 2 AS id"}, "column 'id' comes twice"),
        ({"query": "DELETE FROM people RETURNING id"}, "syntax error"),
        ({"service": "missing"}, "definition of service"),
    ],
)
def test_what_is_wrong_is_told(more: dict[str, str], told: str) -> None:
    """In the server's own words, before anything is sent."""
    with pytest.raises(Misconfigured, match=told):
        source(**more)


def test_nothing_can_be_written(server: dict[str, str]) -> None:
    """A function with side effects is refused by the server."""
    with connect(server) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION drop_all() RETURNS bigint LANGUAGE sql AS "
            "'DELETE FROM people RETURNING id'"
        )
    with pytest.raises(Misconfigured, match="read-only transaction"):
        read(query="SELECT drop_all() AS id")


def test_values_that_fail_in_the_middle_are_not_shown() -> None:
    """The row's number and the server's reason, without the query."""
    opened = source("SELECT id, 1 / (id - 3) AS broken, 'secret' AS hidden FROM people")
    with pytest.raises(Misconfigured, match="after row 0: division by zero") as refused:
        list(opened.rows(opened.columns, None, None))
    assert "secret" not in str(refused.value)
    opened.close()


@pytest.mark.parametrize("password", ["wrong-password-1", PASSWORD])
def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    """Neither a wrong one nor, where nobody listens, the right one."""
    monkeypatch.setenv("PGPASSWORD", password)
    if password == PASSWORD:
        monkeypatch.setenv("PGPORT", "1")
    with pytest.raises(Misconfigured, match="postgres: ") as refused:
        source()
    assert password not in str(refused.value)
    assert refused.value.__cause__ is None
