"""Conditions on objects at their edges: how many are related, in which time, what is known of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.workspace import Journey, ObjectType, Workspace
from tests.unit.core.kit import DAY, START, journey
from tests.unit.core.objects.test_objects import order
from tests.unit.signals.object_kit import TYPES
from workers.core.compile import compile_workspace
from workers.core.conditions.outcome import Outcome
from workers.core.facts import Moment, SubjectFacts
from workers.core.journeys.progress import Progress
from workers.core.objects.facts import ObjectFacts
from workers.core.objects.row import Relations, fill

TRUE, FALSE, MISSING = Outcome.TRUE, Outcome.FALSE, Outcome.MISSING
KNOWN: dict[tuple[str, str], dict[str, Any]] = {
    ("product", "beans"): {"category": "coffee", "price": 12, "in_stock": True, "collection": "c1"},
    ("product", "filters"): {"category": "coffee", "price": 4, "in_stock": False, "launched": "2026-03-01"},
    ("product", "leaves"): {"category": "tea", "collection": "c2"},
    ("collection", "c1"): {"tier": "premium"},
}
EVENTS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("Order Completed", 100, order("o1", ("beans", 2))),
    ("Order Completed", 30, order("o2", ("filters", 1), ("leaves", 3))),
    ("Order Completed", 10, order("o3", ("beans", 1), ("unknown", 1))),
    ("Order Completed", 5, order("o4", ("gone", 1))),
    ("Order Refunded", 4, {"order_id": "o4"}),
    ("Product Added to Wishlist", 3, {"product_id": "beans"}),
    ("Subscription Started", 50, {"plan": "pro", "subscription_id": "s"}),
    ("Subscription Paused", 20, {"subscription_id": "s"}),
    ("Subscription Started", 60, {"plan": "old", "subscription_id": "t"}),
    ("Subscription Cancelled", 40, {"subscription_id": "t"}),
)
"""What somebody did, and how many days ago."""


def asked(plain: dict[str, Any]) -> tuple[Any, Moment]:
    """The condition, and the moment at which it is asked of somebody who did all this."""
    entry = {"on": {"event": "limit"}, "require": [plain]}
    types = tuple(ObjectType.model_validate(one) for one in TYPES)
    model = Journey.model_validate(journey("asking", entry=entry))
    plan = compile_workspace(Workspace(name="test", journeys=(model,), objects=types))
    relations = Relations()
    for event, days_ago, properties in EVENTS:
        for one in plan.user.objects.fills.get(event, ()):
            fill(one, relations, properties, START - days_ago * DAY)
    known = ObjectFacts(relations, plan.user.objects, plan.types, lambda *one: KNOWN.get(one, {}))
    facts = SubjectFacts(START, objects=known, traits={"budget": 10})
    properties = {"product_id": "beans", "number": 7, "others": ["filters", "leaves"]}
    return plan.user.journeys["asking"].require[0], Moment(facts, Progress("u"), START, properties=properties)


def related(**which: Any) -> dict[str, Any]:
    """Of products that were purchased, unless it says otherwise."""
    return {"related": {"object": "product", "relationship": "purchased", **which}}


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (related(), TRUE),
        (related() | {"at_least": 4}, TRUE),
        (related() | {"at_least": 5}, FALSE),  # what was refunded is not owned
        (related(id="gone"), FALSE),
        (related(id="beans"), TRUE),
        (related(id=["gone", "beans"]), TRUE),
        (related(id=["gone", "beans"]) | {"at_least": 2}, FALSE),
        # "has bought in category X"
        (related(where={"category": "coffee"}) | {"at_least": 2}, TRUE),
        (related(where={"category": "tea"}), TRUE),
        (related(where={"category": "milk"}), MISSING),  # of one the category is not known
        (related(where={"category": {"eq": "milk", "if_missing": "fail"}}), FALSE),
        (related(where={"category": "coffee"}) | {"at_least": 3}, MISSING),
        (related(where={"category": "coffee"}) | {"at_least": 4}, FALSE),  # it could be three at most
        (related(where={"category": "coffee"}) | {"at_most": 2}, MISSING),
        (related(where={"category": "coffee"}) | {"at_most": 1}, FALSE),
        (related(where={"category": "coffee"}) | {"at_most": 3}, TRUE),
        (related(where={"category": "coffee", "price": {"gt": 5}}), TRUE),
        (related(where={"price": {"gte": {"trait": "budget"}}}), TRUE),
        (related(where={"launched": {"younger_than": "30d"}}), TRUE),
        # an object that another names
        (related(where={"collection.tier": "premium"}), TRUE),
        (related(where={"collection": "c2"}), TRUE),
        (related(where={"collection.tier": {"eq": "basic", "if_missing": "fail"}}), FALSE),
        # in a span: "has not bought the bundle in 90 days"
        (related(id="beans") | {"within": "10d"}, FALSE),  # exactly ten days ago has left it
        (related(id="beans") | {"within": "11d"}, TRUE),
        (related(id="filters") | {"within": "30d", "at_most": 0}, TRUE),
        (related(id="filters") | {"within": "31d", "at_most": 0}, FALSE),
        (related(id="gone") | {"within": "90d", "at_most": 0}, TRUE),
        # how much
        (related(id="beans", quantity={"gte": 3}), TRUE),
        (related(id="beans", quantity={"gt": 3}), FALSE),
        (related(id="beans", quantity={"gte": 3}) | {"within": "90d"}, FALSE),
        (related(quantity={"gte": 3}) | {"at_least": 2}, TRUE),
        (related(quantity={"lt": 2}) | {"at_least": 3}, FALSE),
        # "already owns": what the trigger is about
        (related(id={"property": "product_id"}), TRUE),
        (related(id={"property": "others"}) | {"at_least": 2}, TRUE),
        (related(id={"property": "number"}), FALSE),
        (related(id={"property": "nothing"}), MISSING),
        (related(relationship="wishlisted"), TRUE),
        (related(relationship="wishlisted", id="filters"), FALSE),
        ({"related": {"object": "product"}, "at_least": 5}, FALSE),  # beans are related in two ways
        ({"related": {"object": "product"}, "at_least": 4}, TRUE),
        # a status
        ({"related": {"object": "plan"}, "at_least": 2}, FALSE),  # one has ended
        ({"related": {"object": "plan", "status": "paused"}}, TRUE),
        ({"related": {"object": "plan", "status": "active"}}, FALSE),
        ({"related": {"object": "plan", "status": ["cancelled", "paused"]}, "at_least": 2}, TRUE),
        ({"related": {"object": "plan", "status": "paused"}, "within": "20d"}, FALSE),
        ({"related": {"object": "plan", "status": "paused"}, "within": "21d"}, TRUE),
        # what one object is like
        ({"object": "product", "id": {"property": "product_id"}, "where": {"in_stock": True}}, TRUE),
        ({"object": "product", "id": "filters", "where": {"in_stock": True}}, FALSE),
        ({"object": "product", "id": "leaves", "where": {"in_stock": True}}, MISSING),
        (
            {"object": "product", "id": "nowhere", "where": {"in_stock": {"eq": True, "if_missing": "fail"}}},
            FALSE,
        ),
        ({"object": "product", "id": {"property": "nothing"}, "where": {"in_stock": True}}, MISSING),
        ({"object": "product", "id": {"property": "others"}, "where": {"in_stock": True}}, MISSING),
        ({"object": "product", "id": "beans", "where": {"collection.tier": "premium"}}, TRUE),
    ],
)
def test_a_condition_says(plain: dict[str, Any], expected: Outcome) -> None:
    """True, false, or missing where what is not known would decide."""
    condition, moment = asked(plain)
    assert condition.test(moment, {}) is expected


@pytest.mark.parametrize(
    ("plain", "changes_in_ms"),
    [
        (related(id="beans"), None),
        (related(id="beans") | {"within": "11d"}, DAY),
        (related(id="beans") | {"within": "101d"}, DAY),  # the older of two: perhaps too early
        (related(id="filters") | {"within": "90d", "at_most": 0}, 60 * DAY),
        (related(id="filters") | {"within": "20d"}, None),
        ({"related": {"object": "plan", "status": "paused"}, "within": "21d"}, DAY),
        (related(id="filters", where={"launched": {"younger_than": "30d"}}), 1_774_915_200_000 - START),
    ],
)
def test_time_alone_changes_it_when_it_is_told(plain: dict[str, Any], changes_in_ms: int | None) -> None:
    """Never later than the outcome does."""
    condition, moment = asked(plain)
    changes_at_ms = condition.changes_at_ms(moment)
    assert changes_at_ms == (None if changes_in_ms is None else START + changes_in_ms)
    if changes_in_ms is not None:
        before = replace(moment, now_ms=START + changes_in_ms - 1)
        assert condition.test(before, {}) is condition.test(moment, {})


def test_a_decision_notes_what_it_saw() -> None:
    """How many there are, by a name that people understand."""
    condition, moment = asked(related(where={"category": "coffee"}) | {"within": "90d"})
    values: dict[str, Any] = {}
    condition.test(moment, values)
    assert values == {"related product by purchased where category eq coffee within 90d": 2}
    assert condition.label.endswith("within 90d at_least 1")


@pytest.mark.parametrize(
    ("plain", "told"),
    [
        (related() | {"at_least": 3, "at_most": 2}, "no count is at_least 3 and at_most 2"),
        (related(status="active", quantity={"gt": 1}), "ask for one of them"),
        (related(id=[]), "1 to 100 ids are expected"),
        (related(id=""), "an object's id is a text"),
        (related(id=True), "an object's id is a text"),
        (related(where={}), "at least 1 item"),
        ({"object": "product", "id": ["a", "b"], "where": {"in_stock": True}}, "one object is meant"),
        ({"object": "product", "where": {"in_stock": True}}, "Field required"),
    ],
)
def test_what_means_nothing_is_refused(plain: dict[str, Any], told: str) -> None:
    """With what would."""
    with pytest.raises(ValueError, match=told):
        asked(plain)
