"""Product events: what is taken, what is put aside or sent on, what is counted, what is decided."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.core.kit import journey
from tests.unit.signals.kit import DAY, EVENTS, NOW, Engine, dead, event, items, record, sent
from tests.unit.stream.kit import Rec
from workers.core.activity.row import DUPLICATE_HORIZON_MS
from workers.signals.account_events import Counted, Described, Occurred
from workers.signals.intake import FUTURE_TOLERANCE_MS
from workers.stream.partitioner import partition_of

TWICE = journey(
    entry={
        "on": {"event": "limit"},
        "require": [{"performed": "limit", "at_least": 2, "within": "21d"}],
        "again": "always",
    }
)
COUNTING = journey(
    "counting",
    entry={"on": {"event": "asked"}, "require": [{"performed": "limit", "at_least": 2, "within": "21d"}]},
)
TEAM_COUNTING = journey(
    "team",
    subject="account",
    entry={"on": {"event": "asked"}, "require": [{"performed": "limit", "at_least": 2, "within": "21d"}]},
)
TEAM = journey(
    "team",
    subject="account",
    entry={
        "on": {"event": "limit"},
        "require": [{"performed": "limit", "at_least": 2, "within": "21d"}],
        "again": "always",
    },
)

BAD: list[tuple[str, bytes | None, str, str]] = [
    ("no value at all", None, "unreadable", "the record has no value"),
    ("no JSON", b"{", "unreadable", "truncated"),
    ("no UTF-8", b'{"userId": "\xff"}', "unreadable", "not readable as JSON"),
    ("another shape", b"[]", "invalid", "Expected `object`"),
    ("no timestamp", msgspec.json.encode(event(timestamp=None)), "invalid", "timestamp"),
    ("nobody", msgspec.json.encode(event(userId=None)), "invalid", "userId or anonymousId is required"),
    ("a track call of nothing", msgspec.json.encode(event(event=None)), "invalid", "event is required"),
    ("odd properties", msgspec.json.encode(event(properties=[1])), "invalid", "properties must be an object"),
    (
        "an hour and a second ahead",
        msgspec.json.encode(event(at_ms=NOW + FUTURE_TOLERANCE_MS + 1_000)),
        "future",
        "3601 s ahead",
    ),
]


@pytest.mark.parametrize(("value", "reason", "detail"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_event_is_put_aside_with_its_reason(value: bytes | None, reason: str, detail: str) -> None:
    """Its neighbours are counted."""
    engine = Engine(COUNTING)
    view = engine.run(EVENTS, [record(event(), 0), Rec(1, value, b"u1"), record(event(), 2)])
    assert dead(view) == [(1, reason)]
    assert detail in view.dead[0].detail
    assert engine.count("u1") == 2


def test_properties_that_cannot_be_read_cost_their_event_alone() -> None:
    """A number beyond all numbers passes as bytes; whoever looks at it fails, and only for this event."""
    engine = Engine(TEAM)
    odd = msgspec.json.encode(event(properties={"n": 1}, context={"groupId": "acme"})).replace(
        b'"n":1', b'"n":1e999'
    )
    good = event(context={"groupId": "acme"})
    view = engine.run(EVENTS, [record(good, 0), Rec(1, odd, b"u1"), record({**good, "messageId": "x"}, 2)])
    assert dead(view) == [(1, "unreadable")]
    engine.forward(view)
    assert engine.count("acme", account=True) == 2


def test_an_event_slightly_ahead_happened_now() -> None:
    """A clock that is off by up to an hour does not cost the event."""
    engine = Engine(COUNTING)
    view = engine.events(event(at_ms=NOW + FUTURE_TOLERANCE_MS))
    assert view.dead == []
    assert engine.count("u1") == 1


@pytest.mark.parametrize("key", [None, b"", b"someone else"])
def test_an_event_with_another_key_is_sent_on_under_its_subjects(key: bytes | None) -> None:
    """It counts when it comes back, once."""
    engine = Engine(COUNTING)
    plain = event()
    wrong = Rec(0, msgspec.json.encode(plain), key)
    view = engine.run(EVENTS, [wrong])
    (output,) = view.outputs
    assert (output.topic, output.key, output.value, output.partition) == (
        "product-events",
        b"u1",
        wrong.value,
        None,
    )
    assert engine.activity("u1") is None
    assert engine.rekeyed("key") == 1
    engine.events(plain)
    assert engine.count("u1") == 1


def test_an_event_in_anothers_partition_is_sent_there() -> None:
    """A producer that hashes otherwise; the right partition is named."""
    user = next(f"u{number}" for number in range(100) if partition_of(b"u%d" % number, 4) == 3)
    engine = Engine(COUNTING, partition=0, partitions=4)
    view = engine.events(event(user=user), event(user=user))
    assert [(output.key, output.partition) for output in view.outputs] == [(user.encode(), 3)] * 2
    assert engine.activity(user) is None
    assert engine.rekeyed("partition") == 2
    assert engine.outcome("counted") == 0


def test_a_known_subject_stays_in_its_partition() -> None:
    """Its row vouches for it: the hash is not computed again."""
    user = next(f"u{number}" for number in range(100) if partition_of(b"u%d" % number, 4) == 0)
    engine = Engine(COUNTING, partition=0, partitions=4)
    assert engine.events(event(user=user)).outputs == []
    assert engine.count(user) == 1


def test_a_message_id_counts_once_within_a_day() -> None:
    """Also in one batch, also for other events; a replay months later counts."""
    engine = Engine(COUNTING)
    same = event()
    engine.events(same, same, {**same, "event": "asked"})
    assert engine.count("u1") == 1
    assert engine.outcome("duplicate") == 2
    engine.events(same)
    assert engine.outcome("duplicate") == 3
    engine.now_ms = NOW + 2 * DUPLICATE_HORIZON_MS
    engine.events(same)
    assert engine.outcome("duplicate") == 3


def test_late_events_count_where_their_window_is_open() -> None:
    """21 days back, to the millisecond; beyond, they are counted as late and change nothing."""
    engine = Engine(COUNTING)
    engine.events(event(at_ms=NOW - 21 * DAY + 1), event(at_ms=NOW - 21 * DAY), event(at_ms=NOW - 90 * DAY))
    assert engine.count("u1") == 1
    assert engine.outcome("late") == 2


def test_an_event_that_nothing_refers_to_leaves_nothing() -> None:
    """No row, no output: one look-up is all it costs."""
    engine = Engine(COUNTING)
    view = engine.events(
        event("page viewed"), event(type="page", event=None), event(type="screen", event=None)
    )
    assert (engine.rows, view.outputs, view.dead) == ({}, [], [])
    assert engine.outcome("untracked") == 3


def test_an_anonymous_visitor_is_a_subject_too() -> None:
    """Until they are known."""
    engine = Engine(COUNTING)
    engine.events(event(userId=None, anonymousId="a-7"))
    assert engine.count("a-7") == 1


def test_who_meets_the_entry_is_eligible_at_once() -> None:
    """With the event that made them so; who does not is declined, with the values."""
    engine = Engine(TWICE)
    first = engine.events(event())
    assert sent(first, "scheduler") == []
    (declined,) = [msgspec.json.decode(value) for value in sent(first, "decisions")]
    assert (declined["kind"], declined["outcome"]) == ("entry", "declined")
    trigger = event(properties={"plan": "free"})
    second = engine.events(trigger)
    (eligible,) = [msgspec.json.decode(value) for value in sent(second, "scheduler")]
    assert (eligible["journey"], eligible["subject"]) == ("upsell", "u1")
    assert eligible["trigger"]["message_id"] == trigger["messageId"]
    assert eligible["trigger"]["properties"] == {"plan": "free"}


def test_traits_are_merged_name_by_name() -> None:
    """A null removes, the rest stays; consent is merged by its channels."""
    engine = Engine(COUNTING)

    def identify(**traits: Any) -> dict[str, Any]:
        return event(type="identify", event=None, traits=traits)

    engine.events(identify(plan="free", seats=3, consent={"email": True, "sms": True}))
    engine.events(identify(plan="pro", seats=None, consent={"email": False}))
    assert engine.profile("u1").traits == {"plan": "pro", "consent": {"email": False, "sms": True}}


def test_a_group_call_joins_the_account_and_describes_it() -> None:
    """The role is the member's; the other traits are the account's."""
    engine = Engine(TEAM)
    view = engine.events(
        event(type="group", event=None, groupId="acme", traits={"role": "admin", "plan": "free"})
    )
    row = engine.activity("u1")
    assert row is not None
    assert row.accounts == ["acme"]
    assert items(view) == [Described("acme", "u1", "admin", NOW, {"plan": "free"})]
    engine.forward(view)
    account = engine.profile("acme", account=True)
    assert (account.members, account.traits) == ({"u1": "admin"}, {"plan": "free"})


def test_events_go_to_the_account_that_they_name_or_to_the_one_acted_for_last() -> None:
    """`context.groupId` first, then the account that the user acted for last; without one they stay."""
    engine = Engine(TEAM_COUNTING)
    assert items(engine.events(event(user="alone"))) == []
    engine.events(
        event(type="group", event=None, groupId="old"), event(type="group", event=None, groupId="new")
    )
    assert items(engine.events(event(), event(context={"groupId": "old"}), event())) == [
        Counted("new", "limit", [NOW]),
        Counted("old", "limit", [NOW, NOW]),
    ]


def test_an_event_that_decides_for_the_account_goes_there_whole() -> None:
    """With who did it and its properties, and nothing overtakes it."""
    engine = Engine(TEAM)
    plain = event(properties={"n": 1}, context={"groupId": "acme"})
    (occurred,) = items(engine.events(plain))
    assert isinstance(occurred, Occurred)
    assert (occurred.account, occurred.user, occurred.event) == ("acme", "u1", "limit")
    assert (occurred.at_ms, occurred.message_id) == (NOW, plain["messageId"])
    assert msgspec.json.decode(occurred.properties or b"") == {"n": 1}


def test_a_changed_role_reaches_the_account() -> None:
    """An identify call may say it too."""
    engine = Engine(TEAM)
    engine.events(event(type="group", event=None, groupId="acme"))
    view = engine.events(event(type="identify", event=None, traits={"role": "owner"}))
    assert items(view) == [Described("acme", "u1", "owner", NOW, {})]
