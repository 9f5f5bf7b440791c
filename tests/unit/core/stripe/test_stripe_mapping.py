"""Stripe's events as traits and product events; the payloads follow Stripe's public documentation."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from workers.core.stripe.mapping import Ignored, Mapped, StripeOptions, map_event
from workers.core.stripe.objects import Event

AT_S = 1_773_482_520  # 2026-03-14T10:02:00Z
END_S = 1_776_160_920

STARTER: dict[str, Any] = {
    "id": "price_starter",
    "object": "price",
    "billing_scheme": "per_unit",
    "currency": "eur",
    "lookup_key": "starter_monthly",
    "metadata": {"plan": "starter", "limit_seats": "5", "limit_exports": "10"},
    "product": "prod_starter",
    "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    "unit_amount": 2000,
    "unit_amount_decimal": "2000",
}
PRO: dict[str, Any] = {
    **STARTER,
    "id": "price_pro",
    "lookup_key": "pro_yearly",
    "metadata": {"plan": "pro", "limit_seats": "20"},
    "product": "prod_pro",
    "recurring": {"interval": "year", "interval_count": 1, "usage_type": "licensed"},
    "unit_amount": 120_000,
    "unit_amount_decimal": "120000",
}


def items(*prices: tuple[dict[str, Any], int]) -> dict[str, Any]:
    """The list of items, with the period in each item, as newer API versions have it."""
    data = [
        {
            "id": f"si_{number}",
            "object": "subscription_item",
            "price": price,
            "quantity": quantity,
            "current_period_end": END_S,
            "discounts": [],
        }
        for number, (price, quantity) in enumerate(prices)
    ]
    return {"object": "list", "data": data, "has_more": False}


SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_1",
    "status": "active",
    "items": items((STARTER, 3)),
    "cancel_at_period_end": False,
    "trial_end": None,
    "pause_collection": None,
    "discounts": [],
    "metadata": {"account_id": "acme", "user_id": "ada"},
}
TRAITS: dict[str, Any] = {
    "plan": "starter",
    "plan_interval": "month",
    "add_ons": [],
    "quantity": 3,
    "mrr": 60.0,
    "mrr_currency": "EUR",
    "mrr_unknown": None,
    "subscription_id": "sub_1",
    "subscription_status": "active",
    "cancel_at_period_end": False,
    "current_period_end": "2026-04-14T10:02:00.000Z",
    "trial_end": None,
    "limit_seats": 5,
    "limit_exports": 10,
}


def mapped(
    kind: str,
    thing: dict[str, Any],
    previous: dict[str, Any] | None = None,
    options: StripeOptions | None = None,
) -> Mapped | Ignored:
    """An event through the mapping."""
    data = {"object": thing} | ({"previous_attributes": previous} if previous is not None else {})
    plain = {"id": "evt_1", "object": "event", "type": kind, "created": AT_S, "data": data}
    return map_event(msgspec.convert(plain, Event), options or StripeOptions())


def subscription(kind: str, previous: dict[str, Any] | None = None, **more: Any) -> Mapped:
    """A subscription's event."""
    thing = {**copy.deepcopy(SUBSCRIPTION), **more}
    found = mapped(f"customer.subscription.{kind}", thing, previous)
    assert isinstance(found, Mapped)
    return found


def traits(found: Mapped | Ignored) -> dict[str, Any]:
    """The traits that are set."""
    assert isinstance(found, Mapped)
    assert found.traits is not None
    return found.traits.traits


def names(found: Mapped | Ignored) -> list[str]:
    """The product events."""
    assert isinstance(found, Mapped)
    return [one.event for one in found.happenings]


