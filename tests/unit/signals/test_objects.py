"""Objects in the engine: what they are like, who has them, who hears of changes; over three partitions."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from tests.unit.identity.kit import DAY
from tests.unit.signals.object_kit import NOW, Shop, journey_on
from workers.signals import objects
from workers.stream.partitioner import partition_of

USER, OTHER, VISITOR = "user-1", "user-2", "visitor-1"

OWNS_COFFEE = {"related": {"object": "product", "relationship": "purchased", "where": {"category": "coffee"}}}
OFFER = journey_on(journey="offer", entry={"on": {"event": "visited"}, "require": [OWNS_COFFEE]})
BACK = journey_on(
    journey="back_in_stock",
    entry={
        "on": {
            "object": "product",
            "relationship": "wishlisted",
            "changed": "in_stock",
            "from": False,
            "to": True,
        },
        "again": "always",
    },
    steps=[{"send": {"in_app": "banner"}}],
)
CHEAPER = journey_on(
    journey="cheaper",
    entry={
        "on": {
            "object": "product",
            "relationship": "wishlisted",
            "changed": "price",
            "moved": "down",
            "by": "10%",
            "where": {"in_stock": True},
        },
        "again": "always",
    },
)
COFFEE = {"segment": "coffee", "require": [OWNS_COFFEE]}
LATELY = {
    "segment": "lately",
    "require": [{"related": {"object": "product", "relationship": "purchased"}, "within": "90d"}],
}
PREMIUM = {
    "segment": "premium",
    "require": [
        {
            "related": {
                "object": "product",
                "relationship": "purchased",
                "where": {"collection.tier": "premium"},
            }
        }
    ],
}
PAUSED = {
    "segment": "paused",
    "require": [{"related": {"object": "plan", "relationship": "subscribed_to", "status": "paused"}}],
}
TEAM = {
    "segment": "team",
    "subject": "account",
    "require": [{"related": {"object": "product", "relationship": "team_bought"}, "at_least": 2}],
}
BANNER = {"channel": "in_app", "fields": {"body": "{{ related.wishlisted[0].name }}"}}


def test_what_definitions_read_is_known_in_every_partition_and_no_more() -> None:
    """So that a decision asks nobody; the rest stays in the partition of the object."""
    shop = Shop(OFFER)
    shop.tell("p1", name="Beans", category="coffee", price=12)
    shop.settle()
    home = partition_of(b"product:p1", 3)
    for number in range(3):
        row = shop.object("p1", number)
        assert row is not None
        expected = {"name": "Beans", "category": "coffee", "price": 12}
        assert row.attributes == (expected if number == home else {"category": "coffee"})


def test_what_nobody_reads_is_told_to_nobody() -> None:
    """A price that changes each second costs one row in one partition."""
    shop = Shop(OFFER)
    shop.tell("p1", category="coffee", price=12)
    shop.settle()
    before = len(shop.of("scheduler"))
    shop.tell("p1", price=13)
    shop.settle()
    assert len(shop.of("scheduler")) == before


def test_a_condition_knows_what_was_bought_and_what_it_is_like() -> None:
    """Bought first or told first, and not what another bought."""
    shop = Shop(OFFER)
    shop.buy(USER, "p1")
    shop.buy(OTHER, "p2")
    shop.tell("p1", category="coffee")
    shop.tell("p2", category="tea")
    shop.settle()
    for who in (USER, OTHER):
        shop.track("visited", userId=who)
    shop.settle()
    assert shop.entered("offer") == [USER]


def test_a_refund_takes_it_back_and_a_duplicate_does_nothing() -> None:
    """Sent twice with one message id, and told twice under two."""
    shop = Shop(OFFER)
    shop.tell("p1", category="coffee")
    shop.buy(USER, "p1")
    shop.buy(USER, "p1")
    refund = shop.track(
        "Order Refunded",
        userId=USER,
        properties={"order_id": "o", "products": [{"product_id": "p1", "quantity": 1}]},
    )
    shop.produce(refund)
    shop.settle()
    shop.track("visited", userId=USER)
    shop.settle()
    assert shop.entered("offer") == []


def test_a_change_of_an_object_moves_people_between_segments() -> None:
    """Without an event of theirs: nobody polls, and only those whom it concerns are looked at."""
    shop = Shop(segments=[COFFEE])
    shop.buy(USER, "p1")
    shop.tell("p1", category="tea")
    shop.settle()
    assert shop.crossings() == []
    shop.tell("p1", category="coffee")
    shop.settle()
    shop.tell("p1", category=None)
    shop.settle()
    assert shop.crossings() == [(USER, "coffee", "entered"), (USER, "coffee", "left")]


def test_a_segment_is_left_by_time_alone() -> None:
    """90 days after the purchase, to the millisecond."""
    shop = Shop(segments=[LATELY])
    shop.buy(USER, "p1")
    shop.settle()
    shop.later(90 * DAY - 1)
    assert shop.crossings() == [(USER, "lately", "entered")]
    shop.later(1)
    assert shop.crossings()[1:] == [(USER, "lately", "left")]


def test_an_object_that_another_refers_to_concerns_who_has_the_other() -> None:
    """The collection of what was bought becomes a premium one; then the product leaves it."""
    shop = Shop(segments=[PREMIUM])
    shop.buy(USER, "p1")
    shop.tell("p1", collection="c1")
    shop.settle()
    shop.tell("c1", kind="collection", tier="premium")
    shop.settle()
    assert shop.crossings() == [(USER, "premium", "entered")]
    shop.tell("p1", collection="c2")
    shop.settle()
    assert shop.crossings()[1:] == [(USER, "premium", "left")]
    assert set((shop.relations(USER) or pytest.fail("gone")).followed) == {"product:p1", "collection:c2"}


def test_a_paused_subscription_is_known_by_its_id_alone() -> None:
    """The pause names no plan."""
    shop = Shop(segments=[PAUSED])
    shop.track("Subscription Started", userId=USER, properties={"plan": "pro", "subscription_id": "s"})
    shop.settle()
    shop.now_ms += 1_000
    shop.track("Subscription Paused", userId=USER, properties={"subscription_id": "s"})
    shop.settle()
    shop.now_ms += 1_000
    shop.track("Subscription Cancelled", userId=USER, properties={"subscription_id": "s"})
    shop.settle()
    assert shop.crossings() == [(USER, "paused", "entered"), (USER, "paused", "left")]


def test_an_account_has_what_its_members_bought() -> None:
    """Two members, one object each."""
    shop = Shop(segments=[TEAM])
    for who, product in ((USER, "p1"), (OTHER, "p2")):
        shop.group(who, "acme")
        shop.settle()
        shop.buy(who, product, order=product)
        shop.settle()
    assert shop.crossings() == [("acme", "team", "entered")]
    assert shop.relations(USER) is None  # nobody asks for what people bought


def test_back_in_stock_starts_a_journey_for_those_who_wait_for_it() -> None:
    """Not for who took it off the list, and not because it is known for the first time."""
    shop = Shop(BACK, templates={"banner": BANNER})
    for who in (USER, OTHER):
        shop.wish(who, "p1")
    shop.tell("p1", in_stock=True, name="Beans")
    shop.settle()
    assert shop.entered("back_in_stock") == []
    shop.now_ms += 1_000
    shop.track("Product Removed from Wishlist", userId=OTHER, properties={"product_id": "p1"})
    shop.tell("p1", in_stock=False)
    shop.settle()
    shop.now_ms += 1_000
    shop.tell("p1", in_stock=True)
    shop.settle()
    assert shop.entered("back_in_stock") == [USER]
    (message,) = shop.messages()
    properties = message.context.event
    assert (properties["changed"], properties["old"], properties["new"]) == ("in_stock", False, True)
    assert properties["object"]["name"] == "Beans"
    assert message.context.related is not None
    assert message.context.related["wishlisted"][0]["name"] == "Beans"


@pytest.mark.parametrize(
    ("before", "after", "enters"),
    [
        ({"price": 20, "in_stock": True}, {"price": 18}, True),  # exactly 10 %
        ({"price": 20, "in_stock": True}, {"price": 18.01}, False),
        ({"price": 20, "in_stock": True}, {"price": 25}, False),
        ({"price": 20, "in_stock": False}, {"price": 10}, False),
        ({"price": 20, "in_stock": True}, {"price": None}, False),
        ({"in_stock": True}, {"price": 10}, False),
        ({"price": 20, "in_stock": True}, {"price": 20}, False),
    ],
)
def test_a_lower_price_is_an_entry_where_it_fell_enough(
    before: dict[str, Any], after: dict[str, Any], enters: bool
) -> None:
    """By at least the share, while the other attributes are as asked."""
    shop = Shop(CHEAPER)
    shop.wish(USER, "p1")
    shop.tell("p1", **before)
    shop.settle()
    shop.now_ms += 1_000
    shop.tell("p1", **after)
    shop.settle()
    assert shop.entered("cheaper") == ([USER] if enters else [])


def test_many_followers_are_told_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, each once, though the object changes again while they are told."""
    monkeypatch.setattr(objects, "TELL_MAX", 3)
    shop = Shop(CHEAPER, partitions=1)
    people = [f"user-{number:02}" for number in range(20)]
    for who in people:
        shop.wish(who, "p1")
    shop.tell("p1", price=100, in_stock=True)
    shop.settle()
    shop.now_ms += 1_000
    shop.tell("p1", price=80)
    shop.turn(0)  # learns it
    shop.turn(0)  # tells three
    assert len(shop.entered("cheaper")) == 3
    shop.now_ms += 1_000
    shop.tell("p1", price=60)
    shop.settle()
    assert sorted(shop.entered("cheaper")) == people
    followed = [(shop.relations(who) or pytest.fail("gone")).followed["product:p1"] for who in people]
    assert followed == [{"price": 60}] * len(people)
    # Six were told of 80, three of them while 60 was on its way; then all of 60.
    told = shop.registry.get_sample_value("brimful_followers_told_total")
    assert told == len(people) + 6
    row = shop.object("p1", 0)
    assert row is not None
    assert (row.told_from, row.told_until) == (None, None)


