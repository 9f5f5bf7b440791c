"""What random workspaces define besides journeys: segments, scores, objects, experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.drawing.context import Plain, Things
from tests.simulation.words import BUSY, COUNTED, LISTS, NEVER, SCORES

if TYPE_CHECKING:
    from random import Random


def things(random: Random) -> Things:
    """Which kinds of definitions there are."""
    return Things(
        segments=random.random() < 0.4,
        scores=random.random() < 0.25,
        objects=random.random() < 0.25,
        experiments=random.random() < 0.25,
    )


def definitions(random: Random, which: Things) -> Plain:
    """The keys of the workspace that hold them."""
    found: Plain = {}
    if which.segments:
        found["segments"] = [one for subject in ("user", "account") for one in _segments(random, subject)]
    if which.scores:
        found["scores"] = [_score(random, subject) for subject in ("user", "account")]
    if which.objects:
        found["objects"] = [_product(random)]
    if which.experiments:
        found["experiments"] = [_experiment(random)]
    return found


def _segments(random: Random, subject: str) -> list[Plain]:
    """One that is entered and left by events and by time, and a list."""
    within = random.choice(["1d", "7d"])
    require = [{"performed": random.choice(COUNTED), "at_least": 2, "within": within}]
    return [
        {"segment": BUSY[subject], "subject": subject, "require": require},
        {"segment": LISTS[subject], "subject": subject, "static": True},
    ]


def _score(random: Random, subject: str) -> Plain:
    """Events and a trait give points, which fade."""
    threshold = {"reaches": 15, "falls_below": random.choice([15, 8])}
    contributions: list[Plain] = [
        {"event": "limit", "points": 8},
        {"event": "used", "points": 5, "cap": {"times": 2, "per": "1d"}},
        {"trait": "plan", "in": ["pro"], "points": random.choice([3, -3])},
    ]
    return {
        "score": SCORES[subject],
        "subject": subject,
        "half_life": random.choice(["1d", "7d"]),
        "contributions": contributions,
        "thresholds": {"hot": threshold},
    }


def _product(random: Random) -> Plain:
    """Products, related to who sees them, and to the account of who sees them."""
    fills = [{"event": "seen", "does": "add", "id": "product"}]
    if random.random() < 0.5:
        fills.append({"event": NEVER, "does": "take_back", "id": "product"})
    return {
        "object": "product",
        "attributes": {"in_stock": "boolean", "price": "number"},
        "relationships": {
            "viewed": {"filled_by": fills},
            "viewed_by_members": {"of": "account", "filled_by": fills},
        },
    }


def _experiment(random: Random) -> Plain:
    """An offer with two variants, or with two factors."""
    unit = random.choice(["user", "account"])
    if random.random() < 0.5:
        return {"experiment": "offer", "unit": unit, "variants": {"small": 50, "large": 50}}
    factors = {"size": {"small": 30, "large": 70}, "time": {"now": 50, "later": 50}}
    return {"experiment": "offer", "unit": unit, "factors": factors}
