"""Who may import whom: arrows point inwards only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.house.code import Source, is_inside, source_of, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENTS = ("intake", "signals", "scheduler", "senders", "insights")
"""Packages that talk to each other through topics and shared state alone."""

SHARED = (
    *(
        "acted_for",
        "clock",
        "engine_metrics",
        "errors",
        "identity",
        "labelled",
        "listed",
        "mail",
        "relations",
        "settings",
        "shell",
        "slot_books",
        "state",
        "subject_scores",
        "tail",
        "tallies",
        "step_problems",
        "telemetry",
        "telling",
        "telling_traits",
        "timers",
        "tracking",
    ),
    "web",
)
"""Modules beside the packages that agents may import. They know no agent, also not for its types."""

LAYERS = ("core", "stream", *SHARED)
"""What every agent stands on."""

FORBIDDEN = (
    ("schemas", "workers", "schemas import nothing of workers"),
    *(
        (f"workers.{layer}", f"workers.{agent}", f"{layer} knows no agent")
        for layer in LAYERS
        for agent in AGENTS
    ),
    *(
        (
            f"workers.{own}",
            f"workers.{other}",
            f"{own} imports nothing of {other}: move it to what both share",
        )
        for own in AGENTS
        for other in AGENTS
        if own != other
    ),
    *(
        ("workers.imports", f"workers.{agent}", "imports write public topics and know no agent")
        for agent in AGENTS
    ),
    *(
        ("workers.simulate", f"workers.{agent}", "simulations are given applications and know no agent")
        for agent in AGENTS
    ),
    ("workers", "tests", "what is shipped imports no tests"),
    ("schemas", "tests", "what is shipped imports no tests"),
)
"""Package, what it must not import, and the rule in words."""


_AGENT_PACKAGES = {f"workers.{agent}" for agent in AGENTS}


def breaches(source: Source) -> Iterator[str]:
    """Each import that points outwards, or from one agent to another."""
    for line, name in source.imports():
        for package, other, rule in FORBIDDEN:
            if is_inside(source.name, package) and is_inside(name, other):
                yield f"{source.file}:{line}: {rule} (imports {name})"
        package = ".".join(source.name.split(".")[:2])
        leaves = is_inside(name, "workers") and not is_inside(name, package)
        if package == "workers.core" and leaves:
            yield f"{source.file}:{line}: the core imports nothing of the other workers (imports {name})"
        shared = any(is_inside(name, f"workers.{layer}") for layer in LAYERS)
        if package in _AGENT_PACKAGES and leaves and not shared:
            yield f"{source.file}:{line}: agents import layers and what is shared (imports {name})"


def test_imports_point_inwards() -> None:
    """In everything that is shipped."""
    assert [breach for source in sources("workers", "schemas") for breach in breaches(source)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("schemas.wire", "from workers.core.activity import windows"),
        ("workers.core.plan", "from workers.clock import Clock"),
        ("workers.core.plan", "import workers.stream.store"),
        ("workers.signals.users", "from workers.scheduler.gate import decide"),
        ("workers.senders.email", "from workers import insights"),
        ("workers.stream.app", "from workers.signals import users"),
        ("workers.shell", "if TYPE_CHECKING:\n    from workers.scheduler.agent import Scheduler"),
        ("workers.insights.logic", "from workers.assemble import Assembly"),
        ("workers.senders.logic", "import workers.local.mailsink"),
        ("workers.imports.output", "from workers.intake.publisher import Record"),
        ("workers.simulate.owner", "from workers.senders.logic import SenderLogic"),
        ("workers.clock", "from tests.support import kafka"),
    ],
)
def test_the_rule_finds_what_it_forbids(name: str, text: str) -> None:
    """One arrow of each kind."""
    assert list(breaches(source_of(text, name)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("workers.core.plan", "from schemas.fields import Channel"),
        (
            "workers.signals.users",
            "from workers.core import zones\nfrom workers.stream.view import View",
        ),
        ("workers.signals.users", "from workers.signals.intake import take"),
        ("workers.signals.users", "from workers.shell import Subject\nfrom workers.errors import Refused"),
        ("workers.assemble", "from workers.signals.users import UserSignals"),
    ],
)
def test_the_rule_lets_pass_what_points_inwards(name: str, text: str) -> None:
    """A package named like an agent inside another is its own."""
    assert list(breaches(source_of(text, name))) == []
