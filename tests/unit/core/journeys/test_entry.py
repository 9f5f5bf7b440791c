"""Who enters: each rule a row, each edge a case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.unit.core.kit import BANNER, DAY, HOUR, MAIL, SECOND, START, World, journey, plan_of
from workers.core.journeys.entry import Declined, Eligible
from workers.core.journeys.progress import ACTIVE_MAX, ENTERED_MAX, Progress

if TYPE_CHECKING:
    from workers.core.plan import SubjectPlan

WAITING = [{"wait": "1d"}, BANNER]


def user_plan(**fields: Any) -> SubjectPlan:
    """The users' plan of one journey."""
    return plan_of(journey(**fields)).user


def entry(again: Any = "always", **rules: Any) -> dict[str, Any]:
    """An entry on ``limit``."""
    return {"on": {"event": "limit"}, "again": again, **rules}


def test_the_event_that_completes_the_count_enters() -> None:
    """Two within 21 days: not the first, but the second, which counts itself."""
    rules = entry(require=[{"performed": "limit", "at_least": 2, "within": "21d"}])
    world = World(user_plan(entry=rules))
    assert isinstance(world.track("limit")[0], Declined)
    world.advance(21 * DAY - 1)
    assert isinstance(world.track("limit")[0], Eligible)
    assert world.sent() == ["banner"]


def test_one_millisecond_late_does_not_enter() -> None:
    """After exactly 21 days the first has left the window."""
    rules = entry(require=[{"performed": "limit", "at_least": 2, "within": "21d"}])
    world = World(user_plan(entry=rules))
    world.track("limit")
    world.advance(21 * DAY)
    assert isinstance(world.track("limit")[0], Declined)


def test_an_event_that_does_not_match_is_no_candidate() -> None:
    """Nothing is decided and nothing is recorded."""
    rules = {"on": {"event": "limit", "where": {"kind": {"in": ["seats"]}}}}
    world = World(user_plan(entry=rules))
    assert world.track("limit", kind="calls") == []
    assert world.decisions == []
    assert isinstance(world.track("limit", kind="seats")[0], Eligible)


@pytest.mark.parametrize(
    ("traits", "reason"),
    [
        ({"plan": "free"}, None),
        ({"plan": "pro"}, "require: trait plan not_in [pro, enterprise]"),
        ({}, "missing: trait plan not_in [pro, enterprise]"),
    ],
)
def test_the_reason_names_the_condition(traits: dict[str, Any], reason: str | None) -> None:
    """Not met and missing are told apart."""
    rules = entry(require=[{"trait": "plan", "not_in": ["pro", "enterprise"]}])
    world = World(user_plan(entry=rules), **traits)
    (verdict,) = world.track("limit")
    assert (verdict.reason if isinstance(verdict, Declined) else None) == reason
    assert world.outcomes("entry") == [("declined", reason)] if reason else [("enrolled", None)]


@pytest.mark.parametrize(
    ("again", "after_ms", "enters"),
    [
        ("never", 700 * DAY, False),  # once is once
        ("always", 0, True),  # as soon as it is over
        ({"after": "30d"}, 30 * DAY - 1, False),  # one millisecond early
        ({"after": "30d"}, 30 * DAY, True),  # counted from the entry
    ],
)
def test_again_says_when_one_may_enter_once_more(again: Any, after_ms: int, enters: bool) -> None:
    """never, always, or some time after the last entry."""
    world = World(user_plan(entry=entry(again)))
    world.track("limit")
    world.advance(after_ms)
    (verdict,) = world.track("limit")
    assert isinstance(verdict, Eligible) is enters
    if isinstance(verdict, Declined):
        assert verdict.reason == "again"


def test_nobody_is_in_a_journey_twice() -> None:
    """Whatever again says."""
    world = World(user_plan(steps=WAITING))
    world.track("limit")
    (verdict,) = world.track("limit")
    assert isinstance(verdict, Declined)
    assert verdict.reason == "already_enrolled"


