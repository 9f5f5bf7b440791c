"""What events do to relationships with objects, and what is left of them."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from schemas.workspace import Fill
from tests.unit.core.kit import DAY, START
from workers.core.objects.plan import fill_plan
from workers.core.objects.row import (
    GROUPS_MAX,
    LINES_MAX,
    Held,
    Relations,
    RelationshipPlan,
    fill,
    held,
    merge_relations,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

PURCHASED = RelationshipPlan("product", "purchased", counted=True, keep=100, single=False)
SUBSCRIBED = RelationshipPlan("plan", "subscribed_to", counted=False, keep=100, single=False)
ITEMS = {
    "each": ["products", "items"],
    "id": ["product_id", "sku"],
    "quantity": "quantity",
    "key": "order_id",
}
FILLS: dict[str, dict[str, Any]] = {
    "completed": {**ITEMS, "event": "completed"},
    "refunded": {**ITEMS, "event": "refunded", "does": "take_back"},
    "viewed": {"event": "viewed", "id": "product_id"},
    "removed": {"event": "removed", "id": "product_id", "does": "take_back"},
    "started": {"event": "started", "id": "plan", "key": "sub", "does": "set", "status": "active"},
    "paused": {"event": "paused", "id": "plan", "key": "sub", "does": "set", "status": "paused"},
    "cancelled": {"event": "cancelled", "id": "plan", "key": "sub", "does": "end", "status": "cancelled"},
}
STATUS = ("started", "paused", "cancelled")

Event = tuple[str, int, dict[str, Any]]
"""What happened, how many days after START, with which properties."""


def after(events: Sequence[Event], relations: Relations | None = None) -> Relations:
    """The row after these events arrived in this order."""
    relations = relations or Relations()
    for name, day, properties in events:
        plan = SUBSCRIBED if name in STATUS else PURCHASED
        fill(fill_plan(Fill.model_validate(FILLS[name]), plan), relations, properties, START + day * DAY)
    return relations


def left(relations: Relations) -> dict[str, float]:
    """How much of what is left."""
    return {one.id: one.quantity for one in held(relations, PURCHASED)}


def statuses(relations: Relations) -> dict[str, tuple[str, bool, int]]:
    """Status, whether it ended, and since which day."""
    return {
        one.id: (one.status, one.ended, (one.at_ms - START) // DAY) for one in held(relations, SUBSCRIBED)
    }


def order(number: Any, *items: tuple[str, Any], **more: Any) -> dict[str, Any]:
    """The properties of an order; a quantity of None is left out."""
    products = [
        {"product_id": name} | ({} if quantity is None else {"quantity": quantity})
        for name, quantity in items
    ]
    return {"order_id": number, "products": products, **more}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("completed", 0, order("o1", ("a", 2), ("b", 1)))], {"a": 2, "b": 1}),
        ([("completed", 0, order("o1", ("a", None)))], {"a": 1}),
        ([("completed", 0, order("o1", ("a", 1), ("a", 2)))], {"a": 3}),  # two lines of one product
        ([("completed", 0, order("o1", ("a", 2)))] * 2, {"a": 2}),  # told twice under other message ids
        ([("completed", 0, order("o1", ("a", 2))), ("completed", 1, order("o2", ("a", 1)))], {"a": 3}),
        ([("completed", 0, order("o1", ("a", 0), ("b", -1), ("", 1)))], {}),
        ([("completed", 0, order("o1", ("a", "2")))], {"a": 1}),  # not a number: as if it did not say
        ([("completed", 0, order("o1", (17, 1)))], {"17": 1}),  # type: ignore[arg-type]
        ([("completed", 0, {"order_id": "o1", "items": [{"sku": "s"}]})], {"s": 1}),  # other names
        ([("completed", 0, {"order_id": "o1", "items": ["s", "t", "s"]})], {"s": 2, "t": 1}),  # ids alone
        ([("completed", 0, {"order_id": "o1"})], {}),
        ([("completed", 0, {"order_id": "o1", "products": "a"})], {}),
        ([("completed", 0, order("o1", ("x" * 257, 1)))], {}),
        # what is taken back
        ([("completed", 0, order("o1", ("a", 3))), ("refunded", 1, order("o1", ("a", 1)))], {"a": 2}),
        ([("completed", 0, order("o1", ("a", 3))), ("refunded", 1, order("o1", ("a", 5)))], {}),
        ([("completed", 0, order("o1", ("a", 3))), ("refunded", 1, order("o1", ("a", None)))], {}),
        (
            [
                ("completed", 0, order("o1", ("a", 3))),
                ("refunded", 1, order("o1", ("a", 1))),
                ("refunded", 2, order("o1", ("a", 1))),
            ],
            {"a": 1},
        ),
        (
            # without a list the whole order goes back, and only that
            [
                ("completed", 0, order("o1", ("a", 3), ("b", 1))),
                ("completed", 1, order("o2", ("a", 1))),
                ("refunded", 2, {"order_id": "o1"}),
            ],
            {"a": 1},
        ),
        # a refund of nothing but the delivery has an empty list
        ([("completed", 0, order("o1", ("a", 3))), ("refunded", 1, order("o1"))], {"a": 3}),
        ([("completed", 0, order("o1", ("a", 3))), ("refunded", 1, order("other", ("a", 1)))], {"a": 3}),
        # without an order: off the newest before it
        (
            [
                ("completed", 0, order(None, ("a", 2))),
                ("completed", 2, order(None, ("a", 2))),
                ("refunded", 1, order(None, ("a", 1))),
            ],
            {"a": 3},
        ),
        ([("viewed", 0, {"product_id": "a"}), ("removed", 1, {"product_id": "a"})], {}),
        (
            [
                ("viewed", 0, {"product_id": "a"}),
                ("removed", 1, {"product_id": "a"}),
                ("viewed", 2, {"product_id": "a"}),
            ],
            {"a": 1},
        ),
        ([("viewed", 0, {"product_id": True})], {}),
        ([("refunded", 0, {})], {}),
    ],
)
def test_what_is_left_is_the_same_in_every_order(events: list[Event], expected: dict[str, float]) -> None:
    """Whatever arrives first: a refund before its order, an older order after a newer one."""
    for some in permutations(events):
        assert left(after(some)) == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("started", 0, {"plan": "pro", "sub": "s"})], {"pro": ("active", False, 0)}),
        (
            [("started", 0, {"plan": "pro", "sub": "s"}), ("paused", 1, {"plan": "pro", "sub": "s"})],
            {"pro": ("paused", False, 1)},
        ),
        # an event that names the subscription alone
        (
            [("started", 0, {"plan": "pro", "sub": "s"}), ("paused", 1, {"sub": "s"})],
            {"pro": ("paused", False, 1)},
        ),
        (
            [("started", 0, {"plan": "pro", "sub": "s"}), ("cancelled", 1, {"sub": "s"})],
            {"pro": ("cancelled", True, 1)},
        ),
        (
            [
                ("started", 0, {"plan": "pro", "sub": "s"}),
                ("paused", 1, {"sub": "s"}),
                ("started", 2, {"plan": "pro", "sub": "s"}),
            ],
            {"pro": ("active", False, 2)},
        ),
        # one of two subscriptions to the same plan
        (
            [
                ("started", 0, {"plan": "pro", "sub": "s"}),
                ("started", 1, {"plan": "pro", "sub": "t"}),
                ("cancelled", 2, {"sub": "s"}),
            ],
            {"pro": ("active", False, 1)},
        ),
        # without a subscription's id the plan itself
        (
            [("started", 0, {"plan": "pro"}), ("cancelled", 1, {"plan": "pro"})],
            {"pro": ("cancelled", True, 1)},
        ),
        (
            [("started", 0, {"plan": "pro", "sub": "s"}), ("cancelled", 1, {"plan": "pro"})],
            {"pro": ("cancelled", True, 1)},
        ),
        # at the same moment the end counts
        (
            [("started", 0, {"plan": "pro", "sub": "s"}), ("cancelled", 0, {"plan": "pro", "sub": "s"})],
            {"pro": ("cancelled", True, 0)},
        ),
        ([("cancelled", 0, {"sub": "s"})], {}),
    ],
)
def test_a_status_is_the_same_in_every_order(
    events: list[Event], expected: dict[str, tuple[str, bool, int]]
) -> None:
    """The latest decides, by when it happened, whenever it arrives."""
    for some in permutations(events):
        assert statuses(after(some)) == expected


def test_only_the_newest_counts_of_a_single_relationship() -> None:
    """The last bought; when it is given back, the one before it."""
    last = RelationshipPlan("product", "purchased", counted=True, keep=100, single=True)
    events: list[Event] = [("completed", 0, order("o1", ("a", 1))), ("completed", 1, order("o2", ("b", 1)))]
    assert [one.id for one in held(after(events), last)] == ["b"]
    events.append(("refunded", 2, {"order_id": "o2"}))
    assert [one.id for one in held(after(events), last)] == ["a"]


def test_a_row_does_not_grow_without_end() -> None:
    """Lines are folded, with what is left of them; objects and orders that are oldest are given up."""
    events: list[Event] = [("completed", day, order(f"o{day}", ("a", 2))) for day in range(40)]
    events += [("refunded", 1, order("o39", ("a", 1)))]
    relations = after(events)
    assert len(relations.kept["product.purchased"].objects["a"].lines) == LINES_MAX
    assert left(relations) == {"a": 79}
    many: list[Event] = [("viewed", day, {"product_id": f"p{day}"}) for day in range(101)]
    assert "p0" not in left(after(many))
    assert len(left(after(many))) == 100
    whole: list[Event] = [("refunded", day, {"order_id": f"o{day}"}) for day in range(GROUPS_MAX + 1)]
    groups = after(whole).kept["product.purchased"].groups
    assert (len(groups), "o0" in groups) == (GROUPS_MAX, False)


@pytest.mark.parametrize("at", range(5))
def test_two_who_are_one_have_what_they_had_together(at: int) -> None:
    """As if all events had been theirs: an order on one id, its refund on the other."""
    events: list[Event] = [
        ("completed", 0, order("o1", ("a", 3))),
        ("refunded", 1, order("o1", ("a", 1))),
        ("completed", 0, order("o2", ("b", 1))),
        ("refunded", 2, {"order_id": "o2"}),
        ("viewed", 3, {"product_id": "c"}),
    ]
    plans = {one.path: one for one in (PURCHASED, SUBSCRIBED)}
    merged = merge_relations(after(events[:at]), after(events[at:]), plans)
    assert left(merged) == left(after(events)) == {"a": 2, "c": 1}
    same = merge_relations(after(events[:1]), after(events[:1]), plans)
    assert left(same) == {"a": 3}


def test_what_is_held_tells_when() -> None:
    """Each amount has its time: that of the order, not of what was taken back."""
    events: list[Event] = [
        ("refunded", 5, order("o1", ("a", 1))),
        ("completed", 1, order("o1", ("a", 3))),
        ("completed", 3, order("o2", ("a", 1))),
    ]
    (one,) = held(after(events), PURCHASED)
    assert isinstance(one, Held)
    assert one.amounts == ((START + DAY, 2), (START + 3 * DAY, 1))
