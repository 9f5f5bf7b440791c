"""From the history to Segment events."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas.records.events import ProductEvent
from workers.local.demo.history import History, Opening, Subscription, Use, day_ms, load_history
from workers.local.demo.mapping import DemoEvent, demo_events
from workers.local.demo.replay import stamped

DAY_MS = 86_400_000
START_MS = day_ms(date(2026, 1, 10))
STARTER = Subscription(7, "starter_mthly", date(2026, 1, 1), date(2026, 2, 1), 85.0, 5, "users")
BASIC = Subscription(7, "basic_mthly", date(2026, 2, 1), date(2026, 3, 1), 200.0, 10, "users")
SEARCH = Subscription(7, "search_unlimited", date(2026, 1, 1), date(2026, 2, 1), 200.0, 5000, "search")


def history(*rows: Subscription, uses: tuple[Use, ...] = (), openings: tuple[Opening, ...] = ()) -> History:
    """Account 7 over six weeks."""
    return History(START_MS, START_MS + 42 * DAY_MS, {7: "NY"}, rows, openings, uses)


def use(user: int, day: float = 1, event_type: str = "quote", value: float | None = None) -> Use:
    """A use by ``user`` of account 7."""
    return Use(START_MS + int(day * DAY_MS), 7, user, event_type, value)


def tracks(events: list[DemoEvent], name: str) -> list[dict[str, Any]]:
    """The messages of ``track`` called ``name``."""
    return [event.message for event in events if event.message.get("event") == name]


@pytest.fixture(scope="module")
def bundled() -> list[DemoEvent]:
    """The events of the bundled history."""
    return list(demo_events(load_history()))


def test_an_account_is_introduced_by_its_billing_owner_when_the_history_begins() -> None:
    """The owner is identified with address, name, role and plan; the account gets its plan's facts."""
    owner, account = (
        event.message for event in demo_events(history(STARTER, SEARCH)) if event.at_ms == START_MS
    )
    assert (owner["type"], owner["userId"]) == ("identify", "user-7-0")
    assert owner["traits"]["email"] == "user-7-0@example.com"
    assert owner["traits"]["role"] == "billing_owner"
    assert owner["traits"]["plan"] == "starter"
    assert (account["type"], account["groupId"]) == ("group", "acct-7")
    assert account["traits"] == {
        "name": "Account 7",
        "country": "NY",
        "plan": "starter",
        "mrr": 85.0,
        "seats": 5,
        "billing_months": 1,
        "searches_limit": 5000,
    }


def test_a_user_is_identified_once_before_their_first_use() -> None:
    """identify, group, track; then only track."""
    events = list(demo_events(history(STARTER, uses=(use(3), use(3, 2)))))
    mine = [event.message["type"] for event in events if event.message["userId"] == "user-7-3"]
    assert mine == ["identify", "group", "track", "track"]


def test_a_use_keeps_its_name_and_value() -> None:
    """Only ``quote`` is renamed, to say what happened; the value is the source's."""
    uses = (use(0), use(0, 2, "search"), use(0, 3, "win_opportunity", 12.5))
    events = list(demo_events(history(STARTER, uses=uses)))
    assert len(tracks(events, "quote_created")) == 1
    assert tracks(events, "search")[0]["properties"] == {}
    assert tracks(events, "win_opportunity")[0]["properties"] == {"value": 12.5}


def test_a_limit_is_reported_by_the_user_who_reached_it_after_the_use_that_did() -> None:
    """The fifth user of a day takes the fifth of five seats."""
    uses = tuple(use(user, 1 + user / 100) for user in range(5))
    events = list(demo_events(history(STARTER, uses=uses)))
    before_the_end = [event.message["event"] for event in events[-3:-1]]
    assert before_the_end == ["quote_created", "plan_limit_reached"]
    hits = tracks(events, "plan_limit_reached")
    assert [hit["userId"] for hit in hits] == ["user-7-3", "user-7-4"]
    assert hits[1]["properties"] == {
        "limit_type": "seats",
        "current_plan": "starter",
        "usage_percentage": 100,
    }
    assert hits[1]["context"]["groupId"] == "acct-7"