def test_a_new_subscription_sets_the_accounts_traits() -> None:
    """Dated by Stripe's clock, from a source of its own, for the account that the metadata names."""
    found = subscription("created")
    assert traits(found) == TRAITS
    assert found.traits is not None
    assert (found.subject, found.customer, found.user) == ("acme", "cus_1", "ada")
    assert (found.traits.source, found.at_ms) == ("stripe:sub_1", AT_S * 1000)
    assert names(found) == ["subscription_started"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status": "trialing", "trial_end": END_S}, {"mrr": 0.0, "trial_end": "2026-04-14T10:02:00.000Z"}),
        (
            {"pause_collection": {"behavior": "void", "resumes_at": None}},
            {"mrr": 0.0, "subscription_status": "paused"},
        ),
        ({"cancel_at_period_end": True}, {"cancel_at_period_end": True, "mrr": 60.0}),
        (
            {"discounts": ["di_1"]},
            {"mrr": None, "mrr_unknown": "a discount is in the webhook by its id only"},
        ),
        ({"items": items((PRO, 1))}, {"plan": "pro", "plan_interval": "year", "mrr": 100.0}),
        (
            {"items": items(({**STARTER, "metadata": {}}, 1))},
            {"plan": "starter_monthly", "limit_seats": "gone"},
        ),
        (
            {"items": items(({**STARTER, "metadata": {}, "lookup_key": None, "nickname": "Starter"}, 1))},
            {"plan": "Starter"},
        ),
        (
            {"items": items((STARTER, 1), ({**PRO, "metadata": {"limit_seats": "10"}}, 1))},
            {"plan": "starter", "add_ons": ["pro_yearly"], "limit_seats": 15, "mrr": 120.0},
        ),
        ({"metadata": {"account_id": "acme", "limit_seats": "99"}}, {"limit_seats": 99}),
        (
            {"items": items(({**STARTER, "product": {"id": "p", "metadata": {"limit_api": "1.5"}}}, 1))},
            {"limit_api": 1.5},
        ),
        ({"current_period_end": AT_S}, {"current_period_end": "2026-03-14T10:02:00.000Z"}),
    ],
)
def test_what_a_subscription_says(more: dict[str, Any], expected: dict[str, Any]) -> None:
    """Status, value, plan, add-ons and limits, in the forms of older and newer API versions."""
    found = traits(subscription("updated", {"status": "incomplete"}, **more))
    assert {name: found.get(name, "gone") for name in expected} == expected


@pytest.mark.parametrize(
    ("now", "previous", "expected"),
    [
        ({"items": items((PRO, 1))}, {"items": items((STARTER, 1))}, ["plan_upgraded"]),
        ({"items": items((STARTER, 1))}, {"items": items((PRO, 1))}, ["plan_downgraded"]),
        (
            {"items": items((PRO, 1)), "discounts": ["di_1"]},
            {"items": items((STARTER, 1))},
            ["plan_changed"],
        ),
        ({"items": items((STARTER, 9))}, {"items": items((STARTER, 3))}, ["subscription_expanded"]),
        ({"items": items((STARTER, 2))}, {"items": items((STARTER, 3))}, ["subscription_contracted"]),
        ({"cancel_at_period_end": True}, {"cancel_at_period_end": False}, ["cancellation_scheduled"]),
        ({}, {"cancel_at_period_end": True}, ["cancellation_withdrawn"]),
        ({}, {"status": "trialing"}, ["trial_converted"]),
        ({}, {"status": "incomplete"}, ["subscription_started"]),
        ({}, {"status": "past_due"}, []),
        ({}, {"latest_invoice": "in_0", "current_period_end": 1}, []),
        ({}, {"metadata": {"note": None}}, []),
        ({}, None, []),
        (
            {"items": items((PRO, 1)), "status": "active"},
            {"items": items((STARTER, 1)), "status": "trialing"},
            ["trial_converted", "plan_upgraded"],
        ),
    ],
)
def test_what_changed_becomes_an_event(
    now: dict[str, Any], previous: dict[str, Any] | None, expected: list[str]
) -> None:
    """Only where ``previous_attributes`` shows it."""
    assert names(subscription("updated", previous, **now)) == expected


def test_an_upgrade_says_from_what_to_what_and_for_how_much() -> None:
    """What a goal's revenue and an alert to a salesperson need; a limit that went is removed."""
    found = subscription("updated", {"items": items((STARTER, 3))}, items=items((PRO, 1)))
    (upgrade,) = found.happenings
    assert upgrade.properties == {
        "subscription_id": "sub_1",
        "plan": "pro",
        "plan_interval": "year",
        "quantity": 1,
        "mrr": 100.0,
        "mrr_currency": "EUR",
        "subscription_status": "active",
        "from_plan": "starter",
        "to_plan": "pro",
        "mrr_delta": 40.0,
        "from_quantity": 3,
    }
    assert (traits(found)["limit_seats"], traits(found)["limit_exports"]) == (20, None)


