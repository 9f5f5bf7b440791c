"""Purchases, refunds and subscriptions in any order, against a list of all events that is looked through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.workspace import Fill
from workers.core.objects.plan import fill_plan
from workers.core.objects.row import LINES_MAX, Relations, RelationshipPlan, fill, held, merge_relations

PURCHASED = RelationshipPlan("product", "purchased", counted=True, keep=100, single=False)
SUBSCRIBED = RelationshipPlan("plan", "subscribed_to", counted=False, keep=100, single=False)
PLANS = {one.path: one for one in (PURCHASED, SUBSCRIBED)}
ITEMS = {"each": "items", "id": "id", "quantity": "quantity", "key": "order"}
SUBSCRIPTION = {"id": "plan", "key": "subscription"}


def _fill(plan: RelationshipPlan, does: str, **fields: Any) -> Any:
    return fill_plan(Fill.model_validate({"event": "e", "does": does, **fields}), plan)


BUY = _fill(PURCHASED, "add", **ITEMS)
REFUND = _fill(PURCHASED, "take_back", **ITEMS)
START = _fill(SUBSCRIBED, "set", status="active", **SUBSCRIPTION)
PAUSE = _fill(SUBSCRIBED, "set", status="paused", **SUBSCRIPTION)
CANCEL = _fill(SUBSCRIBED, "end", status="cancelled", **SUBSCRIPTION)

products = st.sampled_from(["a", "b", "c"])
orders = st.sampled_from(["o1", "o2", "o3"])
items = st.lists(st.tuples(products, st.none() | st.integers(1, 3)), max_size=3)


@dataclass(frozen=True)
class Happened:
    """One event: what it does, when, and what it says."""

    what: Any
    at_ms: int
    properties: dict[str, Any]


def _order(order: str, some: list[tuple[str, int | None]] | None) -> dict[str, Any]:
    listed = [{"id": name} | ({} if number is None else {"quantity": number}) for name, number in some or ()]
    return {"order": order} | ({} if some is None else {"items": listed})


trades = st.lists(
    st.builds(
        lambda what, order, some, at: Happened(what, at, _order(order, some)),
        st.sampled_from([BUY, BUY, REFUND]),
        orders,
        items | st.none(),
        st.integers(1, 1_000),
    ),
    max_size=12,
)
subscriptions = st.lists(
    st.builds(
        lambda what, plan, subscription, named: (what, plan, subscription, named),
        st.sampled_from([START, START, PAUSE, CANCEL]),
        st.sampled_from(["pro", "team"]),
        st.sampled_from(["s", "t"]),
        st.booleans(),
    ),
    max_size=8,
).map(
    lambda some: [
        Happened(what, at, {"subscription": key} | ({"plan": plan} if named or what is START else {}))
        for at, (what, plan, key, named) in enumerate(some)
    ]
)


def after(events: list[Happened], relations: Relations | None = None) -> Relations:
    """The row after these events."""
    relations = relations or Relations()
    for one in events:
        fill(one.what, relations, one.properties, one.at_ms)
    return relations


def bought(events: list[Happened]) -> dict[str, tuple[float, frozenset[int]]]:
    """By looking through all: of each order what it had, less what went back of it."""
    left: dict[str, float] = {}
    times: dict[str, set[int]] = {}
    for order in ("o1", "o2", "o3"):
        ours = [one for one in events if one.properties["order"] == order]
        if any(one.what is REFUND and "items" not in one.properties for one in ours):
            continue
        for product in ("a", "b", "c"):
            placed = [(one.at_ms, _said(one, product)) for one in ours if one.what is BUY]
            placed = [(at_ms, said) for at_ms, said in placed if said]
            backs = [_said(one, product) for one in ours if one.what is REFUND]
            if not placed or any(None in back for back in backs):
                continue
            amount = max(sum(1 if number is None else number for number in said) for _, said in placed)
            amount -= sum(number for back in backs for number in back if number is not None)
            if amount > 0:
                left[product] = left.get(product, 0) + amount
                times.setdefault(product, set()).add(min(at_ms for at_ms, _ in placed))
    return {product: (left[product], frozenset(times[product])) for product in left}


def _said(one: Happened, product: str) -> list[int | None]:
    return [item.get("quantity") for item in one.properties.get("items", ()) if item["id"] == product]


def found(relations: Relations) -> dict[str, tuple[float, frozenset[int]]]:
    """The same of the row."""
    return {
        one.id: (one.quantity, frozenset(amount.at_ms for amount in one.amounts))
        for one in held(relations, PURCHASED)
    }


@given(trades, st.randoms(use_true_random=False))
def test_what_is_left_of_orders_is_what_all_events_say(events: list[Happened], random: Any) -> None:
    """Whatever the order of arrival, and however often an order is told."""
    shuffled = events.copy()
    random.shuffle(shuffled)
    assert found(after(shuffled)) == bought(events)


@given(trades, st.integers(0, 12))
def test_two_ids_of_one_person_have_what_one_would_have(events: list[Happened], at: int) -> None:
    """Wherever the events were split between them."""
    merged = merge_relations(after(events[:at]), after(events[at:]), PLANS)
    assert found(merged) == bought(events)


def status_of(events: list[Happened], plan: str) -> tuple[str, bool] | None:
    """By looking through all: the newest status of each subscription that was ever of the plan."""
    ended: list[tuple[int, str]] = []
    going: list[tuple[int, str]] = []
    for key in ("s", "t"):
        ours = [one for one in events if one.properties["subscription"] == key]
        named = [one for one in ours if one.properties.get("plan") == plan]
        concerned = [one for one in ours if one.properties.get("plan", plan) == plan]
        if named:
            newest = max(concerned, key=lambda one: one.at_ms)
            (ended if newest.what is CANCEL else going).append((newest.at_ms, newest.what.status))
    if not ended and not going:
        return None
    return max(going or ended)[1], not going


@given(subscriptions, st.randoms(use_true_random=False), st.integers(0, 8))
def test_a_subscription_has_the_status_that_all_events_say(
    events: list[Happened], random: Any, at: int
) -> None:
    """Also where the event names the subscription alone, and where two ids of one person had a part each."""
    shuffled = events.copy()
    random.shuffle(shuffled)
    expected = {plan: status for plan in ("pro", "team") if (status := status_of(events, plan)) is not None}
    for row in (after(shuffled), merge_relations(after(shuffled[:at]), after(shuffled[at:]), PLANS)):
        assert {one.id: (one.status, one.ended) for one in held(row, SUBSCRIBED)} == expected


@given(st.lists(st.integers(1, 10_000), min_size=LINES_MAX, max_size=60), st.integers(1, 10_000))
def test_the_newest_are_known_singly_however_many_there_are(times: list[int], since_ms: int) -> None:
    """So whether something was bought in a span is exact at every instant."""
    relations = Relations()
    for number, at_ms in enumerate(times):
        fill(BUY, relations, {"order": f"o{number}", "items": [{"id": "a"}]}, at_ms)
    (one,) = held(relations, PURCHASED)
    assert one.quantity == len(times)
    assert any(amount.at_ms >= since_ms for amount in one.amounts) is any(at >= since_ms for at in times)
