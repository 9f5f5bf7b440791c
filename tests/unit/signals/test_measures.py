"""Conditions that need more than plain windows, from the event to the eligible record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.core.kit import journey
from tests.unit.signals.kit import DAY, NOW, Engine, event, sent


def asking(*require: dict[str, Any], subject: str = "user", on: str = "limit") -> dict[str, Any]:
    """A journey that asks these conditions on an event."""
    entry = {"on": {"event": on}, "require": list(require), "again": "always"}
    return journey("asking", subject=subject, entry=entry)


def eligible(view: Any) -> int:
    """How many records say that somebody may enter."""
    return sum(msgspec.json.decode(value)["type"] == "eligible" for value in sent(view, "scheduler"))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"performed": "limit", "reaches": 3, "within": "7d"}, [0, 0, 1, 0]),
        ({"performed": "limit", "reaches": 3, "within": "lifetime"}, [0, 0, 1, 0]),
        ({"performed": "limit", "at_least": 3, "within": "this_month"}, [0, 0, 1, 1]),
        ({"sum": "n", "of": "limit", "within": "7d", "gte": 6}, [0, 0, 1, 1]),
        ({"sum": "n", "of": "limit", "within": "7d", "reaches": 3}, [0, 1, 0, 0]),
        ({"sum": "n", "of": "limit", "within": "lifetime", "reaches": 6}, [0, 0, 1, 0]),
        ({"count": "limit", "within": "this_month", "reaches": 3}, [0, 0, 1, 0]),
        ({"distinct": "n", "of": "limit", "within": "7d", "gte": 2}, [0, 1, 1, 1]),
        ({"count": "limit", "within": "lifetime", "gt": {"property": "n"}}, [0, 0, 0, 0]),
        ({"property": "n", "gte": 3}, [0, 0, 1, 1]),
        ({"first": "limit", "younger_than": "1h"}, [1, 1, 1, 1]),
    ],
)
def test_a_user_becomes_eligible_on_the_event_that_makes_it_so(
    condition: dict[str, Any], expected: list[int]
) -> None:
    """The events of one batch each see those before them; what was committed before is still there."""
    engine, together = Engine(asking(condition)), Engine(asking(condition))
    events = [event(properties={"n": number}) for number in (1, 2, 3, 4)]
    assert [eligible(engine.events(one)) for one in events] == expected
    assert eligible(together.events(*events)) == sum(expected)


def test_an_event_of_an_account_carries_who_did_it() -> None:
    """Three different members, not three events."""
    engine = Engine(asking({"members": "limit", "within": "14d", "gte": 3}, subject="account"))
    found = []
    for user in ("u1", "u2", "u1", "u3"):
        view = engine.forward(engine.events(event(user=user, context={"groupId": "acme"})))
        found.append(eligible(view))
    assert found == [0, 0, 0, 1]


def test_an_event_that_only_measures_need_reaches_the_account_with_its_properties() -> None:
    """Asked for on another event."""
    condition = {"sum": "seats", "of": "seats_requested", "within": "30d", "gt": 10}
    engine = Engine(asking(condition, subject="account"))
    for seats in (4, 7):
        asked = event("seats_requested", properties={"seats": seats}, context={"groupId": "acme"})
        engine.forward(engine.events(asked))
    assert eligible(engine.forward(engine.events(event(context={"groupId": "acme"})))) == 1


def test_a_condition_on_traits_is_followed_from_the_call_that_made_it_true() -> None:
    """Seven days later it has been true for seven days; another call that changes it begins anew."""
    engine = Engine(asking({"sustained": {"trait": "usage", "gte": 80}, "for": "7d"}))

    def identify(usage: int) -> None:
        call: dict[str, Any] = {"type": "identify", "event": None, "traits": {"usage": usage}}
        engine.events(event(at_ms=engine.now_ms, **call))

    identify(85)
    engine.now_ms = NOW + 7 * DAY - 1
    assert eligible(engine.events(event(at_ms=engine.now_ms))) == 0
    engine.now_ms = NOW + 7 * DAY
    assert eligible(engine.events(event(at_ms=engine.now_ms))) == 1
    identify(70)
    identify(90)
    assert eligible(engine.events(event(at_ms=engine.now_ms))) == 0