def test_who_received_such_a_message_lately_is_excluded() -> None:
    """The message of one journey keeps out of another for 30 days, not for a millisecond more."""
    rules = entry(exclude=[{"received": {"tag": "upsell"}, "within": "30d"}])
    plan = plan_of(
        journey("first", tags=["upsell"], entry={"on": {"event": "other"}}), journey("second", entry=rules)
    ).user
    world = World(plan)
    world.track("other")
    world.advance(30 * DAY - 1)
    (verdict,) = world.track("limit")
    assert isinstance(verdict, Declined)
    assert verdict.reason == "exclude: received tag upsell within 30d"
    world.advance(1)
    assert isinstance(world.track("limit")[0], Eligible)


def test_two_candidates_at_once_make_one_enrollment() -> None:
    """Both were eligible where they arrived; the second finds the first inside."""
    world = World(user_plan(steps=WAITING))
    records = world.signal("limit")[0] + world.signal("limit")[0]
    assert len(records) == 2
    for record in records:
        world.enroll(record)
    assert world.outcomes("entry") == [("enrolled", None), ("declined", "already_enrolled")]
    assert len(world.progress.enrollments) == 1


@pytest.mark.parametrize("after_ms", [0, 6 * DAY, 7 * DAY, 7 * DAY + 1])
def test_the_same_record_twice_makes_one_enrollment(after_ms: int) -> None:
    """Even where again is always, the journey is over, and the row has changed since."""
    world = World(user_plan())
    ((record,), _) = world.signal("limit")
    world.enroll(record)
    world.advance(after_ms)
    world.track("limit")
    before = len(world.outcomes("exit"))
    world.enroll(record)
    assert len(world.outcomes("exit")) == before
    assert world.outcomes("entry")[-1][0] == "declined"


@pytest.mark.parametrize("after_ms", [0, 1, DAY])
def test_who_left_between_candidate_and_enrolment_does_not_enter(after_ms: int) -> None:
    """An upgrade in the moment between is seen: no message follows it."""
    world = World(user_plan(exit=[{"when": {"event": "upgraded"}}]))
    ((record,), _) = world.signal("limit")
    world.advance(after_ms)
    world.track("upgraded")
    world.enroll(record)
    assert world.outcomes("entry") == [("declined", "exited")]
    assert world.messages == []


def test_an_exit_before_the_trigger_does_not_count() -> None:
    """Who upgraded a second ago and reaches a limit now may enter."""
    world = World(user_plan(exit=[{"when": {"event": "upgraded"}}]))
    world.track("upgraded")
    world.advance(SECOND)
    world.track("limit")
    assert world.outcomes("entry") == [("enrolled", None)]


def test_a_trait_that_changed_in_between_does_not_enter() -> None:
    """The evidence remembers what it was."""
    world = World(user_plan(exit=[{"when": {"changed": "plan"}}]), plan="free")
    ((record,), _) = world.signal("limit")
    world.identify(plan="team")
    world.enroll(record)
    assert world.outcomes("entry") == [("declined", "exited")]


def test_conditions_are_looked_at_again_at_the_enrolment() -> None:
    """What was required must still hold, what excludes must still not."""
    world = World(user_plan(entry=entry(require=[{"trait": "plan", "eq": "free"}])), plan="free")
    ((record,), _) = world.signal("limit")
    world.identify(plan="team")
    world.enroll(record)
    assert world.outcomes("entry") == [("declined", "require: trait plan eq free")]


@pytest.mark.parametrize(("after_ms", "enters"), [(7 * DAY, True), (7 * DAY + 1, False)])
def test_a_candidate_grows_stale_after_a_week(after_ms: int, enters: bool) -> None:
    """Longer than the windows remember exits, nobody is enrolled on old news."""
    world = World(user_plan())
    ((record,), _) = world.signal("limit")
    world.advance(after_ms)
    world.enroll(record)
    assert bool(world.messages) is enters


