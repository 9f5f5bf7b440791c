"""From journeys to the plan."""

from __future__ import annotations

from typing import Any

from schemas.workspace import Journey
from schemas.workspace.conditions import MAX_COUNT
from tests.unit.core.kit import BANNER, DAY, MAIL, journey, only, plan_of
from workers.core.activity.windows import EXACT_OCCURRENCES
from workers.core.compile import journey_version
from workers.core.journeys.progress import ELIGIBLE_MAX_AGE_MS
from workers.core.plan import BranchStepPlan, SendStepPlan, WaitStepPlan


def entry(*conditions: dict[str, Any], event: str = "limit") -> dict[str, Any]:
    """An entry that requires the conditions."""
    return {"on": {"event": event}, "require": list(conditions)}


def test_one_window_serves_all_who_ask_for_the_same_event() -> None:
    """It is kept as long as the longest of them looks back."""
    plan = plan_of(
        journey("a", entry=entry({"performed": "limit", "within": "7d"})),
        journey("b", entry=entry({"performed": "limit", "within": "21d"})),
    )
    (slot,) = plan.user.events["limit"].slots
    assert slot.retention_ms == 21 * DAY
    assert plan.user.retentions_ms == {slot.id: 21 * DAY}


def test_a_filter_has_a_window_of_its_own() -> None:
    """Events that do not match are not kept in it."""
    plan = plan_of(
        journey(
            entry=entry(
                {"performed": "limit", "within": "7d"},
                {
                    "performed": "limit",
                    "within": "7d",
                    "where": {"kind": {"in": ["seats", "calls"]}, "n": {"gt": 1}},
                },
            )
        )
    )
    every, seats = sorted(plan.user.events["limit"].slots, key=lambda slot: slot.where is not None)
    assert every.where is None
    assert seats.where is not None
    assert seats.where({"kind": "seats", "n": 2})
    assert not seats.where({"kind": "seats", "n": 1})
    assert not seats.where({"kind": "seats"})
    assert every.id != seats.id


def test_a_window_of_another_length_is_another_window() -> None:
    """Old state is never read as if it had been kept for longer."""
    short = plan_of(journey(entry=entry({"performed": "limit", "within": "7d"})))
    long = plan_of(journey(entry=entry({"performed": "limit", "within": "8d"})))
    assert set(short.user.retentions_ms).isdisjoint(long.user.retentions_ms)


def test_slots_do_not_depend_on_the_order_of_journeys() -> None:
    """Two workers that read the same folder keep the same state."""
    one, two = journey("a", entry=entry({"performed": "x", "within": "7d"})), journey("b")
    assert plan_of(one, two).user.retentions_ms == plan_of(two, one).user.retentions_ms


def test_events_know_whom_they_concern() -> None:
    """Entries, exits and goals by event, users and accounts apart."""
    plan = plan_of(
        journey(
            "a",
            exit=[{"when": {"event": "upgraded"}}, {"when": {"changed": "plan"}}],
            goal={"event": "paid", "within": "14d"},
        ),
        journey("b", subject="account"),
    )
    events = plan.user.events
    assert [one.name for one in events["limit"].entries] == ["a"]
    assert [one.name for one in events["upgraded"].exits] == ["a"]
    assert [one.name for one in events["paid"].goals] == ["a"]
    assert list(plan.user.trait_exits) == ["plan"]
    assert events["upgraded"].slots[0].retention_ms > ELIGIBLE_MAX_AGE_MS
    assert [one.name for one in plan.account.events["limit"].entries] == ["b"]
    assert plan.user.events.get("unheard of") is None


def test_higher_priority_goes_first() -> None:
    """Then the name decides, so that the order is the same everywhere."""
    plan = plan_of(journey("c"), journey("b", priority=5), journey("a"))
    assert [one.name for one in plan.user.events["limit"].entries] == ["b", "a", "c"]


def test_steps_are_linked_by_path() -> None:
    """An arm goes on behind its branch; the last step goes nowhere."""
    branch = {
        "branch": [
            {"when": {"trait": "vip", "eq": True}, "steps": [BANNER, {"wait": "1h"}]},
            {"otherwise": [MAIL]},
        ]
    }
    steps = only(plan_of(journey(steps=[branch, MAIL]))).steps
    assert list(steps) == ["0.0.0", "0.0.1", "0.1.0", "0", "1"]
    first = steps["0"]
    assert isinstance(first, BranchStepPlan)
    assert ([target for _, target in first.arms], first.otherwise) == (["0.0.0"], "0.1.0")
    assert isinstance(steps["0.0.0"], SendStepPlan)
    assert steps["0.0.0"].next == "0.0.1"
    assert isinstance(steps["0.0.1"], WaitStepPlan)
    assert steps["0.0.1"].next == "1"
    assert steps["0.1.0"].next == "1" if isinstance(steps["0.1.0"], SendStepPlan) else False
    assert steps["1"].next is None if isinstance(steps["1"], SendStepPlan) else False


def test_the_version_changes_with_what_the_journey_says_and_with_nothing_else() -> None:
    """Writing out a default or reordering fields is no new version; another duration is one."""
    base = Journey.model_validate(journey(steps=[{"wait": "24h"}, MAIL]))
    same = Journey.model_validate(dict(reversed(journey(steps=[{"wait": "1d"}, MAIL], priority=0).items())))
    other = Journey.model_validate(journey(steps=[{"wait": "25h"}, MAIL]))
    assert journey_version(base) == journey_version(same)
    assert journey_version(base) != journey_version(other)


def test_a_condition_by_tag_means_the_journeys_that_have_it() -> None:
    """Resolved once, when the plan is made."""
    plan = plan_of(
        journey("a", tags=["promo"]),
        journey("b", entry={"on": {"event": "limit"}, "exclude": [{"enrolled": {"tag": "promo"}}]}),
    )
    assert plan.user.journeys["b"].exclude[0].label == "enrolled tag promo"


def test_thresholds_stay_where_windows_are_exact() -> None:
    """The models' limit and the windows' promise are the same number."""
    assert MAX_COUNT == EXACT_OCCURRENCES
