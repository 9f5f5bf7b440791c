"""The page about conditions: each of its examples can be used, and nothing that can be asked is left out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from schemas.workspace.comparisons import OPERATORS
from schemas.workspace.conditions import CONDITION_KEYS
from schemas.workspace.spans import NAMES
from tests.house.code import ROOT
from tests.unit.core.condition_kit import Someone, compiled, moment
from workers.core.conditions.outcome import Outcome

PAGE = (ROOT / "docs" / "conditions.md").read_text(encoding="utf-8")


def examples() -> list[tuple[str, Any]]:
    """Every condition of every YAML block, with the subject that its journey has."""
    found: list[tuple[str, Any]] = []
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        subject = "account" if block.startswith("# account") else "user"
        found += [(subject, condition) for condition in YAML(typ="safe", pure=True).load(block)]
    return found


@pytest.mark.parametrize(("subject", "condition"), examples())
def test_an_example_can_be_used(subject: str, condition: dict[str, Any]) -> None:
    """It compiles, and says something of a subject of whom nothing is known."""
    if condition.get("enrolled", {}).get("journey"):
        condition = {**condition, "enrolled": {"journey": "prior"}}
    plan, asked = compiled(condition, subject=subject)
    assert isinstance(asked.test(moment(plan, Someone()), {}), Outcome)


def test_there_are_examples() -> None:
    """A page whose blocks are not found would pass unseen."""
    assert len(examples()) > 30


def test_everything_that_can_be_asked_is_explained() -> None:
    """Every kind of condition, operator and span stands in the page."""
    words = set(re.findall(r"[a-z_]+", PAGE))
    assert {*CONDITION_KEYS, *OPERATORS, *NAMES} - words == set()