def test_what_changes_there_and_back_before_someone_is_told_is_no_change_for_them() -> None:
    """They would be told of a thing that is sold out again."""
    shop = Shop(BACK, partitions=1)
    shop.wish(USER, "p1")
    shop.tell("p1", in_stock=False)
    shop.settle()
    shop.now_ms += 1_000
    shop.tell("p1", in_stock=True)
    shop.tell("p1", in_stock=False)
    shop.settle()
    assert shop.entered("back_in_stock") == []


def test_what_a_visitor_had_is_the_users_who_they_turn_out_to_be() -> None:
    """The objects are followed by the user from then on, and by nobody else."""
    shop = Shop(BACK)
    shop.track("Product Added to Wishlist", anonymousId=VISITOR, properties={"product_id": "p1"})
    shop.wish(USER, "p2")
    shop.tell("p1", in_stock=False)
    shop.settle()
    shop.identify(USER, VISITOR)
    shop.settle()
    assert shop.tables_of(VISITOR) == {"identities"}
    assert shop.followers() == [(USER, "user")] * 2
    shop.now_ms += 1_000
    shop.tell("p1", in_stock=True)
    shop.settle()
    assert shop.entered("back_in_stock") == [USER]


def test_an_erased_person_is_in_no_list_of_followers() -> None:
    """Neither rows of their own nor rows of objects that name them."""
    shop = Shop(BACK)
    shop.wish(USER, "p1")
    shop.settle()
    assert shop.followers() == [(USER, "user")]
    shop.erase(USER)
    shop.settle()
    assert shop.followers() == []
    named = [key for rows in shop.rows for key, row in rows.items() if USER.encode() in key + row]
    assert named == []


