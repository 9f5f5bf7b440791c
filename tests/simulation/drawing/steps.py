"""Random steps of journeys: all kinds that the schema knows. A new one is a function and a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.drawing.conditions import condition, where
from tests.simulation.drawing.rules import send_rules
from tests.simulation.words import BANNERS, COUNTED, ENDING, HOOK, LETTERS, PLANS, STAGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.drawing.context import Draw, Plain

DEPTH = 2
"""How deep steps are nested at most."""


def steps(draw: Draw, depth: int = 0) -> list[Plain]:
    """One to five steps; those inside others are fewer."""
    names = list(STEPS)
    if depth == 0 and draw.chance(0.2):
        return [_first_wait(draw), *steps(draw, 1)]
    chosen = draw.random.choices(
        names, [STEPS[name][0] for name in names], k=draw.random.randint(1, _most(depth))
    )
    found = [STEPS[name][1](draw, depth) for name in chosen if not (depth >= DEPTH and name in NESTED)]
    return named(draw.aside, found or [_send(draw, depth)], depth)


def named(chance: Random, some: list[Plain], depth: int) -> list[Plain]:
    """The steps, some of them with an id, by which they are found again wherever an edit puts them."""
    return [
        {"id": f"s{depth}_{chance.randrange(10**9)}"} | one if chance.random() < 0.15 else one for one in some
    ]


def _most(depth: int) -> int:
    return (5, 3, 2)[depth]


def _inner(draw: Draw, depth: int) -> list[Plain]:
    return steps(draw, depth + 1)


def _send(draw: Draw, _depth: int) -> Plain:
    send: Plain = draw.random.choice(
        [{"in_app": draw.random.choice(BANNERS)}, {"email": draw.random.choice(LETTERS)}]
    )
    once = {"once": "user"} if draw.chance(0.25) else {}
    plain: Plain = {"send": send | once | send_rules(draw)}
    if draw.chance(0.15):
        by = draw.random.choice(["subject", "account"])
        plain |= {"variants": {"one": 50, "other": 50}, "by": by}
    return plain


def _webhook(_: Draw, _depth: int) -> Plain:
    return {"send": {"webhook": HOOK}}


def duration(draw: Draw, depth: int) -> str:
    """How long something waits; inside others not for so long, because loops multiply it."""
    return draw.random.choice(["1m", "1h", "5h", "1d"] if depth else ["1m", "1h", "5h", "1d", "3d"])


def wait(draw: Draw, depth: int) -> Plain:
    """For a time; sometimes on to a time of day."""
    if draw.chance(0.85):
        return {"wait": duration(draw, depth)}
    plain: Plain = draw.random.choice(
        [
            {"for": "2h", "at": "09:00"},
            {"at": "02:30", "zone": "Europe/Oslo"},
            {"on": ["mon", "wed", "sun"]},
            {"until": {"trait": "renewal"}, "offset": "-1d", "if_missing": "go_on", "if_past": "go_on"},
            {"until": {"trait": "renewal"}, "if_missing": "exit", "if_past": "exit"},
        ]
    )
    return {"wait": plain}


def _wait_for(draw: Draw, depth: int) -> Plain:
    timeout = duration(draw, depth)
    waits: Plain = {"timeout": timeout, "since": draw.random.choice(["step", "step", "entry"])}
    if draw.chance(0.25):
        events = draw.random.sample([*COUNTED, ENDING, "email_opened"], 2)
        waits["first_of"] = [{"event": event, "steps": _inner(draw, DEPTH - 1)} for event in events]
    else:
        waits |= {"event": draw.random.choice([*COUNTED, ENDING])} | where(draw)
        if draw.chance(0.2):
            waits["match"] = {"order": "order"}
    if draw.chance(0.2):
        waits["restart_on"] = {"event": draw.random.choice(COUNTED)}
    return {"wait_for": waits, "timed_out": _timed_out(draw)}


def _wait_until(draw: Draw, depth: int) -> Plain:
    when = {"trait": "plan", "eq": draw.random.choice(PLANS)} if draw.chance(0.4) else condition(draw)
    return {"wait_until": {"when": when, "timeout": duration(draw, depth)}, "timed_out": _timed_out(draw)}


def _timed_out(draw: Draw) -> list[Plain]:
    """A message that nothing holds back for long, so that it tells that the time was over; or nothing."""
    return [{"send": {"in_app": draw.random.choice(BANNERS)}}] if draw.chance(0.7) else []


def _first_wait(draw: Draw) -> Plain:
    """What is easily told from outside: how a wait ends that everybody comes to at once."""
    timeout = draw.random.choice(["1h", "1d", "3d"])
    timed_out: list[Plain] = [{"send": {"in_app": draw.random.choice(BANNERS)}}]
    if draw.chance(0.5):
        waits: Plain = {"wait_for": {"event": draw.random.choice(COUNTED), "timeout": timeout} | where(draw)}
    else:
        plan = {"trait": "plan", "eq": draw.random.choice(PLANS[1:])}
        waits = {"wait_until": {"when": plan, "timeout": timeout}}
    return waits | {"timed_out": timed_out}


def _branch(draw: Draw, depth: int) -> Plain:
    asked = condition(draw)
    if draw.things.experiments and draw.chance(0.3):
        asked = {"trait": STAGE, "eq": "asked"}
    arms: list[Plain] = [{"when": asked, "steps": _inner(draw, depth)}]
    if draw.chance(0.5):
        arms.append({"otherwise": _inner(draw, depth)})
    return {"branch": arms}


def _split(draw: Draw, depth: int) -> Plain:
    arms: list[Plain] = [
        {"name": "some", "weight": 33.33, "steps": _inner(draw, depth)},
        {"name": "most", "weight": 66.67, "steps": _inner(draw, depth) if draw.chance(0.5) else []},
    ]
    shared = {"experiment": "shared"} if draw.chance(0.3) else {}
    return {"split": arms, "by": draw.random.choice(["subject", "subject", "account"])} | shared


def _parallel(draw: Draw, depth: int) -> Plain:
    parts = [{"steps": _inner(draw, depth)} for _ in range(draw.random.randint(2, 3))]
    return {"parallel": parts, "join": draw.random.choice(["all", "all", "any"])}


def _repeat(draw: Draw, depth: int) -> Plain:
    loop: Plain = {"times": draw.random.randint(1, 3), "steps": _inner(draw, depth)}
    return {"repeat": loop | ({"until": condition(draw)} if draw.chance(0.3) else {})}


def _update(draw: Draw, _depth: int) -> Plain:
    traits = draw.random.choice(
        [{STAGE: "asked"}, {STAGE: None}, {"asked_at": {"now": True}, STAGE: "asked"}]
    )
    account = {"asked": True} if draw.subject == "user" and draw.chance(0.2) else None
    return {"update": {"traits": traits} | ({"account": account} if account else {})}


def _enroll(draw: Draw, depth: int) -> Plain:
    return {"enroll": draw.random.choice(draw.others)} if draw.others else _send(draw, depth)


def _exit(_: Draw, _depth: int) -> Plain:
    return {"exit": "enough"}


STEPS: dict[str, tuple[int, Callable[[Draw, int], Plain]]] = {
    "send": (24, _send),
    "webhook": (2, _webhook),
    "wait": (18, wait),
    "wait_for": (5, _wait_for),
    "wait_until": (4, _wait_until),
    "branch": (5, _branch),
    "split": (3, _split),
    "parallel": (3, _parallel),
    "repeat": (3, _repeat),
    "update": (3, _update),
    "enroll": (2, _enroll),
    "exit": (1, _exit),
}
"""For each kind of step how often it comes, and how one is made."""

NESTED = frozenset({"branch", "split", "parallel", "repeat", "wait_for", "wait_until"})
"""Steps that hold others."""
