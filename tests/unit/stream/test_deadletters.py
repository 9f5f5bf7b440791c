"""Records put aside, and the limit that stops the worker."""

from __future__ import annotations

import base64

import pytest

from schemas.wire import decode_dead_letter
from tests.unit.stream.kit import NOW, TP0
from workers.errors import TooManyDead
from workers.stream.deadletters import PANE_RECORDS, PAYLOAD_MAX_BYTES, DeadLetterLimit, outputs
from workers.stream.view import DeadLetter


def letter(value: bytes | None = b"{bad", key: bytes | None = b"k") -> DeadLetter:
    """A dead letter of one record."""
    return DeadLetter(TP0, 41, key, value, "unreadable", "malformed")


def test_a_dead_letter_says_where_why_and_what() -> None:
    """It follows the declared shape, keeps the record's key, and repeats its id when it is written again."""
    (output,) = outputs([letter()], "dead-letters", "engine", NOW)
    assert (output.topic, output.key, output.partition) == ("dead-letters", b"k", None)
    record = decode_dead_letter(output.value or b"")
    assert (record.app, record.topic, record.partition, record.offset) == ("engine", "events", 0, 41)
    assert (record.reason, record.detail, record.at_ms) == ("unreadable", "malformed", NOW)
    assert base64.b64decode(record.payload) == b"{bad"
    assert base64.b64decode(record.key or "") == b"k"
    (again,) = outputs([letter()], "dead-letters", "engine", NOW + 1)
    assert decode_dead_letter(again.value or b"").id == record.id


def test_a_large_payload_is_cut_and_says_so() -> None:
    """The record itself still lies in its topic, whole."""
    (output,) = outputs([letter(b"x" * (PAYLOAD_MAX_BYTES + 1))], "dead-letters", "engine", NOW)
    record = decode_dead_letter(output.value or b"")
    assert record.truncated
    assert record.payload_bytes == PAYLOAD_MAX_BYTES + 1
    assert len(base64.b64decode(record.payload)) == PAYLOAD_MAX_BYTES


def test_a_record_without_key_and_value_can_be_dead_too() -> None:
    """Its payload is empty, not missing."""
    (output,) = outputs([letter(None, None)], "dead-letters", "engine", NOW)
    record = decode_dead_letter(output.value or b"")
    assert (record.key, record.payload, record.payload_bytes, record.truncated) == (None, "", 0, False)


def test_the_limit_judges_nothing_before_a_pane_is_full() -> None:
    """A few bad records, even all of the first ones, stop nothing."""
    limit = DeadLetterLimit("events", 0.5)
    limit.count(PANE_RECORDS - 1, PANE_RECORDS - 1)
    with pytest.raises(TooManyDead, match="1000 of the last 1000 records of topic 'events'"):
        limit.count(1, 1)


def test_exactly_the_share_is_allowed() -> None:
    """One more is not."""
    DeadLetterLimit("events", 0.5).count(PANE_RECORDS, PANE_RECORDS // 2)
    with pytest.raises(TooManyDead):
        DeadLetterLimit("events", 0.5).count(PANE_RECORDS, PANE_RECORDS // 2 + 1)


def test_the_past_does_not_hide_the_present() -> None:
    """However many good records there were: two panes of bad ones stop the worker."""
    limit = DeadLetterLimit("events", 0.5)
    for _ in range(100):
        limit.count(PANE_RECORDS, 0)
    for _ in range(10):
        limit.count(100, 100)
    with pytest.raises(TooManyDead):
        limit.count(100, 100)


def test_a_share_of_one_never_stops() -> None:
    """The operator said so."""
    limit = DeadLetterLimit("events", 1)
    for _ in range(10):
        limit.count(PANE_RECORDS, PANE_RECORDS)
