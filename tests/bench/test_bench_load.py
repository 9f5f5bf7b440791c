"""The load of the benchmarks is what their figures claim it is."""

from __future__ import annotations

import json
from collections import Counter

from tests.bench.load import COUNTED, LATE_MOST_MS, RARE, SPAN_MS, Load, generate

LOAD = Load(users=500, events=20_000, partitions=4, end_ms=1_795_000_000_000)
EVENTS = list(generate(LOAD))


def test_the_same_load_is_the_same_bytes() -> None:
    """A seed makes a run repeatable, to the byte."""
    assert [event.value for event in generate(LOAD)] == [event.value for event in EVENTS]


def test_events_are_about_400_bytes() -> None:
    """The size that the figures state, within five in a hundred."""
    mean = sum(len(event.value) for event in EVENTS) / len(EVENTS)
    assert 380 <= mean <= 420


def test_events_are_segment_track_calls_of_the_user_in_the_key() -> None:
    """What a producer's SDK would send, with the account of the user in its context."""
    for event in EVENTS[:1000]:
        body = json.loads(event.value)
        assert body["type"] == "track"
        assert body["userId"].encode() == event.key == b"user-%07d" % event.user
        assert body["context"]["groupId"] == f"acct-{event.user // 20:06d}"
        assert body["event"] == (COUNTED if event.counted else RARE)


def test_message_ids_are_unique() -> None:
    """No system may drop an event of the load as a repetition."""
    assert len({json.loads(event.value)["messageId"] for event in EVENTS}) == LOAD.events


def test_the_text_of_a_moment_is_the_time_of_the_record() -> None:
    """Systems that read the body and systems that read the record's timestamp see the same event time."""
    from datetime import datetime  # noqa: PLC0415 - only here

    for event in EVENTS[:200]:
        moment = datetime.fromisoformat(json.loads(event.value)["timestamp"])
        assert round(moment.timestamp() * 1000) == event.at_ms


def test_about_one_event_in_a_hundred_is_late_and_none_by_an_hour() -> None:
    """Late enough to be late, early enough for an hour of grace."""
    late = 0
    newest_ms = 0
    for event in EVENTS:
        behind_ms = newest_ms - event.at_ms
        late += behind_ms > 0
        assert behind_ms <= LATE_MOST_MS
        newest_ms = max(newest_ms, event.at_ms)
    assert 0.005 <= late / LOAD.events <= 0.015


def test_events_span_twenty_days_that_end_now() -> None:
    """All of a user's events lie inside 21 days, so that a count never falls."""
    times = [event.at_ms for event in EVENTS]
    assert max(times) < LOAD.end_ms
    assert min(times) >= LOAD.end_ms - SPAN_MS - LATE_MOST_MS


def test_three_events_in_a_hundred_are_the_rare_one() -> None:
    """The share of limits reached decides how much work journeys get."""
    share = Counter(event.counted for event in EVENTS)[False] / LOAD.events
    assert 0.025 <= share <= 0.035
