"""Scores: what an event is worth at each instant, and when a threshold is crossed, once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.workspace.scores import Score
from workers.core.scoring import row as scores
from workers.core.scoring.plan import compile_scores
from workers.core.scoring.row import Part, Scores

DAY_MS = 86_400_000
START_MS = 1_773_000_000_000

PQL: dict[str, Any] = {
    "score": "pql",
    "subject": "account",
    "half_life": "7d",
    "contributions": [
        {"event": "invite_sent", "points": 10},
        {"event": "feature_used", "where": {"feature": {"in": ["sso", "api"]}}, "points": 20},
        {"event": "login", "points": 1, "cap": {"times": 2, "per": "1d"}},
        {"event": "cancel_clicked", "points": -40},
        {"trait": "plan", "in": ["free", "starter"], "points": 5},
    ],
    "thresholds": {"warm": 25, "hot": {"reaches": 60, "falls_below": 40}},
}


def plans(**changes: Any) -> scores.ScorePlans:
    """The plan of the score above, with changes."""
    return compile_scores([Score.model_validate(PQL | changes)], "account")


def after(*events: tuple[str, int], **changes: Any) -> tuple[Scores, scores.ScorePlans]:
    """A row after events, given as name and milliseconds after the start."""
    row, compiled = Scores(), plans(**changes)
    for name, offset_ms in events:
        scores.record(row, compiled, name, {"feature": "sso"}, START_MS + offset_ms)
    return row, compiled


def value_of(row: Scores, compiled: scores.ScorePlans, offset_ms: int, **traits: Any) -> float:
    """The score so long after the start."""
    return scores.value(row.states.get("pql"), compiled.scores["pql"], traits, START_MS + offset_ms)


@pytest.mark.parametrize(
    ("events", "offset_days", "traits", "expected"),
    [
        ((), 0, {}, 0.0),
        ((), 0, {"plan": "free"}, 5.0),  # a trait needs no event
        ((), 900, {"plan": "free"}, 5.0),  # and does not fade
        ((), 0, {"plan": "pro"}, 0.0),
        ((("invite_sent", 0),), 0, {}, 10.0),
        ((("invite_sent", 0),), 7, {}, 5.0),  # a half-life later
        ((("invite_sent", 0),), 14, {}, 2.5),
        ((("invite_sent", 0),), 36_500, {}, 0.0),  # a century: nothing, and no overflow
        ((("invite_sent", 0), ("invite_sent", 7 * DAY_MS)), 7, {}, 15.0),
        ((("invite_sent", 7 * DAY_MS), ("invite_sent", 0)), 7, {}, 15.0),  # the earlier one came late
        ((("feature_used", 0), ("other", 0)), 0, {}, 20.0),
        ((("cancel_clicked", 0), ("invite_sent", 0)), 7, {}, -15.0),
        ((("login", 0), ("login", 1), ("login", 2)), 0, {}, 2.0),  # the cap: two a day
        ((("invite_sent", 7 * DAY_MS),), 0, {}, 10.0),  # asked about before its newest event: as of that
    ],
)
def test_value(
    events: tuple[tuple[str, int], ...], offset_days: int, traits: dict[str, Any], expected: float
) -> None:
    """Half of an event's points are left after each half-life; traits stand."""
    row, compiled = after(*events)
    assert value_of(row, compiled, offset_days * DAY_MS, **traits) == pytest.approx(expected, abs=1e-4)


def test_an_event_that_does_not_match_counts_nothing() -> None:
    """Neither another event, nor another property; ``record`` says so."""
    row, compiled = Scores(), plans()
    assert not scores.record(row, compiled, "unheard_of", {}, START_MS)
    assert not scores.record(row, compiled, "feature_used", {"feature": "dark_mode"}, START_MS)
    assert not scores.record(row, compiled, "feature_used", {}, START_MS)
    assert row == Scores()
    assert scores.record(row, compiled, "feature_used", {"feature": "api"}, START_MS)


