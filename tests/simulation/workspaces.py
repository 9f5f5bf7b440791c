"""Random workspaces under a seed, and edits of them; what they say is drawn in ``drawing``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.workspace import Workspace
from tests.simulation.drawing.context import Draw, Plain, Things
from tests.simulation.drawing.entries import entry
from tests.simulation.drawing.exits import exits
from tests.simulation.drawing.rules import messages, window
from tests.simulation.drawing.steps import steps, wait
from tests.simulation.drawing.things import definitions, things
from tests.simulation.words import BANNERS, ENDING, HOOK, LETTERS, PLAN_LIMITS, ROLES, SCORES, TAGS, TOPIC
from workers.core.templates.compile import Templates, TemplateSource, compile_templates
from workers.workspace.files import LoadedWorkspace, load_workspace

if TYPE_CHECKING:
    from random import Random

POLICIES = ("follow", "pin", "drain")
"""What files say of those inside when they change."""

READY = sorted((Path(__file__).parents[2] / "deploy" / "workspaces").iterdir())
"""The ready workspaces."""


@lru_cache(maxsize=1)
def templates() -> Templates:
    """One text for each name; they use what an event may or may not have."""
    banner = {"form": "banner", "title": "{{ event.feature | default('more') }}", "body": "Hello"}
    letter = {
        "subject": "About {{ event.feature | default('your plan') }}",
        "html": '<p>Hello</p><a href="{{ unsubscribe_url }}">Unsubscribe</a>',
    }
    call = {
        "connection": HOOK,
        "provider": "standard",
        "body": {"about": "{{ event.feature | default('plan') }}"},
    }
    sources = [TemplateSource(name, "in_app", banner) for name in BANNERS]
    sources += [TemplateSource(name, "email", letter) for name in LETTERS]
    return compile_templates([*sources, TemplateSource(HOOK, "webhook", call)])


@dataclass(frozen=True)
class Versions:
    """The workspaces of a run, one after the other, and how they name the usual events."""

    loaded: tuple[LoadedWorkspace, ...]
    names: dict[str, str]

    def event(self, name: str) -> str:
        """The name of an event in these workspaces."""
        return self.names.get(name, name)

    @property
    def have_objects(self) -> bool:
        """Whether all of the workspaces know products."""
        return all(
            any(kind.object == "product" for kind in loaded.workspace.objects) for loaded in self.loaded
        )

    def journeys(self, subject: str) -> list[str]:
        """The journeys that some of the workspaces have for users, or for accounts."""
        named = (one for loaded in self.loaded for one in loaded.workspace.journeys if one.subject == subject)
        return sorted({one.journey for one in named})


def versions(random: Random, *, edits: int) -> Versions:
    """A workspace and what it is edited to."""
    if not edits and random.random() < 0.1:
        return Versions((ready(random.choice(READY)),), PLAN_LIMITS)
    which = things(random)
    named = [
        (f"journey_{number}", random.choice(("user", "user", "account")))
        for number in range(random.randint(1, 4))
    ]
    journeys = [
        journey(random, name, which, subject, _after(named, name, subject)) for name, subject in named
    ]
    plain: Plain = {
        "name": "simulated",
        "journeys": journeys,
        **definitions(random, which),
        **settings(random),
    }
    found = [_load(plain)]
    for number in range(edits):
        plain = edited(random, plain, which, number)
        found.append(_load(plain))
    return Versions(tuple(found), {})


def _after(named: list[tuple[str, str]], name: str, subject: str) -> tuple[str, ...]:
    return tuple(other for other, kind in named if kind == subject and other > name)


@lru_cache
def ready(folder: Path) -> LoadedWorkspace:
    """A ready workspace, read once."""
    return load_workspace(folder)


def _load(plain: Plain) -> LoadedWorkspace:
    return LoadedWorkspace(Workspace.model_validate(plain), templates())


def settings(random: Random) -> Plain:
    """What holds for all journeys."""
    found: Plain = {
        "messages": messages(random),
        "consent": {"topics": {TOPIC: "Tips"}},
        "timezone": random.choice(["UTC", "Europe/Oslo"]),
    }
    if random.random() < 0.1:
        found["holdout"] = {"share": "30%", "unit": random.choice(["user", "account"])}
    return found


def journey(random: Random, name: str, which: Things, subject: str, others: tuple[str, ...]) -> Plain:
    """A journey of users or of accounts."""
    draw = Draw(random, subject, which, others)
    entered = entry(draw)
    plain: Plain = {
        "journey": name,
        "subject": subject,
        "tags": random.choice([[TAGS[0]], [TAGS[0]], [TAGS[1]], [TAGS[0], TAGS[1]], [TAGS[2]], []]),
        "priority": random.choice([random.randrange(100), random.randrange(100), "properties.size"]),
        "entry": entered,
        "exit": exits(draw, keyed="key" in entered),
        "holdout": random.choice(["0%", "0%", "20%", "50%"]),
        "steps": steps(draw),
    }
    if random.random() < 0.7:
        plain["goal"] = _goal(random, keyed="key" in entered)
    if random.random() < 0.05:
        plain["window"] = window(random)
    if which.experiments and random.random() < 0.7:
        plain["experiments"] = ["offer"]
    if subject == "account":
        plain["recipients"] = recipients(random, which)
    return plain


def _goal(random: Random, *, keyed: bool) -> Plain:
    goal = {"event": ENDING, "within": random.choice(["1d", "7d"]), "revenue": "properties.mrr"}
    return goal | ({"match": "properties.order"} if keyed and random.random() < 0.5 else {})


def recipients(random: Random, which: Things) -> Plain:
    """Which members an account's journey writes to."""
    found: Plain = {"role": random.sample(ROLES, 2), "limit": random.randint(1, 3)}
    if which.scores and random.random() < 0.5:
        found |= {
            "by": SCORES["user"],
            "fallback": random.choice([["champions"], ["champions", "everyone"], []]),
        }
    elif random.random() < 0.3:
        found["fallback"] = ["everyone"]
    return found


