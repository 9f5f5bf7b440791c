"""The in-app channel: a person's feed is one row, and a message is one more item in it. Pure.

There is no provider: the feed is written in the same transaction as the delivery, so an item is there
exactly once, and nothing of it is ever unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from schemas.wire import Engagement, Feed, FeedItem, FeedShow, FeedStep, Message

if TYPE_CHECKING:
    from schemas.fields import EngagementType
    from workers.core.templates.in_app import Show
    from workers.core.templates.render import RenderedInApp, RenderedStep

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
        enrollment=message.enrollment,
        priority=content.priority or None,
        once=content.once,
        dismissible=None if content.dismissible else False,
        show=_show_of(content.show),
        steps=[_step_of(step) for step in content.steps] or None,
        author=content.author,
        image_url=content.image_url,
        image_alt=content.image_alt,
        position=content.position,
    )


def _show_of(show: Show | None) -> FeedShow | None:
    if show is None:
        return None
    return FeedShow(url=show.url, event=show.event, delay_ms=show.delay_ms, selector=show.selector)


def _step_of(step: RenderedStep) -> FeedStep:
    return FeedStep(
        title=step.title,
        body=step.body,
        selector=step.selector,
        event=step.event,
        done=step.done or None,
        cta_label=step.cta_label,
        cta_url=step.cta_url,
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


def withdraw(feed: Feed, enrollment: str, now_ms: int) -> Feed:
    """``feed`` without the items of an enrollment; the same object when there are none."""
    return _without(feed, [item for item in feed.items if item.enrollment == enrollment], now_ms)


def settle(feed: Feed, engagement: Engagement, now_ms: int) -> Feed:
    """``feed`` without the item that its person is through with; the same object where nothing changes.

    That is what they dismissed, and what they clicked, but for a banner and a checklist, which stay until
    they are dismissed or taken back. An item with ``once: user`` that they have seen is marked rather than
    taken out: the page that shows it now must still learn when it is taken back.
    """
    if engagement.type == "opened":
        return _seen(feed, engagement.message_id, now_ms)
    gone = [
        item
        for item in feed.items
        if item.message_id == engagement.message_id and _is_through(item, engagement.type)
    ]
    return _without(feed, gone, now_ms)


def _is_through(item: FeedItem, kind: EngagementType) -> bool:
    if kind == "clicked":
        return item.once == "user" or item.form not in ("banner", "checklist")
    return kind == "dismissed"


def _seen(feed: Feed, message_id: str, now_ms: int) -> Feed:
    def is_new(item: FeedItem) -> bool:
        return item.message_id == message_id and item.once == "user" and item.seen_at_ms is None

    if not any(map(is_new, feed.items)):
        return feed
    items = [replace(item, seen_at_ms=now_ms) if is_new(item) else item for item in feed.items]
    return Feed(v=feed.v, person=feed.person, items=items, updated_at_ms=now_ms)


def _without(feed: Feed, gone: list[FeedItem], now_ms: int) -> Feed:
    if not gone:
        return feed
    items = [item for item in feed.items if item not in gone]
    return Feed(v=feed.v, person=feed.person, items=items, updated_at_ms=now_ms)


def _expired(item: FeedItem, now_ms: int) -> bool:
    return item.expires_at_ms is not None and item.expires_at_ms <= now_ms


def _same(old: FeedItem, new: FeedItem, *, once: bool) -> bool:
    return old.id == new.id or (once and (old.journey, old.template) == (new.journey, new.template))
