"""What steps may not say, and what is wrong with how they fit together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.workspace import Journey, Workspace
from tests.unit.core.kit import BANNER, journey
from workers.core.lint.steps import lint_steps

WAIT: dict[str, Any] = {"wait": "1d"}
TRUE: dict[str, Any] = {"trait": "x", "eq": 1}


@pytest.mark.parametrize(
    ("step", "says"),
    [
        # waits
        ({"wait": {}}, "says until when: one of for, until, at, on"),
        ({"wait": {"for": "1d", "until": "2026-04-01"}}, "`for` a time or `until` a date, not both"),
        ({"wait": {"for": "1d", "offset": "-1d"}}, "offset and if_past are about the date"),
        ({"wait": {"until": {"trait": "x"}}}, "if_missing: go_on, or exit"),
        ({"wait": {"until": "2026-04-01", "if_missing": "exit"}}, "if_missing is about a field"),
        ({"wait": {"until": "soon"}}, "a date is written in quotes"),
        ({"wait": {"at": "9:00"}}, 'a time of day is written in quotes, as "09:00"'),
        ({"wait": {"at": "24:00"}}, "a time of day"),
        ({"wait": {"on": ["monday"]}}, "a list of mon, tue"),
        ({"wait": {"on": []}}, "a list of mon, tue"),
        ({"wait": {"at": "09:00", "zone": "Mars"}}, "such as Europe/Oslo"),
        ({"wait": {"until": "2026-04-01", "offset": "-1y"}}, "a duration is a whole number"),
        ({"wait_until": {"when": TRUE}}, "Field required"),
        ({"wait_until": {"timeout": "1d"}}, "Field required"),
        ({"wait_for": {"event": "x"}}, "Field required"),
        ({"wait_for": {"timeout": "1d"}}, "names one event, or several"),
        ({"wait_for": {"event": "x", "first_of": [{"event": "y"}], "timeout": "1d"}}, "names one event, or"),
        (
            {"wait_for": {"first_of": [{"event": "y"}], "match": {"a": "b"}, "timeout": "1d"}},
            "where and match stand beside each event",
        ),
        ({"wait_for": {"event": "x", "match": {}, "timeout": "1d"}}, "at least one property"),
        # chance
        ({"send": {"in_app": "b"}, "variants": {"a": 50, "b": 49}}, "add up to 99, and everybody is 100"),
        ({"send": {"in_app": "b"}, "variants": {"a": 100}}, "at least 2 items"),
        ({"send": {"in_app": "b"}, "variants": {"a": 33.333, "b": 66.667}}, "at most two decimals"),
        ({"send": {"in_app": "b"}, "variants": {"a": -1, "b": 101}}, "a number from 0 to 100"),
        ({"send": {"in_app": "b"}, "variants": {"a": True, "b": 99}}, "a number from 0 to 100"),
        ({"send": {"in_app": "b"}, "experiment": "e"}, "are about variants"),
        ({"split": [{"name": "a", "weight": 60}, {"name": "b", "weight": 60}]}, "add up to 120"),
        ({"split": [{"name": "a", "weight": 50}, {"name": "a", "weight": 50}]}, "a name of its own"),
        ({"split": [{"name": "a", "weight": 100}]}, "at least 2 items"),
        # the rest
        ({"parallel": [{"steps": [WAIT]}]}, "at least 2 items"),
        ({"parallel": [{"steps": []}, {"steps": [WAIT]}]}, "at least 1 item"),
        ({"repeat": {"times": 101, "steps": [WAIT]}}, "less than or equal to 100"),
        ({"repeat": {"times": 0, "steps": [WAIT]}}, "greater than or equal to 1"),
        (
            {"repeat": {"times": 100, "steps": [{"repeat": {"times": 11, "steps": [WAIT]}}]}},
            "at most 1000 rounds",
        ),
        ({"update": {}}, "say what to set"),
        ({"update": {"traits": {"consent": True}}}, "consent is not for a step to set"),
        ({"update": {"traits": {"a.b": 1}}}, "a step sets a whole trait"),
        ({"update": {"traits": {"a": {"now": False}}}}, "now"),
        ({"send": {"email": "x", "once": "account"}}, "once: account is about webhooks"),
        ({"send": {"webhook": "x", "at": "best_hour"}}, "a webhook reaches nobody"),
        ({"send": {"webhook": "x", "topic": "tips"}}, "a webhook asks for none"),
        ({"send": {"email": "x", "push": "y"}}, "exactly one of in_app, email, sms, push, webhook"),
        ({"id": "A", "wait": "1d"}, "a name has small letters"),
    ],
)
def test_what_a_step_may_not_say(step: dict[str, Any], says: str) -> None:
    """With what is allowed."""
    with pytest.raises(ValidationError) as caught:
        Journey.model_validate(journey(steps=[step]))
    assert says in str(caught.value)


def test_ids_are_unique_in_a_journey() -> None:
    """Also inside other steps."""
    inner = {"repeat": {"times": 2, "steps": [{"id": "pause", "wait": "1d"}]}}
    with pytest.raises(ValidationError, match="two steps have the id 'pause'"):
        Journey.model_validate(journey(steps=[inner, {"id": "pause", "wait": "1d"}]))


def found(*journeys: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Severity, place and detail of what is found; there is one template, of in-app."""
    models = tuple(Journey.model_validate(one) for one in journeys)
    workspace = Workspace(
        name="test", journeys=models, templates={"banner": {"channel": "in_app", "fields": {}}}
    )
    return [(one.severity, ".".join(map(str, one.location)), one.detail) for one in lint_steps(workspace)]


