"""Every signal, segment and threshold that the project was founded on, as a definition: met, and just missed.

An edge is one event short, one millisecond late, one unit below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.core.condition_kit import Did, Someone, outcome, times
from tests.unit.core.founding_definitions import DEFINITIONS
from tests.unit.core.kit import DAY, HOUR
from workers.core.conditions.outcome import Outcome

if TYPE_CHECKING:
    from tests.unit.core.founding_definitions import Definition

TRUE, FALSE, MISSING = Outcome.TRUE, Outcome.FALSE, Outcome.MISSING


def did(*ages_ms: int, event: str, **properties: Any) -> tuple[Did, ...]:
    """The same event at several ages, the oldest first."""
    return tuple(Did(event, age_ms, properties) for age_ms in ages_ms)


STARTER = {"plan": "starter", "current_plan": "starter", "account_age_days": 31}
HITS = "usage_threshold_hit"
LIMIT = "plan_limit_reached"
ORDER = "order_completed"
WEEKLY = tuple(week * 7 * DAY for week in reversed(range(8)))
DATE_61 = "2026-01-12T00:00:00Z"
"""More than 60 days before START, 2026-03-14T10:02Z."""

CASES: list[tuple[str, Someone, Outcome]] = [
    ("starter at its threshold, not prompted lately", Someone(times(3, HITS), STARTER), TRUE),
    ("starter at its threshold, not prompted lately", Someone(times(2, HITS), STARTER), FALSE),
    (
        "starter at its threshold, not prompted lately",
        Someone(did(14 * DAY - 1, 1, 0, event=HITS), STARTER),
        TRUE,
    ),
    (
        "starter at its threshold, not prompted lately",
        Someone(did(14 * DAY, 1, 0, event=HITS), STARTER),
        FALSE,
    ),
    ("starter at its threshold, not prompted lately", Someone(times(3, HITS), {"plan": "pro"}), FALSE),
    ("starter at its threshold, not prompted lately", Someone(times(3, HITS)), MISSING),
    (
        "starter at its threshold, not prompted lately",
        Someone(times(3, HITS), STARTER, received=(("upsell", 30 * DAY - 1),)),
        FALSE,
    ),
    (
        "starter at its threshold, not prompted lately",
        Someone(times(3, HITS), STARTER, received=(("upsell", 30 * DAY),)),
        TRUE,
    ),
    ("feature gate hit", Someone(did(DAY - 1, event="feature_gate_triggered")), TRUE),
    ("feature gate hit", Someone(did(DAY, event="feature_gate_triggered")), FALSE),
    ("usage ceiling at 80 %", Someone(times(1, LIMIT, usage_percentage=80)), TRUE),
    ("usage ceiling at 80 %", Someone(times(1, LIMIT, usage_percentage=79.9)), FALSE),
    ("usage ceiling at 80 %", Someone(times(1, LIMIT)), MISSING),
    ("usage ceiling reached", Someone(times(1, LIMIT, usage_percentage=100)), TRUE),
    ("usage ceiling reached", Someone(times(1, LIMIT, usage_percentage=99)), FALSE),
    ("usage of a limit at 80 %", Someone(traits={"api_calls": 800, "api_limit": 1000}), TRUE),
    ("usage of a limit at 80 %", Someone(traits={"api_calls": 799, "api_limit": 1000}), FALSE),
    ("usage of a limit at 80 %", Someone(traits={"api_calls": 799, "api_limit": 0}), MISSING),
    ("core action in a rolling window", Someone(times(6, "report_created")), TRUE),
    ("core action in a rolling window", Someone(times(5, "report_created")), FALSE),
    ("core action in a rolling window", Someone(did(7 * DAY, 5, 4, 3, 2, 1, event="report_created")), FALSE),
    ("more invited than the plan allows", Someone(times(6, "teammate_invited"), {"seats_limit": 5}), TRUE),
    ("more invited than the plan allows", Someone(times(5, "teammate_invited"), {"seats_limit": 5}), FALSE),
    ("more invited than the plan allows", Someone(times(6, "teammate_invited")), MISSING),
    (
        "mature and engaged every week",
        Someone(did(*WEEKLY, event="session_started"), {"created_at": DATE_61}),
        TRUE,
    ),
    (
        "mature and engaged every week",
        Someone(did(*WEEKLY[1:], event="session_started"), {"created_at": DATE_61}),
        FALSE,
    ),
    (
        "mature and engaged every week",
        Someone(did(*WEEKLY, event="session_started"), {"created_at": "2026-01-14T00:00:00Z"}),
        FALSE,
    ),
    ("starter limit segment", Someone(did(21 * DAY - 1, 0, event=LIMIT), STARTER), TRUE),
    ("starter limit segment", Someone(did(21 * DAY, 0, event=LIMIT), STARTER), FALSE),
    ("starter limit segment", Someone(times(2, LIMIT), {**STARTER, "account_age_days": 30}), FALSE),
    ("had the upgrade mail", Someone(received=(("upsell", 30 * DAY - 1),)), TRUE),
    ("had the upgrade mail", Someone(received=(("upsell", 30 * DAY), ("other", 0))), FALSE),
    ("plan below pro", Someone(traits={"current_plan": "starter"}), TRUE),
    ("plan below pro", Someone(traits={"current_plan": "pro"}), FALSE),
    ("plan below pro", Someone(), FALSE),
    ("was in the journey lately", Someone(entered={"prior": 30 * DAY - 1}), TRUE),
    ("was in the journey lately", Someone(entered={"prior": 30 * DAY}), FALSE),
    ("was in the journey lately", Someone(entered={"asking": 0}), FALSE),
    ("account above the ACV threshold", Someone(account={"acv": 5000}), TRUE),
    ("account above the ACV threshold", Someone(account={"acv": 4999.99}), FALSE),
    ("third order", Someone(did(900 * DAY, 400 * DAY, 0, event=ORDER)), TRUE),
    ("third order", Someone(times(2, ORDER)), FALSE),
    ("third order", Someone(times(4, ORDER)), FALSE),
    ("third order", Someone((*times(3, ORDER), Did("page"))), FALSE),
    ("two orders in a month", Someone(did(30 * DAY - 1, 0, event=ORDER)), TRUE),
    ("two orders in a month", Someone(did(30 * DAY, 0, event=ORDER)), FALSE),
    ("three orders ever", Someone(did(900 * DAY, 800 * DAY, 0, event=ORDER)), TRUE),
    ("three orders ever", Someone(times(2, ORDER)), FALSE),
    ("two orders in 45 days", Someone(did(45 * DAY - 1, 0, event=ORDER)), TRUE),
    ("two orders in 45 days", Someone(did(45 * DAY, 0, event=ORDER)), FALSE),
    (
        "subscriber who buys add-ons",
        Someone(times(1, ORDER, type="one_time"), {"subscription_status": "active"}),
        TRUE,
    ),
    (
        "subscriber who buys add-ons",
        Someone(times(1, ORDER, type="renewal"), {"subscription_status": "active"}),
        FALSE,
    ),
    (
        "subscriber who buys add-ons",
        Someone(times(1, ORDER, type="one_time"), {"subscription_status": "paused"}),
        FALSE,
    ),
    ("repeat purchase of one product", Someone(did(40 * DAY - 1, 0, event=ORDER, items=["d3", "tea"])), TRUE),
    ("repeat purchase of one product", Someone(did(40 * DAY, 0, event=ORDER, items=["d3"])), FALSE),
    (
        "repeat purchase of one product",
        Someone(times(2, ORDER, items=["d3"]), {"subscriptions": ["tea", "d3"]}),
        FALSE,
    ),
    (
        "repeat purchase of one product",
        Someone((*did(90 * DAY - 1, event=ORDER, items=["essentials"]), *times(2, ORDER, items=["d3"]))),
        FALSE,
    ),
    (
        "repeat purchase of one product",
        Someone((*did(90 * DAY, event=ORDER, items=["essentials"]), *times(2, ORDER, items=["d3"]))),
        TRUE,
    ),
    ("recent and frequent", Someone(traits={"orders_count": 3, "last_order_date": "2026-01-30"}), TRUE),
    ("recent and frequent", Someone(traits={"orders_count": 3, "last_order_date": "2026-01-28"}), FALSE),
    ("recent by its orders", Someone(did(45 * DAY - 1, event=ORDER)), TRUE),
    ("recent by its orders", Someone(did(45 * DAY, event=ORDER)), FALSE),
    ("recent by its orders", Someone(), MISSING),
    (
        "refunds most of what it buys",
        Someone(did(DAY, 0, event="order_refunded", amount=25.5), {"lifetime_value": 100}),
        TRUE,
    ),
    (
        "refunds most of what it buys",
        Someone(did(DAY, 0, event="order_refunded", amount=25), {"lifetime_value": 100}),
        FALSE,
    ),
    ("buys from a category", Someone(did(90 * DAY - 1, event=ORDER, category="coffee")), TRUE),
    ("buys from a category", Someone(did(0, event=ORDER, category="tea")), FALSE),
    (
        "high value of its orders",
        Someone((Did(ORDER, 1, {"revenue": 100}), Did(ORDER, 0, {"revenue": 60}))),
        TRUE,
    ),
    (
        "high value of its orders",
        Someone((Did(ORDER, 1, {"revenue": 99}), Did(ORDER, 0, {"revenue": 60}))),
        FALSE,
    ),
    ("high value of its orders", Someone(times(1, ORDER)), MISSING),
    ("no open support issue", Someone(), TRUE),
    ("no open support issue", Someone(traits={"support_issue": True}), FALSE),
    ("one series per fortnight", Someone(entered={"prior": 14 * DAY}), TRUE),
    ("one series per fortnight", Someone(entered={"prior": 14 * DAY - 1}), FALSE),
    ("all milestones", Someone(tuple(map(Did, ("invited", "integrated", "published")))), TRUE),
    ("all milestones", Someone(tuple(map(Did, ("invited", "integrated")))), FALSE),
    ("stuck before the first milestone", Someone((Did("signed_up", 3 * DAY),)), TRUE),
    ("stuck before the first milestone", Someone((Did("signed_up", 3 * DAY - 1),)), FALSE),
    ("stuck before the first milestone", Someone((Did("signed_up", 3 * DAY), Did("invited"))), FALSE),
    (
        "usage fell within 14 days",
        Someone((*times(10, "session_started", first=15 * DAY), *times(5, "session_started"))),
        TRUE,
    ),
    (
        "usage fell within 14 days",
        Someone((*times(10, "session_started", first=15 * DAY), *times(6, "session_started"))),
        FALSE,
    ),
    ("usage fell within 14 days", Someone(times(5, "session_started")), MISSING),
    (
        "usage is normal again",
        Someone((*times(10, "session_started", first=15 * DAY), *times(9, "session_started"))),
        TRUE,
    ),
    (
        "usage is normal again",
        Someone((*times(10, "session_started", first=15 * DAY), *times(8, "session_started"))),
        FALSE,
    ),
    ("key user offboarded", Someone(times(1, "user_removed", role="champion")), TRUE),
    ("key user offboarded", Someone(times(1, "user_removed", role="viewer")), FALSE),
    ("mood of support fell", Someone(times(2, "ticket_rated", sentiment=-0.5)), TRUE),
    ("mood of support fell", Someone(times(2, "ticket_rated", sentiment=-0.2)), FALSE),
    ("hits a paywall again and again", Someone(times(3, "paywall_encountered")), TRUE),
    ("hits a paywall again and again", Someone(times(2, "paywall_encountered")), FALSE),
    ("revenue above the threshold", Someone(account={"mrr": 500}), TRUE),
    ("revenue above the threshold", Someone(account={"mrr": 499}), FALSE),
    ("has not logged in for two weeks", Someone(did(14 * DAY, event="session_started")), TRUE),
    ("has not logged in for two weeks", Someone(did(14 * DAY - 1, event="session_started")), FALSE),
    (
        "80 % of the quota of the billing period",
        Someone(times(8, "api_called", calls=100), {"billing_anchor": "2025-11-14", "api_quota": 1000}),
        TRUE,
    ),
    (
        "80 % of the quota of the billing period",
        Someone(
            (*times(1, "api_called", first=11 * HOUR, calls=100), *times(7, "api_called", calls=100)),
            {"billing_anchor": "2025-11-14", "api_quota": 1000},
        ),
        FALSE,  # the first of them was before midnight, in the period before
    ),
    ("80 % of the quota of the billing period", Someone(times(9, "api_called", calls=100)), MISSING),
    (
        "logs in more than 3 times each week",
        Someone(tuple(one for week in (3, 2, 1, 0) for one in times(4, "login", first=week * 7 * DAY))),
        TRUE,
    ),
    (
        "logs in more than 3 times each week",
        Someone(
            tuple(
                one
                for week in (3, 2, 1, 0)
                for one in times(3 if week == 2 else 5, "login", first=week * 7 * DAY)
            )
        ),
        FALSE,
    ),
    (
        "free and at the paywall",
        Someone(traits={"current_plan": "free", "paywalled_feature_attempts": 3}),
        TRUE,
    ),
    (
        "free and at the paywall",
        Someone(traits={"current_plan": "free", "paywalled_feature_attempts": 2}),
        FALSE,
    ),
    ("starter and short of storage", Someone(traits={**STARTER, "storage_used_pct": 80}), TRUE),
    ("starter and short of storage", Someone(traits={**STARTER, "storage_used_pct": 79}), FALSE),
    ("starter without a free seat", Someone(traits={**STARTER, "seats_used": 5, "seats_limit": 5}), TRUE),
    ("starter without a free seat", Someone(traits={**STARTER, "seats_used": 4, "seats_limit": 5}), FALSE),
    ("starter without a free seat", Someone(traits={**STARTER, "seats_used": 4}), MISSING),
    ("starter with five seats", Someone(traits={**STARTER, "seats_used": 5}), TRUE),
    ("starter with five seats", Someone(traits={**STARTER, "seats_used": 4}), FALSE),
    ("prompted in the last 14 days", Someone(traits={"last_upgrade_prompt_seen": "2026-03-01"}), TRUE),
    (
        "prompted in the last 14 days",
        Someone(traits={"last_upgrade_prompt_seen": "2026-02-28T10:02:00Z"}),
        FALSE,
    ),
    ("prompted in the last 14 days", Someone(), MISSING),
    ("not the highest plan", Someone(), TRUE),
    ("not the highest plan", Someone(traits={"current_plan": "enterprise"}), FALSE),
    ("shares, or exports", Someone(times(2, "collaborator_invited")), TRUE),
    ("shares, or exports", Someone(times(1, "collaborator_invited")), FALSE),
    ("shares, or exports", Someone(times(1, "data_exported")), TRUE),
    (
        "knows all core features",
        Someone(tuple(Did("onboarding_completed", 0, {"feature": name}) for name in ("a", "b", "c"))),
        TRUE,
    ),
    (
        "knows all core features",
        Someone(tuple(Did("onboarding_completed", 0, {"feature": name}) for name in ("a", "b", "a"))),
        FALSE,
    ),
    ("ten reports", Someone(times(10, "report_created", every=100 * DAY)), TRUE),
    ("ten reports", Someone(times(9, "report_created")), FALSE),
    ("reports reach ten", Someone(times(10, "report_created", every=100 * DAY)), TRUE),
    ("reports reach ten", Someone(times(9, "report_created")), FALSE),
    ("reports reach ten", Someone(times(11, "report_created")), FALSE),
    ("projects at the free cap", Someone(traits={"projects_count": 3}), TRUE),
    ("projects at the free cap", Someone(traits={"projects_count": 2}), FALSE),
    ("ready for pro", Someone(times(9, "report_created"), {"plan": "free", "account_age_days": 15}), TRUE),
    ("ready for pro", Someone(times(8, "report_created"), {"plan": "free", "account_age_days": 15}), FALSE),
    ("ready for pro", Someone(times(9, "report_created"), {"plan": "free", "account_age_days": 14}), FALSE),
    ("team expansion", Someone(traits={**STARTER, "users_invited": 4}, account={"seat_count": 9}), TRUE),
    ("team expansion", Someone(traits={**STARTER, "users_invited": 3}, account={"seat_count": 9}), FALSE),
    ("team expansion", Someone(traits={**STARTER, "users_invited": 4}, account={"seat_count": 10}), FALSE),
    ("team expansion", Someone(traits={**STARTER, "users_invited": 4}), MISSING),  # company data incomplete
    ("large company", Someone(account={"employee_count": 200}), TRUE),
    ("large company", Someone(account={"employee_count": 199}), FALSE),
    ("reports of this month", Someone(times(9, "report_created", every=DAY)), TRUE),
    ("reports of this month", Someone(times(9, "report_created", every=2 * DAY)), FALSE),  # some in February
    ("saw the upgrade page", Someone(did(3 * DAY - 1, event="page", path="/upgrade/pro")), TRUE),
    ("saw the upgrade page", Someone(did(3 * DAY, event="page", path="/upgrade/pro")), FALSE),
    ("saw the upgrade page", Someone(did(0, event="page", path="/home")), FALSE),
    ("not on the pricing page", Someone(did(14 * DAY, event="page", path="/pricing")), TRUE),
    ("not on the pricing page", Someone(did(14 * DAY - 1, event="page", path="/pricing")), FALSE),
    ("renews in the next month", Someone(traits={"renews_on": "2026-04-13"}), TRUE),
    ("renews in the next month", Someone(traits={"renews_on": "2026-04-14"}), FALSE),
    ("renews in the next month", Someone(traits={"renews_on": "2026-03-14"}), FALSE),
]


@pytest.mark.parametrize(("name", "who", "expected"), CASES)
def test_a_definition_finds_whom_it_means(name: str, who: Someone, expected: Outcome) -> None:
    """Met, and at each of its edges not."""
    assert outcome(DEFINITIONS[name], who) is expected


def test_every_definition_is_tried_and_both_met_and_missed() -> None:
    """One that is always true would be no definition; sustained traits have tests of their own."""
    for name in DEFINITIONS.keys() - {"near the limit for a week"}:
        found = {expected for tried, _, expected in CASES if tried == name}
        assert TRUE in found, name
        assert FALSE in found, name


MEMBERS: Definition = {"members": LIMIT, "within": "14d", "gte": 3}
SEATS: Definition = {"sum": "seats", "of": "seats_requested", "within": "30d", "gt": 10}


@pytest.mark.parametrize(
    ("definition", "who", "expected"),
    [
        (
            MEMBERS,
            Someone(
                tuple(Did(LIMIT, age, {}, user) for user, age in (("a", 14 * DAY - 1), ("b", 1), ("c", 0)))
            ),
            TRUE,
        ),
        (
            MEMBERS,
            Someone(tuple(Did(LIMIT, age, {}, user) for user, age in (("a", 14 * DAY), ("b", 1), ("c", 0)))),
            FALSE,
        ),
        (
            MEMBERS,
            Someone(tuple(Did(LIMIT, age, {}, user) for user, age in (("a", 2), ("b", 1), ("a", 0)))),
            FALSE,
        ),
        (
            SEATS,
            Someone(tuple(Did("seats_requested", 0, {"seats": 4}, user) for user in ("a", "b", "a"))),
            TRUE,
        ),
        (SEATS, Someone(tuple(Did("seats_requested", 0, {"seats": 5}, user) for user in ("a", "b"))), FALSE),
    ],
)
def test_an_account_is_found_by_what_all_its_members_did(
    definition: Definition, who: Someone, expected: Outcome
) -> None:
    """Distinct members, and sums over them."""
    assert outcome(definition, who, subject="account") is expected