def test_a_capped_occurrence_that_comes_late_takes_the_place_of_a_later_one() -> None:
    """Which two of a day's logins count is decided by their times, not by their arrival."""
    noon_ms = START_MS - START_MS % DAY_MS + DAY_MS // 2 - START_MS
    hour_ms = 3_600_000
    times = [noon_ms, noon_ms + hour_ms, noon_ms + 2 * hour_ms]
    in_order, compiled = after(*(("login", time) for time in times))
    late, _ = after(*(("login", time) for time in reversed(times)))
    assert value_of(late, compiled, times[-1]) == pytest.approx(value_of(in_order, compiled, times[-1]))
    assert not scores.record(late, compiled, "login", {}, START_MS + times[-1])


def test_a_capped_occurrence_too_late_is_not_counted() -> None:
    """Eight stretches are remembered: an older one could no longer be held against the cap."""
    row, compiled = after(("login", 8 * DAY_MS))
    assert scores.record(row, compiled, "login", {}, START_MS + DAY_MS)
    assert not scores.record(row, compiled, "login", {}, START_MS)


def test_contributions_add_up_and_come_largest_first() -> None:
    """What a salesperson reads: names and points, those that take away among them."""
    row, compiled = after(("invite_sent", 0), ("invite_sent", 0), ("feature_used", 0), ("cancel_clicked", 0))
    state, plan = row.states["pql"], compiled.scores["pql"]
    found = scores.parts(state, plan, {"plan": "free"}, START_MS + 7 * DAY_MS)
    assert found == (
        Part("cancel_clicked", -20.0),
        Part("feature_used where feature in [sso, api]", 10.0),
        Part("invite_sent", 10.0),
        Part("trait plan in [free, starter]", 5.0),
    )
    total = scores.value(state, plan, {"plan": "free"}, START_MS + 7 * DAY_MS)
    assert sum(part.points for part in found) == pytest.approx(total)


def test_a_threshold_is_crossed_once_and_left_once() -> None:
    """With ``hot: {reaches: 60, falls_below: 40}``.

    points   0 .. 50 .. 60 .. 80 ........ 50 ........ 39.9 ..
    says                up                            down
    """
    row, compiled = after(*[("invite_sent", 0)] * 5)
    assert [one.threshold for one in scores.cross(row, compiled, {}, START_MS)] == ["warm"]
    scores.record(row, compiled, "invite_sent", {}, START_MS)
    (crossing,) = scores.cross(row, compiled, {}, START_MS)
    assert (crossing.score, crossing.threshold, crossing.direction) == ("pql", "hot", "up")
    assert (crossing.level, crossing.value) == (60.0, 60.0)
    assert crossing.parts == (Part("invite_sent", 60.0),)
    scores.record(row, compiled, "feature_used", {"feature": "sso"}, START_MS)
    assert scores.cross(row, compiled, {}, START_MS) == []
    assert scores.cross(row, compiled, {}, START_MS + 6 * DAY_MS) == []
    (left,) = scores.cross(row, compiled, {}, START_MS + 7 * DAY_MS + 1)
    assert (left.threshold, left.direction, left.level) == ("hot", "down", 40.0)


def test_the_timer_is_due_at_the_first_millisecond_below() -> None:
    """80 points are exactly 40 after a half-life, which is not below; a millisecond later is."""
    row, compiled = after(*[("invite_sent", 0)] * 8)
    scores.cross(row, compiled, {}, START_MS)
    due_ms = scores.next_change_ms(row, compiled, {}, START_MS)
    assert due_ms == START_MS + 7 * DAY_MS + 1
    assert [one.threshold for one in scores.cross(row, compiled, {}, due_ms)] == ["hot"]


