"""The parts of Stripe's webhook objects that are read, as structs; a field that moved is read in both places.

Amounts are integers in the currency's smallest unit, times are seconds since 1970. What is ``str | ...`` is
an id unless whoever asks has it expanded, and webhooks expand nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

LAST_S: Final = 253_402_300_799
"""The end of the year 9999."""


class Recurring(Struct, frozen=True):
    """How often a price is paid."""

    interval: str
    interval_count: int = 1
    usage_type: str = "licensed"


class Transform(Struct, frozen=True):
    """Quantities sold in packs."""

    divide_by: int
    round: str = "up"


class Product(Struct, frozen=True):
    """What is sold."""

    id: str
    metadata: dict[str, str] = field(default_factory=dict)


class Price(Struct, frozen=True):
    """What an item costs."""

    id: str
    currency: str
    recurring: Recurring | None = None
    unit_amount: int | None = None
    unit_amount_decimal: str | None = None
    billing_scheme: str = "per_unit"
    lookup_key: str | None = None
    nickname: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    product: str | Product | None = None
    transform_quantity: Transform | None = None


class AppliesTo(Struct, frozen=True):
    """The products that a coupon is for."""

    products: list[str] = field(default_factory=list)


class Coupon(Struct, frozen=True):
    """What a discount takes off: a share, or an amount of each invoice."""

    duration: str
    percent_off: float | None = None
    amount_off: int | None = None
    currency: str | None = None
    applies_to: AppliesTo | None = None


class DiscountSource(Struct, frozen=True):
    """Where newer API versions put the coupon."""

    coupon: str | Coupon | None = None


class Discount(Struct, frozen=True):
    """A coupon in use until ``end``."""

    coupon: str | Coupon | None = None
    source: DiscountSource | None = None
    end: int | None = None


class Item(Struct, frozen=True):
    """One price within a subscription."""

    price: Price
    quantity: int | None = None
    current_period_end: int | None = None
    discounts: list[str | Discount] = field(default_factory=list)


class Items(Struct, frozen=True):
    """The items of a subscription; ``has_more`` says that there are others."""

    data: list[Item]
    has_more: bool = False


class Subscription(Struct, frozen=True):
    """A customer's subscription."""

    id: str
    status: str
    items: Items
    cancel_at_period_end: bool = False
    current_period_end: int | None = None
    trial_end: int | None = None
    pause_collection: dict[str, Any] | None = None
    discount: Discount | None = None
    discounts: list[str | Discount] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


class Data(Struct, frozen=True):
    """What an event is about, and the former values of what changed."""

    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class Event(Struct, frozen=True):
    """A webhook's event."""

    id: str
    type: str
    created: Annotated[int, Meta(ge=0, le=LAST_S)]
    data: Data
