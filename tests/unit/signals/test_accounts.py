"""What members did, counted over all of them."""

from __future__ import annotations

import msgspec

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.signals.kit import BUNDLES, NOW, Engine, dead, sent
from tests.unit.signals.test_users import TEAM, TEAM_COUNTING
from tests.unit.stream.kit import Rec
from workers.signals.account_events import (
    BUNDLE_BYTES_MAX,
    BUNDLE_ITEMS_MAX,
    Counted,
    Described,
    Item,
    Occurred,
    Outbox,
    bundles,
    decode,
    encode,
)
from workers.signals.engagement import Engagements
from workers.signals.users import UserSignals
from workers.state import ENGAGEMENT
from workers.stream.batch import TP, Batch
from workers.stream.partitioner import partition_of
from workers.stream.view import View

EMPTY: dict[bytes, bytes] = {}


def occurred(account: str = "acme", number: int = 0, event: str = "limit") -> Occurred:
    """A member did something."""
    return Occurred(account, "u1", event, NOW, f"m{number}")


def product_event(number: int = 0) -> wire.ProductEvent:
    """As the users' side has it."""
    plain = {"type": "track", "messageId": f"m{number}", "timestamp": "2026-03-14T09:20:00Z"}
    return wire.decode_product_event(msgspec.json.encode({**plain, "userId": "u1", "event": "limit"}))


def handed_over(outbox: Outbox) -> list[tuple[int | None, list[Item]]]:
    """Partition and items of each record."""
    view = View(EMPTY.get)
    outbox.send("account-events", view)
    assert {(output.topic, output.key) for output in view.outputs} <= {("account-events", b"stamp")}
    return [(output.partition, decode(output.value or b"")) for output in view.outputs]


# -- the way there


def test_counted_occurrences_are_joined_by_account_and_event() -> None:
    """One item for many events."""
    outbox = Outbox(1, b"stamp")
    outbox.times("limit").setdefault("acme", []).extend([1, 2])
    outbox.times("limit").setdefault("acme", []).append(3)
    outbox.times("seen").setdefault("acme", []).append(4)
    assert handed_over(outbox) == [(0, [Counted("acme", "limit", [1, 2, 3]), Counted("acme", "seen", [4])])]


def test_what_was_counted_before_a_deciding_event_goes_before_it() -> None:
    """The decision sees all that happened earlier, and nothing that happened later."""
    outbox = Outbox(1, b"stamp")
    outbox.times("limit").setdefault("acme", []).append(1)
    outbox.times("limit").setdefault("other", []).append(1)
    outbox.occurred("acme", product_event(), NOW)
    outbox.times("limit").setdefault("acme", []).append(2)
    ((_, items),) = handed_over(outbox)
    mine = [item for item in items if item.account == "acme"]
    assert [type(item) for item in mine] == [Counted, Occurred, Counted]
    assert Counted("other", "limit", [1]) in items


def test_accounts_go_to_their_partitions() -> None:
    """One record per partition that has anything."""
    outbox = Outbox(8, b"stamp")
    accounts = [f"account-{number}" for number in range(40)]
    for account in accounts:
        outbox.described(Described(account, "u1", "", NOW, {}))
    for partition, items in handed_over(outbox):
        assert {partition_of(item.account.encode(), 8) for item in items} == {partition}


def test_an_outbox_is_empty_after_it_was_sent() -> None:
    """Nothing to send, no record."""
    assert handed_over(Outbox(4, b"stamp")) == []


def test_large_bundles_are_split_in_order() -> None:
    """By number and by bytes; one item alone is never split."""
    many: list[Item] = [occurred(number=number) for number in range(3 * BUNDLE_ITEMS_MAX)]
    heavy: list[Item] = [Occurred("acme", "u", "e", NOW, "x" * 100_000, None) for _ in range(20)]
    for items in (many, heavy):
        packed = bundles(items)
        assert [item for one in packed for item in decode(one)] == items
        assert all(len(one) <= BUNDLE_BYTES_MAX and len(decode(one)) <= BUNDLE_ITEMS_MAX for one in packed)
    alone: list[Item] = [Occurred("acme", "u", "e", NOW, "x" * 700_000, None)]
    assert bundles(alone) == [encode(alone)]