def test_what_stands_keeps_a_threshold_reached_for_ever() -> None:
    """No timer where decay alone can never go below."""
    row, compiled = after(*[("invite_sent", 0)] * 3, thresholds={"known": 5})
    scores.cross(row, compiled, {"plan": "free"}, START_MS)
    assert scores.next_change_ms(row, compiled, {"plan": "free"}, START_MS) is None
    assert scores.next_change_ms(row, compiled, {"plan": "pro"}, START_MS) is not None


def test_what_took_points_away_fades_too() -> None:
    """A score below 0 rises by time alone, and reaches a threshold that its traits carry."""
    row, compiled = after(("cancel_clicked", 0), thresholds={"known": 4})
    traits = {"plan": "free"}
    assert scores.cross(row, compiled, traits, START_MS) == []
    due_ms = scores.next_change_ms(row, compiled, traits, START_MS)
    assert due_ms is not None
    assert scores.cross(row, compiled, traits, due_ms - 1) == []
    assert [one.direction for one in scores.cross(row, compiled, traits, due_ms)] == ["up"]
    assert scores.next_change_ms(row, compiled, traits, due_ms) is None


def test_a_trait_alone_reaches_a_threshold() -> None:
    """Also of somebody who did nothing; losing it leaves the threshold."""
    row, compiled = Scores(), plans(thresholds={"known": 5})
    assert [one.direction for one in scores.cross(row, compiled, {"plan": "free"}, START_MS)] == ["up"]
    assert [one.direction for one in scores.cross(row, compiled, {"plan": "pro"}, START_MS + 1)] == ["down"]


def test_a_changed_file_keeps_what_it_still_asks_about() -> None:
    """Points and thresholds hold for the past; another half-life begins at nothing; a score can go."""
    row, compiled = after(*[("invite_sent", 0)] * 3)
    scores.cross(row, compiled, {}, START_MS)
    dearer = plans(contributions=[{"event": "invite_sent", "points": 100}], thresholds={"huge": 300})
    assert value_of(row, dearer, 0) == 300.0
    assert [one.threshold for one in scores.cross(row, dearer, {}, START_MS)] == ["huge"]
    assert value_of(row, plans(half_life="14d"), 0) == 0.0
    scores.cross(row, compile_scores([], "account"), {}, START_MS)
    assert row.states == {}


def test_a_merge_adds_what_both_did_and_tells_nothing_twice() -> None:
    """One had reached ``warm``: the merge is silent about it, and tells of ``hot``, which only both reach."""
    one, compiled = after(*[("invite_sent", 0)] * 3)
    scores.cross(one, compiled, {}, START_MS)
    two, _ = after(*[("invite_sent", 7 * DAY_MS)] * 5)
    merged = scores.merge(one, two, compiled)
    assert value_of(merged, compiled, 7 * DAY_MS) == pytest.approx(65.0)
    crossed = scores.cross(merged, compiled, {}, START_MS + 7 * DAY_MS)
    assert [one.threshold for one in crossed] == ["hot"]
    assert value_of(one, compiled, 0) == 30.0, "the merged rows are left as they were"


def test_only_scores_of_the_subject_are_compiled() -> None:
    """Users and accounts have plans of their own."""
    score = Score.model_validate(PQL)
    assert compile_scores([score], "user").scores == {}
    found = compile_scores([score], "account")
    assert found.traits == {"plan"}
    assert set(found.events) == {"invite_sent", "feature_used", "login", "cancel_clicked"}


def test_a_row_is_small_and_comes_back_from_storage() -> None:
    """Under 1 KiB with a full cap, whatever the number of events."""
    row, compiled = after(*(("login", hours * 3_600_000) for hours in range(24 * 60)), ("invite_sent", 0))
    packed = msgspec.msgpack.encode(row)
    assert len(packed) < 1_024
    back = msgspec.msgpack.decode(packed, type=Scores)
    assert back == row
    assert value_of(back, compiled, 60 * DAY_MS) == value_of(row, compiled, 60 * DAY_MS)
