"""The page about journeys: each example can be used and walked through, and no key is left out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from schemas.workspace import Journey, Segment, Workspace
from schemas.workspace.base import Model
from schemas.workspace.steps import STEP_KEYS, walk
from tests.house.code import ROOT
from tests.unit.core.kit import DAY, World, journey
from workers.core.compile import compile_workspace
from workers.core.lint.steps import lint_steps

PAGE = (ROOT / "docs" / "journeys.md").read_text(encoding="utf-8")
OTHERS = ("welcome_to_pro",)


def examples() -> list[dict[str, Any]]:
    """Every YAML block as a journey: a whole one, or the steps of one."""
    found: list[dict[str, Any]] = []
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)):
        plain = YAML(typ="safe", pure=True).load(block)
        found.append(plain if isinstance(plain, dict) else journey(f"example_{number}", steps=plain))
    return found


def workspace_of(example: dict[str, Any]) -> Workspace:
    """The example with all that it names."""
    models = [Journey.model_validate(example)]
    models += [Journey.model_validate(journey(name, entry={"on": {"event": "never"}})) for name in OTHERS]
    at_risk = {"segment": "at_risk", "subject": "user", "require": [{"trait": "at_risk", "ne": False}]}
    return Workspace(
        name="docs",
        journeys=tuple(models),
        segments=(Segment.model_validate(at_risk),),
        templates={
            name: {"channel": channel, "fields": {}}
            for model in models
            for _, step in walk(model.steps)
            for channel, name in _templates(step)
        },
    )


def _templates(step: Any) -> list[tuple[str, str]]:
    send = getattr(step, "send", None)
    if send is None:
        return []
    variants = (step.variants or {}).values()
    return [
        (send.channel, send.template),
        *((send.channel, one.template) for one in variants if one.template),
    ]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example["journey"])
def test_an_example_can_be_used(example: dict[str, Any]) -> None:
    """It is right, reads back the same, and whoever enters comes to its end."""
    workspace = workspace_of(example)
    assert [one.detail for one in lint_steps(workspace)] == []
    plain = workspace.model_dump(mode="json", exclude_defaults=True)
    assert Workspace.model_validate(plain) == workspace
    world = World(compile_workspace(workspace).user, timezone="Europe/Oslo", renewal_date="2026-06-01")
    world.segments = frozenset({"at_risk"})
    world.track(example["entry"]["on"]["event"])
    world.advance(400 * DAY)
    ends = [one for one in world.outcomes("exit") if one[0] == "completed" or one[1]]
    assert len(ends) >= 1
    assert world.timers == {}


def test_there_are_examples() -> None:
    """A page whose blocks are not found would pass unseen."""
    assert len(examples()) > 12


def test_every_key_of_a_step_is_explained() -> None:
    """Of the steps and of what is in them."""
    words = set(re.findall(r"[a-z_]+", PAGE))
    assert set(STEP_KEYS) - words == set()
    missing = {field for model in _models() for field in model.fields()} - words
    assert missing == set()


def _models() -> set[type[Model]]:
    """Every model that the steps are made of, conditions and comparisons apart."""
    modules = {f"schemas.workspace.{name}" for name in ("steps", "sends", "waits", "updates", "journeys")}
    found: set[type[Model]] = set()
    stack = list(Model.__subclasses__())
    while stack:
        model = stack.pop()
        stack += model.__subclasses__()
        if model.__module__ in modules and model.__name__ not in {"Recipients", "Entry", "Journey"}:
            found.add(model)
    return found
