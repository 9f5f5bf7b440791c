"""Random entries: their triggers, rules and keys. A new trigger is a function and a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulation.drawing.conditions import condition, exclusion, where
from tests.simulation.words import BUSY, COUNTED, LISTS, PLANS, SCORES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.drawing.context import Draw, Plain


def entry(draw: Draw) -> Plain:
    """On one to three triggers, under some conditions, again or not, for each key or not."""
    triggers = [_on_event(draw)]
    if draw.chance(0.4):
        triggers = [draw.random.choice(TRIGGERS)(draw) for _ in range(draw.random.randint(1, 3))]
    unique = [one for at, one in enumerate(triggers) if one not in triggers[:at]]
    plain: Plain = {
        "on": unique if len(unique) > 1 else unique[0],
        "require": [condition(draw) for _ in range(draw.random.randrange(3))],
        "exclude": [exclusion(draw) for _ in range(draw.random.randrange(2))],
        "again": _again(draw),
    }
    if all(one.keys() & {"event", "performed", "api"} for one in unique) and draw.chance(0.25):
        plain["key"] = "properties.order"
    return plain


def _again(draw: Draw) -> Any:
    return draw.random.choice(["never", "always", {"after": "2h"}, {"after": "3d"}])


def _on_event(draw: Draw) -> Plain:
    return {"event": draw.random.choice(COUNTED)} | where(draw)


def _on_reaching(draw: Draw) -> Plain:
    return {
        "performed": draw.random.choice(COUNTED),
        "reaches": 2,
        "within": draw.random.choice(["1d", "7d"]),
    }


def _on_segment(draw: Draw) -> Plain:
    if not draw.things.segments:
        return _on_change(draw)
    segment = draw.random.choice([BUSY, BUSY, LISTS])[draw.subject]
    if draw.chance(0.25):
        return {"segment": segment, "existing": True}
    return {"segment": segment, "change": draw.random.choice(["entered", "entered", "left"])}


def _on_score(draw: Draw) -> Plain:
    if not draw.things.scores:
        return _on_change(draw)
    direction = draw.random.choice(["up", "up", "down"])
    return {"score": SCORES[draw.subject], "threshold": "hot", "direction": direction}


def _on_change(draw: Draw) -> Plain:
    plain: Plain = {"changed": "plan"}
    return plain | ({"to": draw.random.sample(PLANS, 2)} if draw.chance(0.5) else {})


def _on_schedule(draw: Draw) -> Plain:
    """Daily or now and then, in the first days: who is let in again and again would never come to an end."""
    when = draw.random.choice(["0 9 14-18 3 *", "30 2 * 3 SUN", "15 */6 14-16 3 *"])
    plain: Plain = {"schedule": when, "missed": draw.random.choice(["once", "skip"])}
    if draw.things.segments and draw.chance(0.5):
        plain["segment"] = draw.random.choice([BUSY, LISTS])[draw.subject]
    if draw.chance(0.5):
        plain["timezone"] = draw.random.choice(["Europe/Oslo", "America/Los_Angeles"])
    return plain


def _on_object(draw: Draw) -> Plain:
    if not draw.things.objects:
        return _on_change(draw)
    kind = "viewed" if draw.subject == "user" else "viewed_by_members"
    plain: Plain = {"object": "product", "relationship": kind}
    if draw.chance(0.5):
        return plain | {"changed": "in_stock", "to": True}
    return plain | {"changed": "price", "moved": "down"}


def _on_request(_: Draw) -> Plain:
    return {"api": True}


TRIGGERS: list[Callable[[Draw], Plain]] = [
    _on_event,
    _on_reaching,
    _on_segment,
    _on_score,
    _on_change,
    _on_schedule,
    _on_object,
    _on_request,
]
