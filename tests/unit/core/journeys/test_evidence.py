"""Templates can say why: the values of the entry's conditions, as they were."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import Journey, Workspace
from tests.unit.core.kit import DAY, World, journey
from workers.core.compile import compile_workspace

REQUIRE: list[dict[str, Any]] = [
    {"performed": "limit", "at_least": 2, "within": "14d"},
    {"any": [{"trait": "seats", "gte": 5}, {"not": {"trait": "plan", "eq": "pro"}}]},
    {"sum": "calls", "of": "called", "within": "this_month", "gte": 0},
]


def plan_with(text: str, **fields: Any) -> Any:
    """The plan of a journey that sends a banner with this text."""
    plain = journey(**({"entry": {"on": {"event": "limit"}, "require": REQUIRE, "again": "always"}} | fields))
    templates = {"banner": {"channel": "in_app", "fields": {"title": "t", "body": text}}}
    models = (Journey.model_validate(plain),)
    return compile_workspace(Workspace(name="test", journeys=models, templates=templates)).user


def shown_to(text: str, **fields: Any) -> dict[str, Any] | None:
    """What the banner of somebody sees who did it three times in 14 days and has seven seats."""
    world = World(plan_with(text, **fields), seats=7, plan="starter")
    world.track("limit")
    world.now_ms += 2 * DAY
    for _ in range(2):
        if not world.messages:
            world.track("limit")
    return world.messages[0].context.evidence


def test_a_template_sees_the_values_that_made_the_person_eligible() -> None:
    """With what they were compared to, the first count at hand, and counts by their event."""
    evidence = shown_to("{{ evidence.count }} times in {{ evidence.days }} days")
    assert evidence is not None
    assert {name: evidence[name] for name in ("count", "threshold", "within", "days")} == {
        "count": 2,
        "threshold": 2,
        "within": "14d",
        "days": 14,
    }
    assert evidence["events"] == {"limit": {"count": 2, "threshold": 2, "within": "14d", "days": 14}}
    assert [(one["name"], one["value"], one["threshold"]) for one in evidence["conditions"]] == [
        ("limit", 2, 2),
        ("seats", 7, 5),
        ("calls", 0, 0),
    ]
    assert evidence["conditions"][0]["label"] == "performed limit within 14d at_least 2"


def test_a_count_that_was_reached_is_evidence() -> None:
    """It stands in the entry's trigger and not in its conditions."""
    entry = {"on": {"performed": "limit", "reaches": 2, "within": "7d"}, "again": "always"}
    evidence = shown_to("{{ evidence.count }}", entry=entry)
    assert evidence is not None
    assert (evidence["count"], evidence["threshold"], evidence["days"]) == (2, 2, 7)


def test_values_stay_as_they_were_at_the_entry() -> None:
    """A message of the next week tells the same story."""
    steps: list[dict[str, Any]] = [{"wait": "7d"}, {"send": {"in_app": "banner"}}]
    world = World(plan_with("{{ evidence.count }}", steps=steps), seats=7)
    world.track("limit")
    world.track("limit")
    world.track("limit")
    world.advance(7 * DAY)
    (message,) = world.messages
    assert message.context.evidence is not None
    assert message.context.evidence["count"] == 2


@pytest.mark.parametrize("text", ["Hi", "no evidences here"])
def test_nothing_is_kept_where_no_template_shows_it(text: str) -> None:
    """Rows of millions of enrollments stay small."""
    world = World(plan_with(text), seats=7)
    world.track("limit")
    world.track("limit")
    assert world.progress.enrollments[0].evidence == {}
    assert world.messages[0].context.evidence is None


def test_a_variant_of_a_template_asks_for_it_too() -> None:
    """As does a fallback, which may be what is sent."""
    models = (Journey.model_validate(journey(entry={"on": {"event": "limit"}, "require": REQUIRE})),)
    banner = {"channel": "in_app", "fields": {"title": "t", "body": "x"}}
    for templates in (
        {"banner": banner | {"variants": {"de": {"body": "{{ evidence.count }}"}}}},
        {
            "banner": banner | {"fields": {"body": "x", "fallback": "plain"}},
            "plain": banner | {"fields": {"body": "{{ evidence.count }}"}},
        },
    ):
        plan = compile_workspace(Workspace(name="test", journeys=models, templates=templates))
        assert [one.name for one in plan.user.journeys["upsell"].evidence] == ["limit", "seats", "calls"]
