"""The page about LLM steps: its journey can be used, its connection read, and no key is left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from schemas.workspace import Journey, Workspace
from schemas.workspace.llm import Fill, Llm, Shown
from tests.house.code import ROOT
from tests.unit.core.kit import World
from tests.unit.core.llm_kit import answered
from workers.core.compile import compile_workspace
from workers.core.journeys.answering import answer
from workers.core.lint.llm import lint_llm
from workers.core.lint.steps import lint_steps
from workers.senders.connections import AnySecret, read_connections
from workers.senders.llm.connection import LlmConnection, Model
from workers.senders.webhooks import check_connections, questions_of

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "llm.md").read_text(encoding="utf-8")
JOURNEY, CONNECTION = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SHOWN = {"channel": "email", "fields": {"text": "{{ llm.opening }}"}}


def workspace() -> Workspace:
    """The journey of the page, with templates that show its slot."""
    plain: Any = YAML(typ="safe").load(JOURNEY)
    names = ("offer", "detailed_offer", "thank_you")
    return Workspace(
        name="docs",
        journeys=(Journey.model_validate(plain),),
        templates=dict.fromkeys(names, SHOWN),
    )


def test_the_journey_of_the_page_can_be_used() -> None:
    """Nothing is found in it, and somebody who is interested comes to its end."""
    made = workspace()
    assert [one.detail for one in (*lint_steps(made), *lint_llm(made))] == []
    world = World(compile_workspace(made).user)
    world.track("reply_received", text="Tell me more")
    for value in ("interested", "detailed", "Thank you for asking!"):
        record = answered(world.questions[-1], value)  # type: ignore[arg-type]
        world.take(answer(world.plan, record, world.facts(), world.progress, world.now_ms))
    (message,) = world.messages
    assert (message.template, message.variant) == ("detailed_offer", "detailed")
    assert message.context.llm == {
        "intent": "interested",
        "pick": "detailed",
        "opening": "Thank you for asking!",
    }


def test_the_connection_of_the_page_is_one_for_its_journey(tmp_path: Path) -> None:
    """With the models that the journey names."""
    path = tmp_path / "connections.yaml"
    path.write_text(CONNECTION)
    connections = read_connections(path, AnySecret())
    check_connections({}, connections, questions_of(compile_workspace(workspace())))
    assert isinstance(connections["assistant"], LlmConnection)


def test_every_key_is_explained() -> None:
    """Of the step and of the connection."""
    words = set(re.findall(r"[a-z_]+", PAGE))
    step = {field for model in (Llm, Fill, Shown) for field in model.fields()}
    connection = LlmConnection.model_fields.keys() | Model.model_fields.keys()
    assert (step | connection) - words == set()
