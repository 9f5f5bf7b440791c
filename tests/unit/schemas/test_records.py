"""What the public records mean, whichever library reads them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from schemas import records
from schemas.catalog import TOPICS, problems_of

TRACK: dict[str, Any] = {
    "type": "track",
    "messageId": "m-1",
    "userId": "user-17",
    "event": "plan_limit_reached",
    "timestamp": "2026-03-14T10:02:00.000Z",
}
ELIGIBLE: dict[str, Any] = {
    "type": "eligible",
    "id": "e-1",
    "journey": "plan_limit_upsell",
    "version": "3f1c",
    "subject_type": "user",
    "subject": "user-17",
    "trigger": {"event": "plan_limit_reached", "message_id": "m-1", "at_ms": 1, "properties": {}},
    "evidence": {},
    "at_ms": 1,
}
MESSAGE: dict[str, Any] = {
    "id": "m-1",
    "channel": "sms",
    "person": "user-17",
    "journey": "plan_limit_upsell",
    "version": "3f1c",
    "enrollment": "e-1",
    "step": "0",
    "template": "limit_text",
    "tags": [],
    "context": {"user": {}, "account": {}, "event": {}},
    "requested_at_ms": 1,
}


def _bytes(record: Any) -> bytes:
    return json.dumps(record).encode()


def test_the_type_of_a_product_event_chooses_its_model() -> None:
    """Each of the six calls is its own model, so that its own required fields hold."""
    calls = {
        "track": (records.Track, {"event": "seat_added"}),
        "identify": (records.Identify, {}),
        "group": (records.Group, {"groupId": "acct-9"}),
        "alias": (records.Alias, {"previousId": "visitor-5"}),
        "page": (records.Page, {}),
        "screen": (records.Screen, {}),
    }
    for kind, (model, fields) in calls.items():
        event = records.check_product_event({**TRACK, "type": kind, **fields})
        assert type(event) is model


@pytest.mark.parametrize(
    ("ids", "subject"),
    [
        (
            {"userId": "user-17", "anonymousId": "visitor-5"},
            "user-17",
        ),  # the user id wins
        ({"userId": None, "anonymousId": "visitor-5"}, "visitor-5"),  # a visitor by the anonymous id
        ({"userId": "", "anonymousId": "visitor-5"}, "visitor-5"),  # an empty id is no id
    ],
)
def test_the_subject_is_the_user_id_else_the_anonymous_id(ids: dict[str, Any], subject: str) -> None:
    """The key of product-events and the row that an event touches."""
    assert records.subject(records.check_product_event({**TRACK, **ids})) == subject


def test_fields_that_producers_add_are_kept() -> None:
    """Segment's spec is open: what it does not name is neither refused nor lost."""
    event = records.check_product_event({**TRACK, "channel": "server", "context": {"ip": "192.0.2.1"}})
    dumped = event.model_dump(mode="json")
    assert dumped["channel"] == "server"
    assert dumped["context"]["ip"] == "192.0.2.1"


def test_an_event_is_written_in_the_names_of_the_segment_spec() -> None:
    """What we write back, other Segment readers understand."""
    dumped = records.check_product_event(TRACK).model_dump(mode="json", exclude_none=True)
    assert {"messageId", "userId"} <= set(dumped)
    assert "message_id" not in dumped


def test_every_problem_of_an_event_is_told_with_its_field() -> None:
    """A producer mends all of an event at once."""
    broken = {**TRACK, "event": "", "messageId": "m" * 101, "timestamp": "yesterday"}
    found = problems_of("product-events", _bytes(broken))
    assert [problem.partition(":")[0] for problem in found] == ["messageId", "timestamp", "event"]
    assert "'yesterday' is not an ISO 8601 date and time with seconds" in found[1]


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b'{"userId": "\xff"}', b"[" * 200_000])
def test_bytes_that_are_no_json_are_told_apart_from_wrong_shapes(payload: bytes) -> None:
    """Dead letters say `unreadable` for the one and `invalid` for the other."""
    with pytest.raises(msgspec.DecodeError):
        records.parse_product_event(payload)
    (problem,) = problems_of("product-events", payload)
    assert problem.startswith("not readable as JSON in UTF-8: ")


def test_a_record_of_ours_ignores_fields_of_a_newer_version() -> None:
    """An older worker goes on while a newer one writes more."""
    assert problems_of("scheduler", _bytes({**ELIGIBLE, "score": 7})) == []


def test_our_own_examples_may_not_have_unknown_fields() -> None:
    """A misspelt optional field in what we write would otherwise pass as an unknown one."""
    found = problems_of("scheduler", _bytes({**ELIGIBLE, "acount": "acct-9"}), refuse_unknown=True)
    assert found == ["acount: Extra inputs are not permitted"]


def test_producers_may_always_add_fields() -> None:
    """Refusing unknown fields is about what we write, never about product events."""
    assert problems_of("product-events", _bytes({**TRACK, "extra": 1}), refuse_unknown=True) == []


def test_a_message_belongs_into_the_topic_of_its_channel() -> None:
    """An SMS in messages.email would be sent to nobody."""
    assert problems_of("messages.sms", _bytes(MESSAGE)) == []
    assert problems_of("messages.email", _bytes(MESSAGE)) == [
        "channel: 'sms' does not belong into the topic messages.email",
    ]


def test_numbers_written_as_text_are_refused() -> None:
    """A record means the same in every language only where nothing is converted on the quiet."""
    assert problems_of("scheduler", _bytes({**ELIGIBLE, "at_ms": "1"})) == [
        "at_ms: Input should be a valid integer"
    ]


def test_records_cannot_be_changed() -> None:
    """A record is a fact that happened."""
    event = records.check_product_event(TRACK)
    with pytest.raises(ValidationError):
        event.user_id = "user-18"  # type: ignore[misc]


def test_every_public_topic_has_one_shape() -> None:
    """The public topics of the design, no more and no fewer."""
    channels = {f"messages.{channel}" for channel in ("email", "sms", "push", "in_app", "webhook")}
    assert set(TOPICS) == channels | {
        "product-events",
        "account-traits",
        "objects",
        "imports",
        "scheduler",
        "deliveries",
        "decisions",
        "conversions",
        "segments",
        "step-counts",
        "scores",
        "engagement",
        "identity",
        "feeds",
        "llm-requests",
        "dead-letters",
        "workspace",
    }