def test_a_candidate_of_a_journey_that_is_gone_is_recorded() -> None:
    """It was published when the event came, and is not any more."""
    world = World(user_plan())
    ((record,), _) = world.signal("limit")
    world.plan = plan_of(journey("other", entry={"on": {"event": "else"}})).user
    world.enroll(record)
    assert world.outcomes("entry") == [("declined", "journey_gone")]


def test_the_holdout_is_the_same_people_whatever_happens() -> None:
    """By subject and journey's name: another version of the journey holds out the same."""
    held_out = []
    for steps in ([BANNER], [BANNER, {"wait": "1d"}, MAIL]):
        plan = user_plan(holdout="10%", steps=steps)
        worlds = [World(plan, f"u{number}") for number in range(1000)]
        for world in worlds:
            world.track("limit")
        held_out.append({world.subject for world in worlds if not world.messages})
    assert held_out[0] == held_out[1]
    assert 70 < len(held_out[0]) < 130


def test_the_holdout_is_assigned_after_eligibility() -> None:
    """Who is not eligible is in neither group."""
    rules = entry(require=[{"trait": "plan", "eq": "free"}])
    world = World(user_plan(holdout="100%", entry=rules), plan="pro")
    world.track("limit")
    assert [one.holdout for one in world.decisions] == [None]


def test_the_holdout_gets_decisions_and_no_messages() -> None:
    """It walks the same way in the same time; every message is one that would have been sent."""
    world = World(user_plan(holdout="100%", steps=[BANNER, {"wait": "1d"}, MAIL]))
    world.track("limit")
    world.advance(DAY)
    assert world.messages == []
    assert world.outcomes("send") == [("would_send", None)] * 2
    assert world.outcomes("exit") == [("completed", None)]
    assert all(one.holdout for one in world.decisions)


def test_the_gate_is_asked_for_the_holdout_too() -> None:
    """Who could not have been written to is told from who was held out."""
    world = World(user_plan(holdout="100%", steps=[MAIL]), email=None)
    world.track("limit")
    assert world.outcomes("send") == [("skip", "no_address")]


def test_too_many_journeys_at_once_are_declined() -> None:
    """A bound on the row, with a reason."""
    journeys = [
        journey(f"j{n}", entry={"on": {"event": "limit"}}, steps=WAITING) for n in range(ACTIVE_MAX + 1)
    ]
    world = World(plan_of(*journeys).user)
    world.track("limit")
    assert len(world.progress.enrollments) == ACTIVE_MAX
    assert world.outcomes("entry")[-1] == ("declined", "too_many_enrollments")


def test_nobody_is_let_in_again_because_a_row_is_full() -> None:
    """Rather nobody enters a further journey."""
    world = World(user_plan())
    world.progress = Progress("u1", entered={f"j{number}": START for number in range(ENTERED_MAX)})
    (verdict,) = world.track("limit")
    assert isinstance(verdict, Declined)
    assert verdict.reason == "too_many_journeys"


def test_a_row_survives_its_codec() -> None:
    """What is stored as msgpack is read back the same."""
    world = World(user_plan(goal={"event": "paid", "within": "14d"}, steps=[BANNER, {"wait": "1d"}, MAIL]))
    world.track("limit", kind="seats", nested={"list": [1, 2.5, None, True]})
    world.advance(HOUR)
    encoded = msgspec.msgpack.encode(world.progress)
    assert msgspec.msgpack.decode(encoded, type=Progress) == world.progress


def test_ids_do_not_depend_on_when_things_are_computed() -> None:
    """The same history an hour later in processing time gives the same enrollment and message."""
    now, later = World(user_plan()), World(user_plan())
    later.now_ms += HOUR
    now.track("limit", START)
    later.track("limit", START)
    assert now.progress.entered.keys() == later.progress.entered.keys()
    assert [one.id for one in now.messages] == [one.id for one in later.messages]
