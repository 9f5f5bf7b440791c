"""Limits of accounts, replayed from recorded use: the engine tells what SQL over the whole history tells."""

from __future__ import annotations

from tests.replay import by_sql, recorded
from workers.local.demo.history import load_history

DEFINITIONS = (
    {
        "segment": "members_at_limits",
        "subject": "account",
        "require": [{"members": "plan_limit_reached", "within": "14d", "gte": 3}],
    },
    {
        "segment": "often_at_limits",
        "subject": "account",
        "require": [
            {"performed": "plan_limit_reached", "within": "21d", "at_least": 3},
            {"trait": "plan", "not_in": ["premier"], "if_missing": "fail"},
        ],
    },
    {
        "segment": "searches_used_up",
        "subject": "account",
        "require": [
            {
                "count": "search",
                "within": "this_week",
                "divided_by": {"trait": "searches_limit"},
                "gte": 0.004,
            }
        ],
    },
    {
        "segment": "seats_full_again",
        "subject": "account",
        "require": [{"max": "usage_percentage", "of": "plan_limit_reached", "within": "7d", "gte": 100}],
    },
)


def test_the_engine_and_sql_tell_of_the_same_stays_to_the_millisecond() -> None:
    """Every entry and every exit, by events and by time alone, over seven weeks of use."""
    history = load_history()

    told, expected = recorded.stays(history, DEFINITIONS), by_sql.stays(history)

    assert told == expected
    for definition in DEFINITIONS:
        of_one = [stay for stay in expected if stay.segment == definition["segment"]]
        assert any(stay.left_ms for stay in of_one), f"the history never leaves {definition['segment']}"
