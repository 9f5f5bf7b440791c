"""What a person's in-app feed holds."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import Feed, FeedItem, Message, MessageContext
from workers.core.render import RenderedInApp
from workers.senders.channels.in_app import MAX_ITEMS, add_item, item_of, remove_expired

NOW_MS = 1_773_480_000_000
DAY_MS = 86_400_000
EMPTY = Feed(person="user-1", items=[], updated_at_ms=0)


def item(name: str = "m1", **changes: Any) -> FeedItem:
    """A feed item."""
    values: dict[str, Any] = {
        "id": name,
        "message_id": name,
        "journey": "plan_limit_upsell",
        "step": "0",
        "template": "limit_banner",
        "form": "banner",
        "title": "T",
        "body": "B",
        "created_at_ms": NOW_MS,
    }
    return FeedItem(**{**values, **changes})


def ids(feed: Feed) -> list[str]:
    """The ids in the feed's order."""
    return [one.id for one in feed.items]


def test_a_rendered_message_becomes_an_item_that_expires_when_its_template_says() -> None:
    """The item carries the message's id, texts and the instant at which it is gone."""
    message = Message(
        id="m1",
        channel="in_app",
        person="user-1",
        journey="plan_limit_upsell",
        version="v",
        enrollment="e",
        step="0",
        template="limit_banner",
        tags=[],
        context=MessageContext(user={}, account={}, event={}),
        requested_at_ms=NOW_MS,
    )
    content = RenderedInApp("banner", "T", "B", "Go", "/x", 14 * DAY_MS, "limit_banner", "v1")
    made = item_of(message, content, NOW_MS)
    assert made == item(cta_label="Go", cta_url="/x", expires_at_ms=NOW_MS + 14 * DAY_MS)


def test_an_item_is_added_as_the_newest() -> None:
    """The order is that of creation, whatever the order of arrival."""
    feed = add_item(EMPTY, item("m2", created_at_ms=NOW_MS + 5), NOW_MS + 5)
    feed = add_item(feed, item("m1", created_at_ms=NOW_MS), NOW_MS + 6)
    assert ids(feed) == ["m1", "m2"]
    assert (feed.person, feed.updated_at_ms) == ("user-1", NOW_MS + 6)


def test_the_same_item_is_never_there_twice() -> None:
    """A message that is delivered again after a crash changes nothing, so nothing is written."""
    feed = add_item(EMPTY, item(), NOW_MS)
    assert add_item(feed, item(title="other"), NOW_MS + 1) is feed


def test_once_per_user_means_one_item_of_a_template_and_journey() -> None:
    """Another journey's item of the same template, and another template, still come through."""
    feed = add_item(EMPTY, item("m1"), NOW_MS, once=True)
    assert add_item(feed, item("m2"), NOW_MS, once=True) is feed
    assert ids(add_item(feed, item("m2"), NOW_MS)) == ["m1", "m2"]
    assert ids(add_item(feed, item("m2", journey="other"), NOW_MS, once=True)) == ["m1", "m2"]
    assert ids(add_item(feed, item("m2", template="other"), NOW_MS, once=True)) == ["m1", "m2"]


def test_expired_items_go_when_the_feed_is_written() -> None:
    """An item is there until its expiry and gone at that very millisecond."""
    feed = add_item(EMPTY, item("m1", expires_at_ms=NOW_MS + DAY_MS), NOW_MS)
    assert ids(add_item(feed, item("m2"), NOW_MS + DAY_MS - 1)) == ["m1", "m2"]
    assert ids(add_item(feed, item("m2"), NOW_MS + DAY_MS)) == ["m2"]
    assert remove_expired(feed, NOW_MS + DAY_MS - 1) is feed
    assert ids(remove_expired(feed, NOW_MS + DAY_MS)) == []


def test_an_item_that_is_expired_on_arrival_is_not_added() -> None:
    """After a long stop nobody sees last month's banner."""
    assert add_item(EMPTY, item(expires_at_ms=NOW_MS), NOW_MS) is EMPTY


@given(created=st.lists(st.integers(0, 1_000), max_size=120))
def test_a_feed_is_bounded_and_keeps_the_newest(created: list[int]) -> None:
    """However many messages a person gets, the row stays small, ordered and without repeats."""
    feed = EMPTY
    for number, at in enumerate(created):
        feed = add_item(feed, item(f"m{number:03}", created_at_ms=at), NOW_MS)
    newest = sorted((at, f"m{number:03}") for number, at in enumerate(created))[-MAX_ITEMS:]
    assert [(one.created_at_ms, one.id) for one in feed.items] == newest
