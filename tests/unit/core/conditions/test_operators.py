"""What each operator on a value means, at its edges, and how conditions hang together with journeys."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import Workspace
from schemas.workspace.journeys import Journey
from tests.unit.core.condition_kit import Did, Someone, compiled, moment, outcome, times
from tests.unit.core.kit import DAY, HOUR, START, World, journey, plan_of
from workers.core.activity.slots import follow
from workers.core.conditions.outcome import Outcome
from workers.core.journeys.entry import Declined, Eligible
from workers.core.lint.workspace import lint

TRUE, FALSE, MISSING = Outcome.TRUE, Outcome.FALSE, Outcome.MISSING


@pytest.mark.parametrize(
    ("operators", "value", "expected"),
    [
        # contains
        ({"contains": "b"}, ["a", "b"], TRUE),
        ({"contains": "b"}, ["ab"], FALSE),  # an item is equal or it is not
        ({"contains": 1}, [True], FALSE),
        ({"contains": 1}, [1.0], TRUE),
        ({"contains": "b"}, [], FALSE),
        ({"contains": "b"}, "abc", TRUE),
        ({"contains": 1}, "1", MISSING),  # a number is not in a text
        ({"contains": "b"}, 5, MISSING),
        ({"contains": "b"}, None, MISSING),
        ({"not_contains": "b"}, ["a"], TRUE),
        ({"not_contains": "b"}, ["b"], FALSE),
        ({"not_contains": "b"}, None, MISSING),
        ({"not_contains": "b", "if_missing": "pass"}, None, TRUE),
        # texts
        ({"starts_with": "ab"}, "abc", TRUE),
        ({"starts_with": "ab"}, "Abc", FALSE),
        ({"ends_with": "bc"}, "abc", TRUE),
        ({"ends_with": "bc"}, ["abc"], MISSING),
        ({"matches": "a*c"}, "abbc", TRUE),
        ({"matches": "a*c"}, "abbcd", FALSE),  # the whole text
        ({"matches": "*"}, "", TRUE),
        ({"matches": "a*a"}, "a", FALSE),  # one letter is not both ends
        ({"matches": "*ab*ab"}, "abab", TRUE),
        ({"matches": "*ab*ab"}, "xab", FALSE),
        ({"matches": "a.c"}, "abc", FALSE),  # a dot is a dot
        ({"matches": "a*"}, 5, MISSING),
        # fields
        ({"gte": {"trait": "limit"}}, 10, TRUE),
        ({"gte": {"trait": "limit"}}, 9, FALSE),
        ({"gte": {"trait": "none"}}, 9, MISSING),
        ({"gte": {"trait": "name"}}, 9, MISSING),
        ({"eq": {"trait": "name"}}, "pro", TRUE),
        ({"ne": {"trait": "name"}}, "free", TRUE),
        ({"eq": {"trait": "flag"}}, 1, FALSE),
        ({"eq": {"account": "limit"}}, 20, TRUE),
        ({"eq": {"property": "kind"}}, "seats", TRUE),
        ({"contains": {"property": "kind"}}, ["seats"], TRUE),
        ({"contains": {"trait": "none"}}, ["seats"], MISSING),
        # ratios
        ({"divided_by": {"trait": "limit"}, "gte": 0.8}, 8, TRUE),
        ({"divided_by": {"trait": "limit"}, "gte": 0.8}, 7.99, FALSE),
        ({"divided_by": {"trait": "zero"}, "gte": 0.8}, 8, MISSING),
        ({"divided_by": {"trait": "name"}, "gte": 0.8}, 8, MISSING),
        ({"divided_by": {"trait": "limit"}, "gte": 0.8}, "8", MISSING),
        ({"divided_by": {"trait": "limit"}, "gte": 0.8, "if_missing": "fail"}, None, FALSE),
        ({"divided_by": {"trait": "limit"}, "lt": {"account": "share"}}, 4, TRUE),
        # dates; now is 2026-03-14T10:02:00Z
        ({"older_than": "60d"}, START - 60 * DAY, TRUE),
        ({"older_than": "60d"}, START - 60 * DAY + 1, FALSE),
        ({"older_than": "60d"}, "long ago", MISSING),
        ({"younger_than": "1d"}, START - DAY, FALSE),
        ({"younger_than": "1d"}, START - DAY + 1, TRUE),
        ({"younger_than": "1d"}, START, TRUE),
        ({"younger_than": "1d"}, START + 1, FALSE),  # what is to come is not young
        ({"in_next": "1d"}, START, FALSE),
        ({"in_next": "1d"}, START + 1, TRUE),
        ({"in_next": "1d"}, START + DAY, TRUE),
        ({"in_next": "1d"}, START + DAY + 1, FALSE),
        ({"before": "2026-03-15"}, "2026-03-14T23:59:59.999Z", TRUE),
        ({"before": "2026-03-15"}, "2026-03-15", FALSE),
        ({"after": "2026-03-15"}, "2026-03-15", TRUE),
        ({"after": "2026-03-15T00:00:00+01:00"}, "2026-03-14T22:59:59Z", FALSE),
        ({"after": {"trait": "name"}}, "2026-03-15", MISSING),
        ({"within": "1h"}, START - HOUR + 1, TRUE),
        ({"within": "1h"}, START - HOUR, FALSE),
        ({"within": "this_month"}, "2026-03-31T23:59:59Z", TRUE),  # also what is to come of it
        ({"within": "this_month"}, "2026-02-28", FALSE),
        ({"within": "billing_period"}, "2026-03-14", MISSING),  # nobody knows its period
        ({"older_than": "1d", "if_missing": "pass"}, None, TRUE),
        ({"exists": True}, "2026-03-14", TRUE),
    ],
)
def test_an_operator_means_what_its_page_says(
    operators: dict[str, Any], value: Any, expected: Outcome
) -> None:
    """Met, not met, and with nothing to compare."""
    traits = {"x": value, "limit": 10, "zero": 0, "name": "pro", "flag": True}
    who = Someone((Did("limit", 0, {"kind": "seats"}),), traits, {"limit": 20, "share": 0.5})
    assert outcome({"trait": "x", **operators}, who) is expected


def test_other_fields_are_noted_beside_the_value() -> None:
    """So that a decision shows both sides."""
    plan, condition = compiled({"trait": "seats_used", "gte": {"account": "seats_limit"}})
    values: dict[str, Any] = {}
    condition.test(moment(plan, Someone(traits={"seats_used": 5}, account={"seats_limit": 4})), values)
    assert values == {"trait seats_used": 5, "account trait seats_limit": 4}
    assert condition.label == "trait seats_used gte account trait seats_limit"


def test_slots_of_plain_windows_keep_their_ids() -> None:
    """State that is stored under them stays readable: the ids of release 0.1.0."""
    plan = plan_of(
        journey(
            entry={
                "on": {"event": "limit"},
                "require": [
                    {"performed": "limit", "within": "21d"},
                    {"performed": "limit", "within": "7d", "where": {"kind": {"in": ["seats"]}}},
                ],
            }
        )
    )
    assert sorted(plan.user.retentions_ms) == [1487982722, 4136507918]


def test_one_slot_serves_all_who_need_the_same() -> None:
    """A series as long as the longest, an average from a sum, first and last times from a lifetime."""
    conditions: list[dict[str, Any]] = [
        {"performed": "e", "within": "this_month"},
        {"count": "e", "within": "7d", "trait": "x"} | {"gte": 3},
        {"sum": "n", "of": "e", "within": "7d", "gte": 1},
        {"average": "n", "of": "e", "within": "30d", "gte": 1},
        {"first": "e", "older_than": "1d"},
        {"last": "e", "older_than": "1d"},
        {"performed": "e", "within": "lifetime"},
    ]
    conditions[1].pop("trait")
    plan = plan_of(journey(entry={"on": {"event": "limit"}, "require": conditions})).user
    kept = sorted((slot.function, slot.retention_ms or 0) for slot in plan.measures.values())
    assert kept == [("count", 0), ("count", 31 * DAY + 2 * HOUR), ("sum", 30 * DAY)]
    assert not plan.retentions_ms
    assert plan.events["e"].measures == tuple(plan.measures.values())


def test_a_sustained_condition_is_followed_through_changes_of_traits() -> None:
    """Since the first change that made it true, until one that does not; to the millisecond."""
    plain = {"sustained": {"trait": "usage", "gte": 80}, "for": "7d"}
    plan, condition = compiled(plain)
    held: dict[int, bytes] = {}

    def identify(usage: int, at_ms: int) -> None:
        at = moment(plan, Someone(traits={"usage": usage}))
        for slot_id, kept in follow(plan.truths, held, at, at_ms).items():
            if kept is None:
                del held[slot_id]
            else:
                held[slot_id] = kept

    def ask(usage: int | None, later_ms: int) -> tuple[Outcome, int | None]:
        traits = {} if usage is None else {"usage": usage}
        at = moment(plan, Someone(traits=traits), later_ms=later_ms)
        at.facts.windows.update(held)  # type: ignore[attr-defined]  # the kit's own dictionary
        changes_at_ms = condition.changes_at_ms(at)
        return condition.test(at, {}), None if changes_at_ms is None else changes_at_ms - START

    assert ask(90, 0) == (FALSE, None)  # nobody has followed it yet
    identify(90, START)
    identify(95, START + DAY)  # still true
    assert ask(95, 7 * DAY - 1) == (FALSE, 7 * DAY)
    assert ask(95, 7 * DAY) == (TRUE, None)
    assert ask(None, 7 * DAY)[0] is MISSING
    identify(79, START + 8 * DAY)
    assert ask(79, 8 * DAY) == (FALSE, None)
    identify(80, START)
    assert ask(80, 7 * DAY) == (TRUE, None)


def entered_on_the_third() -> dict[str, Any]:
    """A journey for whom the third limit within a week begins."""
    require = [{"performed": "limit", "reaches": 3, "within": "7d"}]
    return journey(entry={"on": {"event": "limit"}, "require": require, "again": "always"})


def test_a_number_is_reached_once_and_still_was_when_the_enrolment_looks() -> None:
    """Events that arrive between the two change nothing about it."""
    world = World(plan_of(entered_on_the_third()).user)
    verdicts = [world.signal("limit") for _ in range(5)]
    assert [type(verdict) for _, (verdict,) in verdicts] == [Declined, Declined, Eligible, Declined, Declined]
    world.enroll(verdicts[2][0][0])
    assert world.outcomes("entry")[-1] == ("enrolled", None)


def test_a_number_can_be_reached_again_when_the_count_fell_below_it() -> None:
    """Not in a lifetime, but in a window."""
    world = World(plan_of(entered_on_the_third()).user)
    for _ in range(3):
        world.signal("limit")
    world.now_ms += 7 * DAY
    assert [isinstance(world.signal("limit")[1][0], Eligible) for _ in range(4)] == [
        False,
        False,
        True,
        False,
    ]


def test_an_event_that_is_too_late_to_count_reaches_nothing() -> None:
    """Though the count it finds is that number."""
    who = Someone((*times(3, "limit"), Did("limit", 7 * DAY)))
    assert outcome({"performed": "limit", "reaches": 3, "within": "7d"}, who) is FALSE


def test_a_branch_asks_for_the_event_that_began_the_journey() -> None:
    """Also days later, when no event is looked at."""
    arm = {"when": {"property": "kind", "eq": "seats"}, "steps": [{"send": {"in_app": "seats"}}]}
    world = World(plan_of(journey(steps=[{"wait": "3d"}, {"branch": [arm]}])).user)
    world.track("limit", kind="seats")
    world.advance(3 * DAY)
    assert world.sent() == ["seats"]


@pytest.mark.parametrize(
    ("entry", "places"),
    [
        ({"on": {"event": "limit"}, "require": [{"performed": "limit", "reaches": 3, "within": "7d"}]}, []),
        (
            {
                "on": {"event": "limit"},
                "require": [{"all": [{"performed": "limit", "reaches": 3, "within": "7d"}]}],
            },
            [],
        ),
        (
            {"on": {"event": "limit"}, "require": [{"performed": "other", "reaches": 3, "within": "7d"}]},
            [("entry", "require", 0, "reaches")],
        ),
        (
            {"on": {"event": "limit"}, "exclude": [{"performed": "limit", "reaches": 3, "within": "7d"}]},
            [("entry", "exclude", 0, "reaches")],
        ),
        (
            {
                "on": {"event": "limit"},
                "require": [
                    {"sum": "n", "of": "limit", "reaches": 3, "within": "7d"},
                    {"sum": "n", "of": "other", "reaches": 3, "within": "7d"},
                ],
            },
            [("entry", "require", 1, "reaches")],
        ),
        (
            {
                "on": {"event": "limit"},
                "require": [{"any": [{"performed": "limit", "reaches": 3, "within": "7d"}]}],
            },
            [("entry", "require", 0, "any", 0, "reaches")],
        ),
    ],
)
def test_reaching_is_asked_where_the_event_is_looked_at(entry: dict[str, Any], places: list[Any]) -> None:
    """Anywhere else it could never be true, or be true by accident."""
    model = Journey.model_validate(journey(entry=entry))
    found = lint(Workspace(name="w", journeys=(model,), templates={"banner": {"channel": "in_app"}}))
    assert [one.location for one in found if "the one event" in one.detail] == places


def test_members_are_counted_in_journeys_of_accounts_alone() -> None:
    """A user has none."""
    with pytest.raises(ValueError, match="members are counted in an account's journey"):
        compiled({"members": "limit", "within": "7d", "gte": 2})


@pytest.mark.parametrize(
    ("operators", "paid", "counts"),
    [
        ({"before": "2026-04-01"}, "2026-03-31T23:59:59.999Z", True),
        ({"before": "2026-04-01"}, "2026-04-01", False),
        ({"after": "2026-04-01"}, "2026-04-01T00:00:00Z", True),
        ({"after": "2026-04-01"}, "2026-04-01T01:00:00+02:00", False),
        ({"after": "2026-04-01"}, 1_775_001_600, True),  # Unix time, in seconds and milliseconds
        ({"after": "2026-04-01"}, 1_775_001_599_999, False),
        ({"after": {"property": "due"}}, "2026-04-10", True),
        ({"after": {"property": "due"}}, "2026-04-09T23:59:59Z", False),
        ({"before": {"property": "none"}}, "2026-04-01", False),
        ({"before": {"property": "none"}, "if_missing": "pass"}, "2026-04-01", True),
        ({"before": "2026-04-01"}, "soon", False),
        ({"before": "2026-04-01"}, None, False),
        ({"before": "2026-04-01", "if_missing": "pass"}, None, True),
        ({"after": "2026-03-01", "before": "2026-04-01"}, "2026-03-15", True),
        ({"after": "2026-03-01", "before": "2026-04-01"}, "2026-04-15", False),
    ],
)
def test_events_are_filtered_by_dates_among_their_properties(
    operators: dict[str, Any], paid: Any, counts: bool
) -> None:
    """Days begin in UTC, wherever somebody lives: what an event says does not change with that."""
    condition = {"performed": "paid", "within": "7d", "where": {"at": operators}}
    plan = plan_of(journey(entry={"on": {"event": "paid"}, "require": [condition]})).user
    world = World(plan)
    world.identify(timezone="Pacific/Auckland")
    _, verdicts = world.signal("paid", at=paid, due="2026-04-10")
    assert isinstance(verdicts[0], Eligible) is counts
