"""The same stays in segments, by SQL over all events at once: no windows, no timers, nothing of ours.

Each query lists for every account the instants at which its answer may change, looks at each instant at all
events that the definition speaks of, and joins the instants at which the answer is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from tests.replay.recorded import Stay
from workers.local.demo.mapping import account_id, demo_events

if TYPE_CHECKING:
    from typing import Any

    from workers.local.demo.history import History

STAYS = """
    WITH answers AS ({answers}),
    settled AS (SELECT account, at_ms, bool_or(yes) AS yes FROM answers GROUP BY account, at_ms),
    changes AS (
        SELECT *, lead(at_ms) OVER w AS next_ms FROM (
            SELECT *, lag(yes, 1, false) OVER (PARTITION BY account ORDER BY at_ms) AS before FROM settled
        ) WHERE yes <> before WINDOW w AS (PARTITION BY account ORDER BY at_ms)
    )
    SELECT account, at_ms, next_ms FROM changes WHERE yes
"""

MEMBERS_AT_LIMITS = """
    SELECT i.account, i.at_ms, count(DISTINCT l.member) >= 3 AS yes
    FROM (
        SELECT account, at_ms FROM limits UNION SELECT account, at_ms + days(14) FROM limits
    ) i
    LEFT JOIN limits l ON l.account = i.account AND l.at_ms <= i.at_ms AND l.at_ms > i.at_ms - days(14)
    WHERE i.at_ms < $end_ms GROUP BY ALL
"""

OFTEN_AT_LIMITS = """
    SELECT i.account, i.at_ms,
        count(l.at_ms) >= 3 AND any_value(t.plan) IS NOT NULL AND any_value(t.plan) <> 'premier' AS yes
    FROM (
        SELECT account, at_ms FROM limits UNION SELECT account, at_ms + days(21) FROM limits
        UNION SELECT account, at_ms FROM traits
    ) i
    ASOF LEFT JOIN traits t ON t.account = i.account AND t.at_ms <= i.at_ms
    LEFT JOIN limits l ON l.account = i.account AND l.at_ms <= i.at_ms AND l.at_ms > i.at_ms - days(21)
    WHERE i.at_ms < $end_ms GROUP BY ALL
"""

SEARCHES_USED_UP = """
    SELECT i.account, i.at_ms,
        coalesce(count(s.at_ms) / any_value(t.searches_limit) >= 0.004, false) AS yes
    FROM (
        SELECT account, at_ms FROM searches
        UNION SELECT account, epoch_ms(date_trunc('week', make_timestamp(at_ms * 1000)) + INTERVAL 7 DAY)
            FROM searches
        UNION SELECT account, at_ms FROM traits
    ) i
    ASOF LEFT JOIN traits t ON t.account = i.account AND t.at_ms <= i.at_ms
    LEFT JOIN searches s ON s.account = i.account AND s.at_ms <= i.at_ms
        AND s.at_ms >= epoch_ms(date_trunc('week', make_timestamp(i.at_ms * 1000)))
    WHERE i.at_ms < $end_ms GROUP BY ALL
"""

SEATS_FULL_AGAIN = """
    SELECT i.account, i.at_ms, coalesce(max(l.percent) >= 100, false) AS yes
    FROM (
        SELECT account, at_ms FROM limits UNION SELECT account, at_ms + days(7) FROM limits
    ) i
    LEFT JOIN limits l ON l.account = i.account AND l.at_ms <= i.at_ms AND l.at_ms > i.at_ms - days(7)
    WHERE i.at_ms < $end_ms GROUP BY ALL
"""

QUERIES = {
    "members_at_limits": MEMBERS_AT_LIMITS,
    "often_at_limits": OFTEN_AT_LIMITS,
    "searches_used_up": SEARCHES_USED_UP,
    "seats_full_again": SEATS_FULL_AGAIN,
}


def stays(history: History) -> set[Stay]:
    """The stays in the segments that :data:`QUERIES` names."""
    database = _load(history)
    return {
        Stay(segment, *row)
        for segment, answers in QUERIES.items()
        for row in database.execute(STAYS.format(answers=answers), _used(answers, history)).fetchall()
    }


def _used(answers: str, history: History) -> dict[str, int]:
    return {"end_ms": history.end_ms} if "$end_ms" in answers else {}


def _load(history: History) -> duckdb.DuckDBPyConnection:
    limits: list[tuple[Any, ...]] = []
    traits: dict[str, list[tuple[Any, ...]]] = {}
    for at_ms, message in ((event.at_ms, event.message) for event in demo_events(history)):
        account = message["context"]["groupId"]
        if message.get("event") == "plan_limit_reached":
            percent = message["properties"]["usage_percentage"]
            limits.append((account, at_ms, message["userId"], percent))
        elif message["type"] == "group":
            before = traits.get(account, [(None, None, None, None)])[-1]
            told = message["traits"]
            known = (told.get("plan", before[2]), told.get("searches_limit", before[3]))
            traits.setdefault(account, []).append((account, at_ms, *known))
    # Of several in one instant the last is what is known afterwards.
    last = {(row[0], row[1]): row for rows in traits.values() for row in rows}
    searches = [(account_id(use.account), use.at_ms) for use in history.uses if use.event_type == "search"]
    database = duckdb.connect()
    database.execute("CREATE MACRO days(n) AS n * 86400000")
    for name, columns, rows in (
        ("limits", "account TEXT, at_ms BIGINT, member TEXT, percent INTEGER", limits),
        ("traits", "account TEXT, at_ms BIGINT, plan TEXT, searches_limit INTEGER", list(last.values())),
        ("searches", "account TEXT, at_ms BIGINT", searches),
    ):
        database.execute(f"CREATE TABLE {name} ({columns})")
        places = ", ".join("?" * len(rows[0]))
        database.executemany(f"INSERT INTO {name} VALUES ({places})", rows)  # noqa: S608 - names of ours
    return database