def test_other_definitions_find_what_they_need() -> None:
    """What was told before is known where it is read now, and what was kept is followed or forgotten."""
    shop = Shop(OFFER)
    shop.buy(USER, "p1")
    shop.tell("p1", category="coffee", price=12)
    shop.settle()
    assert shop.followers() == []
    shop.publish(OFFER, segments=[COFFEE, {"segment": "dear", "require": [
        {"related": {"object": "product", "relationship": "purchased", "where": {"price": {"gt": 10}}}}
    ]}])  # fmt: skip
    assert {shop.object("p1", number).attributes["price"] for number in range(3)} == {12}  # type: ignore[union-attr]
    assert shop.followers() == [(USER, "user")]
    assert {one[1] for one in shop.crossings()} == {"coffee", "dear"}
    shop.publish(BACK)
    assert shop.relations(USER) is None
    assert shop.followers() == []


def test_a_row_vouches_for_what_it_was_told() -> None:
    """Repeats and older statements of a source change nothing; another source's word stands beside."""
    shop = Shop(OFFER)
    first = shop.tell("p1", category="coffee")
    shop.settle()
    shop.now_ms += 1_000
    shop.tell("p1", category="tea")
    shop.settle()
    shop.send("objects", "product:p1", wire.encode(first))
    shop.settle()
    home = partition_of(b"product:p1", 3)
    assert shop.object("p1", home).attributes == {"category": "tea"}  # type: ignore[union-attr]
    outcomes = {
        outcome: shop.registry.get_sample_value("brimful_object_statements_total", {"outcome": outcome})
        for outcome in ("taken", "duplicate")
    }
    assert outcomes == {"taken": 2, "duplicate": 1}