# -- there


def test_members_are_counted_together() -> None:
    """Two members, once each, make two."""
    engine = Engine(TEAM_COUNTING)
    engine.bundles([Counted("acme", "limit", [NOW])], [Counted("acme", "limit", [NOW - 5, NOW])])
    assert engine.count("acme", account=True) == 3


def test_a_deciding_event_sees_what_came_before_it_in_the_same_bundle() -> None:
    """And a candidate is eligible as the account."""
    engine = Engine(TEAM)
    view = engine.bundles([occurred(number=1), occurred(number=2)])
    (eligible,) = [wire.decode_scheduler(value) for value in sent(view, "scheduler")]
    assert isinstance(eligible, wire.Eligible)
    assert (eligible.subject_type, eligible.subject, eligible.trigger.message_id) == ("account", "acme", "m2")


def test_a_bundle_that_cannot_be_read_is_put_aside() -> None:
    """The others count."""
    engine = Engine(TEAM_COUNTING)
    good = encode([Counted("acme", "limit", [NOW])])
    view = engine.run(BUNDLES, [Rec(0, good), Rec(1, b"\xc1"), Rec(2, None), Rec(3, good)])
    assert dead(view) == [(1, "unreadable"), (2, "unreadable")]
    assert engine.count("acme", account=True) == 2


def test_an_accounts_traits_reach_its_members() -> None:
    """All of them when they change, a new one when it comes; nobody when nothing changed."""
    engine = Engine(TEAM)

    def told(item: Described) -> list[tuple[str, dict[str, object]]]:
        records = [wire.decode_scheduler(value) for value in sent(engine.bundles([item]), "scheduler")]
        return [(one.subject, one.facts) for one in records if isinstance(one, wire.AccountFacts)]

    assert told(Described("acme", "u1", "admin", NOW, {"plan": "free"})) == [("u1", {"plan": "free"})]
    assert told(Described("acme", "u2", "", NOW, {})) == [("u2", {"plan": "free"})]
    assert told(Described("acme", "u2", "owner", NOW, {"plan": "free"})) == []
    assert told(Described("acme", "u2", "", NOW, {"plan": "pro"})) == [
        ("u1", {"plan": "pro"}),
        ("u2", {"plan": "pro"}),
    ]
    assert engine.profile("acme", account=True).members == {"u1": "admin", "u2": "owner"}


def test_a_changed_trait_ends_what_it_ends() -> None:
    """No enrollment, nothing to end: the traits change all the same."""
    engine = Engine(journey("team", subject="account", exit=[{"when": {"changed": "plan"}}]))
    engine.bundles([Described("acme", "u1", "", NOW, {"plan": "pro"})])
    assert engine.profile("acme", account=True).traits == {"plan": "pro"}


# -- engagement


def test_engagement_is_kept_by_channel_and_kind() -> None:
    """The latest moment, in whatever order they come, and how often."""
    handler, view = Engagements(0, parts := Engine().parts, UserSignals(0, parts)), View(EMPTY.get)

    def engaged(offset: int, at_ms: int) -> Rec:
        one = wire.Engagement(
            id=f"e{offset}", type="opened", person="u1", message_id="m", channel="email", at_ms=at_ms
        )
        return Rec(offset, wire.encode(one))

    records = [engaged(0, NOW), engaged(1, NOW - 5), Rec(2, b"{"), Rec(3, b"{}")]
    tp = TP("engagement", 0)
    items, keys = handler.prepare(Batch(tp, records, 0, 4), view, NOW)
    handler.apply(tp, items, view, NOW)
    row = view.table(ENGAGEMENT).get(b"u1")
    assert row is not None
    assert (row.last_ms, row.count) == ({"email:opened": NOW}, {"email:opened": 2})
    assert keys == [ENGAGEMENT.key(b"u1")] * 2
    assert dead(view) == [(2, "unreadable"), (3, "invalid")]
