"""The page about messages: its examples can be used, and every setting, outcome and reason is explained."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from schemas.workspace import Cap, Exclusive, Journey, MessageSettings, Settings, Transactional
from schemas.workspace.gate import CAP_PERIODS
from tests.house.code import ROOT
from tests.unit.core.kit import journey
from workers.core.compile import compile_workspace
from workers.core.gate import collisions, grants
from workers.core.gate import verdict as gate
from workers.core.gate.plan import compile_gate
from workers.core.gate.verdict import OF_ACCOUNT
from workers.core.zones import Zones
from workers.workspace.files import BadWorkspace, load_workspace

PAGE = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def read(block: str) -> dict[str, Any]:
    """An example as plain values."""
    plain: dict[str, Any] = YAML(typ="safe", pure=True).load(block)
    return plain


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_can_be_used(block: str) -> None:
    """Settings as settings, a step as a step."""
    plain = read(block)
    if block.startswith("# step"):
        model = Journey.model_validate(journey(steps=[plain]))
        assert compile_workspace_of(model)
    else:
        settings = Settings.model_validate(plain)
        assert compile_gate(settings.messages, lambda: Zones(settings.timezone)).max_hold_ms > 0
        assert settings != Settings()


def compile_workspace_of(model: Journey) -> Any:
    """The plan of one journey."""
    from schemas.workspace import Workspace  # noqa: PLC0415 - one use

    return compile_workspace(Workspace(name="test", journeys=(model,)))


def test_there_are_examples() -> None:
    """A page whose blocks are not found would pass unseen."""
    assert len(BLOCKS) >= 6


def test_everything_that_can_be_said_is_explained() -> None:
    """Every setting, period, outcome and reason stands in the page."""
    words = set(re.findall(r"[a-z_]+", PAGE))
    fields = {name for model in (MessageSettings, Cap, Exclusive, Transactional) for name in model.fields()}
    assert {*fields, *CAP_PERIODS, "send", "would_send", "defer", "skip", "drop", "exit"} - words == set()
    source = "".join(open_source(module) for module in (gate, grants, collisions))
    reasons = set(re.findall(r'(?:Skip|Drop|_defer|reason=|_stopped)\(?[^"\n]*"([a-z_]+)"', source))
    assert len(reasons) > 10
    assert reasons - words - {OF_ACCOUNT} == set()


def open_source(module: Any) -> str:
    """The text of a module."""
    with open(module.__file__, encoding="utf-8") as file:  # noqa: PTH123 - a module knows its file as text
        return file.read()


JOURNEY = """\
journey: upsell
subject: user
tags: [upsell]
entry:
  on: {event: limit}
steps:
  - send: {in_app: banner}
"""


def found(tmp_path: Any, settings: str, text: str = JOURNEY) -> list[tuple[str, str, str]]:
    """Severity, place and detail of what the linter finds in a workspace with these settings."""
    for folder, name, content in (
        ("journeys", "j.yaml", text),
        ("templates", "banner.yaml", "channel: in_app\nform: banner\ntitle: Hello\nbody: There\n"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(content)
    (tmp_path / "workspace.yaml").write_text(settings)
    try:
        problems = load_workspace(tmp_path).warnings
    except BadWorkspace as error:
        problems = error.problems
    return [(one.severity, f"{one.file}:{one.line} {one.field}", one.detail) for one in problems]


GOOD = "messages:\n  caps:\n    - {max: 3, within: 7d}\n"


@pytest.mark.parametrize(
    ("settings", "text", "severity", "place", "says"),
    [
        (GOOD, JOURNEY, None, "", ""),
        ("timezone: UTC\n", JOURNEY, "warning", "journeys/j.yaml:3 tags", "no cap limits"),
        (GOOD.replace("7d", "7 days"), JOURNEY, "error", "workspace.yaml:3 messages.caps[0].within",
         "such as 90s"),
        (GOOD.replace("3,", "0,"), JOURNEY, "error", "workspace.yaml:3 messages.caps[0].max", "greater than"),
        (GOOD + "  quiet_hours: {from: 22, to: 8}\n", JOURNEY, "error",
         "workspace.yaml:4 messages.quiet_hours[0].from", 'in quotes as "08:00"'),
        (GOOD + '  quiet_hours: {from: "22:00", to: "22:00"}\n', JOURNEY, "error",
         "workspace.yaml:4 messages.quiet_hours[0]", "are the same"),
        (GOOD + '  quiet_hours: [{from: "00:00", to: "23:59"}, {from: "23:00", to: "01:00"}]\n', JOURNEY,
         "error",
         "workspace.yaml:1 messages", "never end"),
        (GOOD + "  exclusive: [{tag: promo}]\n", JOURNEY, "warning",
         "workspace.yaml:4 messages.exclusive[0].tag", "no journey has the tag"),
        (GOOD.replace("7d}", "7d, journey: other}"), JOURNEY, "error",
         "workspace.yaml:3 messages.caps[0].journey",
         "there is no journey"),
        (GOOD, JOURNEY + "topic: news\n", "error", "journeys/j.yaml:8 topic", "there is no topic"),
        (GOOD + "  max_hold: 9d\n", JOURNEY, "error", "workspace.yaml:4 messages.max_hold", "6d at most"),
        (GOOD, JOURNEY + "priority: margin\n", "error", "journeys/j.yaml:8 priority", "or a field"),
    ],
)  # fmt: skip
def test_settings_are_linted_at_their_place(
    tmp_path: Any, settings: str, text: str, severity: str | None, place: str, says: str
) -> None:
    """With what to write instead."""
    problems = found(tmp_path, settings, text)
    if severity is None:
        assert problems == []
        return
    assert any(one == severity and at == place and says in detail for one, at, detail in problems), problems
