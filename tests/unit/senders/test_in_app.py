"""What a person's in-app feed holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import Engagement, Feed, FeedItem, FeedShow, FeedStep, Message, MessageContext
from workers.core.templates.in_app import Show
from workers.core.templates.render import RenderedInApp, RenderedStep
from workers.senders.channels.in_app import MAX_ITEMS, add_item, item_of, remove_expired, settle, withdraw

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
    assert made == item(cta_label="Go", cta_url="/x", expires_at_ms=NOW_MS + 14 * DAY_MS, enrollment="e")


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


def test_an_item_carries_what_its_form_needs() -> None:
    """Steps, conditions and options; what is usual is left out, so that items stay small."""
    message = Message(
        id="m1",
        channel="in_app",
        person="user-1",
        journey="j",
        version="v",
        enrollment="e",
        step="0",
        template="t",
        tags=[],
        context=MessageContext(user={}, account={}, event={}),
        requested_at_ms=NOW_MS,
    )
    steps = (
        RenderedStep("Invite", None, "Go", "/team", True, None, "invited"),
        RenderedStep("Look", "B", None, None, False, "#save", None),
    )
    content = RenderedInApp(
        "checklist", "T", "", None, None, None, "t", "v1",
        steps=steps, priority=7, once="session", dismissible=False, show=Show("/x/*", "seen", 5_000, "#a"),
    )  # fmt: skip
    made = item_of(message, content, NOW_MS)
    assert made.steps == [
        FeedStep(title="Invite", done=True, event="invited", cta_label="Go", cta_url="/team"),
        FeedStep(title="Look", body="B", selector="#save"),
    ]
    assert made.show == FeedShow(url="/x/*", event="seen", delay_ms=5_000, selector="#a")
    assert (made.priority, made.once, made.dismissible) == (7, "session", False)


def test_a_withdrawal_takes_out_the_items_of_its_enrollment() -> None:
    """Those of others, and older ones that do not say whose they are, stay."""
    held = [item("m1", enrollment="e1"), item("m2", enrollment="e2"), item("m3")]
    feed = Feed(person="user-1", items=held, updated_at_ms=0)
    assert ids(withdraw(feed, "e1", NOW_MS)) == ["m2", "m3"]
    assert withdraw(feed, "e9", NOW_MS) is feed


@pytest.mark.parametrize(
    ("kind", "form", "once", "stays"),
    [
        ("opened", "banner", None, True),
        ("opened", "banner", "session", True),
        ("opened", "modal", "user", True),
        ("clicked", "banner", None, True),
        ("clicked", "checklist", None, True),
        ("clicked", "banner", "user", False),
        ("clicked", "modal", None, False),
        ("clicked", "tour", None, False),
        ("dismissed", "banner", None, False),
        ("dismissed", "checklist", "session", False),
        ("delivered", "banner", "user", True),
    ],
)
def test_an_item_leaves_when_its_person_is_through_with_it(
    kind: Any, form: str, once: str | None, stays: bool
) -> None:
    """On every device: the feed is the person's, not the browser's."""
    feed = Feed(person="user-1", items=[item(form=form, once=once), item("other")], updated_at_ms=0)
    said = Engagement(id="x", type=kind, person="user-1", message_id="m1", channel="in_app", at_ms=NOW_MS)
    assert ids(settle(feed, said, NOW_MS)) == (["m1", "other"] if stays else ["other"])


def test_what_is_shown_once_is_marked_when_it_was_seen() -> None:
    """Other pages and devices do not show it; the one that does still learns when it is taken back."""
    feed = Feed(person="user-1", items=[item(once="user"), item("m2")], updated_at_ms=0)
    said = Engagement(id="x", type="opened", person="user-1", message_id="m1", channel="in_app", at_ms=NOW_MS)
    seen = settle(feed, said, NOW_MS)
    assert [one.seen_at_ms for one in seen.items] == [NOW_MS, None]
    assert settle(seen, said, NOW_MS + 1) is seen
