from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import wire
from workers.intake.limits import Limits
from workers.intake.normalise import Accepted, Arrival, Rejected, normalise
from workers.intake.times import LAST_MS, iso, parse_ms

RECEIVED_MS = 1_772_358_600_000
RECEIVED = "2026-03-01T09:50:00.000Z"


def run(event: Any, call: str | None = None, arrival: Arrival | None = None) -> Accepted | Rejected:
    """Normalise an event given as a value or as bytes."""
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    arrival = arrival or Arrival(RECEIVED_MS)
    return normalise(raw, call=call, arrival=arrival, limits=Limits(), new_id=lambda: "made-up")


def good(event: Any, call: str | None = None, arrival: Arrival | None = None) -> dict[str, Any]:
    """The accepted event; the engine must be able to read it."""
    made = run(event, call, arrival)
    assert isinstance(made, Accepted), made
    decoded: dict[str, Any] = json.loads(made.value)
    read = wire.decode_product_event(made.value)
    assert wire.problem(read) is None
    assert wire.subject(read).encode() == made.key
    return decoded


def track(**fields: Any) -> dict[str, Any]:
    """A good track event with changes."""
    return {"type": "track", "event": "seat_added", "userId": "u1", "messageId": "m1", **fields}


@pytest.mark.parametrize(
    ("sent_at", "timestamp", "expected"),
    [
        (RECEIVED, "2026-03-01T09:00:00Z", "2026-03-01T09:00:00.000Z"),  # an honest clock changes nothing
        ("2026-03-01T11:50:00Z", "2026-03-01T11:49:00Z", "2026-03-01T09:49:00.000Z"),  # two hours fast
        ("2026-03-01T07:50:00Z", "2026-03-01T07:49:00Z", "2026-03-01T09:49:00.000Z"),  # two hours slow
        ("2026-03-01T10:50:00+01:00", "2026-03-01T10:00:00+01:00", "2026-03-01T09:00:00.000Z"),  # zones
        (None, "2026-03-01T08:00:00.5Z", "2026-03-01T08:00:00.500Z"),  # nothing to compare with
        ("yesterday", "2026-03-01T08:00:00Z", "2026-03-01T08:00:00.000Z"),  # an unreadable sentAt is no clock
        (RECEIVED, "2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000Z"),  # imported history keeps its time
        (RECEIVED, None, RECEIVED),  # no time of its own
        (RECEIVED, "2026-03-01T09:00:00", "2026-03-01T09:00:00.000Z"),  # no zone is UTC
    ],
)
def test_the_time_of_an_event_is_corrected_for_the_clients_clock(
    sent_at: str | None,
    timestamp: str | None,
    expected: str,
) -> None:
    """Timestamp = receivedAt - (sentAt - originalTimestamp), as Segment does it."""
    event = good(track(timestamp=timestamp), arrival=Arrival(RECEIVED_MS, sent_at))
    assert event["timestamp"] == expected
    assert event["receivedAt"] == RECEIVED
    assert event.get("originalTimestamp") == timestamp


def test_an_events_own_sent_at_and_original_timestamp_come_first() -> None:
    """Mobile clients queue events and say for each when it was sent and when it happened."""
    event = good(
        track(
            timestamp="2026-03-01T12:00:00Z",
            originalTimestamp="2026-03-01T10:45:00Z",
            sentAt="2026-03-01T10:50:00Z",
        ),
        arrival=Arrival(RECEIVED_MS, "2026-03-01T09:50:00Z"),
    )
    assert event["timestamp"] == "2026-03-01T09:45:00.000Z"
    assert event["originalTimestamp"] == "2026-03-01T10:45:00Z"
    assert event["sentAt"] == "2026-03-01T10:50:00Z"


