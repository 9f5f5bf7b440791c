"""The page about objects: each of its examples can be used."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from schemas.catalog import problems_of
from schemas.workspace import Journey, ObjectType
from tests.house.code import ROOT
from tests.unit.core.kit import journey

PAGE = (ROOT / "docs" / "objects.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The blocks of a language, in the page's order."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_an_example_can_be_used(text: str) -> None:
    """A type, conditions, or an entry."""
    plain: Any = YAML(typ="safe", pure=True).load(text)
    if isinstance(plain, list):
        assert Journey.model_validate(journey(entry={"on": {"event": "e"}, "require": plain}))
    elif "entry" in plain:
        assert Journey.model_validate(journey(**plain))
    else:
        assert ObjectType.model_validate(plain)


def test_the_page_has_examples_of_everything() -> None:
    """A page whose blocks are not found would pass unseen; its record is one that the topic takes."""
    assert len(blocks("yaml")) == 4
    (record,) = blocks("json")
    assert problems_of("objects", msgspec.json.encode(msgspec.json.decode(record))) == []
