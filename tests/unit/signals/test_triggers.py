"""Triggers other than events, in the engine: what happens, changes or is asked for makes candidates, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from tests.unit.signals.kit import DAY, NOW, event
from tests.unit.signals.whole_kit import BANNER, WholeEngine, entered_on, group, identify

if TYPE_CHECKING:
    from pathlib import Path

PAYING = {"segment": "paying", "require": [{"trait": "plan", "in": ["pro", "scale"]}]}
BUSY = {"segment": "busy", "require": [{"performed": "limit", "at_least": 2, "within": "7d"}]}
PQL = {
    "score": "pql",
    "subject": "user",
    "half_life": "7d",
    "contributions": [{"event": "limit", "points": 10}],
    "thresholds": {"ready": {"reaches": 20, "falls_below": 10}},
}


def test_who_comes_into_a_segment_enters(tmp_path: Path) -> None:
    """By what happens; the trigger says which segment."""
    engine = WholeEngine(tmp_path, segments=[PAYING], journeys=[entered_on({"segment": "paying"})])
    engine.events(identify("u1", plan="free"), identify("u2", plan="pro"))
    assert engine.enrolled() == ["u2"]
    ((eligible, _),) = engine.eligible
    assert eligible.trigger.kind == "segment"
    assert eligible.trigger.properties == {"segment": "paying", "change": "entered"}
    assert [one.person for one in engine.messages] == ["u2"]


def test_who_leaves_a_segment_because_time_passes_enters(tmp_path: Path) -> None:
    """At the instant at which the window lets go."""
    on = {"segment": "busy", "change": "left"}
    engine = WholeEngine(tmp_path, segments=[BUSY], journeys=[entered_on(on)])
    engine.events(event(), event())
    assert engine.enrolled() == []
    engine.waits(NOW + 8 * DAY)
    assert engine.enrolled() == ["u1"]
    assert engine.eligible[0][1] == NOW + 7 * DAY


def test_an_account_enters_by_its_segment(tmp_path: Path) -> None:
    """And its journey runs once."""
    full = {"segment": "full", "subject": "account", "require": [{"trait": "seats_left", "eq": 0}]}
    journey = entered_on({"segment": "full"}, subject="account")
    engine = WholeEngine(tmp_path, segments=[full], journeys=[journey])
    engine.events(group("u1", "a1", role="owner", seats_left=0), group("u2", "a1", seats_left=0))
    assert engine.enrolled() == ["a1"]


@pytest.mark.parametrize(("existing", "expected"), [(False, []), (True, ["u1"])])
def test_a_new_definition_enrols_nobody_by_accident(
    tmp_path: Path, existing: bool, expected: list[str]
) -> None:
    """Who belongs to a segment that is new, or another, enters only where the journey says so."""
    engine = WholeEngine(tmp_path, segments=[BUSY])
    engine.events(identify("u1", plan="pro"), identify("u2", plan="free"))
    journey = entered_on({"segment": "paying", "existing": existing})
    engine.publish(segments=[BUSY, PAYING], journeys=[journey])
    engine.waits(NOW + 60_000)
    assert engine.enrolled() == expected
    engine.events(identify("u2", plan="pro"))
    assert engine.enrolled() == [*expected, "u2"]


def test_a_changed_definition_enrols_only_who_is_new_in_it(tmp_path: Path) -> None:
    """With existing those who come in by the change, and not again those who were in it before."""
    journey = entered_on({"segment": "paying", "existing": True}, steps=[BANNER])
    engine = WholeEngine(tmp_path, segments=[PAYING], journeys=[journey])
    engine.events(identify("u1", plan="pro"), identify("u2", plan="team"))
    engine.waits(NOW + 10 * DAY)
    wider = {**PAYING, "require": [{"trait": "plan", "in": ["pro", "scale", "team"]}]}
    engine.publish(segments=[wider], journeys=[journey])
    engine.waits(NOW + 11 * DAY)
    assert engine.enrolled() == ["u1", "u2"]
    engine.restart()
    engine.waits(NOW + 12 * DAY)
    assert engine.enrolled() == ["u1", "u2"]


def test_before_the_sweep_has_come_by_nobody_enters_by_a_changed_definition(tmp_path: Path) -> None:
    """Also where an event of theirs comes first, and looks at the segment."""
    engine = WholeEngine(tmp_path, segments=[BUSY], journeys=[entered_on({"segment": "busy"})])
    engine.events(event(user="u1"))
    lower = {**BUSY, "require": [{"performed": "limit", "at_least": 1, "within": "7d"}]}
    engine.publish(swept=False, segments=[lower], journeys=[entered_on({"segment": "busy"})])
    engine.events(event(user="u1"))
    assert engine.enrolled() == []
    engine.restart()
    engine.events(event(user="u2"))
    assert engine.enrolled() == ["u2"]


def test_a_threshold_of_a_score_makes_a_candidate_each_time_it_is_crossed(tmp_path: Path) -> None:
    """Upwards by events, downwards by time; the trigger carries the contributions."""
    up = {"score": "pql", "threshold": "ready"}
    journeys = [entered_on(up, "hot"), entered_on({**up, "direction": "down"}, "cold")]
    engine = WholeEngine(tmp_path, scores=[PQL], journeys=journeys)
    engine.events(event(), event(), event())
    engine.waits(NOW + 30 * DAY)
    assert [one.journey for one, _ in engine.eligible] == ["hot", "cold"]
    assert engine.eligible[0][0].trigger.properties == {
        "score": "pql",
        "threshold": "ready",
        "direction": "up",
        "value": 20.0,
        "contributions": {"limit": 20.0},
    }


def test_another_definition_of_a_score_makes_no_candidate(tmp_path: Path) -> None:
    """A lower threshold that one more event finds reached was not reached by that event."""
    journeys = [entered_on({"score": "pql", "threshold": "ready"})]
    engine = WholeEngine(tmp_path, scores=[PQL], journeys=journeys)
    engine.events(event())
    engine.publish(scores=[{**PQL, "thresholds": {"ready": 5}}], journeys=journeys)
    engine.events(event())
    assert engine.candidates() == []


@pytest.mark.parametrize(
    ("on", "before", "after", "enters"),
    [
        ({"changed": "plan"}, {"plan": "free"}, {"plan": "pro"}, True),
        ({"changed": "plan"}, {}, {"plan": "pro"}, True),
        ({"changed": "plan"}, {"plan": "pro"}, {"plan": "pro"}, False),
        ({"changed": "plan", "from": "free"}, {}, {"plan": "pro"}, False),
        ({"changed": "plan", "to": ["pro", "scale"]}, {"plan": "free"}, {"plan": "scale"}, True),
        ({"changed": "plan", "to": "pro"}, {"plan": "free"}, {"plan": "scale"}, False),
        ({"changed": "plan", "from": "free", "to": "pro"}, {"plan": "free"}, {"plan": "pro"}, True),
        ({"changed": "other"}, {"plan": "free"}, {"plan": "pro"}, False),
    ],
    ids=str,
)
def test_a_trait_that_changes_makes_a_candidate(
    tmp_path: Path, on: dict[str, Any], before: dict[str, Any], after: dict[str, Any], enters: bool
) -> None:
    """From and to what is said, also from nothing; the same value again is no change."""
    engine = WholeEngine(tmp_path, journeys=[entered_on(on)])
    engine.publish(journeys=[])
    engine.events(identify("u1", **before))
    engine.publish(journeys=[entered_on(on)])
    engine.events(identify("u1", **after))
    assert engine.enrolled() == (["u1"] if enters else [])


def test_a_count_that_reaches_a_number_makes_one_candidate(tmp_path: Path) -> None:
    """The event that makes it three; neither those before nor those after leave a word."""
    on = {"performed": "limit", "reaches": 3, "within": "7d", "where": {"kind": "seats"}}
    engine = WholeEngine(tmp_path, journeys=[entered_on(on)])
    kinds = ["seats", "calls", "seats", "seats", "seats", "calls"]
    for kind in kinds:
        engine.events(event(properties={"kind": kind}))
    assert engine.candidates() == ["u1"]
    assert engine.declined() == []


def request(**fields: Any) -> wire.EnrollRequest:
    """A request to enter the journey ``play``."""
    plain: dict[str, Any] = {
        "id": "r1",
        "journey": "play",
        "subject_type": "user",
        "subject": "u1",
        "properties": {"why": "asked"},
        "at_ms": NOW,
    }
    return wire.EnrollRequest(**plain | fields)


def test_a_request_enrols_once(tmp_path: Path) -> None:
    """The same id again is the same request, also after the journey is over."""
    engine = WholeEngine(tmp_path, journeys=[entered_on({"api": True}, steps=[BANNER])])
    engine.hears(request())
    engine.hears(request())
    engine.waits(NOW + DAY)
    engine.hears(request())
    assert engine.enrolled() == ["u1"]
    assert engine.messages[0].context.event == {"why": "asked"}
    engine.hears(request(id="r2"))
    assert engine.enrolled() == ["u1", "u1"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"journey": "gone"}, "journey_gone"),
        ({"journey": "by_event"}, "not_on_request"),
        ({}, "missing: trait plan eq pro"),
    ],
)
def test_a_request_that_is_not_granted_says_why(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    """The same rules as for any other trigger, and only journeys that say `api: true`."""
    journeys = [
        entered_on({"api": True}, entry={"require": [{"trait": "plan", "eq": "pro"}]}),
        entered_on({"event": "limit"}, "by_event"),
    ]
    engine = WholeEngine(tmp_path, journeys=journeys)
    engine.hears(request(**fields))
    assert engine.declined() == [("u1", reason)]


def test_several_triggers_of_a_journey_each_make_candidates(tmp_path: Path) -> None:
    """And nobody is in it twice."""
    journey = entered_on([{"event": "limit"}, {"changed": "plan"}])
    engine = WholeEngine(tmp_path, journeys=[journey])
    engine.events(event(user="u1"))
    engine.events(identify("u1", plan="pro"), identify("u2", plan="pro"))
    assert engine.enrolled() == ["u1", "u2"]
    assert engine.declined() == [("u1", "already_enrolled")]


def test_an_old_event_that_brings_somebody_into_a_segment_enrols_nobody(tmp_path: Path) -> None:
    """History that is read again fills segments and sends nothing: the trigger is as old as the event."""
    seen = {"segment": "seen", "require": [{"performed": "limit", "at_least": 1, "within": "90d"}]}
    engine = WholeEngine(tmp_path, segments=[seen], journeys=[entered_on({"segment": "seen"})])
    engine.events(event(at_ms=NOW - 8 * DAY))
    assert engine.declined() == [("u1", "stale")]


def test_who_upgrades_after_coming_in_late_is_let_go(tmp_path: Path) -> None:
    """A worker that is an hour behind sees the limit and then the upgrade, both of the past."""
    once = {"segment": "once", "require": [{"performed": "limit", "at_least": 1, "within": "7d"}]}
    journey = entered_on({"segment": "once"}, exit=[{"when": {"event": "upgraded"}}])
    engine = WholeEngine(tmp_path, segments=[once], journeys=[journey])
    hour = 3_600_000
    engine.events(event(at_ms=NOW - hour))
    engine.events(event("upgraded", at_ms=NOW - hour + 60_000))
    assert [one.reason for one in engine.decisions if one.kind == "exit"] == ["event: upgraded"]


def test_a_merge_enrols_nobody(tmp_path: Path) -> None:
    """Two ids that are one person come over a number together, and nobody did anything."""
    engine = WholeEngine(tmp_path, segments=[BUSY], journeys=[entered_on({"segment": "busy"})])
    engine.events(event(user="u1"), event(userId=None, anonymousId="v1"))
    engine.events(identify("u1") | {"anonymousId": "v1"})
    assert engine.candidates() == []
