"""A PostgreSQL query as rows: one read-only snapshot, a cursor on the server, in an order that can go on.

The query is wrapped: ``SELECT columns FROM (query) ORDER BY updated_at, key``, so that a position (the two
values of a row) tells what is still to come, also when other rows were written meanwhile.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from workers.errors import Misconfigured, Retryable
from workers.imports.rows import Row
from workers.imports.sources import once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from schemas.workspace.imports import PostgresQuery

FETCH_ROWS: Final = 5_000
CONNECT_SECONDS: Final = 15

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPTIONS = "-c default_transaction_read_only=on -c idle_in_transaction_session_timeout=0"


class PostgresSource:
    """What a query gives. Needs the extra ``postgres``.

    Args:
        asked: query, key and service.
        updated_at: the column that orders rows by their age; None where there is none.
        zone: of moments in columns without a zone.

    Raises:
        Misconfigured: the extra is not installed, the server refuses, or the query is wrong.
    """

    def __init__(self, asked: PostgresQuery, updated_at: str | None, zone: str = "UTC") -> None:
        try:
            import psycopg  # noqa: PLC0415 - only this source needs it
            from psycopg import sql  # noqa: PLC0415
        except ImportError as error:
            raise Misconfigured("PostgreSQL needs psycopg: pip install 'brimful[postgres]'") from error
        self.name = "postgres"
        self._asked = asked
        self._order = tuple(filter(None, (updated_at, asked.key)))
        self._updated_at = updated_at
        self._psycopg: ModuleType = psycopg
        self._sql: Any = sql
        self._number = 0
        self._last: str | None = None
        named: dict[str, Any] = {"service": asked.service} if asked.service else {}
        options = f"{_OPTIONS} -c TimeZone={zone}"
        try:
            self._connection: Any = psycopg.connect(
                "",
                **named,
                connect_timeout=CONNECT_SECONDS,
                options=options,
                application_name="brimful-import",
            )
        except psycopg.Error as error:
            raise Misconfigured(f"postgres: {_told(error)}") from None
        try:
            self.columns: Sequence[str] = self._begin()
        except BaseException:
            self._connection.close()
            raise

    def fingerprint(self) -> str:
        """Of the query and its order: the rows themselves may change, a position holds all the same."""
        told = json.dumps([self._asked.query, self._asked.service, self._order])
        return blake2b(told.encode(), digest_size=8).hexdigest()

    def rows(self, columns: Sequence[str], after: str | None, since_ms: int | None) -> Iterator[Row]:
        """See :class:`workers.imports.sources.Source`; a position holds ``updated_at`` and key as JSON."""
        wanted = list(dict.fromkeys((*columns, *self._order)))
        statement, parameters = self._statement(wanted, after, since_ms)
        try:
            with self._connection.cursor(name="import_rows") as cursor:
                cursor.itersize = FETCH_ROWS
                cursor.execute(statement, parameters or None)
                for values in cursor:
                    self._number += 1
                    row = dict(zip(wanted, values, strict=True))
                    yield self._row(row, after)
        except self._psycopg.OperationalError as error:
            raise Retryable(f"postgres: {_told(error)}; run the import again, it goes on") from None
        except self._psycopg.Error as error:
            raise Misconfigured(f"postgres: after row {self._number}: {_told(error)}") from None

    def progress(self) -> tuple[float, float | None]:
        """In rows; how many the query has nobody knows without running it twice."""
        return self._number, None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _begin(self) -> tuple[str, ...]:
        """Begin the snapshot; the columns of the query."""
        self._connection.isolation_level = self._psycopg.IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        statement = self._sql.SQL("SELECT * FROM (\n{}\n) AS imported LIMIT 0").format(self._query())
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                columns = once(self.name, [column.name for column in cursor.description or ()])
        except self._psycopg.Error as error:
            raise Misconfigured(f"postgres: {_told(error)}") from None
        missing = [column for column in self._order if column not in columns]
        if missing:
            raise Misconfigured(f"postgres: the query has no column {missing[0]!r}: {', '.join(columns)}")
        return columns

    def _statement(
        self, wanted: Sequence[str], after: str | None, since_ms: int | None
    ) -> tuple[Any, list[Any]]:
        sql = self._sql
        names = {column: sql.Identifier(column) for column in (*wanted, *self._order)}
        conditions, parameters = [], []
        if self._updated_at is not None and since_ms is not None:
            # A row that does not say when it was changed may have been: it is taken each time.
            conditions.append(sql.SQL("({0} >= %s OR {0} IS NULL)").format(names[self._updated_at]))
            parameters.append(_EPOCH + timedelta(milliseconds=since_ms))
        if after:
            *moment, key = json.loads(after)
            if moment and moment[0] is not None:
                both = [names[column] for column in self._order]
                conditions.append(
                    sql.SQL("(({0}, {1}) > (%s, %s) OR {0} IS NULL OR {1} IS NULL)").format(*both)
                )
                parameters += [moment[0], key]
            else:
                if self._updated_at is not None:
                    conditions.append(sql.SQL("{} IS NULL").format(names[self._updated_at]))
                conditions.append(sql.SQL("({0} > %s OR {0} IS NULL)").format(names[self._asked.key]))
                parameters.append(key)
        where = sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("")
        statement = sql.SQL("SELECT {} FROM (\n{}\n) AS imported{} ORDER BY {}").format(
            sql.SQL(", ").join(names[column] for column in wanted),
            self._query(escaped=bool(parameters)),
            where,
            sql.SQL(", ").join(names[column] for column in self._order),
        )
        return statement, parameters

    def _query(self, *, escaped: bool = False) -> Any:
        """The query as it is asked; where parameters are passed, a percent sign of its own is doubled."""
        text = self._asked.query.strip().rstrip(";")
        return self._sql.SQL(text.replace("%", "%%") if escaped else text)

    def _row(self, values: dict[str, Any], after: str | None) -> Row:
        if values[self._asked.key] is None:
            # Nothing can be told to lie behind it: whoever goes on from here reads it again.
            position = self._last or after or ""
            return Row(position, self._number, values, f"has no {self._asked.key}: rows cannot be told apart")
        self._last = json.dumps([_as_text(values[column]) for column in self._order])
        return Row(self._last, self._number, values)


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, date) else str(value)


def _told(error: Any) -> str:
    """What the server says, without the query and the values that it may quote."""
    message = error.diag.message_primary if getattr(error, "diag", None) is not None else None
    text = message or str(error)
    return " ".join(text.split())