def edited(random: Random, plain: Plain, which: Things, number: int) -> Plain:
    """The workspace with a change or two: other steps, a journey more, or one less."""
    aside = Draw(random, "user", which).aside
    journeys = [
        _with_other_steps(aside, one, which) if aside.random() < 0.5 else one for one in plain["journeys"]
    ]
    kind = random.choice(["steps", "wait", "add", "remove"])
    at = random.randrange(len(journeys))
    one: dict[str, Any] = journeys[at]
    others = _after(
        [(other["journey"], other["subject"]) for other in journeys], one["journey"], one["subject"]
    )
    draw = Draw(random, one["subject"], which, others)
    if kind == "add" or (kind == "remove" and len(journeys) == 1) or _is_named(journeys, one["journey"]):
        journeys.append(journey(random, f"added_{number}", which, random.choice(("user", "account")), ()))
    elif kind == "remove":
        del journeys[at]
    elif kind == "steps":
        drawn, policy = steps(draw), random.choice(POLICIES)
        journeys[at] = one | _rearranged(draw.aside, one["steps"], drawn) | {"on_edit": policy}
    else:
        longer = [step if "wait" not in step else wait(draw, 0) for step in one["steps"]]
        journeys[at] = one | {"steps": longer}
    return plain | {"journeys": journeys}


def _with_other_steps(chance: Random, one: Plain, which: Things) -> Plain:
    """A journey with other steps, and a word on those inside."""
    drawn = steps(Draw(chance, one["subject"], which))
    return one | _rearranged(chance, one["steps"], drawn) | {"on_edit": chance.choice(POLICIES)}


def _rearranged(chance: Random, old: list[Plain], new: list[Plain]) -> Plain:
    """Other steps: all new ones, or those of before in another order with one more or one less.

    Sometimes the file says where those go on who stand at a step that is gone.
    """
    if chance.random() < 0.5:
        kept = chance.sample(old, chance.randint(max(1, len(old) - 1), len(old)))
        added = [new[0]] if "id" not in new[0] and chance.random() < 0.5 else []
        new = [*added, *kept]
    if chance.random() < 0.4:
        return {"steps": new}
    gone = {str(chance.randrange(len(old))): str(chance.randrange(len(new))) for _ in range(2)}
    return {"steps": new, "moves": gone}


def _is_named(journeys: list[Plain], name: str) -> bool:
    """Whether another journey enrolls in this one: it cannot be removed then."""
    return any(f"'enroll': '{name}'" in repr(one) for one in journeys)
