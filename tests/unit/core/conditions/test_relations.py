"""Conditions on journeys, messages, segments, scores and consent, at their edges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as with_facts

from schemas.workspace import Score
from tests.unit.core.condition_kit import Someone, compiled, moment
from tests.unit.core.kit import DAY, START
from workers.core.conditions.outcome import Outcome
from workers.core.consent import Choice, Consents
from workers.core.scoring.plan import compile_scores
from workers.core.scoring.row import Scored, Scores

TRUE, FALSE, MISSING = Outcome.TRUE, Outcome.FALSE, Outcome.MISSING
PQL = Score.model_validate(
    {
        "score": "pql",
        "subject": "user",
        "half_life": "7d",
        "contributions": [{"trait": "plan", "eq": "starter", "points": 50}],
        "thresholds": {"hot": 60},
    }
)
KNOWN: dict[str, Any] = {
    "segments": frozenset({"power_users"}),
    "scored": Scored(Scores(), compile_scores([PQL], "user"), {"plan": "starter"}),
    "consented": lambda: Consents({"sms": Choice(True, 1, "t"), "email/offers": Choice(False, 1, "t")}),
    "conversions_ms": {"prior": START - 7 * DAY, "other": START - DAY},
}


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ({"in_segment": "power_users"}, TRUE),
        ({"in_segment": "others"}, FALSE),
        ({"score": "pql", "gte": 50}, TRUE),
        ({"score": "pql", "gt": 50}, FALSE),
        ({"score": "fit", "gt": 50}, MISSING),
        ({"consent": {"channel": "sms"}}, TRUE),
        ({"consent": {"channel": "email", "topic": "offers"}}, FALSE),
        ({"consent": {"channel": "email"}}, MISSING),  # a topic is not the channel
        ({"converted": {"journey": "prior"}, "within": "8d"}, TRUE),
        ({"converted": {"journey": "prior"}, "within": "7d"}, FALSE),
        ({"converted": {"tag": "upsell"}, "within": "8d"}, TRUE),
        ({"converted": {"journey": "asking"}, "within": "8d"}, FALSE),
        ({"converted": {"journey": "prior"}, "within": "billing_period"}, MISSING),
    ],
)
def test_what_is_known_is_asked(plain: dict[str, Any], expected: Outcome) -> None:
    """Of facts that know something, and of facts that know nothing: then it is so of nobody."""
    plan, condition = compiled(plain)
    at = moment(plan, Someone())
    knowing = replace(at, facts=with_facts(at.facts, **KNOWN))  # type: ignore[type-var]  # the kit's dataclass
    assert condition.test(knowing, {}) is expected
    assert condition.test(at, {}) in (FALSE, MISSING)


@pytest.mark.parametrize(
    ("plain", "who", "changes_in_ms"),
    [
        ({"enrolled": {"journey": "prior"}, "within": "14d"}, Someone(entered={"prior": 4 * DAY}), 10 * DAY),
        ({"enrolled": {"journey": "prior"}, "within": "14d"}, Someone(entered={"prior": 14 * DAY}), None),
        ({"received": {"tag": "upsell"}, "within": "30d"}, Someone(received=(("upsell", DAY),)), 29 * DAY),
        (
            {"received": {"tag": "upsell"}, "within": "30d"},
            Someone(received=(("upsell", 9 * DAY), ("upsell", DAY))),
            29 * DAY,  # the newest decides
        ),
        ({"received": {"tag": "upsell"}, "within": "30d"}, Someone(), None),
        ({"enrolled": {"journey": "prior"}}, Someone(entered={"prior": DAY}), None),
        ({"in_segment": "power_users"}, Someone(), None),
        ({"trait": "plan", "eq": "pro"}, Someone(traits={"plan": "pro"}), None),
        ({"performed": "e", "within": "lifetime"}, Someone(), None),
        ({"trait": "d", "within": "today"}, Someone(traits={"d": START}), 50_280_000),  # at midnight
    ],
)
def test_time_alone_changes_an_outcome_when_it_is_told(
    plain: dict[str, Any], who: Someone, changes_in_ms: int | None
) -> None:
    """Exactly then the outcome is another; None: it never is."""
    plan, condition = compiled(plain)
    changes_at_ms = condition.changes_at_ms(moment(plan, who))
    assert changes_at_ms == (None if changes_in_ms is None else START + changes_in_ms)
    if changes_in_ms is not None:
        before = condition.test(moment(plan, who, later_ms=changes_in_ms - 1), {})
        assert before is condition.test(moment(plan, who), {})
        assert condition.test(moment(plan, who, later_ms=changes_in_ms), {}) is not before


HIT: dict[str, Any] = {"account": {"in_segment": "hit"}}
ASSUMED: dict[str, Any] = {"account": {"in_segment": "hit", "if_missing": "pass"}}
REFUSED: dict[str, Any] = {"account": {"in_segment": "hit", "if_missing": "fail"}}


@pytest.mark.parametrize(
    ("plain", "inside", "outside", "untold"),
    [
        (HIT, TRUE, FALSE, MISSING),
        (ASSUMED, TRUE, FALSE, TRUE),
        (REFUSED, TRUE, FALSE, FALSE),
        ({"not": HIT}, FALSE, TRUE, MISSING),
        ({"not": REFUSED}, FALSE, TRUE, TRUE),
        ({"any": [HIT, {"trait": "plan", "exists": False}]}, TRUE, TRUE, TRUE),
        ({"all": [HIT, {"trait": "plan", "exists": True}]}, FALSE, FALSE, FALSE),
    ],
)
def test_a_segment_of_the_account_has_three_outcomes(
    plain: dict[str, Any], inside: Outcome, outside: Outcome, untold: Outcome
) -> None:
    """By what the account told; of an account that told only of others, nothing is known."""
    plan, condition = compiled(plain)
    at = moment(plan, Someone())

    def outcome(told: dict[str, bool]) -> Outcome:
        facts = with_facts(at.facts, account_segments=told)  # type: ignore[type-var]  # the kit's dataclass
        return condition.test(replace(at, facts=facts), {})

    assert (outcome({"hit": True}), outcome({"hit": False, "x": True})) == (inside, outside)
    assert (outcome({}), outcome({"x": True})) == (untold, untold)


def test_a_segment_is_that_of_the_account_that_is_looked_at() -> None:
    """Of several accounts the one that counts, as with traits; of one that was left, nothing is known."""
    plan, condition = compiled(HIT)
    at = moment(plan, Someone())
    knowing = with_facts(
        at.facts,  # type: ignore[type-var]  # the kit's dataclass
        accounts={"a": {}, "b": {}},
        account_segments={"hit": True},
        segments_of={"a": {"hit": False}, "b": {"hit": True}},
    )
    found = [
        condition.test(replace(at, facts=knowing.of_account(account)), {})
        for account in (None, "a", "b", "c")
    ]
    assert found == [TRUE, FALSE, TRUE, MISSING]