@pytest.mark.parametrize(
    ("event", "reason", "field"),
    [
        (b'{"type":', "unreadable", ""),
        (b'{"type":"track","event":"\xff"}', "unreadable", ""),
        (b'{"type":"track","event":"\\ud800"}', "unreadable", ""),
        (b'{"a":' + b"[" * 20_000, "unreadable", ""),
        (b"[]", "invalid", ""),
        (b"null", "invalid", ""),
        (
            b'{"type":"track","userId":"u","event":"e","properties":{"n":' + b"1" * 5000 + b"}}",
            "unreadable",
            "",
        ),
        (b'{"type":"track","userId":"u","event":"e","properties":{"n":1e400}}', "unreadable", ""),
        ({"userId": "u"}, "invalid", "type"),
        ({"type": "purchase", "userId": "u"}, "invalid", "type"),
        ({"type": ["track"], "userId": "u"}, "invalid", "type"),
        (track(userId=None), "no_subject", "userId"),
        (track(userId="  ", anonymousId=""), "no_subject", "userId"),
        (track(userId={"id": 1}), "invalid", "userId"),
        (track(userId=True), "invalid", "userId"),
        (track(userId=1.5), "invalid", "userId"),
        (track(userId="u" * 256), "invalid", "userId"),
        (track(messageId="m" * 101), "invalid", "messageId"),
        (track(event=""), "invalid", "event"),
        (track(event=None), "invalid", "event"),
        (track(event=7), "invalid", "event"),
        (track(properties=[1]), "invalid", "properties"),
        (track(context="web"), "invalid", "context"),
        (track(context={"groupId": []}), "invalid", "context.groupId"),
        ({"type": "group", "userId": "u"}, "invalid", "groupId"),
        ({"type": "alias", "userId": "u"}, "invalid", "previousId"),
        ({"type": "alias", "anonymousId": "a", "previousId": "p"}, "invalid", "userId"),
        (track(timestamp="soon"), "invalid", "timestamp"),
        (track(timestamp=1772358600), "invalid", "timestamp"),
        (track(timestamp="1969-12-31T23:59:59Z"), "invalid", "timestamp"),
        (track(timestamp="2026-03-01T10:50:00.001Z"), "future", "timestamp"),
        (track(properties={"text": "x" * 33_000}), "too_large", ""),
    ],
)
def test_a_bad_event_is_rejected_with_its_reason_and_field(event: Any, reason: str, field: str) -> None:
    """Each kind of bad input has one dead-letter reason and names its place."""
    made = run(event)
    assert isinstance(made, Rejected)
    assert (made.reason, made.field) == (reason, field)


def test_an_event_an_hour_ahead_is_still_taken() -> None:
    """The future begins one millisecond after the allowed hour."""
    assert good(track(timestamp="2026-03-01T10:50:00Z"))["timestamp"] == "2026-03-01T10:50:00.000Z"


@pytest.mark.parametrize(("depth", "taken"), [(31, True), (32, False)])
def test_nesting_is_bounded(depth: int, taken: bool) -> None:
    """The event is the first level; an array of arrays below it makes the others."""
    raw = b'{"type":"track","event":"e","userId":"u","deep":' + b"[" * depth + b"]" * depth + b"}"
    assert isinstance(run(raw), Accepted) is taken


def test_many_shallow_objects_are_not_deep() -> None:
    """Only nesting counts, not how many objects there are."""
    good(track(properties={"items": [{"sku": str(number)} for number in range(100)]}))


def test_numbers_as_ids_become_text() -> None:
    """The Python clients send group and previous ids as the numbers they were given."""
    event = good({"type": "group", "userId": 7, "groupId": 42, "messageId": 9, "context": {"groupId": 42}})
    assert (event["userId"], event["groupId"], event["messageId"]) == ("7", "42", "9")
    assert event["context"]["groupId"] == "42"