@pytest.mark.parametrize(
    ("steps", "place", "says"),
    [
        (
            [{"parallel": [{"steps": [{"send": {"in_app": "no"}}]}, {"steps": [WAIT]}]}],
            "steps.0.parallel.0.steps.0.send.in_app",
            "there is no template 'no'; there are banner",
        ),
        (
            [BANNER | {"variants": {"a": 50, "b": {"weight": 50, "template": "no"}}}],
            "steps.0.variants.b.template",
            "there is no template 'no'",
        ),
        ([{"enroll": "no"}], "steps.0.enroll", "there is no journey 'no'; there are upsell"),
        ([{"exit": "x"}, BANNER], "steps.1", "never runs"),
        (
            [{"wait_for": {"event": "paid", "timeout": "1d"}}],
            "steps.0.wait_for.event",
            "'paid' ends the journey (see exit)",
        ),
        (
            [{"wait_for": {"first_of": [{"event": "a"}, {"event": "paid"}], "timeout": "1d"}}],
            "steps.0.wait_for.first_of.1.event",
            "'paid' ends the journey (see exit)",
        ),
        (
            [
                BANNER | {"variants": {"a": 50, "b": 50}, "experiment": "e"},
                {
                    "split": [{"name": "a", "weight": 40}, {"name": "b", "weight": 60}],
                    "experiment": "e",
                },
            ],
            "steps.1.experiment",
            "the experiment 'e' has other arms elsewhere: a 50, b 50",
        ),
    ],
)
def test_what_does_not_fit_together(steps: list[Any], place: str, says: str) -> None:
    """At its place."""
    ((severity, where, detail),) = found(journey(steps=steps, exit=[{"when": {"event": "paid"}}]))
    assert (severity, where) == ("error", place)
    assert says in detail


def test_journeys_enroll_only_their_own_kind_of_subject() -> None:
    """An account is no user."""
    team = journey("team", subject="account")
    ((severity, place, detail),) = found(
        journey(exit=[{"when": {"event": "x"}, "then": {"enroll": "team"}}]), team
    )
    assert (severity, place) == ("error", "exit.0.then.enroll")
    assert detail == "'team' is a journey of accounts, and this one is of users"
    ((_, place, _),) = found(journey("team", subject="account", steps=[{"update": {"account": {"x": 1}}}]))
    assert place == "steps.0.update.account"


def test_a_circle_of_journeys_that_let_everybody_in_is_pointed_out() -> None:
    """One whose entry waits is none."""
    first = journey("a", steps=[{"enroll": "b"}])
    second = journey("b", entry={"on": {"event": "x"}, "again": {"after": "1d"}}, steps=[{"enroll": "a"}])
    ((severity, place, detail),) = found(first, second)
    assert (severity, place) == ("warning", "steps.0.enroll")
    assert "leads back into this very journey" in detail
    assert found(first | {"entry": second["entry"]}, second) == []


def test_what_is_right_is_not_found_fault_with() -> None:
    """A linter that always finds something is not read."""
    assert found(journey(steps=[BANNER | {"variants": {"a": 50, "b": 50}}, WAIT, {"exit": "x"}])) == []


@pytest.mark.parametrize(
    ("text", "dear"),
    [
        ("You\u2019re there \u2019", "\u2019"),
        ("{{ x | default('\u2019') }} 50 \u20ac [a]", None),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_a_text_message_that_costs_more_by_a_character_is_told(text: str, dear: str | None) -> None:
    """A curly quote halves what a segment holds; what values bring is not the template's."""
    model = Journey.model_validate(journey(steps=[{"send": {"sms": "limit"}}]))
    templates = {"limit": {"channel": "sms", "fields": {"text": text}}}
    findings = list(lint_steps(Workspace(name="test", journeys=(model,), templates=templates)))
    assert [one.severity for one in findings] == (["warning"] if dear else [])
    assert all(f"has {dear}, which" in one.detail for one in findings)
