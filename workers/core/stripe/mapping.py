"""Stripe's webhook events as traits of accounts (or users) and as product events. Pure.

=====================================  =====================================================================
webhook                                becomes
=====================================  =====================================================================
``customer.subscription.created``      traits; ``subscription_started`` where it is active or on trial
``customer.subscription.updated``      traits, and what ``previous_attributes`` shows: another plan is
                                       ``plan_upgraded``, ``plan_downgraded`` or, where its value is equal or
                                       unknown, ``plan_changed``; another value of the same plan is
                                       ``subscription_expanded`` or ``subscription_contracted``; and
                                       ``subscription_started``, ``trial_converted``,
                                       ``cancellation_scheduled``, ``cancellation_withdrawn``
``customer.subscription.deleted``      traits; ``subscription_cancelled``
``customer.subscription.paused``       traits; ``subscription_paused``; ``resumed`` likewise
``...trial_will_end``                  traits; ``trial_will_end``
``invoice.paid``, ``payment_failed``   ``last_invoice_status``; ``invoice_paid``, ``invoice_payment_failed``
``customer.updated``                   ``delinquent`` and limits of the customer's metadata
``checkout.session.completed``         ``checkout_completed``
``charge.refunded``                    ``charge_refunded``
=====================================  =====================================================================

Traits of a subscription: ``plan``, ``plan_interval``, ``add_ons``, ``quantity``, ``mrr``, ``mrr_currency``,
``mrr_unknown`` (why there is no ``mrr``), ``subscription_id``, ``subscription_status`` (``paused`` also where
only the collection is), ``cancel_at_period_end``, ``current_period_end``, ``trial_end``, and ``limit_...``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from workers.core.stripe import money
from workers.core.stripe.objects import Event, Product, Subscription
from workers.core.stripe.texts import iso, limits_of, plan_of, primary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.fields import SubjectType

SUBSCRIPTION: Final = "customer.subscription."
ACCOUNT_FROM: Final = ("metadata.account_id", "client_reference_id", "customer")
"""Where an event says whose it is, the first that says anything."""


@dataclass(frozen=True, slots=True)
class StripeOptions:
    """``subject``: what a Stripe customer is. ``account_from``: see :data:`ACCOUNT_FROM`."""

    subject: SubjectType = "account"
    account_from: tuple[str, ...] = ACCOUNT_FROM


@dataclass(frozen=True, slots=True)
class Traits:
    """Traits to set; null removes one. Statements of one ``source`` are in the order of ``at_ms``."""

    source: str
    traits: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    """A product event."""

    event: str
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mapped:
    """What an event says of a subject. ``user`` is the person who acted, where the event says so."""

    event_id: str
    subject: str
    customer: str
    user: str | None
    at_ms: int
    traits: Traits | None = None
    happenings: tuple[Happening, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event that is of no use: its type is not mapped, or it says of nobody."""

    reason: Literal["type", "no_subject"]


Part = tuple["Traits | None", tuple[Happening, ...]]


def map_event(event: Event, options: StripeOptions) -> Mapped | Ignored:
    """What a verified event becomes.

    Raises:
        msgspec.ValidationError: the event's object is not what its type says; the message names the field.
    """
    make = _MAPPERS.get(event.type)
    if make is None:
        return Ignored("type")
    thing = event.data.object
    subject = subject_of(thing, options.account_from)
    if not subject:
        return Ignored("no_subject")
    traits, happenings = make(event)
    return Mapped(
        event_id=event.id,
        subject=subject,
        customer=_id(thing.get("customer")) or (_id(thing) if thing.get("object") == "customer" else ""),
        user=_metadata(thing).get("user_id") or None,
        at_ms=event.created * 1000,
        traits=traits,
        happenings=happenings,
    )


def subject_of(thing: Mapping[str, Any], places: tuple[str, ...]) -> str:
    """The id at the first of ``places`` (:data:`ACCOUNT_FROM`) that has one; "" where none has."""
    for place in places:
        name, _, key = place.partition(".")
        if name == "metadata":
            found = _metadata(thing).get(key)
        elif name == "customer" and thing.get("object") == "customer":
            found = thing.get("id")
        else:
            found = _id(thing.get(name))
        if isinstance(found, str) and found:
            return found
    return ""