def test_a_larger_plan_is_an_upgrade_then_new_traits_for_the_account_and_every_member() -> None:
    """In this order, so that a goal is seen before the exit that the changed plan causes."""
    events = list(demo_events(history(STARTER, BASIC, uses=(use(0), use(2)))))
    at = [event.message for event in events if event.at_ms == BASIC.start_ms]
    assert at[0]["event"] == "plan_upgraded"
    assert at[0]["userId"] == "user-7-0"
    assert at[0]["properties"] == {"from_plan": "starter", "to_plan": "basic", "mrr_delta": 115.0}
    assert (at[1]["type"], at[1]["traits"]["plan"]) == ("group", "basic")
    identified = [(message["userId"], message["traits"]["plan"]) for message in at[2:]]
    assert identified == [("user-7-0", "basic"), ("user-7-2", "basic")]


def test_a_smaller_plan_is_a_downgrade() -> None:
    """The same two rows the other way round."""
    first = replace(BASIC, start=STARTER.start, end=STARTER.end)
    second = replace(STARTER, start=BASIC.start, end=BASIC.end)
    events = list(demo_events(history(first, second)))
    assert tracks(events, "plan_upgraded") == []
    assert tracks(events, "plan_downgraded")[0]["properties"]["mrr_delta"] == -115.0


def test_a_renewal_or_another_billing_rhythm_is_no_upgrade() -> None:
    """The seats stay, so only the account's traits are told again."""
    longer = Subscription(7, "starter_annual", date(2026, 2, 1), date(2027, 2, 1), 90.0, 5, "users")
    events = list(demo_events(history(STARTER, longer)))
    assert tracks(events, "plan_upgraded") == []
    group = events[-1].message
    assert (group["type"], group["traits"]["billing_months"]) == ("group", 12)


def test_an_upgrade_at_the_first_instant_of_the_history_is_told() -> None:
    """The row before it is known although it ended as the history began."""
    before = replace(STARTER, end=date(2026, 1, 10))
    after = replace(BASIC, start=date(2026, 1, 10))
    first = next(iter(demo_events(history(before, after)))).message
    assert first["event"] == "plan_upgraded"


def test_a_subscription_that_ends_is_told_once() -> None:
    """No row follows, so the account has left."""
    ended = tracks(list(demo_events(history(STARTER))), "subscription_ended")
    assert [message["properties"] for message in ended] == [{"plan": "starter"}]


def test_equal_histories_give_equal_events_and_a_namespace_changes_only_the_ids() -> None:
    """A replay can be repeated exactly, or be told apart from the one before."""
    source = history(STARTER, BASIC, uses=(use(0), use(2)))
    assert list(demo_events(source)) == list(demo_events(source))

    def without_id(events: list[DemoEvent]) -> list[dict[str, Any]]:
        return [{**event.message, "messageId": ""} for event in events]

    first, second = list(demo_events(source, "run-1")), list(demo_events(source, "run-2"))
    assert without_id(first) == without_id(second)
    ids = {event.message["messageId"] for event in first} & {event.message["messageId"] for event in second}
    assert ids == set()


def test_every_bundled_event_is_a_valid_record_with_an_id_of_its_own(bundled: list[DemoEvent]) -> None:
    """What the demo sends passes the same check as anything a producer sends."""
    adapter: TypeAdapter[Any] = TypeAdapter(ProductEvent)
    for event in bundled[::7]:
        adapter.validate_python(stamped(event, 0))
    assert len({event.message["messageId"] for event in bundled}) == len(bundled)
    times = [event.at_ms for event in bundled]
    assert times == sorted(times)


def test_nobody_in_the_bundled_events_can_be_reached(bundled: list[DemoEvent]) -> None:
    """All addresses are at a domain that is reserved for examples."""
    emails = {e.message["traits"]["email"] for e in bundled if e.message["type"] == "identify"}
    assert emails
    assert all(email.endswith("@example.com") for email in emails)


def test_the_bundled_events_make_a_lively_demo(bundled: list[DemoEvent]) -> None:
    """An account reaches limits 3 times within two days; at least 5 such accounts upgrade within 14 days."""
    history_start = load_history().start_ms
    hits: dict[str, list[int]] = defaultdict(list)
    entered: dict[str, int] = {}
    upgrades: Counter[str] = Counter()
    for event in bundled:
        account = event.message["context"]["groupId"]
        if event.message.get("event") == "plan_limit_reached":
            recent = hits[account]
            recent.append(event.at_ms)
            if sum(at_ms > event.at_ms - 21 * DAY_MS for at_ms in recent) >= 3:
                entered.setdefault(account, event.at_ms)
        elif event.message.get("event") == "plan_upgraded" and account in entered:
            upgrades[account] += event.at_ms - entered[account] < 14 * DAY_MS
    assert min(entered.values()) - history_start < 2 * DAY_MS
    assert upgrades.total() >= 5
