"""Journeys of people at the gate: where they stay, when they go on, when they leave."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from schemas import wire
from tests.unit.core.kit import BANNER, DAY, HOUR, MAIL, START, World, journey, plan_of
from workers.core.journeys.progress import SentMessage, with_message

CAP = {"max": 1, "within": "1d"}


def world(*steps: dict[str, Any], holdout: str = "0%", **messages: Any) -> World:
    """Someone in front of a journey with these steps, under these rules."""
    leaving = [{"when": {"event": "leave"}}]
    return World(plan_of(journey(steps=list(steps), exit=leaving, holdout=holdout), **messages).user)


def test_a_deferred_message_keeps_the_person_at_its_step() -> None:
    """One decision tells of it, however often it is looked at again; then it goes out and all goes on."""
    one = world(MAIL, BANNER, {"wait": "30d"}, caps=[{**CAP, "on_cap": "defer"}])
    one.progress = with_message(one.progress, SentMessage("x", "email", (), START, "other"))
    one.track("limit")
    (enrollment,) = one.progress.enrollments
    assert (enrollment.step, one.sent()) == ("0", [])
    one.progress = with_message(one.progress, SentMessage("y", "email", (), START + HOUR, "other"))
    one.advance(DAY)
    assert one.outcomes("send") == [("defer", "cap")]
    one.advance(HOUR)
    assert one.sent() == ["mail"]
    one.advance(DAY)
    assert one.outcomes("send") == [("defer", "cap"), ("send", None), ("defer", "cap"), ("send", None)]
    assert one.progress.waiting == ()


def test_an_exit_ends_what_is_held() -> None:
    """No timer is left, and nothing comes when its time would have been."""
    one = world(MAIL, caps=[{**CAP, "on_cap": "defer"}])
    one.progress = with_message(one.progress, SentMessage("x", "email", (), START, "other"))
    one.track("limit")
    one.track("leave")
    assert (one.timers, one.progress.waiting) == ({}, ())
    one.advance(3 * DAY)
    assert one.sent() == []


@pytest.mark.parametrize(
    ("on_cap", "sent", "end"),
    [("skip", ["mail"], "completed"), ("drop", ["mail"], "completed"), ("exit", ["mail"], "gate: cap")],
)
def test_what_a_cap_does_to_the_journey(on_cap: str, sent: list[str], end: str) -> None:
    """It goes on, or it is over."""
    one = world(MAIL, BANNER, caps=[{**CAP, "on_cap": on_cap}])
    one.track("limit")
    assert one.sent() == sent
    assert one.progress.enrollments[0].end_reason == end
    assert one.outcomes("send")[1] == (on_cap, "cap")


def test_a_dropped_message_counts_as_had_and_a_skipped_one_does_not() -> None:
    """Once is once."""
    for on_cap, later in (("skip", "send"), ("drop", "skip")):
        one = world(MAIL, {"send": {"in_app": "banner", "once": "user"}}, caps=[{**CAP, "on_cap": on_cap}])
        one.track("limit")
        one.plan = world({"send": {"in_app": "banner", "once": "user"}}).plan
        one.advance(2 * DAY)
        one.track("limit")
        assert one.outcomes("send")[-1][0] == later, on_cap


def test_held_out_people_are_capped_like_others() -> None:
    """The second of two would not have been sent either."""
    one = world(MAIL, BANNER, holdout="100%", caps=[CAP])
    one.track("limit")
    assert one.outcomes("send") == [("would_send", None), ("skip", "cap")]
    assert one.messages == []


def test_what_cannot_go_out_in_time_is_skipped_and_nothing_is_held_for_ever() -> None:
    """Each time there is room another message takes it."""
    one = world(MAIL, caps=[{**CAP, "on_cap": "defer"}], max_hold="3d")
    for day in range(6):
        other = SentMessage(f"x{day}", "email", (), START + day * DAY - day * HOUR // 2, "other")
        one.progress = with_message(one.progress, other)
    one.now_ms = START
    one.track("limit")
    one.advance(10 * DAY)
    assert one.sent() == []
    assert one.outcomes("send")[-1] == ("skip", "held_too_long")
    assert one.timers == {}


def test_one_journey_of_a_tag_at_a_time() -> None:
    """Who is in one does not enter the other, and the decision names it."""
    waiting = [{"wait": "1d"}]
    tagged = [
        journey(name, tags=["offer"], entry={"on": {"event": name}, "again": "always"}, steps=waiting)
        for name in ("first", "second")
    ]
    one = World(plan_of(*tagged, exclusive=[{"tag": "offer", "one_journey": True}]).user)
    one.track("first")
    one.track("second")
    assert one.outcomes("entry") == [("enrolled", None), ("declined", "exclusive")]
    assert one.decisions[-1].values == {"enrolled": "first"}
    one.advance(DAY)
    one.track("second")
    assert one.outcomes("entry")[-1] == ("enrolled", None)


def test_of_those_that_come_within_the_time_the_highest_priority_goes_first() -> None:
    """By the margin of each one's trigger, whichever came first."""
    tagged = [
        journey(
            name,
            tags=["offer"],
            priority="properties.margin",
            entry={"on": {"event": name}},
            steps=[{"send": {"in_app": name}}],
        )
        for name in ("small", "large")
    ]
    one = World(plan_of(*tagged, exclusive=[{"tag": "offer", "collect": "5m"}]).user)
    one.track("small", margin=10)
    one.advance(2 * 60_000)
    one.track("large", margin=90)
    one.advance(DAY)
    assert one.sent() == ["large"]
    lost = next(decision for decision in one.decisions if decision.reason == "exclusive")
    assert lost.journey == "small"
    assert lost.values["exclusive offer"] == {"journey": "large", "rank": 90.0, "own rank": 10.0}


def test_a_person_of_an_account_asks_it_where_its_caps_count() -> None:
    """The journey stands still until the account has answered; who leaves meanwhile gets nothing."""
    one = world(MAIL, BANNER, caps=[{**CAP, "of": "account"}])
    record = one.signal("limit")[0][0]
    one.enroll(replace(record, account="acme"))
    (ask,) = one.told
    assert isinstance(ask, wire.SendAsk)
    assert (ask.subject, ask.user, ask.capped, one.sent()) == ("acme", "u1", True, [])
    assert one.outcomes("send") == []
    one.track("leave")
    assert one.progress.waiting == ()
