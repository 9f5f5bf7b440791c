"""What files may bring, event by event; and when it cannot be told what of them was counted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import wire
from schemas.workspace import Workspace
from tests.unit.cli.backfill_kit import Changing
from tests.unit.cli.test_backfill import USER, asking
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, HOUR, NOW, _moment
from workers.core.activity.backfill import Book, Mark
from workers.reading.archive import Ids, gone


def line(number: int, at_ms: int, **fields: Any) -> bytes:
    """An event as an archive has it."""
    plain = {"type": "track", "event": "limit", "userId": USER, "messageId": f"old-{number}"}
    return msgspec.json.encode({**plain, "timestamp": _moment(at_ms), **fields})


def lines(*ages_ms: int, **fields: Any) -> list[bytes]:
    """Events of so long ago."""
    return [line(number, NOW - age_ms, **fields) for number, age_ms in enumerate(ages_ms)]


def test_a_new_installation_takes_what_was_before_it() -> None:
    """Its windows have counted from the start and miss nothing of the topic; files add to that, once."""
    cluster = Changing(asking("14d"))
    cluster.track("limit", userId=USER)
    cluster.settle()
    for _ in range(3):
        cluster.backfill_files(lines(HOUR, 13 * DAY, 15 * DAY))
        cluster.settle()
    assert len(cluster.times(USER)) == 3
    assert cluster.archive(lines(HOUR)).wanted["user"] == frozenset()


def test_it_triggers_nothing() -> None:
    """No journey begins because the past came."""
    condition = {"performed": "limit", "within": "14d"}
    entered = journey(entry={"on": {"event": "limit"}, "require": [condition]})
    cluster = Changing(Workspace.model_validate({"name": "w", "journeys": [entered]}))
    cluster.backfill_files(lines(HOUR, 2 * HOUR))
    cluster.settle()
    assert len(cluster.times(USER)) == 2
    assert cluster.messages() == []
    assert cluster.of("decisions") == []


def test_each_event_counts_for_one_reason_or_not() -> None:
    """What becomes of the lines is counted."""
    cluster = Changing(asking("14d"))
    sent = cluster.track("limit", userId=USER)
    cluster.settle()
    given = [
        *lines(2 * DAY, 3 * DAY),
        line(1, NOW - 3 * DAY),
        line(2, NOW - DAY),
        msgspec.json.encode(sent | {"timestamp": _moment(NOW - 2 * DAY)}),
        line(3, NOW - 4 * DAY, event="other"),
        line(1, NOW - 3 * DAY, userId="user-2"),
    ]
    archive = cluster.archive(given, NOW - DAY)
    assert archive.outcomes == {"taken": 3, "repeated": 1, "late": 1, "in_topic": 1, "unasked": 1}
    assert (archive.oldest_ms, archive.newest_ms) == (NOW - 4 * DAY, NOW - DAY)


def test_what_the_tracking_plan_refuses_does_not_count() -> None:
    """As on the topic."""
    cluster = Changing(asking("14d"))
    archive = cluster.archive([])
    event = cluster.produce({"type": "track", "event": "limit", "userId": USER})
    refusing = Changing(asking("14d")).archive([])
    decoded = wire.decode_product_event(msgspec.json.encode(event))
    refusing.take(decoded, b"", lambda *_: True)
    archive.take(decoded, b"", lambda *_: False)
    assert (archive.outcomes, refusing.outcomes) == ({"taken": 1}, {"refused": 1})


def test_an_account_is_told_by_the_files_their_group_calls_or_the_state() -> None:
    """In this order; and the topic's events of users whose group call only the files have are theirs."""
    of_account = journey(
        subject="account",
        entry={"on": {"event": "never"}, "require": [{"performed": "limit", "within": "14d"}]},
    )
    workspace = Workspace.model_validate({"name": "w", "journeys": [of_account]})
    cluster = Changing(asking("14d"))
    cluster.track("limit", userId="u2")
    cluster.group("u3", "carat")
    cluster.settle()
    for number in range(2):
        cluster.open(number, workspace)
    cluster.backfill_files(
        [
            line(1, NOW - DAY, context={"groupId": "acme"}),
            line(2, NOW - DAY, userId="u2", type="group", groupId="bolt"),
            line(3, NOW - DAY, userId="u2"),
            line(4, NOW - DAY, userId="u3"),
        ]
    )
    cluster.settle()
    counted = {account: cluster.times(account, account=True) for account in ("acme", "bolt", "carat")}
    assert counted == {"acme": [NOW - DAY], "bolt": [NOW - DAY, NOW], "carat": [NOW - DAY]}


def test_a_longer_window_takes_from_files_again_and_a_shorter_one_does_not() -> None:
    """It begins anew; a shorter one has what it needs."""
    cluster = Changing(asking("14d"))
    cluster.backfill_files(lines(DAY, 20 * DAY))
    cluster.settle()
    for number in range(2):
        cluster.open(number, asking("7d"))
    assert not cluster.archive([]).wanted["user"]
    for number in range(2):
        cluster.open(number, asking("30d"))
    cluster.backfill_files(lines(DAY, 20 * DAY))
    cluster.settle()
    assert len(cluster.times(USER)) == 2


@pytest.mark.parametrize(
    ("mark", "begins", "partitions"),
    [
        (Mark("f", 1), 0, []),
        (Mark("f", 1), 7, [0]),  # it has counted from the start, and the start is gone
        (Mark("f", 1, from_event=7, whole=False), 7, []),
        (Mark("f", 1, from_event=7, whole=False), 8, [0]),
        (Mark("f", 1, from_event=7, whole=False, filled_to="u"), 7, [0]),  # it got some of what is gone
        (Mark("f", 1, archived=True), 7, []),
    ],
)
def test_lost_records_that_were_counted_cannot_be_told_from_the_files(
    mark: Mark, begins: int, partitions: list[int]
) -> None:
    """Unless their slots take nothing of files any more."""
    assert gone({"user": {0: Book({1: mark})}, "account": {}}, {0: begins}) == partitions


def test_ids_are_told_apart_by_their_subject_too() -> None:
    """Wherever the one ends and the other begins; many lie in one bucket."""
    ids = Ids()
    messages = [(f"user-{number % 7}", f"m{number}") for number in range(200_000)]
    assert all(ids.add(message) for message in messages)
    assert not any(ids.add(message) for message in messages[::1_000])
    assert ("user-0", "m7") in ids
    assert ("user-0m", "7") not in ids
    assert ("user-1", "m7") not in ids


def test_what_a_shared_device_did_is_brought_to_nobody() -> None:
    """Files are of before the topic, and so of before it went from one person to the next."""
    cluster = Changing(asking("14d"))
    for user in (USER, "user-2"):
        cluster.track("limit", anonymousId="device")
        cluster.settle()
        cluster.identify(user, "device")
        cluster.settle()
    archive = cluster.backfill_files(lines(2 * DAY, userId=None, anonymousId="device"))
    cluster.settle()
    assert archive.outcomes == {"strangers": 1}
    assert (len(cluster.times(USER)), len(cluster.times("user-2"))) == (2, 0)