@pytest.mark.parametrize(
    ("kind", "attributes", "reason"),
    [
        ("gadget", {}, "no type 'gadget' of objects; there are collection, plan, product"),
        ("product", {"price": "12,5"}, "attributes.price: a number is expected"),
        ("product", {"price": "0x1"}, "attributes.price: a number is expected"),
        ("product", {"price": "NaN"}, "attributes.price: a number is expected"),
        ("product", {"in_stock": "yes"}, "attributes.in_stock: true or false is expected"),
        ("product", {"in_stock": 1}, "attributes.in_stock: true or false is expected"),
        ("product", {"name": 5}, "attributes.name: a text"),
        ("product", {"launched": "soon"}, "attributes.launched: an ISO 8601 date"),
        ("product", {"tags": ["a", {}]}, "attributes.tags: a list"),
        ("product", {"collection": ""}, "attributes.collection: the id of a collection is expected"),
    ],
)
def test_what_is_not_as_declared_is_put_aside(kind: str, attributes: dict[str, Any], reason: str) -> None:
    """With what would be right; what is not declared at all is skipped."""
    shop = Shop(OFFER)
    shop.tell("p1", kind, **attributes)
    shop.tell("p2", nobody_reads="this", category="tea")
    shop.settle()
    ((why, detail),) = shop.dead
    assert why == "invalid"
    assert reason in detail
    assert shop.object("p2", partition_of(b"product:p2", 3)).attributes == {"category": "tea"}  # type: ignore[union-attr]


def test_texts_of_numbers_are_numbers_where_numbers_are_declared() -> None:
    """Shops write prices so, and so does every CSV file; a text stays a text where one is declared."""
    shop = Shop(OFFER)
    shop.tell("p1", price="12.50", in_stock="false", name="7", collection=9)
    shop.settle()
    row = shop.object("p1", partition_of(b"product:p1", 3))
    assert row is not None
    assert row.attributes == {"price": 12.5, "in_stock": False, "name": "7", "collection": "9"}


def test_a_statement_from_the_future_would_silence_its_source() -> None:
    """So it is put aside."""
    shop = Shop(OFFER)
    told = wire.ObjectAttributes(
        id="s", object="product", object_id="p1", attributes={}, source="x", at_ms=NOW + 3_600_001
    )
    shop.send("objects", "product:p1", wire.encode(told))
    shop.settle()
    assert [reason for reason, _ in shop.dead] == ["future"]


def test_ids_that_begin_alike_are_told_apart() -> None:
    """The followers of one product are not those of another."""
    shop = Shop(BACK, partitions=1)
    shop.wish(USER, "p1")
    shop.wish(OTHER, "p1:u")
    for one in ("p1", "p1:u"):
        shop.tell(one, in_stock=False)
    shop.settle()
    shop.now_ms += 1_000
    shop.tell("p1", in_stock=True)
    shop.settle()
    assert shop.entered("back_in_stock") == [USER]


def test_an_accounts_message_shows_what_the_account_has() -> None:
    """Also after it went through the partition of its recipient."""
    template = {"channel": "in_app", "fields": {"body": "{{ related.team_bought[0].name }}"}}
    ours = {
        "journey": "team",
        "subject": "account",
        "recipients": {"role": "owner"},
        "entry": {"on": {"event": "Order Completed"}},
        "steps": [{"send": {"in_app": "banner"}}],
    }
    shop = Shop(ours, templates={"banner": template})
    shop.tell("p1", name="Beans", price=12.5)
    shop.group(USER, "acme", role="owner")
    shop.settle()
    shop.buy(USER, "p1")
    shop.settle()
    (message,) = shop.messages()
    assert message.context.related == {
        "team_bought": [
            {"object": "product", "id": "p1", "at_ms": NOW, "quantity": 1, "name": "Beans", "price": 12.5}
        ]
    }


def test_without_objects_in_the_workspace_nothing_is_kept_of_them() -> None:
    """Statements wait in the dead letters until there is a type; events fill nothing."""
    shop = Shop(journey_on(journey="plain", entry={"on": {"event": "Order Completed"}}), objects=[])
    shop.buy(USER, "p1")
    shop.tell("p1", price=1)
    shop.settle()
    assert shop.relations(USER) is None
    assert [detail for _, detail in shop.dead] == [
        "object: the workspace has no type 'product' of objects; there are none"
    ]
