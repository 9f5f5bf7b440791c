"""Random exits: events, changes of traits and conditions, and what follows.."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.drawing.conditions import in_segment, performed, score, stage
from tests.simulation.words import ENDING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.drawing.context import Draw, Plain


def exits(draw: Draw, *, keyed: bool) -> list[Plain]:
    """None to two, some of which enroll elsewhere."""
    found = []
    for _ in range(draw.random.randrange(3)):
        when = draw.random.choice(EXITS)(draw)
        if keyed and "event" in when and draw.chance(0.5):
            when["match"] = "properties.order"
        then = (
            {"then": {"enroll": draw.random.choice(draw.others)}} if draw.others and draw.chance(0.3) else {}
        )
        found.append({"when": when} | then)
    return found


def _event(_: Draw) -> Plain:
    return {"event": ENDING}


def _large(_: Draw) -> Plain:
    return {"event": ENDING, "where": {"mrr": {"gte": 50}}}


def _changed(_: Draw) -> Plain:
    return {"changed": "plan"}


def _account_changed(draw: Draw) -> Plain:
    return {"changed": {"account": "plan"}} if draw.subject == "user" else {"changed": "plan"}


EXITS: list[Callable[[Draw], Plain]] = [
    _event,
    _event,
    _large,
    _changed,
    _changed,
    _account_changed,
    _account_changed,
    _account_changed,
    stage,
    performed,
    in_segment,
    score,
]
