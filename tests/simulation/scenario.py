"""What happens in a run, drawn from its seed: a list of actions in order of time, workload and faults alike.

Everything is drawn before the run begins, so that actions can be left out and the rest stays what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.actions import DAY, HOUR, MINUTE, START_MS, Action, Fault
from tests.simulation.people import People
from tests.simulation.workspaces import versions
from workers.stream.transaction import Step

if TYPE_CHECKING:
    from tests.simulation.workspaces import Versions

WORKERS = ("w0", "w1", "w2")
ENGINE, SENDERS, INSIGHTS = range(3)
"""The applications of a worker."""


@dataclass(frozen=True)
class Scenario:
    """A run: its workspaces, and what happens. ``stalls_ms`` is the longest time in which nobody worked.

    ``published``: workers run what is published, and take it up as they run; else they restart for it. Of
    what is published first, ``shadows`` are the journeys that deliver nothing.
    """

    seed: int
    partitions: int
    end_ms: int
    versions: Versions
    actions: tuple[Action, ...]
    remembers_ids: bool
    stalls_ms: int = 0
    published: bool = False
    shadows: tuple[str, ...] = ()

    def only(self, actions: tuple[Action, ...]) -> Scenario:
        """The same run with fewer actions."""
        return replace(self, actions=actions)


def scenario(seed: int) -> Scenario:
    """The run of a seed."""
    random = Random(f"scenario {seed}")  # noqa: S311 - chance that can be repeated is the point
    edits = random.choice([0, 0, 0, 1, 2])
    workspaces = versions(random, edits=edits)
    partitions = random.choice([1, 2, 3])
    span_ms = random.choice([6 * HOUR, 2 * DAY, 10 * DAY, 30 * DAY])
    people = People(random, workspaces, partitions)
    moments = _moments(random, span_ms, random.randint(80, 350))
    workload = people.introduce(START_MS) + [action for at_ms in moments for action in people.act(at_ms)]
    faults, stalls_ms = _faults(random, moments)
    published = not workspaces.names and random.random() < 0.35
    faults += publications(random, moments, workspaces) if published else _edits(random, moments, edits)
    actions = sorted([*workload, *faults], key=lambda action: action.at_ms)
    end_ms = max(START_MS + span_ms, actions[-1].at_ms)
    remembers_ids = random.random() < 0.4
    first = workspaces.loaded[0].workspace.journeys
    shadows = tuple(one.journey for one in first if published and random.random() < 0.15)
    return Scenario(
        seed,
        partitions,
        end_ms,
        workspaces,
        tuple(actions),
        remembers_ids,
        stalls_ms,
        published,
        shadows,
    )


def _moments(random: Random, span_ms: int, number: int) -> list[int]:
    """Times of so many actions: in bursts, so that things meet, with long quiet between them."""
    moments: list[int] = []
    while len(moments) < number:
        at_ms = START_MS + random.randrange(span_ms)
        gap_ms = random.choice([5, 50, 500, 20_000])
        for _ in range(random.randint(1, 25)):
            at_ms += random.randrange(gap_ms)
            moments.append(at_ms)
    return sorted(moments[:number])


def _faults(random: Random, moments: list[int]) -> tuple[list[Action], int]:
    """Faults at times at which there is something to disturb, and how long the longest stall is."""
    faults: list[Action] = []
    stalls_ms = 0
    kinds, weights = list(FAULTS), [FAULTS[kind][0] for kind in FAULTS]
    for kind in random.choices(kinds, weights, k=random.choice([0, 3, 10, 25])):
        at_ms = max(moments[0], random.choice(moments) - random.randrange(200))
        given = FAULTS[kind][1](random)
        stalls_ms = max(stalls_ms, given.get("down_ms", 0) if kind == "stall" else 0)
        faults.append(Fault(at_ms, kind, given))
    return faults, stalls_ms


def _edits(random: Random, moments: list[int], edits: int) -> list[Action]:
    """Rolling restarts with the next workspace each."""
    chosen = sorted(random.sample(moments, edits)) if edits else []
    return [Fault(at_ms, "edit", {"version": number + 1}) for number, at_ms in enumerate(chosen)]


def publications(random: Random, moments: list[int], workspaces: Versions) -> list[Action]:
    """The workspaces are published in turn; one is rolled back to; journeys are paused, resumed, stopped."""
    journeys = sorted({*workspaces.journeys("user"), *workspaces.journeys("account")})
    found: list[Action] = []
    for number, at_ms in enumerate(sorted(random.sample(moments, len(workspaces.loaded) - 1)), 1):
        policies = {name: random.choice(POLICIES) for name in journeys if random.random() < 0.5}
        shadows = [name for name in journeys if random.random() < 0.15]
        found.append(Fault(at_ms, "publish", {"version": number, "policies": policies, "shadows": shadows}))
    if random.random() < 0.3:
        found.append(Fault(random.choice(moments), "roll_back"))
    for _ in range(random.choice([0, 0, 1, 2, 4])):
        given = {
            "journey": random.choice(journeys),
            "state": random.choice(STATES),
            "spread_ms": random.choice([0, HOUR]),
        }
        found.append(Fault(random.choice(moments), "word", given))
    return found


POLICIES = ("follow", "pin", "drain")
STATES = ("paused", "paused", "running", "draining", "stopped")


def _worker(random: Random) -> dict[str, Any]:
    return {"worker": random.choice(WORKERS)}


def _at_step(random: Random) -> dict[str, Any]:
    app = random.choice((ENGINE, ENGINE, SENDERS, SENDERS, INSIGHTS))
    return _worker(random) | {"app": app, "step": random.choice(list(Step))}


def _down(random: Random) -> dict[str, Any]:
    return {"down_ms": random.choice([500, 20_000, 10 * MINUTE])}


FAULTS: dict[str, tuple[int, Any]] = {
    "crash": (1, lambda random: _worker(random) | _down(random)),
    "crash_at": (8, lambda random: _at_step(random) | _down(random)),
    "crash_in_call": (3, lambda random: _worker(random) | _down(random)),
    "commit_fails": (2, lambda random: _at_step(random) | {"applied": random.random() < 0.5}),
    "zombie": (4, lambda random: _at_step(random) | {"sleeps_ms": random.choice([300, 5_000, HOUR])}),
    "rebalance": (3, lambda random: {"turn": random.randrange(3)}),
    "clock": (
        3,
        lambda random: _worker(random) | {"skew_ms": random.choice([-MINUTE, -5_000, 0, MINUTE, 3 * HOUR])},
    ),
    "lose_disk": (1, _worker),
    "keep_disk": (1, _worker),
    "compact": (1, lambda _: {}),
    "stall": (1, lambda random: {"down_ms": random.choice([HOUR, DAY, 3 * DAY, 9 * DAY])}),
}
"""For each kind how often it comes, and what it is given."""
