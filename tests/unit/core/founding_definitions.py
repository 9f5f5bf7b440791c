"""The signals, segments and thresholds that the project was founded on, as definitions by name."""

from __future__ import annotations

from typing import Any

Definition = dict[str, Any]

DEFINITIONS: dict[str, Definition] = {
    # usage-triggered eligibility
    "starter at its threshold, not prompted lately": {
        "all": [
            {"trait": "plan", "eq": "starter"},
            {"performed": "usage_threshold_hit", "at_least": 3, "within": "14d"},
            {"not": {"received": {"tag": "upsell"}, "within": "30d"}},
        ]
    },
    "feature gate hit": {"performed": "feature_gate_triggered", "within": "1d"},
    "usage ceiling at 80 %": {"property": "usage_percentage", "gte": 80},
    "usage ceiling reached": {"property": "usage_percentage", "gte": 100},
    "usage of a limit at 80 %": {"trait": "api_calls", "divided_by": {"trait": "api_limit"}, "gte": 0.8},
    "core action in a rolling window": {"count": "report_created", "within": "7d", "gt": 5},
    "more invited than the plan allows": {
        "count": "teammate_invited",
        "within": "lifetime",
        "gt": {"trait": "seats_limit"},
    },
    "mature and engaged every week": {
        "all": [
            {"trait": "created_at", "older_than": "60d"},
            {"performed": "session_started", "within": "7d", "each_of_last": 8},
        ]
    },
    "starter limit segment": {
        "all": [
            {"trait": "plan", "eq": "starter"},
            {"trait": "account_age_days", "gt": 30},
            {"performed": "plan_limit_reached", "at_least": 2, "within": "21d"},
        ]
    },
    "had the upgrade mail": {"received": {"tag": "upsell"}, "within": "30d"},
    "plan below pro": {"trait": "current_plan", "not_in": ["pro", "enterprise"], "if_missing": "fail"},
    "was in the journey lately": {"enrolled": {"journey": "prior"}, "within": "30d"},
    "account above the ACV threshold": {"account": {"trait": "acv", "gte": 5000}},
    # orders and subscriptions
    "third order": {"performed": "order_completed", "reaches": 3, "within": "lifetime"},
    "two orders in a month": {"performed": "order_completed", "at_least": 2, "within": "30d"},
    "three orders ever": {"performed": "order_completed", "at_least": 3, "within": "lifetime"},
    "two orders in 45 days": {"performed": "order_completed", "at_least": 2, "within": "45d"},
    "subscriber who buys add-ons": {
        "all": [
            {"trait": "subscription_status", "eq": "active"},
            {"performed": "order_completed", "within": "lifetime", "where": {"type": "one_time"}},
        ]
    },
    "repeat purchase of one product": {
        "all": [
            {
                "performed": "order_completed",
                "at_least": 2,
                "within": "40d",
                "where": {"items": {"contains": "d3"}},
            },
            {"not": {"trait": "subscriptions", "contains": "d3", "if_missing": "fail"}},
            {
                "performed": "order_completed",
                "at_most": 0,
                "within": "90d",
                "where": {"items": {"contains": "essentials"}},
            },
        ]
    },
    "recent and frequent": {
        "all": [{"trait": "orders_count", "gte": 3}, {"trait": "last_order_date", "younger_than": "45d"}]
    },
    "recent by its orders": {"last": "order_completed", "younger_than": "45d"},
    "refunds most of what it buys": {
        "sum": "amount",
        "of": "order_refunded",
        "within": "lifetime",
        "divided_by": {"trait": "lifetime_value"},
        "gt": 0.5,
    },
    "buys from a category": {
        "performed": "order_completed",
        "at_least": 1,
        "within": "90d",
        "where": {"category": {"in": ["coffee", "filters"]}},
    },
    "high value of its orders": {"average": "revenue", "of": "order_completed", "within": "90d", "gte": 80},
    "no open support issue": {"trait": "support_issue", "ne": True, "if_missing": "pass"},
    "one series per fortnight": {"not": {"enrolled": {"tag": "upsell"}, "within": "14d"}},
    # activation, decline, expansion
    "all milestones": {
        "all": [{"performed": name, "within": "lifetime"} for name in ("invited", "integrated", "published")]
    },
    "stuck before the first milestone": {
        "all": [
            {"first": "signed_up", "older_than": "3d"},
            {"performed": "invited", "at_most": 0, "within": "lifetime"},
        ]
    },
    "usage fell within 14 days": {"count": "session_started", "within": "14d", "trend": {"lte": 0.5}},
    "usage is normal again": {"count": "session_started", "within": "14d", "trend": {"gte": 0.9}},
    "key user offboarded": {"performed": "user_removed", "within": "7d", "where": {"role": "champion"}},
    "mood of support fell": {"average": "sentiment", "of": "ticket_rated", "within": "30d", "lt": -0.2},
    "hits a paywall again and again": {"performed": "paywall_encountered", "at_least": 3, "within": "30d"},
    "revenue above the threshold": {"account": {"trait": "mrr", "gte": 500}},
    "has not logged in for two weeks": {"last": "session_started", "older_than": "14d"},
    "near the limit for a week": {
        "sustained": {"trait": "usage_percentage", "gte": 80},
        "for": "7d",
    },
    # quotas, weeks, fields against fields
    "80 % of the quota of the billing period": {
        "sum": "calls",
        "of": "api_called",
        "within": "billing_period",
        "divided_by": {"trait": "api_quota"},
        "gte": 0.8,
    },
    "logs in more than 3 times each week": {
        "performed": "login",
        "at_least": 4,
        "within": "7d",
        "each_of_last": 4,
    },
    "free and at the paywall": {
        "all": [
            {"trait": "current_plan", "eq": "free"},
            {"trait": "paywalled_feature_attempts", "gte": 3},
        ]
    },
    "starter and short of storage": {
        "all": [{"trait": "current_plan", "eq": "starter"}, {"trait": "storage_used_pct", "gte": 80}]
    },
    "starter without a free seat": {
        "all": [
            {"trait": "current_plan", "eq": "starter"},
            {"trait": "seats_used", "gte": {"trait": "seats_limit"}},
        ]
    },
    "starter with five seats": {
        "all": [{"trait": "current_plan", "eq": "starter"}, {"trait": "seats_used", "gte": 5}]
    },
    "prompted in the last 14 days": {"trait": "last_upgrade_prompt_seen", "younger_than": "14d"},
    "not the highest plan": {"trait": "current_plan", "ne": "enterprise", "if_missing": "pass"},
    "shares, or exports": {
        "any": [
            {"performed": "collaborator_invited", "at_least": 2, "within": "30d"},
            {"performed": "data_exported", "within": "30d"},
        ]
    },
    "knows all core features": {
        "distinct": "feature",
        "of": "onboarding_completed",
        "within": "lifetime",
        "gte": 3,
    },
    # counters and company data
    "ten reports": {"performed": "report_created", "at_least": 10, "within": "lifetime"},
    "reports reach ten": {"performed": "report_created", "reaches": 10, "within": "lifetime"},
    "projects at the free cap": {"trait": "projects_count", "gte": 3},
    "ready for pro": {
        "all": [
            {"trait": "plan", "eq": "free"},
            {"count": "report_created", "within": "lifetime", "gt": 8},
            {"trait": "account_age_days", "gt": 14},
        ]
    },
    "team expansion": {
        "all": [
            {"trait": "plan", "eq": "starter"},
            {"trait": "users_invited", "gt": 3},
            {"account": {"trait": "seat_count", "lt": 10}},
        ]
    },
    "large company": {"account": {"trait": "employee_count", "gte": 200}},
    "reports of this month": {"count": "report_created", "within": "this_month", "gte": 9},
    "saw the upgrade page": {
        "performed": "page",
        "within": "3d",
        "where": {"path": {"starts_with": "/upgrade"}},
    },
    "not on the pricing page": {
        "performed": "page",
        "at_most": 0,
        "within": "14d",
        "where": {"path": "/pricing"},
    },
    "renews in the next month": {"trait": "renews_on", "in_next": "30d"},
}
