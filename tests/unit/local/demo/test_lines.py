"""What a person watching the demo reads."""

from __future__ import annotations

from typing import Any

import pytest

from workers.local.demo.lines import LONGEST_LINE, Tally, goal_details, line_for, moment, span
from workers.local.demo.mapping import DemoEvent

AT_MS = 1_773_482_520_000  # 14 Mar 2026 10:02 UTC

ELIGIBLE = {
    "type": "eligible",
    "journey": "plan_limit_upsell",
    "subject": "user-17",
    "trigger": {"event": "plan_limit_reached", "properties": {"current_plan": "starter"}},
    "evidence": {"plan_limit_reached within 21d": 2},
    "at_ms": AT_MS,
}
DELIVERY = {
    "channel": "email",
    "person": "user-17",
    "template": "limit_explained",
    "outcome": "sent",
    "at_ms": AT_MS,
}
CONVERSION = {
    "subject": "acct-9",
    "journey": "account_limit_expansion",
    "event": "plan_upgraded",
    "message_id": "m9",
    "converted_at_ms": AT_MS,
    "time_to_convert_ms": 181_440_000,
    "holdout": False,
    "revenue": 115.0,
}
EXIT = {
    "kind": "exit",
    "subject": "user-17",
    "journey": "plan_limit_upsell",
    "enrollment": "e1",
    "outcome": "exited",
    "reason": "plan_upgraded",
    "at_ms": AT_MS,
}
DETAILS = {"m9": {"from_plan": "starter", "to_plan": "basic"}}


@pytest.mark.parametrize(
    ("topic", "record", "kind", "text"),
    [
        (
            "scheduler",
            ELIGIBLE,
            "eligible",
            "user-17 (starter) became eligible for plan_limit_upsell: plan_limit_reached within 21d = 2",
        ),
        (  # without evidence the trigger says why
            "scheduler",
            {**ELIGIBLE, "evidence": {}, "trigger": {"event": "x"}},
            "eligible",
            "user-17 became eligible for plan_limit_upsell: x",
        ),
        ("deliveries", DELIVERY, "sent", "e-mail limit_explained sent to user-17"),
        (
            "deliveries",
            {**DELIVERY, "channel": "in_app", "outcome": "suppressed", "reason": "unsubscribed"},
            "not_sent",
            "in-app message limit_explained to user-17 suppressed: unsubscribed",
        ),
        (
            "conversions",
            CONVERSION,
            "converted",
            "acct-9 upgraded starter -> basic 2.1 d after entry (account_limit_expansion)",
        ),
        (  # an event the demo does not know, by someone who was held out
            "conversions",
            {**CONVERSION, "message_id": "other", "holdout": True},
            "converted",
            "acct-9 did plan_upgraded 2.1 d after entry (account_limit_expansion, held out)",
        ),
        ("decisions", EXIT, "exit", "user-17 left plan_limit_upsell: plan_upgraded"),
    ],
)
def test_a_record_worth_telling_is_one_sentence(
    topic: str, record: dict[str, Any], kind: str, text: str
) -> None:
    """Who, what, why; the time is the record's own."""
    line = line_for(topic, record, DETAILS)
    assert line is not None
    assert (line.at_ms, line.kind, line.text) == (AT_MS, kind, text)


@pytest.mark.parametrize(
    ("topic", "record"),
    [
        ("scheduler", {"type": "account_facts"}),
        ("decisions", {"kind": "entry", "outcome": "declined"}),
        ("decisions", {"kind": "send"}),
        ("elsewhere", {}),
    ],
)
def test_the_rest_is_not_told(topic: str, record: dict[str, Any]) -> None:
    """A declined entry for every event would hide what matters."""
    assert line_for(topic, record, {}) is None


@pytest.mark.parametrize("topic", ["scheduler", "deliveries", "conversions", "decisions"])
def test_a_record_that_lacks_fields_is_told_with_question_marks(topic: str) -> None:
    """A record of another version never ends the view."""
    line = line_for(topic, {"type": "eligible", "kind": "exit"}, {})
    assert line is not None
    assert "?" in line.text


def test_a_record_can_neither_steer_the_terminal_nor_fill_it() -> None:
    """Control characters become spaces and the length is bounded."""
    line = line_for("deliveries", {**DELIVERY, "person": "\x1b[2J\nu" + "x" * 1000}, {})
    assert line is not None
    assert line.text.isprintable()
    assert len(line.text) == LONGEST_LINE


def test_an_enrollment_waits_from_its_entry_to_its_exit() -> None:
    """A declined entry has no enrollment and waits for nothing; an exit seen twice ends it once."""
    tally = Tally()
    tally.add("decisions", {"kind": "entry", "outcome": "declined"})
    tally.add("decisions", {"kind": "entry", "enrollment": "e1"})
    tally.add("decisions", {"kind": "entry", "enrollment": "e2"})
    tally.add("decisions", {"kind": "send", "enrollment": "e1"})
    assert tally.waiting == {"e1", "e2"}
    tally.add("decisions", EXIT)
    tally.add("decisions", EXIT)
    assert tally.waiting == {"e2"}


def test_records_are_counted_by_what_they_say() -> None:
    """Sent by channel, everything else as not sent, revenue summed."""
    tally = Tally()
    for topic, record in (
        ("scheduler", ELIGIBLE),
        ("scheduler", {"type": "account_facts"}),
        ("deliveries", DELIVERY),
        ("deliveries", {**DELIVERY, "channel": "in_app"}),
        ("deliveries", {**DELIVERY, "outcome": "failed"}),
        ("conversions", CONVERSION),
        ("conversions", {**CONVERSION, "revenue": None}),
    ):
        tally.add(topic, record)
    assert tally.eligible == 1
    assert tally.sent == {"email": 1, "in_app": 1}
    assert tally.not_sent == {"email": 1}
    assert (tally.converted, tally.revenue) == (2, 115.0)


def test_goal_events_are_kept_by_message_id() -> None:
    """Only those asked for, with their properties."""
    events = [
        DemoEvent(0, {"messageId": "m1", "event": "search", "properties": {}}),
        DemoEvent(0, {"messageId": "m2", "event": "plan_upgraded", "properties": {"to_plan": "basic"}}),
        DemoEvent(0, {"messageId": "m3", "type": "identify", "traits": {}}),
    ]
    assert goal_details(events) == {"m2": {"to_plan": "basic"}}


def test_times_read_as_people_say_them() -> None:
    """Day and minute for a moment, the largest unit that fits for a length."""
    assert moment(AT_MS) == "14 Mar 10:02"
    assert [span(ms) for ms in (181_440_000, 10_800_000, 720_000)] == ["2.1 d", "3.0 h", "12 min"]
