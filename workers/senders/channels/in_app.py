"""The in-app channel: a person's feed is one row, and a message is one more item in it. Pure.

There is no provider: the feed is written in the same transaction as the delivery, so an item is there
exactly once, and nothing of it is ever unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.wire import Feed, FeedItem, Message

if TYPE_CHECKING:
    from workers.core.render import RenderedInApp

MAX_ITEMS: Final = 50
"""Items of one feed; the oldest give way. At some 500 bytes an item the row stays near 25 kB."""


def item_of(message: Message, content: RenderedInApp, now_ms: int) -> FeedItem:
    """The feed item of a rendered message. Its id is the message's idempotency key."""
    expires_at_ms = now_ms + content.expires_after_ms if content.expires_after_ms is not None else None
    return FeedItem(
        id=message.id,
        message_id=message.id,
        journey=message.journey,
        step=message.step,
        template=message.template,
        form=content.form,
        title=content.title,
        body=content.body,
        cta_label=content.cta_label,
        cta_url=content.cta_url,
        created_at_ms=now_ms,
        expires_at_ms=expires_at_ms,
    )


def add_item(feed: Feed, item: FeedItem, now_ms: int, *, once: bool = False) -> Feed:
    """``feed`` with ``item`` as its newest, without expired items, and at most :data:`MAX_ITEMS`.

    The same ``feed`` object comes back, and nothing needs to be written, when the item is already there,
    is expired, or, with ``once``, when an item of the same journey and template is still in the feed.
    (That a person got it before the feed forgot it is known to the journey, which asks no second time.)
    """
    if _expired(item, now_ms) or any(_same(old, item, once=once) for old in feed.items):
        return feed
    kept = [old for old in feed.items if not _expired(old, now_ms)]
    items = sorted([*kept, item], key=lambda one: (one.created_at_ms, one.id))[-MAX_ITEMS:]
    return Feed(v=feed.v, person=feed.person, items=items, updated_at_ms=now_ms)


def remove_expired(feed: Feed, now_ms: int) -> Feed:
    """``feed`` without expired items; the same object when there are none."""
    kept = [item for item in feed.items if not _expired(item, now_ms)]
    if len(kept) == len(feed.items):
        return feed
    return Feed(v=feed.v, person=feed.person, items=kept, updated_at_ms=now_ms)


def _expired(item: FeedItem, now_ms: int) -> bool:
    return item.expires_at_ms is not None and item.expires_at_ms <= now_ms


def _same(old: FeedItem, new: FeedItem, *, once: bool) -> bool:
    return old.id == new.id or (once and (old.journey, old.template) == (new.journey, new.template))
