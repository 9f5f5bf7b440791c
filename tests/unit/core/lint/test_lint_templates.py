"""Values that no message will have are found before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import Journey, TrackingPlan, Workspace
from tests.unit.core.kit import journey
from workers.core.lint.templates import lint_templates
from workers.core.templates.compile import TemplateSource, compile_templates, records_of

PLAN: dict[str, Any] = {
    "events": {
        "limit": {"properties": {"kind": {"type": "string"}, "who": {"type": "object"}}},
        "upgraded": {"properties": {"plan": {"type": "string"}}},
        "bare": {},
    },
    "identify": {"traits": {"name": {"type": "string"}}},
}


def warnings(body: str, *, plan: dict[str, Any] | None = PLAN, **fields: Any) -> list[str]:
    """What is found of a banner with this body that one journey sends."""
    source = TemplateSource(
        "banner", "in_app", {"form": "banner", "title": "t", "body": body}, "templates/b.yaml", {"body": 5}
    )
    sources = [source, TemplateSource("unused", "in_app", source.fields, "templates/u.yaml")]
    workspace = Workspace(
        name="test",
        journeys=(Journey.model_validate(journey(**fields)),),
        templates=records_of(sources),
        tracking_plan=None if plan is None else TrackingPlan.model_validate(plan),
    )
    return list(map(str, lint_templates(workspace, compile_templates(sources))))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{{ event.kind }}", None),
        ("{{ event.who.name }}", None),
        ("{{ user.name }}", None),
        ("{{ account.anything }}", None),
        ("{{ event.knd }}", "templates/b.yaml:5: body: the tracking plan's event 'limit' has no property 'k"),
        ("\n{{ event.knd | default('x') }}", "templates/b.yaml:6: body: the tracking plan's event 'limit'"),
        ("{{ user.nam }}", "identify call has no trait 'nam'; did you mean 'name'?"),
        ("{{ awaited.plan }}", "no journey that sends this template waits for an event"),
        ("{{ evidence.count }}{{ evidence.events.limit.count }}", None),
        ("{{ evidence.cuont }}", "evidence has no 'cuont'; it has count"),
    ],
)  # fmt: skip
def test_a_value_that_nobody_declares_is_found_with_its_line(body: str, says: str | None) -> None:
    """Of a template that a journey sends: of another nobody knows what starts it."""
    body = body if not body.startswith("\n") else f"x{body}"
    found = warnings(body)
    if says is None:
        assert found == []
    elif "evidence" in body:
        assert len(found) == 2
        assert says in found[0]
    else:
        (one,) = found
        assert says in one


def test_one_of_several_events_is_enough() -> None:
    """A template that is for either has a default for the other."""
    entry = {"on": [{"event": "limit"}, {"event": "upgraded"}]}
    assert warnings("{{ event.plan | default('') }}", entry=entry) == []
    assert warnings("{{ event.plan }}", entry={"on": [{"event": "limit"}, {"event": "bare"}]}) == []
    (found,) = warnings("{{ event.price }}", entry=entry)
    assert "has no property 'price'" in found


def test_what_a_journey_waits_for_is_known() -> None:
    """Its properties are those of the awaited event."""
    steps: list[dict[str, Any]] = [
        {"wait_for": {"event": "upgraded", "timeout": "1d"}},
        {"send": {"in_app": "banner"}},
    ]
    assert warnings("{{ awaited.plan }}", steps=steps) == []
    (found,) = warnings("{{ awaited.price }}", steps=steps)
    assert "event 'upgraded' has no property 'price'" in found


def test_without_a_plan_nothing_is_known_to_be_wrong() -> None:
    """But of evidence it is."""
    assert warnings("{{ event.anything }}{{ user.anything }}{{ awaited.x }}", plan=None) == []