def test_what_says_nothing_is_dropped_and_the_rest_is_kept() -> None:
    """Null ids and objects go; unknown fields, library and integrations stay; the write key never does."""
    event = good(
        track(
            anonymousId=None,
            traits=None,
            writeKey="wk",
            channel="server",
            integrations={"All": True},
            context={"library": {"name": "analytics-python", "version": "2"}},
        ),
    )
    assert "anonymousId" not in event
    assert "traits" not in event
    assert "writeKey" not in event
    assert event["channel"] == "server"
    assert event["integrations"] == {"All": True}
    assert event["context"]["library"]["name"] == "analytics-python"


def test_a_missing_message_id_is_filled_in() -> None:
    """So that every record has one."""
    assert good({"type": "page", "anonymousId": "a"})["messageId"] == "made-up"


def test_the_path_decides_the_type() -> None:
    """A body sent to /v1/identify is an identify, whatever it says."""
    assert good({"userId": "u", "type": "track"}, call="identify")["type"] == "identify"


def test_an_identify_takes_traits_from_its_context() -> None:
    """RudderStack's clients send them only there; traits of its own win."""
    event = good({"type": "identify", "userId": "u", "context": {"traits": {"plan": "starter"}}})
    assert event["traits"] == {"plan": "starter"}
    assert "traits" not in event["context"]
    both = {"traits": {"plan": "pro"}, "context": {"traits": {"plan": "x"}}}
    event = good({"type": "identify", "userId": "u", **both})
    assert event["traits"] == {"plan": "pro"}


def test_the_batchs_context_and_integrations_are_defaults() -> None:
    """What an event says itself wins over what its batch says."""
    arrival = Arrival(RECEIVED_MS, context={"ip": "1.2.3.4", "locale": "de"}, integrations={"All": False})
    event = good(track(context={"locale": "en"}), arrival=arrival)
    assert event["context"] == {"ip": "1.2.3.4", "locale": "en"}
    assert event["integrations"] == {"All": False}


def test_events_of_a_batch_do_not_share_their_context() -> None:
    """What is mended in one event must not show in the next."""
    arrival = Arrival(RECEIVED_MS, context={"groupId": 5, "traits": {"plan": "pro"}})
    first = good({"type": "identify", "userId": "u"}, arrival=arrival)
    assert first["traits"] == {"plan": "pro"}
    second = good({"type": "identify", "userId": "v"}, arrival=arrival)
    assert second["traits"] == {"plan": "pro"}


def test_the_key_is_the_user_else_the_anonymous_id() -> None:
    """Known users and visitors each go to their own partition, in UTF-8."""
    made = run(track(userId="jürgen", anonymousId="a"))
    assert isinstance(made, Accepted)
    assert made.key == "jürgen".encode()
    made = run(track(userId="", anonymousId="a"))
    assert isinstance(made, Accepted)
    assert made.key == b"a"


@given(at_ms=st.integers(0, LAST_MS))
def test_times_survive_writing_and_reading(at_ms: int) -> None:
    """What we write as ISO 8601 is what we read back."""
    assert parse_ms(iso(at_ms)) == at_ms


numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
IDS = ("userId", "anonymousId", "groupId", "previousId", "messageId")
OTHERS = (
    "type",
    "event",
    "timestamp",
    "sentAt",
    "originalTimestamp",
    "properties",
    "traits",
    "context",
    "integrations",
)
fields = st.sampled_from([*IDS, *OTHERS])


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text of a process builds its tables
@given(
    event=st.dictionaries(fields, json_values | st.sampled_from(["track", RECEIVED, "u"]), max_size=10),
    call=st.sampled_from([None, "track", "identify", "group", "alias", "page", "screen"]),
)
def test_whatever_is_accepted_the_engine_can_read(event: dict[str, Any], call: str | None) -> None:
    """An accepted event always fits the schema of product-events; anything else is rejected with a reason."""
    raw = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")
    made = run(raw, call)
    if isinstance(made, Accepted):
        read = wire.decode_product_event(made.value)
        assert wire.problem(read) is None
        assert wire.subject(read).encode() == made.key
    else:
        assert made.reason in ("unreadable", "invalid", "too_large", "future", "no_subject")
        assert made.detail
