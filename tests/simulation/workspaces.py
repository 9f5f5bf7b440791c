"""Random workspaces under a seed: journeys over all steps that the schema knows, and edits of them.

A new kind of step is one function and one line in :data:`STEPS`, a new condition one line in
:data:`CONDITIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from schemas.workspace import Workspace
from workers.core.templates.compile import Templates, TemplateSource, compile_templates
from workers.workspace.files import LoadedWorkspace, load_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Plain: TypeAlias = dict[str, Any]

READY = sorted((Path(__file__).parents[2] / "deploy" / "workspaces").iterdir())
"""The ready workspaces."""

COUNTED = ("limit", "used", "seen")
"""Events that windows count and entries begin with."""

ENDING = "upgraded"
"""The event of exits and goals."""

NEVER = "retired"
"""An event that no workspace speaks of."""

PLANS = ("free", "pro", "enterprise")
ROLES = ("owner", "admin", "member")
BANNERS = ("banner", "second_banner")
LETTERS = ("letter", "second_letter")

PLAN_LIMITS = {"limit": "plan_limit_reached", "upgraded": "plan_upgraded"}
"""What the events are called in the ready workspaces."""


@lru_cache(maxsize=1)
def templates() -> Templates:
    """One text for each name; they use what an event may or may not have."""
    banner = {"form": "banner", "title": "{{ event.feature | default('more') }}", "body": "Hello"}
    letter = {
        "subject": "About {{ event.feature | default('your plan') }}",
        "html": '<p>Hello</p><a href="{{ unsubscribe_url }}">Unsubscribe</a>',
    }
    sources = [TemplateSource(name, "in_app", banner) for name in BANNERS]
    return compile_templates([*sources, *(TemplateSource(name, "email", letter) for name in LETTERS)])


@dataclass(frozen=True)
class Versions:
    """The workspaces of a run, one after the other, and how they name the usual events."""

    loaded: tuple[LoadedWorkspace, ...]
    names: dict[str, str]

    def event(self, name: str) -> str:
        """The name of an event in these workspaces."""
        return self.names.get(name, name)


def versions(random: Random, *, edits: int) -> Versions:
    """A workspace and what it is edited to."""
    if not edits and random.random() < 0.15:
        return Versions((ready(random.choice(READY)),), PLAN_LIMITS)
    journeys = [journey(random, f"journey_{number}") for number in range(random.randint(1, 4))]
    plain: Plain = {"name": "simulated", "journeys": journeys, "segments": segments(random)}
    found = [_load(plain)]
    for number in range(edits):
        plain = edited(random, plain, number)
        found.append(_load(plain))
    return Versions(tuple(found), {})


@lru_cache
def ready(folder: Path) -> LoadedWorkspace:
    """A ready workspace, read once."""
    return load_workspace(folder)


def _load(plain: Plain) -> LoadedWorkspace:
    return LoadedWorkspace(Workspace.model_validate(plain), templates())


# -- journeys


def journey(random: Random, name: str) -> Plain:
    """A journey of users or of accounts."""
    subject = random.choice(("user", "user", "account"))
    plain: Plain = {
        "journey": name,
        "subject": subject,
        "tags": random.choice([["upsell"], ["onboarding"], []]),
        "priority": random.randrange(100),
        "entry": entry(random),
        "exit": [random.choice(EXITS)(random) for _ in range(random.randrange(3))],
        "holdout": random.choice(["0%", "0%", "20%", "50%"]),
        "steps": steps(random, depth=0),
    }
    if random.random() < 0.7:
        plain["goal"] = {"event": ENDING, "within": random.choice(["1d", "7d"]), "revenue": "properties.mrr"}
    if subject == "account":
        plain["recipients"] = {"role": random.sample(ROLES, 2), "limit": random.randint(1, 3)}
    return plain


def entry(random: Random) -> Plain:
    """On an event, under some conditions, again or not."""
    return {
        "on": {"event": random.choice(COUNTED)} | _where(random),
        "require": [random.choice(CONDITIONS)(random) for _ in range(random.randrange(3))],
        "exclude": [random.choice(EXCLUSIONS)(random) for _ in range(random.randrange(2))],
        "again": random.choice(["never", "always", {"after": "2h"}, {"after": "3d"}]),
    }


def _where(random: Random) -> Plain:
    return {"where": {"size": {"gte": 3}}} if random.random() < 0.25 else {}


def _performed(random: Random) -> Plain:
    times = random.choice([{"at_least": 2}, {"at_least": 1}, {"at_most": 6}, {"reaches": 2}])
    within = random.choice(["1d", "7d", "21d"])
    return {"performed": random.choice(COUNTED), "within": within, **times} | _where(random)


def _trait(random: Random) -> Plain:
    # "!= enterprise" as a list, so that a subject without a plan is missing the condition, not failing it.
    return {"trait": "plan", "not_in": ["enterprise"], "if_missing": random.choice(["fail", "pass"])}


CONDITIONS: list[Callable[[Random], Plain]] = [
    _performed,
    _performed,
    _trait,
    lambda random: {"any": [_performed(random), _trait(random)]},
    lambda random: {"not": _performed(random)},
]
EXCLUSIONS: list[Callable[[Random], Plain]] = [
    lambda random: {"received": {"tag": "upsell"}, "within": random.choice(["1d", "7d"])},
    lambda random: {"trait": "plan", "in": ["enterprise"]},
]
EXITS: list[Callable[[Random], Plain]] = [
    lambda _: {"when": {"event": ENDING}},
    lambda _: {"when": {"event": ENDING, "where": {"mrr": {"gte": 50}}}},
    lambda _: {"when": {"changed": "plan"}},
]

# -- steps


def steps(random: Random, *, depth: int) -> list[Plain]:
    """One to five steps; those of branches are fewer."""
    names = list(STEPS)
    chosen = random.choices(names, [STEPS[name][0] for name in names], k=random.randint(1, 5 - 2 * depth))
    return [STEPS[name][1](random, depth) for name in chosen if not (depth and name in NESTED)] or [
        _send(random, depth)
    ]


def _send(random: Random, _depth: int) -> Plain:
    send: Plain = random.choice([{"in_app": random.choice(BANNERS)}, {"email": random.choice(LETTERS)}])
    return {"send": send | ({"once": "user"} if random.random() < 0.25 else {})}


def _wait(random: Random, _depth: int) -> Plain:
    return {"wait": random.choice(["1m", "1h", "5h", "1d", "3d"])}


def _branch(random: Random, depth: int) -> Plain:
    arms: list[Plain] = [{"when": random.choice(CONDITIONS)(random), "steps": steps(random, depth=depth + 1)}]
    if random.random() < 0.5:
        arms.append({"otherwise": steps(random, depth=depth + 1)})
    return {"branch": arms}


STEPS: dict[str, tuple[int, Callable[[Random, int], Plain]]] = {
    "send": (6, _send),
    "wait": (5, _wait),
    "branch": (2, _branch),
}
"""For each kind of step how often it comes, and how one is made."""

NESTED = frozenset({"branch"})
"""Steps that hold others."""


# -- segments and edits


def segments(random: Random) -> list[Plain]:
    """At most one, entered and left by events and by time."""
    if random.random() < 0.5:
        return []
    subject = random.choice(("user", "account"))
    within = random.choice(["1d", "7d"])
    require = [{"performed": random.choice(COUNTED), "at_least": 2, "within": within}]
    return [{"segment": "busy", "subject": subject, "require": require}]


def edited(random: Random, plain: Plain, number: int) -> Plain:
    """The workspace with one change: other steps, a journey more, or one less."""
    journeys = list(plain["journeys"])
    kind = random.choice(["steps", "wait", "add", "remove"])
    at = random.randrange(len(journeys))
    if kind == "add" or (kind == "remove" and len(journeys) == 1):
        journeys.append(journey(random, f"added_{number}"))
    elif kind == "remove":
        del journeys[at]
    elif kind == "steps":
        journeys[at] = journeys[at] | {"steps": steps(random, depth=0)}
    else:
        longer = [step if "wait" not in step else _wait(random, 0) for step in journeys[at]["steps"]]
        journeys[at] = journeys[at] | {"steps": longer}
    return plain | {"journeys": journeys}
