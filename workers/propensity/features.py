"""What is known of a subject just before a cut, as named values. Nothing at or after the cut is looked at.

======================  =================================================================================
feature                 what
======================  =================================================================================
``events_28d``          how much was done in the last 28 days, in all
``events_trend_14d``    the last 14 days against the 14 before, as a logarithm: 0.7 is doubled
``active_days_28d``     days (of 24 hours before the cut) on which anything was done
``days_since_last``     days since anything was done
``age_days``            days since the subject was first seen in this history
``active_users_28d``    people who did something (accounts)
``new_users_28d``       those of them never seen before (accounts)
``event.NAME``          how often NAME happened in the last 28 days
``usage.NAME``          use of a limit: 1 is all of it. NAME is the limit's trait, or ``reported`` where the
                        product's own events said so (``usage_percentage``)
``usage.highest``       the highest of these
``targets_before``      how often the target happened before
``days_since_target``   days since it last did
``trait.NAME``          a trait as it stood
======================  =================================================================================

One level and one trend: with more of them, each nearly the sum of others, weights grow large against each
other, and a reason would say that an account is ready because it fell silent.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time

if TYPE_CHECKING:
    from workers.propensity.history import Record

DAY_MS: Final = 86_400_000
MONTH_MS: Final = 28 * DAY_MS
LOOKBACK_MS: Final = MONTH_MS
"""How far back windows look: a cut needs this much history before it."""

ACTIVE_USERS: Final = "@users"
"""Stands for the people active in 28 days, where a limit is one of seats."""

HIGHEST_USAGE: Final = "usage.highest"

Value: TypeAlias = float | str
"""A number, or the level of a category. What is not known is absent."""


class Limit(msgspec.Struct, frozen=True):
    """A limit: the uses of ``event`` in 28 days (or :data:`ACTIVE_USERS`) against a numeric trait."""

    event: str
    trait: str


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What to make features of. It is part of the model, so that scoring makes the same ones.

    ``exclude`` names levels of traits whose subjects are not scored: who has the largest plan has nothing to
    upgrade to.
    """

    subject: SubjectType
    target: str
    horizon_ms: int
    events: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    exclude: tuple[tuple[str, str], ...] = ()


def is_scored(record: Record, cut_ms: int, spec: Spec) -> bool:
    """Whether the subject is one to ask about: it did something in the last 28 days, and is not excluded."""
    held = record.span(cut_ms - MONTH_MS, cut_ms)
    if held.start == held.stop:
        return False
    traits = record.traits_before(cut_ms) if spec.exclude else {}
    return not any(str(_plain(traits.get(name))) == level for name, level in spec.exclude)


def features_at(record: Record, cut_ms: int, spec: Spec) -> dict[str, Value]:
    """The features just before ``cut_ms`` of a subject that :func:`is_scored` then."""
    first_ms = record.first_ms()
    assert first_ms is not None, "who is scored did something"
    month_ms = cut_ms - MONTH_MS
    recent = record.all_times[record.span(month_ms, cut_ms)]
    fortnight = sum(1 for when_ms in recent if when_ms >= cut_ms - MONTH_MS // 2)
    found: dict[str, Value] = {
        "events_28d": len(recent),
        "events_trend_14d": _trend(fortnight, len(recent) - fortnight),
        "active_days_28d": len({(cut_ms - 1 - when_ms) // DAY_MS for when_ms in recent}),
        "days_since_last": (cut_ms - recent[-1]) / DAY_MS,
        "age_days": (cut_ms - first_ms) / DAY_MS,
    }
    users = set(record.actors[record.span(month_ms, cut_ms)])
    if spec.subject == "account":
        # Actors are numbered in the order in which they were first seen.
        known = max(record.actors[record.span(first_ms, month_ms)], default=-1)
        found |= {"active_users_28d": len(users), "new_users_28d": sum(1 for user in users if user > known)}
    for name in spec.events:
        found[f"event.{name}"] = record.count(name, month_ms, cut_ms)
    targets = record.targets(spec.target)
    before = bisect_left(targets, cut_ms)
    found["targets_before"] = before
    if before:
        found["days_since_target"] = (cut_ms - targets[before - 1]) / DAY_MS
    traits = record.traits_before(cut_ms)
    found |= _usage(record, traits, len(users), cut_ms, spec)
    for name in spec.traits:
        value = _plain(traits.get(name))
        if value is not None:
            found[f"trait.{name}"] = value
    return found


def _usage(record: Record, traits: dict[str, Any], users: int, cut_ms: int, spec: Spec) -> dict[str, Value]:
    """The use of each limit that is known, and the highest of them; without any, no feature."""
    ratios: dict[str, float] = {}
    for limit in spec.limits:
        allowed = traits.get(limit.trait)
        if isinstance(allowed, (int, float)) and not isinstance(allowed, bool) and allowed > 0:
            used = (
                users if limit.event == ACTIVE_USERS else record.count(limit.event, cut_ms - MONTH_MS, cut_ms)
            )
            ratios[limit.trait] = used / allowed
    for name, used in traits.items():
        allowed = traits.get(name.removesuffix("_used") + "_limit") if name.endswith("_used") else None
        if _is_number(used) and _is_number(allowed) and allowed is not None and allowed > 0:
            ratios[name.removesuffix("_used")] = used / allowed
    reported = record.usage(cut_ms - MONTH_MS, cut_ms)
    if reported is not None:
        ratios["reported"] = reported
    named: dict[str, Value] = {f"usage.{name}": ratio for name, ratio in ratios.items()}
    return named | ({HIGHEST_USAGE: max(ratios.values())} if ratios else {})


def _trend(now: float, before: float) -> float:
    """The logarithm of the ratio; one is added to both, so that none is a number like others."""
    return math.log((now + 1) / (before + 1))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> Value | None:
    """A trait as a feature: numbers, texts, true and false as levels; None for what is neither."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if _is_number(value):
        return float(value)
    return value if isinstance(value, str) and value else None
