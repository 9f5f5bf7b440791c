"""What the senders keep of people: feeds and messages on their way. They move with a merge and can be erased.

An id that was merged leaves word where its feed went, so that an in-app message that was on its way to it
still reaches the person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.ids import stable_id
from workers.core.templates.owners import Owner, pick_owner
from workers.senders.channels.in_app import add_item, settle, withdraw
from workers.senders.ledger import Pending
from workers.stream.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.core.templates.webhooks import WebhookTemplate
    from workers.stream.view import View


class Waiting(msgspec.Struct, array_like=True):
    """State row of a person, or of an account: the ids of their messages that have not ended.

    Its key is the person's id, or that of an account behind a zero byte: one may be named like the other.
    """

    messages: list[str] = msgspec.field(default_factory=list)


class Moved(msgspec.Struct, array_like=True):
    """State row of an id that was merged: whose feed its items are in now."""

    into: str


PENDING = Table("pending", b"i", Pending)
WAITING = Table("waiting", b"w", Waiting)
FEEDS = Table("feeds", b"f", wire.Feed)


def waiting_key(message: wire.Message) -> bytes:
    """The key of the row of who a message is for."""
    key = message.person.encode()
    return b"\0" + key if message.subject_type == "account" else key


class Owners(msgspec.Struct, array_like=True):
    """State row of an account, or of a person without one: the owner that each list gave to it."""

    by_list: dict[str, str] = msgspec.field(default_factory=dict)


OWNERS = Table("owners", b"o", Owners)
"""Keys are ``a:ACCOUNT`` and ``p:PERSON``."""

MOVED = Table("moved_feeds", b"v", Moved)


class Forget(msgspec.Struct, frozen=True):
    """A record of messages without a value: nothing is left to be sent to this person."""

    person: str


class People:
    """The rows of people in one partition of the senders. ``topics`` gives the full name of a topic."""

    def __init__(self, topics: Callable[[str], str]) -> None:
        self._topics = topics

    def waits(self, message: wire.Message, view: View) -> None:
        """Remember that a message is on its way, so that it can be found by its person."""
        key = waiting_key(message)
        row = view.table(WAITING).get(key) or Waiting()
        if message.id not in row.messages:
            row.messages.append(message.id)
            view.table(WAITING).put(key, row)

    def is_first(self, message: wire.Message, connection: str, view: View) -> bool:
        """Whether no older message of the person is on its way over ``connection``."""
        return self._oldest(message, connection, view) in {None, message.id}

    def next(self, after: wire.Message, connection: str, view: View) -> str | None:
        """The oldest message of the same person on ``connection``, where it waits for its turn, or None."""
        oldest = self._oldest(after, connection, view)
        pending = view.table(PENDING).get(oldest.encode()) if oldest is not None else None
        return oldest if pending is not None and pending.queued else None

    def of_enrollment(self, withdrawal: wire.Message, view: View) -> list[Pending]:
        """The messages on their way that a withdrawal is about: those of its enrollment."""
        row = view.table(WAITING).get(waiting_key(withdrawal))
        pending = [view.table(PENDING).get(one.encode()) for one in (row.messages if row is not None else ())]
        return [one for one in pending if one is not None and one.message.enrollment == withdrawal.enrollment]

    def _oldest(self, message: wire.Message, connection: str, view: View) -> str | None:
        row = view.table(WAITING).get(waiting_key(message))
        for message_id in row.messages if row is not None else ():
            pending = view.table(PENDING).get(message_id.encode())
            if pending is not None and pending.connection == connection:
                return message_id
        return None

    def ended(self, message: wire.Message, view: View) -> None:
        """Forget a message that ended."""
        key = waiting_key(message)
        row = view.table(WAITING).get(key)
        if row is None or message.id not in row.messages:
            return
        row.messages.remove(message.id)
        if row.messages:
            view.table(WAITING).put(key, row)
        else:
            view.table(WAITING).delete(key)

    @staticmethod
    def rows_of(message: wire.Message) -> tuple[bytes, ...]:
        """The storage keys of what taking a message in asks of people and of what waits."""
        key, person = message.id.encode(), message.person.encode()
        if message.channel == "in_app":
            return (PENDING.key(key), FEEDS.key(person), MOVED.key(person))
        return (PENDING.key(key), WAITING.key(waiting_key(message)))

    def home(self, person: str, view: View) -> str:
        """Whose feed an item for ``person`` belongs into: their own, unless the id was merged."""
        key = person.encode()
        if view.table(FEEDS).get(key) is not None:
            return person
        moved = view.table(MOVED).get(key)
        return person if moved is None else moved.into

    def put_feed(self, feed: wire.Feed, view: View) -> None:
        """Store a feed, and show it."""
        key = feed.person.encode()
        view.table(FEEDS).put(key, feed)
        view.send(self._topics("feeds"), key, wire.encode(feed))

    def withdraw(self, message: wire.Message, view: View, now_ms: int) -> None:
        """Take the items of the message's enrollment out of its person's feed."""
        home = self.home(message.person, view)
        if home != message.person:
            moved = replace(message, person=home)
            view.send(self._topics("messages.in_app"), home.encode(), wire.encode(moved))
            return
        feed = view.table(FEEDS).get(home.encode())
        if feed is not None:
            self._change(feed, withdraw(feed, message.enrollment, now_ms), view)

    def engaged(self, engagement: wire.Engagement, view: View, now_ms: int) -> None:
        """Take an item out of the feed that its person is through with; other channels have no feed."""
        if engagement.channel != "in_app":
            return
        home = self.home(engagement.person, view)
        if home != engagement.person:
            # The engine sends it on as well, and to take an item out twice is to take it out once.
            return
        feed = view.table(FEEDS).get(home.encode())
        if feed is not None:
            self._change(feed, settle(feed, engagement, now_ms), view)

    def _change(self, held: wire.Feed, feed: wire.Feed, view: View) -> None:
        if feed is not held:
            self.put_feed(feed, view)

    def owner(
        self, template: WebhookTemplate, message: wire.Message, view: View, now_ms: int
    ) -> Owner | None:
        """Who of the template's owners takes a message's account; None where the template has no owners.

        Remembered for the account, so that it stays with them when the list changes.
        """
        if not template.owners:
            return None
        name = f"a:{message.account}" if message.account is not None else f"p:{message.person}"
        row = view.table(OWNERS).get(name.encode()) or Owners()
        kept = row.by_list.get(template.owners_name)
        picked = pick_owner(template.owners, name, kept, now_ms)
        if picked.remember != kept:
            row.by_list[template.owners_name] = picked.remember
            view.table(OWNERS).put(name.encode(), row)
        return picked.owner

    def told(self, record: wire.IdentityRecord, view: View, now_ms: int) -> None:
        """Follow what is known of who is who."""
        match record:
            case wire.PersonMerged():
                self._merge(record, view)
            case wire.FeedMoved():
                self._add(record, view, now_ms)
            case wire.PersonErased(app="engine", place="state"):
                self._drop_feed(record.subject.encode(), view)

    def forget(self, forget: Forget, topic: str, view: View, now_ms: int) -> None:
        """Let go of the person's messages on their way and of their feed, and answer that it is done."""
        key = forget.person.encode()
        waiting = view.table(WAITING).get(key)
        messages = waiting.messages if waiting is not None else []
        for message_id in messages:
            view.table(PENDING).delete(message_id.encode())
            view.cancel_timer(retry_timer(message_id))
        if waiting is not None:
            view.table(WAITING).delete(key)
        rows = len(messages) + self._drop_feed(key, view)
        if view.table(OWNERS).get(b"p:" + key) is not None:
            view.table(OWNERS).delete(b"p:" + key)
            rows += 1
        erased = wire.PersonErased(
            id=stable_id("forgotten", topic, forget.person, str(now_ms)),
            subject=forget.person,
            app="senders",
            place=topic,
            ids=[],
            accounts=[],
            rows=rows,
            at_ms=now_ms,
        )
        view.send(self._topics("identity"), key, wire.encode(erased))

    def _drop_feed(self, key: bytes, view: View) -> int:
        """How many rows there were. The feed's own topic forgets it as well."""
        rows = 0
        if view.table(MOVED).get(key) is not None:
            view.table(MOVED).delete(key)
            rows += 1
        if view.table(FEEDS).get(key) is not None:
            view.table(FEEDS).delete(key)
            view.send(self._topics("feeds"), key, None)
            rows += 1
        return rows

    def _merge(self, merged: wire.PersonMerged, view: View) -> None:
        key = merged.subject.encode()
        if merged.into == merged.subject:
            view.table(MOVED).delete(key)
            return
        feed = view.table(FEEDS).get(key)
        self._drop_feed(key, view)
        view.table(MOVED).put(key, Moved(merged.into))
        if feed is not None:
            moved = wire.FeedMoved(
                id=stable_id("feed", merged.id),
                subject=merged.into,
                source=merged.subject,
                items=feed.items,
                at_ms=merged.at_ms,
            )
            view.send(self._topics("identity"), merged.into.encode(), wire.encode(moved))

    def _add(self, moved: wire.FeedMoved, view: View, now_ms: int) -> None:
        home = self.home(moved.subject, view)
        if home != moved.subject:
            onward = replace(moved, subject=home)
            view.send(self._topics("identity"), home.encode(), wire.encode(onward))
            return
        held = view.table(FEEDS).get(home.encode())
        feed = held or wire.Feed(person=home, items=[], updated_at_ms=now_ms)
        for item in moved.items:
            feed = add_item(feed, item, now_ms)
        if feed is not held and feed.items:
            self.put_feed(feed, view)


def retry_timer(message_id: str) -> bytes:
    """The id of the timer by which a message is tried again."""
    return bytes.fromhex(stable_id("retry", message_id))
