"""The page about entries: its journeys and experiments can be used together, and nothing is left out."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML

from schemas.workspace import Workspace
from schemas.workspace.entries import TRIGGER_KEYS
from tests.house.code import ROOT
from workers.core.compile import compile_workspace
from workers.core.lint.workspace import lint

PAGE = (ROOT / "docs" / "entry.md").read_text(encoding="utf-8")
NAMED: dict[str, Any] = {
    "segments": [
        {"segment": name, "require": [{"performed": "used", "within": "7d"}]}
        for name in ("power_users", "active")
    ],
    "scores": [
        {
            "score": "product_use",
            "subject": "user",
            "half_life": "7d",
            "contributions": [{"event": "used", "points": 1}],
            "thresholds": {"hot": 5},
        }
    ],
}
"""What the examples name."""


def workspace() -> Workspace:
    """All examples in one workspace."""
    texts = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    blocks = [YAML(typ="safe", pure=True).load(one) for one in texts]
    journeys = [one for one in blocks if "journey" in one]
    experiments = [one for one in blocks if "experiment" in one]
    assert len(journeys) + len(experiments) == len(blocks) > 6
    content = {"name": "docs", "journeys": journeys, "experiments": experiments, **NAMED}
    return Workspace.model_validate(content)


def test_the_examples_can_be_used() -> None:
    """No errors, and they compile."""
    assert [found for found in lint(workspace()) if found.severity == "error"] == []
    plan = compile_workspace(workspace())
    assert {"limit_upsell", "order_care"} < plan.user.journeys.keys()


def test_every_trigger_is_explained() -> None:
    """With an example."""
    triggers = [trigger for one in workspace().journeys for trigger in one.entry.triggers()]
    assert set(TRIGGER_KEYS) <= {trigger.fields()[0] for trigger in triggers}