def _subscription(event: Event) -> Part:
    kind = event.type.removeprefix(SUBSCRIPTION)
    now = msgspec.convert(event.data.object, Subscription)
    before = _before(event, now)
    traits = _traits(now, event.created, ended=kind == "deleted")
    if before is not None:
        # A limit that the new plan does not have is no limit any more.
        traits |= {name: None for name in limits_of(before) if name not in traits}
    told = _told(now, traits)
    match kind:
        case "created":
            happened = [Happening("subscription_started", told)] if _is_begun(now) else []
        case "deleted":
            happened = [Happening("subscription_cancelled", {**told, "plan": plan_of(now)})]
        case "paused" | "resumed":
            happened = [Happening(f"subscription_{kind}", told)]
        case "trial_will_end":
            happened = [Happening("trial_will_end", {**told, "trial_end": iso(now.trial_end)})]
        case _:
            happened = _changes(before, now, told, event.created) if before is not None else []
    return Traits(f"stripe:{now.id}", traits), tuple(happened)


def _before(event: Event, now: Subscription) -> Subscription | None:
    """The subscription as it was: ``previous_attributes`` holds former values of the fields that changed."""
    changed = event.data.previous_attributes
    if not changed:
        return None
    known = {name: value for name, value in changed.items() if name in Subscription.__struct_fields__}
    if "metadata" in known:
        # Of metadata only the keys that changed are told; a null one was not there.
        merged = {**now.metadata, **known["metadata"]}
        known["metadata"] = {key: value for key, value in merged.items() if value is not None}
    if isinstance(known.get("items"), dict) and "data" not in known["items"]:
        del known["items"]
    return msgspec.convert({**event.data.object, **known}, Subscription)


def _traits(now: Subscription, at_s: int, *, ended: bool) -> dict[str, Any]:
    item = primary(now)
    periods = [one.current_period_end for one in now.items.data if one.current_period_end is not None]
    period_end = now.current_period_end or (min(periods) if periods else None)
    paused = now.pause_collection is not None and not ended
    mrr, unknown = _mrr(now, at_s, ended=ended)
    recurring = item.price.recurring if item else None
    return {
        "plan": None if ended else plan_of(now),
        "plan_interval": recurring.interval if recurring and not ended else None,
        "add_ons": [] if ended else [plan_of(now, one) for one in now.items.data if one is not item],
        "quantity": item.quantity if item and not ended else None,
        "mrr": mrr,
        "mrr_currency": item.price.currency.upper() if item else None,
        "mrr_unknown": unknown,
        "subscription_id": now.id,
        "subscription_status": "canceled" if ended else "paused" if paused else now.status,
        "cancel_at_period_end": now.cancel_at_period_end,
        "current_period_end": iso(period_end),
        "trial_end": iso(now.trial_end),
        **(dict.fromkeys(limits_of(now)) if ended else limits_of(now)),
    }


def _mrr(now: Subscription, at_s: int, *, ended: bool) -> tuple[float | None, str | None]:
    """Major units a month and None, or None and the reason."""
    if ended or not money.is_earning(now):
        return 0.0, None
    value, unknown = _value(now, at_s)
    return value, unknown


def _value(now: Subscription, at_s: int) -> tuple[float | None, str | None]:
    item = primary(now)
    if item is None:
        return 0.0, None
    try:
        return money.major(money.monthly(now, at_s), item.price.currency), None
    except money.UnknownError as error:
        return None, str(error)


def _told(now: Subscription, traits: Mapping[str, Any]) -> dict[str, Any]:
    """What each event of a subscription says."""
    names = ("plan", "plan_interval", "quantity", "mrr", "mrr_currency", "subscription_status")
    return {"subscription_id": now.id, **{name: traits[name] for name in names}}


def _is_begun(one: Subscription) -> bool:
    return one.status in {"active", "trialing"}


def _changes(before: Subscription, now: Subscription, told: dict[str, Any], at_s: int) -> list[Happening]:
    happened: list[Happening] = []
    if _is_begun(now) and before.status.startswith("incomplete"):
        happened.append(Happening("subscription_started", told))
    if before.status == "trialing" and now.status == "active":
        happened.append(Happening("trial_converted", told))
    if before.items != now.items:
        happened += _exchange(before, now, told, at_s)
    if before.cancel_at_period_end != now.cancel_at_period_end:
        name = "cancellation_scheduled" if now.cancel_at_period_end else "cancellation_withdrawn"
        happened.append(Happening(name, told))
    return happened


