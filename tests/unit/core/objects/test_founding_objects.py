"""What the founding documents say of products, bundles, collections and plans, in the ready-made workspace.

Each is met, and just missed: by one unit, one millisecond, one status.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.workspace import Journey, Workspace
from tests.unit.core.kit import DAY, START, journey
from workers.core.compile import compile_workspace
from workers.core.conditions.outcome import Outcome
from workers.core.facts import Moment, SubjectFacts
from workers.core.journeys.progress import Progress
from workers.core.objects.facts import ObjectFacts
from workers.core.objects.row import Relations, fill
from workers.workspace.files import load_workspace

TRUE, FALSE, MISSING = Outcome.TRUE, Outcome.FALSE, Outcome.MISSING
STORE = load_workspace(Path(__file__).parents[4] / "deploy" / "workspaces" / "store").workspace
KNOWN: dict[tuple[str, str], dict[str, Any]] = {
    ("product", "d3"): {
        "category": "supplements",
        "margin_band": "high",
        "in_stock": True,
        "collection": "daily",
    },
    ("product", "soap"): {"category": "skincare", "margin_band": "low", "in_stock": False},
    ("bundle", "essentials"): {"available": True, "contains": ["d3"]},
    ("collection", "daily"): {"title": "Daily", "tier": "core"},
}
Did = tuple[str, float, dict[str, Any]]


def bought(days_ago: float, *products: str, order: str = "o1", **more: Any) -> Did:
    """An order, so many days ago."""
    items = [{"product_id": one, "quantity": 1, **more} for one in products]
    return ("Order Completed", days_ago, {"order_id": order, "products": items})


ms = 1 / DAY
TWICE_IN_40_DAYS = {
    "related": {"object": "product", "relationship": "purchased", "id": "d3", "quantity": {"gte": 2}},
    "within": "40d",
}
NOT_SUBSCRIBED = {"related": {"object": "subscription_plan", "relationship": "subscribed_to"}, "at_most": 0}
NO_BUNDLE = {
    "related": {"object": "bundle", "relationship": "purchased", "id": "essentials"},
    "within": "90d",
    "at_most": 0,
}
OWNS = {"related": {"object": "product", "relationship": "purchased", "id": {"property": "product_id"}}}
LAST_SUPPLEMENT = {
    "related": {"object": "product", "relationship": "last_bought", "where": {"category": "supplements"}}
}
HIGH_MARGIN = {
    "related": {"object": "product", "relationship": "purchased", "where": {"margin_band": "high"}}
}
COLLECTION = {
    "related": {"object": "product", "relationship": "purchased", "where": {"collection.title": "Daily"}}
}
ACTIVE = {"related": {"object": "subscription_plan", "relationship": "subscribed_to", "status": "active"}}
IN_STOCK = {"object": "product", "id": {"property": "product_id"}, "where": {"in_stock": True}}
AVAILABLE = {"object": "bundle", "id": "essentials", "where": {"available": True}}
VIEWED = {
    "related": {"object": "product", "relationship": "viewed", "where": {"category": "skincare"}},
    "within": "7d",
}
IN_CART = {"related": {"object": "product", "relationship": "in_cart"}}
STARTED = ("Subscription Started", 30, {"plan_id": "monthly", "subscription_id": "s"})


@pytest.mark.parametrize(
    ("plain", "did", "about", "expected"),
    [
        (TWICE_IN_40_DAYS, [bought(40 - ms, "d3"), bought(1, "d3", order="o2")], {}, TRUE),
        (TWICE_IN_40_DAYS, [bought(40, "d3"), bought(1, "d3", order="o2")], {}, FALSE),
        (TWICE_IN_40_DAYS, [bought(9, "d3"), bought(9, "d3")], {}, FALSE),  # the order was told twice
        (
            TWICE_IN_40_DAYS,
            [bought(9, "d3"), bought(1, "d3", order="o2"), ("Order Cancelled", 0, {"order_id": "o2"})],
            {},
            FALSE,
        ),
        (
            # a partial refund: one of two products of the order
            TWICE_IN_40_DAYS,
            [
                bought(9, "d3"),
                bought(5, "d3", "soap", order="o2"),
                ("Order Refunded", 0, {"order_id": "o2", "products": [{"product_id": "soap"}]}),
            ],
            {},
            TRUE,
        ),
        (NOT_SUBSCRIBED, [], {}, TRUE),
        (NOT_SUBSCRIBED, [STARTED], {}, FALSE),
        (NOT_SUBSCRIBED, [STARTED, ("Subscription Paused", 2, {"subscription_id": "s"})], {}, FALSE),
        (NOT_SUBSCRIBED, [STARTED, ("Subscription Cancelled", 2, {"subscription_id": "s"})], {}, TRUE),
        (ACTIVE, [STARTED], {}, TRUE),
        (ACTIVE, [STARTED, ("Subscription Paused", 2, {"subscription_id": "s"})], {}, FALSE),
        (
            ACTIVE,
            [
                STARTED,
                ("Subscription Paused", 2, {"subscription_id": "s"}),
                ("Subscription Resumed", 1, {"subscription_id": "s"}),
            ],
            {},
            TRUE,
        ),
        (NO_BUNDLE, [bought(90, "d3", bundle_id="essentials")], {}, TRUE),
        (NO_BUNDLE, [bought(90 - ms, "d3", bundle_id="essentials")], {}, FALSE),
        (OWNS, [bought(500, "d3")], {"product_id": "d3"}, TRUE),
        (OWNS, [bought(500, "d3")], {"product_id": "soap"}, FALSE),
        (LAST_SUPPLEMENT, [bought(9, "soap"), bought(1, "d3", order="o2")], {}, TRUE),
        (LAST_SUPPLEMENT, [bought(1, "soap"), bought(9, "d3", order="o2")], {}, FALSE),
        (HIGH_MARGIN, [bought(9, "d3")], {}, TRUE),
        (HIGH_MARGIN, [bought(9, "soap")], {}, FALSE),
        (HIGH_MARGIN, [bought(9, "new")], {}, MISSING),
        (COLLECTION, [bought(9, "d3")], {}, TRUE),
        (COLLECTION, [], {}, FALSE),
        (IN_STOCK, [], {"product_id": "d3"}, TRUE),
        (IN_STOCK, [], {"product_id": "soap"}, FALSE),
        (IN_STOCK, [], {"product_id": "new"}, MISSING),
        (AVAILABLE, [], {}, TRUE),
        (VIEWED, [("Product Viewed", 7 - ms, {"product_id": "soap"})], {}, TRUE),
        (VIEWED, [("Product Viewed", 7, {"product_id": "soap"})], {}, FALSE),
        (IN_CART, [("Product Added", 1, {"product_id": "d3"})], {}, TRUE),
        (IN_CART, [("Product Added", 1, {"product_id": "d3"}), bought(0, "d3")], {}, FALSE),
        (
            IN_CART,
            [
                ("Product Added", 1, {"product_id": "d3", "quantity": 2}),
                ("Product Removed", 0, {"product_id": "d3", "quantity": 1}),
            ],
            {},
            TRUE,
        ),
    ],
)
def test_a_definition_is_met_and_just_missed(
    plain: dict[str, Any], did: list[Did], about: dict[str, Any], expected: Outcome
) -> None:
    """Of somebody who did this, with a trigger about that."""
    asking = Journey.model_validate(journey("asking", entry={"on": {"event": "e"}, "require": [plain]}))
    plan = compile_workspace(Workspace(name="w", journeys=(asking,), objects=STORE.objects))
    relations = Relations()
    for event, days_ago, properties in did:
        for one in plan.user.objects.fills.get(event, ()):
            fill(one, relations, properties, START - round(days_ago * DAY))
    known = ObjectFacts(relations, plan.user.objects, plan.types, lambda *one: KNOWN.get(one, {}))
    moment = Moment(SubjectFacts(START, event_properties=about, objects=known), Progress("u"), START)
    (condition,) = plan.user.journeys["asking"].require
    assert condition.test(moment, {}) is expected


def test_the_ready_made_workspace_shows_what_it_keeps() -> None:
    """Templates name a relationship, so it is kept with all that is declared of its objects."""
    plan = compile_workspace(STORE)
    assert set(plan.user.objects.shown) == {"last_bought"}
    assert plan.types.needed["product"] >= {"name", "replenishment_days"}
    assert set(plan.user.objects.changes) == {"product"}
