"""Random conditions: of entries, exits, branches and loops. A new one is a function and a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.words import BUSY, COUNTED, LISTS, SCORES, STAGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.drawing.context import Draw, Plain


def where(draw: Draw) -> Plain:
    """Sometimes a filter on an event's properties."""
    return {"where": {"size": {"gte": 3}}} if draw.chance(0.25) else {}


def performed(draw: Draw) -> Plain:
    """How often an event happened."""
    times = draw.random.choice([{"at_least": 2}, {"at_least": 1}, {"at_most": 6}, {"reaches": 2}])
    within = draw.random.choice(["1d", "7d", "21d"])
    return {"performed": draw.random.choice(COUNTED), "within": within, **times} | where(draw)


def trait(draw: Draw) -> Plain:
    """The plan, with what a missing one means."""
    # "!= enterprise" as a list, so that a subject without a plan is missing the condition, not failing it.
    return {"trait": "plan", "not_in": ["enterprise"], "if_missing": draw.random.choice(["fail", "pass"])}


def stage(_: Draw) -> Plain:
    """The trait that steps set."""
    return {"trait": STAGE, "eq": "asked"}


def account_trait(draw: Draw) -> Plain:
    """A trait of a user's account; in an account's journey its own."""
    compared = {"trait": "seats", "gte": 20}
    aside = draw.aside
    if draw.subject == "user" and draw.things.segments and aside.random() < 0.5:
        return account_in_segment(aside)
    return {"account": compared} if draw.subject == "user" else compared


def account_in_segment(chance: Random) -> Plain:
    """Whether a user's account is in a segment, as it told them last."""
    asked = {"in_segment": chance.choice([BUSY, LISTS])["account"]}
    missing = chance.choice([{}, {"if_missing": "pass"}, {"if_missing": "fail"}])
    found = {"account": asked | missing}
    return {"not": found} if chance.random() < 0.2 else found


def in_segment(draw: Draw) -> Plain:
    """Whether the subject is in a segment."""
    if not draw.things.segments:
        return performed(draw)
    return {"in_segment": draw.random.choice([BUSY, LISTS])[draw.subject]}


def score(draw: Draw) -> Plain:
    """What a score of the subject is."""
    if not draw.things.scores:
        return performed(draw)
    return {"score": SCORES[draw.subject], "gte": draw.random.choice([5, 15])}


def related(draw: Draw) -> Plain:
    """How many objects are related to the subject."""
    if not draw.things.objects:
        return performed(draw)
    kind = "viewed" if draw.subject == "user" else "viewed_by_members"
    asked: Plain = {"object": "product", "relationship": kind}
    if draw.chance(0.5):
        asked["where"] = {"in_stock": True}
    return {"related": asked, "at_least": draw.random.choice([1, 2])}


def combined(draw: Draw) -> Plain:
    """One of two, both of two, or not one."""
    match draw.random.randrange(3):
        case 0:
            return {"any": [performed(draw), trait(draw)]}
        case 1:
            return {"all": [performed(draw), trait(draw)]}
        case _:
            return {"not": performed(draw)}


CONDITIONS: list[Callable[[Draw], Plain]] = [
    performed,
    performed,
    performed,
    trait,
    stage,
    account_trait,
    in_segment,
    score,
    related,
    combined,
    combined,
]
"""What entries, branches, waits and loops ask."""


def condition(draw: Draw) -> Plain:
    """Any of them."""
    return draw.random.choice(CONDITIONS)(draw)


def received(draw: Draw) -> Plain:
    """A message of a tag."""
    return {"received": {"tag": "upsell"}, "within": draw.random.choice(["1d", "7d"])}


def is_enterprise(_: Draw) -> Plain:
    """The largest plan."""
    return {"trait": "plan", "in": ["enterprise"]}


def enrolled(_: Draw) -> Plain:
    """Who is in a journey of a tag."""
    return {"enrolled": {"tag": "onboarding"}}


EXCLUSIONS: list[Callable[[Draw], Plain]] = [received, received, is_enterprise, enrolled]
"""What entries exclude."""


def exclusion(draw: Draw) -> Plain:
    """Any of them."""
    return draw.random.choice(EXCLUSIONS)(draw)
