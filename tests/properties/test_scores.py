"""Scores against the obvious way: keep every event, and add up what each is worth now."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.workspace.scores import Score
from workers.core.scoring import row as scores
from workers.core.scoring.plan import compile_scores
from workers.core.scoring.row import Scores

DAY_MS = 86_400_000
HALF_LIFE_MS = 7 * DAY_MS
STRETCH_MS = DAY_MS
START_MS = 1_773_000_000_000
POINTS = {"a": 10.0, "b": 3.5, "c": -6.0}
CAPPED, CAP = "d", 2
LEVELS = {"low": (12.0, 12.0), "high": (40.0, 25.0)}

Events: TypeAlias = list[tuple[str, int]]

PLANS = compile_scores(
    [
        Score.model_validate(
            {
                "score": "s",
                "subject": "user",
                "half_life": "7d",
                "contributions": [
                    *({"event": name, "points": points} for name, points in POINTS.items()),
                    {"event": CAPPED, "points": 4, "cap": {"times": CAP, "per": "1d"}},
                    {"trait": "plan", "eq": "free", "points": 8},
                ],
                "thresholds": {
                    name: {"reaches": reaches, "falls_below": floor}
                    for name, (reaches, floor) in LEVELS.items()
                },
            }
        )
    ],
    "user",
)
PLAN = PLANS.scores["s"]

OFFSETS = st.integers(0, 7 * DAY_MS - 1)
"""Within the stretches that a cap remembers."""
EVENTS = st.lists(st.tuples(st.sampled_from([*POINTS, CAPPED]), OFFSETS), max_size=30)
TRAITS = st.sampled_from([{}, {"plan": "free"}])


def half(age_ms: int) -> float:
    """What is left of an event's points."""
    return float(0.5 ** (age_ms / HALF_LIFE_MS))


def reference(events: Events, traits: dict[str, str], now_ms: int) -> float:
    """The sum over all events, with the first two of each day of the capped one."""
    total = 8.0 if traits else 0.0
    stretches: dict[int, list[int]] = {}
    for name, offset_ms in events:
        at_ms = START_MS + offset_ms
        if name == CAPPED:
            stretches.setdefault(at_ms // STRETCH_MS, []).append(at_ms)
        else:
            total += POINTS[name] * half(now_ms - at_ms)
    counted = [at_ms for times in stretches.values() for at_ms in sorted(times)[:CAP]]
    return total + sum(4.0 * half(now_ms - at_ms) for at_ms in counted)


def row_of(events: Events) -> Scores:
    """The row after events, in this order."""
    row = Scores()
    for name, offset_ms in events:
        scores.record(row, PLANS, name, {}, START_MS + offset_ms)
    return row


@given(EVENTS, TRAITS, st.integers(7 * DAY_MS, 400 * DAY_MS))
def test_the_value_is_that_of_all_events(events: Events, traits: dict[str, str], later_ms: int) -> None:
    """In whatever order they came, at whatever instant."""
    now_ms = START_MS + later_ms
    state = row_of(events).states.get("s")
    assert scores.value(state, PLAN, traits, now_ms) == pytest.approx(
        reference(events, traits, now_ms), rel=1e-9, abs=1e-9
    )
    total = sum(part.points for part in scores.parts(state, PLAN, traits, now_ms))
    assert total == pytest.approx(scores.value(state, PLAN, traits, now_ms), rel=1e-9, abs=1e-9)


@given(EVENTS, EVENTS, st.integers(7 * DAY_MS, 60 * DAY_MS))
def test_a_merge_is_as_if_all_had_been_ones_own(one: Events, two: Events, later_ms: int) -> None:
    """Caps included, and either way round."""
    now_ms = START_MS + later_ms
    expected = reference([*one, *two], {}, now_ms)
    for merged in (
        scores.merge(row_of(one), row_of(two), PLANS),
        scores.merge(row_of(two), row_of(one), PLANS),
    ):
        state = merged.states.get("s")
        assert scores.value(state, PLAN, {}, now_ms) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(EVENTS, TRAITS)
def test_timers_tell_every_change_that_time_brings_at_its_millisecond(
    events: Events, traits: dict[str, str]
) -> None:
    """Nothing crosses before the timer, something does at it, and there are finitely many."""
    row, now_ms = row_of(events), START_MS + 7 * DAY_MS
    scores.cross(row, PLANS, traits, now_ms)
    for _ in range(2 * len(LEVELS)):
        due_ms = scores.next_change_ms(row, PLANS, traits, now_ms)
        if due_ms is None:
            break
        assert due_ms > now_ms
        assert scores.cross(row, PLANS, traits, due_ms - 1) == []
        assert scores.cross(row, PLANS, traits, due_ms)
        now_ms = due_ms
    assert scores.next_change_ms(row, PLANS, traits, now_ms) is None
    assert scores.cross(row, PLANS, traits, now_ms + 3_000 * DAY_MS) == []


@given(EVENTS, TRAITS)
def test_crossings_alternate(events: Events, traits: dict[str, str]) -> None:
    """A threshold is reached, left, reached again: never the same twice in a row, and as the value says."""
    row = Scores()
    last: dict[str, str] = {}
    for name, offset_ms in sorted(events, key=lambda event: event[1]):
        now_ms = START_MS + offset_ms
        scores.record(row, PLANS, name, {}, now_ms)
        for crossing in scores.cross(row, PLANS, traits, now_ms):
            assert crossing.direction == ("down" if last.get(crossing.threshold) == "up" else "up")
            last[crossing.threshold] = crossing.direction
        now_value = scores.value(row.states.get("s"), PLAN, traits, now_ms)
        for threshold, (reaches, floor) in LEVELS.items():
            is_reached = last.get(threshold) == "up"
            assert floor <= now_value if is_reached else now_value < reaches