def _exchange(before: Subscription, now: Subscription, told: dict[str, Any], at_s: int) -> list[Happening]:
    """Other items: which plan, and is it more or less a month? Both sides have the discounts of now."""
    old, new = _value(before, at_s)[0], _value(now, at_s)[0]
    delta = None if old is None or new is None else round(new - old, 3)
    from_plan, to_plan = plan_of(before), plan_of(now)
    if from_plan != to_plan:
        name = "plan_changed" if not delta else "plan_upgraded" if delta > 0 else "plan_downgraded"
    elif not delta:
        return []
    else:
        name = "subscription_expanded" if delta > 0 else "subscription_contracted"
    item = primary(before)
    more = {"from_plan": from_plan, "to_plan": to_plan, "mrr_delta": delta}
    return [Happening(name, {**told, **more, "from_quantity": item.quantity if item else None})]


def _invoice(event: Event) -> Part:
    invoice = event.data.object
    paid = event.type == "invoice.paid"
    currency = str(invoice.get("currency") or "usd")
    properties = {
        "invoice_id": invoice.get("id"),
        "amount": _amount(invoice, "amount_paid" if paid else "amount_due", currency),
        "currency": currency.upper(),
        "billing_reason": invoice.get("billing_reason"),
        "attempt_count": invoice.get("attempt_count"),
    }
    if not paid:
        properties["next_attempt_at"] = iso(invoice.get("next_payment_attempt"))
    traits = {
        "last_invoice_status": "paid" if paid else "payment_failed",
        "last_invoice_at": iso(event.created),
    }
    name = "invoice_paid" if paid else "invoice_payment_failed"
    return Traits("stripe:invoices", traits), (Happening(name, properties),)


def _customer(event: Event) -> Part:
    customer = event.data.object
    product = Product(str(customer.get("id")), _metadata(customer))
    traits: dict[str, Any] = {"delinquent": bool(customer.get("delinquent")), **limits_of(product)}
    return Traits("stripe:customer", traits), ()


def _checkout(event: Event) -> Part:
    session = event.data.object
    currency = str(session.get("currency") or "usd")
    properties = {
        "session_id": session.get("id"),
        "mode": session.get("mode"),
        "amount": _amount(session, "amount_total", currency),
        "currency": currency.upper(),
    }
    return None, (Happening("checkout_completed", properties),)


def _refund(event: Event) -> Part:
    charge = event.data.object
    currency = str(charge.get("currency") or "usd")
    former = event.data.previous_attributes or {}
    total, already = charge.get("amount_refunded") or 0, former.get("amount_refunded") or 0
    properties = {
        "charge_id": charge.get("id"),
        "amount": money.major(total - already, currency),
        "amount_refunded": money.major(total, currency),
        "currency": currency.upper(),
        "full": bool(charge.get("refunded")),
    }
    return None, (Happening("charge_refunded", properties),)


def _amount(thing: Mapping[str, Any], name: str, currency: str) -> float | None:
    amount = thing.get(name)
    return money.major(amount, currency) if isinstance(amount, int) else None


def _metadata(thing: Mapping[str, Any]) -> dict[str, str]:
    """An object's metadata, and behind it what its subscription and its expanded customer have."""
    parent = thing.get("parent")
    behind = parent.get("subscription_details") if isinstance(parent, dict) else None
    found: dict[str, str] = {}
    for holder in (thing.get("customer"), behind, thing.get("subscription_details"), thing):
        metadata = holder.get("metadata") if isinstance(holder, dict) else None
        if isinstance(metadata, dict):
            found |= metadata
    return found


def _id(value: Any) -> str:
    """The id of an object that may be expanded."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


_MAPPERS: Final[dict[str, Callable[[Event], Part]]] = {
    **{
        SUBSCRIPTION + kind: _subscription
        for kind in ("created", "updated", "deleted", "paused", "resumed", "trial_will_end")
    },
    "invoice.paid": _invoice,
    "invoice.payment_failed": _invoice,
    "customer.updated": _customer,
    "checkout.session.completed": _checkout,
    "charge.refunded": _refund,
}

TYPES: Final = frozenset(_MAPPERS)
"""The types of events that are mapped."""
