"""What LLM steps may not say, and what is wrong with how journeys use what comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from schemas.workspace import Journey, Segment, Workspace
from tests.unit.core.kit import BANNER, journey
from tests.unit.core.llm_kit import CHOSEN, branch, choose, classify, fill
from workers.core.lint.llm import lint_llm

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL = branch(interested="banner", not_now="banner", other="banner")
SHOWN: dict[str, Any] = {"mail": {"channel": "email", "fields": {"html": "<p>{{ llm.opening }}</p>"}}}


def without(step: dict[str, Any], field: str) -> dict[str, Any]:
    """A step that leaves something out."""
    return {**step, "llm": {name: value for name, value in step["llm"].items() if name != field}}


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (without(classify(), "fallback"), "Field required"),
        (without(classify(), "data"), "Field required"),
        (without(classify(), "connection"), "Field required"),
        ({"llm": classify()["llm"]}, "an llm step has an id"),
        (classify(fallback="nothing"), "the fallback is one of interested, not_now, other"),
        (classify(fill={"max_chars": 50}), "exactly one of classify, choose and fill"),
        (without(classify(), "classify"), "exactly one of classify, choose and fill"),
        (classify(classify=["one"]), "at least 2 items"),
        (classify(classify=["other", "other"]), "a name of its own"),
        (classify(classify=["Other thing", "other"]), "a name has small letters"),
        (classify(data={}), "at least 1 item"),
        (classify(data={"x": {"trait": "a", "awaited": "b"}}), "exactly one of trait, account, property"),
        (classify(timeout="2d"), "from 5s to 1d; not 2d"),
        (classify(timeout="1s"), "from 5s to 1d; not 1s"),
        (fill(fallback="x" * 81), "more than 80 characters"),
        (fill(fallback="Free today"), "the forbidden phrase 'free'"),
        (fill(fallback="See evil.example"), "a link that is not allowed"),
        (fill(fill={"max_chars": 5_000}), "less than or equal to 1000"),
        (fill(fill={"max_chars": 80, "forbid": ["*"]}), "has letters or digits"),
        (fill(fill={"max_chars": 80, "links": ["https://x.y"]}), "such as example.com"),
        ({"send": {"email": "mail"}, "chosen_by": "pick"}, "chosen_by is about variants"),
        ({**CHOSEN, "variants": {"short": 50, "long": 50}}, "have no weights"),
        ({**CHOSEN, "experiment": "e"}, "are about chance"),
    ],
)
def test_a_step_says_what_is_wrong_with_it(step: dict[str, Any], says: str) -> None:
    """In words that say what to do instead."""
    with pytest.raises(ValidationError, match=says):
        Journey.model_validate(journey(steps=[step]))


def findings(
    *steps: dict[str, Any], templates: Mapping[str, Any] | None = None, **fields: Any
) -> list[tuple[str, str, str]]:
    """Severity, place and words of what is found in a journey with these steps."""
    model = Journey.model_validate(journey(steps=list(steps), **fields))
    workspace = Workspace(name="w", journeys=(model,), templates=dict(templates or {}))
    return [(one.severity, ".".join(map(str, one.location)), one.detail) for one in lint_llm(workspace)]


@pytest.mark.parametrize(
    "steps",
    [
        (classify(), ALL),
        (classify(), branch(interested="banner")),
        (choose(), CHOSEN),
        (fill(), {"send": {"email": "mail"}}),
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(steps: tuple[dict[str, Any], ...]) -> None:
    """Labels without an arm of their own go by ``otherwise``."""
    assert findings(*steps, templates=SHOWN if steps[0]["id"] == "opening" else {}) == []


ARM: dict[str, Any] = {"branch": [{"when": {"llm": "intent", "is": "interested"}, "steps": [BANNER]}]}


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ((ARM,), ("error", "steps.0.branch.0.when.llm", "the journey has no llm step 'intent'; it has none")),
        (
            (classify(), branch(keen="banner")),
            ("error", "steps.1.branch.0.when.is", "never comes to 'keen', but to interested, not_now, other"),
        ),
        (
            (fill("intent"), ARM),
            ("error", "steps.1.branch.0.when.llm", "writes a text, which no condition can ask about"),
        ),
        ((classify(), ARM), ("warning", "steps.0.llm.classify", "no branch is for not_now, other")),
        ((classify(), BANNER), ("warning", "steps.0.llm.classify", "nothing asks what 'intent' came to")),
        ((fill(), BANNER), ("warning", "steps.0.llm.fill", "no message of the journey shows llm.opening")),
        ((CHOSEN,), ("error", "steps.0.chosen_by", "the journey has no llm step 'pick'; it has none")),
        ((fill("pick"), CHOSEN), ("error", "steps.1.chosen_by", "'pick' writes a text")),
        (
            (choose(choose=["short", "huge"]), CHOSEN),
            ("error", "steps.1.variants", "'pick' may choose 'huge', and there is no such variant"),
        ),
        (
            (choose(choose=["short", "huge"]), CHOSEN),
            ("warning", "steps.1.variants.long", "'pick' never chooses 'long'"),
        ),
        (
            (classify(data={"reply": {"awaited": "text"}}), ALL),
            ("warning", "steps.0.llm.data.reply.awaited", "no step waits for an event"),
        ),
    ],
)
def test_what_does_not_fit_together_is_found(
    steps: tuple[dict[str, Any], ...], found: tuple[str, str, str]
) -> None:
    """With its place and what to do."""
    severity, place, detail = found
    assert any(one[:2] == (severity, place) and detail in one[2] for one in findings(*steps))


def test_a_template_shows_steps_of_its_journey() -> None:
    """A slot that nobody fills would stop the message."""
    assert findings({"send": {"email": "mail"}}, templates=SHOWN) == [
        (
            "error",
            "steps.0.send.email",
            "the template 'mail' shows llm.opening, and the journey has no such llm step",
        )
    ]


def test_the_entry_cannot_ask_and_neither_can_a_segment() -> None:
    """Nobody was asked yet, or it was another enrollment."""
    condition = {"llm": "intent", "is": "interested"}
    entry = {"on": {"event": "limit"}, "require": [condition]}
    assert ("error", "entry.require.0.llm", "nobody was asked before the entry: ask for it in a branch") in (
        findings(classify(), ALL, entry=entry)
    )
    plain = {"segment": "s", "subject": "user", "require": [condition]}
    (found,) = lint_llm(Workspace(name="w", segments=(Segment.model_validate(plain),)))
    assert (found.severity, found.kind) == ("error", "segments")


def test_an_accounts_own_traits_are_not_its_accounts() -> None:
    """As in conditions."""
    step = classify(data={"plan": {"account": "plan"}})
    found = findings(step, ALL, subject="account")
    assert [one[:2] for one in found] == [("error", "steps.0.llm.data.plan.account")]
