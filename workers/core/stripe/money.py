"""What a Stripe subscription is worth a month. Pure.

A year is 12 months, 52 weeks or 365 days. Metered prices count nothing: what they will bring is not known
before it is used. Discounts that recur count while they last; a discount of one invoice does not. Where a
price or a discount cannot be told from the webhook the value is unknown, with the reason: a wrong number is
worse than none.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final

from workers.core.stripe.objects import Coupon, Discount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.core.stripe.objects import Item, Subscription

ZERO_DECIMAL: Final = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
"""Currencies whose smallest unit in Stripe's API is the whole one (docs.stripe.com/currencies). ISK and UGX
are not among them: the API counts their hundredths, though neither has any."""

THREE_DECIMAL: Final = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

EARNING: Final = frozenset({"active", "past_due"})
"""Statuses whose subscriptions count; a trial is worth nothing until it converts."""

_PERIODS_A_YEAR: Final = {"day": 365, "week": 52, "month": 12, "year": 1}


class UnknownError(ValueError):
    """The value cannot be told from the webhook; the message says why."""


def major(amount: Decimal | int, currency: str) -> float:
    """An amount of smallest units in the currency's own, rounded half up to what the currency has."""
    places = decimals(currency)
    value = Decimal(amount).scaleb(-places).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return float(value)


def decimals(currency: str) -> int:
    """How many digits follow the point."""
    name = currency.lower()
    return 0 if name in ZERO_DECIMAL else 3 if name in THREE_DECIMAL else 2


def is_earning(subscription: Subscription) -> bool:
    """Whether money comes in: it is active, or late, and its collection is not paused."""
    return subscription.status in EARNING and subscription.pause_collection is None


def monthly(subscription: Subscription, at_s: int) -> Decimal:
    """Smallest units a month at ``at_s``, as if the subscription were active.

    Raises:
        UnknownError: a tiered or custom price, a discount that the webhook has as an id, several currencies,
            several intervals under a discount by amount, more items than the webhook holds.
    """
    if subscription.items.has_more:
        raise UnknownError("the subscription has more items than the webhook holds")
    items = subscription.items.data
    if len({item.price.currency for item in items}) > 1:
        raise UnknownError("the items have several currencies")
    amounts = [
        (item, _discounted(_item(item), [item], item.discounts, at_s)) for item in items if _counts(item)
    ]
    discounts = list(subscription.discounts) or ([subscription.discount] if subscription.discount else [])
    total = sum((amount for _, amount in amounts), Decimal(0))
    for discount in discounts:
        coupon = _coupon(discount, at_s)
        if coupon is None:
            continue
        covered = sum((amount for item, amount in amounts if _covers(coupon, item)), Decimal(0))
        total -= _off(coupon, covered, [item for item, _ in amounts])
    return max(total, Decimal(0))


def per_month(amount: Decimal, interval: str, count: int) -> Decimal:
    """What an amount that is paid every ``count`` intervals is a month.

    Raises:
        UnknownError: the interval is none that Stripe had when this was written.
    """
    if interval not in _PERIODS_A_YEAR or count < 1:
        raise UnknownError(f"the interval {interval!r} is not known")
    return amount * _PERIODS_A_YEAR[interval] / (12 * count)


def _counts(item: Item) -> bool:
    recurring = item.price.recurring
    return recurring is not None and recurring.usage_type != "metered"


def _item(item: Item) -> Decimal:
    price, recurring = item.price, item.price.recurring
    assert recurring is not None, "only recurring items are asked for"
    if price.billing_scheme != "per_unit":
        raise UnknownError(f"price {price.id} has tiers, which are not in the webhook")
    text = price.unit_amount_decimal if price.unit_amount_decimal is not None else price.unit_amount
    if text is None:
        raise UnknownError(f"price {price.id} has no amount")
    quantity = Decimal(1 if item.quantity is None else item.quantity)
    pack = price.transform_quantity
    if pack is not None:
        whole, rest = divmod(quantity, pack.divide_by)
        quantity = whole + (1 if rest and pack.round == "up" else 0)
    return per_month(Decimal(text) * quantity, recurring.interval, recurring.interval_count)


def _discounted(
    amount: Decimal, items: Sequence[Item], discounts: Sequence[str | Discount], at_s: int
) -> Decimal:
    for discount in discounts:
        coupon = _coupon(discount, at_s)
        if coupon is not None:
            amount -= _off(coupon, amount, items)
    return max(amount, Decimal(0))


def _coupon(discount: str | Discount, at_s: int) -> Coupon | None:
    """The coupon of a discount that recurs at ``at_s``; None of one that does not."""
    if not isinstance(discount, Discount):
        raise UnknownError("a discount is in the webhook by its id only")
    coupon = discount.coupon or (discount.source.coupon if discount.source else None)
    if not isinstance(coupon, Coupon):
        raise UnknownError("a discount's coupon is in the webhook by its id only")
    if coupon.duration == "once" or (discount.end is not None and discount.end <= at_s):
        return None
    return coupon


def _covers(coupon: Coupon, item: Item) -> bool:
    if coupon.applies_to is None or not coupon.applies_to.products:
        return True
    product = item.price.product
    return (
        product if isinstance(product, str) or product is None else product.id
    ) in coupon.applies_to.products


def _off(coupon: Coupon, covered: Decimal, items: Sequence[Item]) -> Decimal:
    """What a coupon takes off a month's ``covered``."""
    if coupon.percent_off is not None:
        return covered * Decimal(str(coupon.percent_off)) / 100
    if coupon.amount_off is None:
        raise UnknownError("a coupon has neither a share nor an amount")
    intervals = {
        (item.price.recurring.interval, item.price.recurring.interval_count)
        for item in items
        if item.price.recurring is not None
    }
    if len(intervals) != 1 or any(item.price.currency != coupon.currency for item in items):
        raise UnknownError("a discount by amount does not fit the items' currency or intervals")
    return min(covered, per_month(Decimal(coupon.amount_off), *intervals.pop()))
