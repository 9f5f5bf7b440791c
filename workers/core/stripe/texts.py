"""What Stripe's objects call things: plans, limits, moments. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from workers.core.stripe.objects import Product, Subscription

if TYPE_CHECKING:
    from workers.core.stripe.objects import Item

LIMIT: Final = "limit_"
"""Metadata keys that begin so are limits: ``limit_seats`` of ``10`` is the trait ``limit_seats`` of 10."""


def primary(subscription: Subscription) -> Item | None:
    """The item that is the plan: the first licensed one whose metadata names it, else the first licensed."""
    items = subscription.items.data
    licensed = [
        one for one in items if not one.price.recurring or one.price.recurring.usage_type != "metered"
    ]
    named = [one for one in licensed if _named(one)]
    return next(iter((*named, *licensed, *items)), None)


def plan_of(subscription: Subscription, item: Item | None = None) -> str | None:
    """``plan`` in the metadata of price or product, else lookup key, nickname, or the price's id."""
    item = item or primary(subscription)
    if item is None:
        return None
    return _named(item) or item.price.lookup_key or item.price.nickname or item.price.id


def limits_of(thing: Subscription | Product) -> dict[str, Any]:
    """Limits by their keys. Those of several items add up; the subscription's own metadata wins."""
    if isinstance(thing, Product):
        return {key: _number(text) for key, text in thing.metadata.items() if key.startswith(LIMIT)}
    limits: dict[str, Any] = {}
    for item in thing.items.data:
        product = item.price.product
        metadata = {**(product.metadata if isinstance(product, Product) else {}), **item.price.metadata}
        for key, text in metadata.items():
            if key.startswith(LIMIT):
                value, known = _number(text), limits.get(key)
                if isinstance(value, int | float) and isinstance(known, int | float):
                    limits[key] = value + known
                else:
                    limits.setdefault(key, value)
    return limits | {key: _number(text) for key, text in thing.metadata.items() if key.startswith(LIMIT)}


def iso(at_s: Any) -> str | None:
    """``2026-03-01T09:30:00.000Z``; None for None, and for what is no moment."""
    if not isinstance(at_s, int) or isinstance(at_s, bool):
        return None
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _named(item: Item) -> str | None:
    product = item.price.product
    return item.price.metadata.get("plan") or (
        product.metadata.get("plan") if isinstance(product, Product) else None
    )


def _number(text: str) -> int | float | str:
    """Metadata is text; a number in it is a number."""
    try:
        return int(text)
    except ValueError:
        try:
            value = float(text)
        except ValueError:
            return text
    return value if value - value == 0 else text
