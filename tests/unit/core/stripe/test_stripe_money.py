"""What a subscription is worth a month."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from workers.core.stripe.money import UnknownError, decimals, is_earning, major, monthly
from workers.core.stripe.objects import Subscription

AT_S = 1_773_482_520


def item(amount: int | None = 1000, quantity: int | None = 1, **price: Any) -> dict[str, Any]:
    """An item of a subscription, monthly unless told otherwise."""
    interval = price.pop("every", ("month", 1))
    outer = {name: price.pop(name) for name in ("discounts",) if name in price}
    usual = {
        "id": "price_1",
        "currency": "usd",
        "unit_amount": amount,
        "product": "prod_1",
        "recurring": {"interval": interval[0], "interval_count": interval[1], "usage_type": "licensed"},
    }
    return {"id": "si_1", "quantity": quantity, "price": {**usual, **price}, **outer}


def subscription(*items: dict[str, Any], **more: Any) -> Subscription:
    """An active subscription with these items."""
    plain = {"id": "sub_1", "status": "active", "items": {"object": "list", "data": list(items)}, **more}
    return msgspec.convert(plain, Subscription)


def coupon(duration: str = "forever", end: int | None = None, **off: Any) -> dict[str, Any]:
    """A discount as older API versions give it."""
    return {"id": "di_1", "coupon": {"id": "c", "duration": duration, **off}, "end": end}


METERED = {"recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered"}}


@pytest.mark.parametrize(
    ("items", "more", "expected"),
    [
        ([item(1000)], {}, "1000"),
        ([item(1000, quantity=5)], {}, "5000"),
        ([item(1000, quantity=None)], {}, "1000"),
        ([item(12_000, every=("year", 1))], {}, "1000"),
        ([item(3_000, every=("month", 3))], {}, "1000"),
        ([item(24_000, every=("year", 2))], {}, "1000"),
        ([item(300, every=("week", 1))], {}, "1300"),
        ([item(600, every=("week", 2))], {}, "1300"),
        ([item(12, every=("day", 1))], {}, "365"),
        ([item(None, unit_amount_decimal="0.5", quantity=1000)], {}, "500"),
        ([item(1000), item(12_000, every=("year", 1), id="price_2")], {}, "2000"),
        ([item(1000), item(5, quantity=None, id="price_2", **METERED)], {}, "1000"),
        ([item(1000, recurring=None)], {}, "0"),
        ([item(1000, quantity=11, transform_quantity={"divide_by": 5, "round": "up"})], {}, "3000"),
        ([item(1000, quantity=11, transform_quantity={"divide_by": 5, "round": "down"})], {}, "2000"),
        ([item(1000)], {"discount": coupon(percent_off=25.0)}, "750"),
        ([item(1000)], {"discounts": [coupon(percent_off=10.0), coupon(percent_off=10.0)]}, "800"),
        ([item(1000)], {"discount": coupon(amount_off=300, currency="usd")}, "700"),
        ([item(1000)], {"discount": coupon(amount_off=3000, currency="usd")}, "0"),
        (
            [item(12_000, every=("year", 1))],
            {"discount": coupon(amount_off=6_000, currency="usd")},
            "500",
        ),
        ([item(1000)], {"discount": coupon("once", percent_off=50.0)}, "1000"),
        ([item(1000)], {"discount": coupon("repeating", end=AT_S, percent_off=50.0)}, "1000"),
        ([item(1000)], {"discount": coupon("repeating", end=AT_S + 1, percent_off=50.0)}, "500"),
        (
            [item(1000), item(1000, product="prod_2")],
            {"discount": coupon(percent_off=50.0, applies_to={"products": ["prod_2"]})},
            "1500",
        ),
        (
            [item(1000, discounts=[coupon(percent_off=50.0)]), item(1000)],
            {},
            "1500",
        ),
        (
            [item(1000)],
            {
                "discounts": [
                    {"id": "di_1", "source": {"coupon": {"duration": "forever", "percent_off": 50.0}}}
                ]
            },
            "500",
        ),
        ([], {}, "0"),
    ],
)
def test_a_month_is_worth(items: list[dict[str, Any]], more: dict[str, Any], expected: str) -> None:
    """In smallest units: intervals, quantities, packs, several items, and the discounts that recur."""
    assert monthly(subscription(*items, **more), AT_S) == Decimal(expected)


@pytest.mark.parametrize(
    ("items", "more", "told"),
    [
        ([item(None, billing_scheme="tiered")], {}, "has tiers"),
        ([item(None)], {}, "has no amount"),
        ([item(1000), item(1000, currency="eur")], {}, "several currencies"),
        ([item(1000, every=("fortnight", 1))], {}, "'fortnight' is not known"),
        ([item(1000)], {"discounts": ["di_1"]}, "by its id only"),
        ([item(1000, discounts=["di_1"])], {}, "by its id only"),
        ([item(1000)], {"discounts": [{"id": "di_1", "source": {"coupon": "c"}}]}, "by its id only"),
        ([item(1000)], {"discount": coupon(amount_off=1, currency="eur")}, "does not fit"),
        (
            [item(1000), item(1000, every=("year", 1))],
            {"discount": coupon(amount_off=1, currency="usd")},
            "does not fit",
        ),
        ([item(1000)], {"items": {"data": [item(1000)], "has_more": True}}, "more items"),
    ],
)
def test_what_the_webhook_does_not_tell_is_unknown(
    items: list[dict[str, Any]], more: dict[str, Any], told: str
) -> None:
    """Rather than wrong."""
    with pytest.raises(UnknownError, match=told):
        monthly(subscription(*items, **more), AT_S)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (1050, "usd", 10.5),
        (1050, "JPY", 1050.0),
        (1050, "kwd", 1.05),
        (500, "isk", 5.0),
        (Decimal("1000.5"), "usd", 10.01),
        (Decimal("0.5"), "jpy", 1.0),
    ],
)
def test_amounts_are_in_the_currencys_own_unit(amount: Decimal, currency: str, expected: float) -> None:
    """Rounded half up to the digits that the currency has."""
    assert major(amount, currency) == expected


def test_most_currencies_have_two_digits() -> None:
    """Also those that are new."""
    assert [decimals(name) for name in ("eur", "xxx", "krw", "BHD")] == [2, 2, 0, 3]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"status": "past_due"}, True),
        ({"status": "trialing"}, False),
        ({"status": "unpaid"}, False),
        ({"status": "canceled"}, False),
        ({"pause_collection": {"behavior": "void"}}, False),
    ],
)
def test_what_brings_no_money_counts_nothing(more: dict[str, Any], expected: bool) -> None:
    """A trial may still end without a payment."""
    assert is_earning(subscription(item(), **more)) is expected