def test_an_end_removes_the_plan_and_its_limits() -> None:
    """What stays is that there was a subscription, and that it brings nothing."""
    found = subscription("deleted", status="canceled")
    assert names(found) == ["subscription_cancelled"]
    assert found.happenings[0].properties["plan"] == "starter"
    assert {name for name, value in traits(found).items() if value is not None} == {
        "add_ons",
        "mrr",
        "mrr_currency",
        "subscription_id",
        "subscription_status",
        "cancel_at_period_end",
        "current_period_end",
    }
    assert (traits(found)["mrr"], traits(found)["subscription_status"]) == (0.0, "canceled")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("paused", "subscription_paused"),
        ("resumed", "subscription_resumed"),
        ("trial_will_end", "trial_will_end"),
    ],
)
def test_other_events_of_a_subscription_are_told(kind: str, expected: str) -> None:
    """With its traits."""
    found = subscription(kind, trial_end=END_S)
    assert names(found) == [expected]
    assert traits(found)["plan"] == "starter"


INVOICE: dict[str, Any] = {
    "id": "in_1",
    "object": "invoice",
    "customer": "cus_1",
    "currency": "jpy",
    "amount_paid": 5000,
    "amount_due": 6000,
    "billing_reason": "subscription_cycle",
    "attempt_count": 2,
    "next_payment_attempt": END_S,
    "metadata": {},
    "parent": {"type": "subscription_details", "subscription_details": {"metadata": {"account_id": "acme"}}},
}


@pytest.mark.parametrize(
    ("kind", "name", "status", "amount"),
    [
        ("invoice.paid", "invoice_paid", "paid", 5000.0),
        ("invoice.payment_failed", "invoice_payment_failed", "payment_failed", 6000.0),
    ],
)
def test_invoices_are_told(kind: str, name: str, status: str, amount: float) -> None:
    """In the currency's own unit; the account stands in the subscription's metadata."""
    found = mapped(kind, INVOICE)
    assert isinstance(found, Mapped)
    assert found.subject == "acme"
    assert traits(found) == {"last_invoice_status": status, "last_invoice_at": "2026-03-14T10:02:00.000Z"}
    assert [(one.event, one.properties["amount"]) for one in found.happenings] == [(name, amount)]


def test_a_customer_says_whether_it_owes() -> None:
    """And limits of its own; the customer is the account where nothing else names one."""
    customer = {"id": "cus_1", "object": "customer", "delinquent": True, "metadata": {"limit_seats": "7"}}
    found = mapped("customer.updated", customer)
    assert isinstance(found, Mapped)
    assert (found.subject, found.customer, traits(found)) == (
        "cus_1",
        "cus_1",
        {"delinquent": True, "limit_seats": 7},
    )


def test_a_checkout_is_the_accounts_that_it_was_begun_for() -> None:
    """By its client reference."""
    session = {
        "id": "cs_1",
        "object": "checkout.session",
        "client_reference_id": "acme",
        "customer": "cus_1",
        "mode": "subscription",
        "amount_total": 4990,
        "currency": "usd",
        "metadata": {},
    }
    found = mapped("checkout.session.completed", session)
    assert isinstance(found, Mapped)
    assert (found.subject, found.traits) == ("acme", None)
    assert found.happenings[0].properties == {
        "session_id": "cs_1",
        "mode": "subscription",
        "amount": 49.9,
        "currency": "USD",
    }


def test_each_partial_refund_tells_its_own_amount() -> None:
    """Stripe's field is the sum of all of them."""
    charge = {
        "id": "ch_1",
        "customer": "cus_1",
        "currency": "usd",
        "amount_refunded": 1500,
        "refunded": False,
    }
    found = mapped("charge.refunded", charge, {"amount_refunded": 1000})
    assert isinstance(found, Mapped)
    told = found.happenings[0].properties
    assert (told["amount"], told["amount_refunded"], told["full"]) == (5.0, 15.0, False)


def test_the_declared_places_say_whose_an_event_is() -> None:
    """The first that says anything; an event of nobody is told apart from one that nobody maps."""
    only = StripeOptions(account_from=("metadata.workspace",))
    assert mapped("invoice.paid", INVOICE, options=only) == Ignored("no_subject")
    assert mapped("invoice.created", INVOICE) == Ignored("type")
    expanded = {**INVOICE, "parent": None, "customer": {"id": "cus_2", "metadata": {"workspace": "w1"}}}
    found = mapped("invoice.paid", expanded, options=only)
    assert isinstance(found, Mapped)
    assert (found.subject, found.customer) == ("w1", "cus_2")


@pytest.mark.parametrize(
    ("broken", "place"),
    [({"items": None}, "items"), ({"status": 5}, "status"), ({"items": items(({"id": "p"}, 1))}, "price")],
)
def test_an_object_of_another_shape_is_refused_by_its_field(broken: dict[str, Any], place: str) -> None:
    """It is put aside, and not half read."""
    with pytest.raises(msgspec.ValidationError, match=place):
        subscription("updated", **broken)
