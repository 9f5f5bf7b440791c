"""Feeds and messages on their way, when ids are merged and people erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from tests.unit.senders.test_logic import BANNER, MAIL, NOW, Scripted, Senders, message
from tests.unit.stream.kit import Rec
from workers.senders.channels.base import Accepted, RetryAfter
from workers.senders.people import FEEDS, MOVED, PENDING, WAITING
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items
from workers.stream.store import TIMER
from workers.stream.view import Output, View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAILS, BANNERS, IDENTITY, ENGAGEMENT = (
    TP(name, 0) for name in ("messages.email", "messages.in_app", "identity", "engagement")
)


class Watched(Senders):
    """Senders whose outputs are seen with their keys; all topics are one partition."""

    def __init__(self, path: Path, channel: Scripted) -> None:
        super().__init__(path, channel, MAIL, BANNER)
        self.feeds: dict[bytes, bytes | None] = {}
        self.sent: list[Output] = []

    async def read(self, tp: TP, *records: tuple[str, bytes | None]) -> None:
        """Records arrive on a topic, each with its key."""
        given = [Rec(at, value, key.encode()) for at, (key, value) in enumerate(records)]
        view = View(self.store.get)
        items, _ = self.logic.prepare(Batch(tp, given, 0, len(given)), view, self.now_ms)
        apply_items(self.logic, tp, items, view, self.now_ms)
        self.sent += view.outputs
        await self.commit(view)

    async def show(self, person: str, name: str) -> None:
        """An in-app message arrives."""
        await self.read(BANNERS, (person, wire.encode(message(name, "in_app", person=person, to=None))))

    async def merge(self, source: str, into: str) -> None:
        """The engine tells of a merge, and what the senders send each other arrives."""
        told = wire.PersonMerged(id=f"{source}-{into}", subject=source, into=into, at_ms=NOW)
        await self.read(IDENTITY, (source, wire.encode(told)))
        await self.follow()

    async def follow(self) -> None:
        """What they sent to themselves arrives."""
        for _ in range(5):
            sent, self.sent = self.sent, []
            for output in sent:
                if output.topic in {"identity", "messages.in_app"} and output.key is not None:
                    await self.read(TP(output.topic, 0), (output.key.decode(), output.value))
                elif output.topic == "feeds":
                    self.feeds[output.key or b""] = output.value

    def items(self, person: str) -> list[str]:
        """The ids in a feed as the state has it, which its topic has as well."""
        row = self.store.get(FEEDS.key(person.encode()))
        shown = self.feeds.get(person.encode())
        if row is None:
            assert shown is None
            return []
        assert shown is not None
        assert wire.decode_feed(shown) == FEEDS.decode(row)
        return [item.id for item in FEEDS.decode(row).items]

    def rows(self, prefix: bytes) -> list[bytes]:
        """The keys of a table's rows."""
        return [key for key, _ in self.store.scan(prefix)]


@pytest.fixture
def senders(tmp_path: Path) -> Iterator[Watched]:
    """Senders whose mail server asks for patience."""
    made = Watched(tmp_path, Scripted([RetryAfter(60_000, "busy")]))
    yield made
    made.store.abandon()


async def test_a_visitors_feed_moves_to_the_user(senders: Watched) -> None:
    """A banner does not vanish at the log-in: it is in the user's feed beside what was there, once."""
    await senders.show("visitor", "a")
    await senders.show("user", "b")
    await senders.merge("visitor", "user")
    assert senders.items("user") == ["a", "b"]
    assert senders.items("visitor") == []


async def test_an_item_that_was_on_its_way_reaches_the_user_too(senders: Watched) -> None:
    """The engine had sent it to the visitor before the merge; it comes through two merges, and once only."""
    await senders.merge("visitor", "user")
    await senders.merge("user", "other")
    await senders.show("visitor", "late")
    await senders.follow()
    assert senders.items("other") == ["late"]
    await senders.show("visitor", "late")
    await senders.follow()
    assert senders.items("other") == ["late"]


async def test_a_feed_that_was_on_its_way_follows_the_next_merge(senders: Watched) -> None:
    """Two merges in a row, the second told first."""
    await senders.merge("user", "other")
    await senders.show("visitor", "a")
    await senders.merge("visitor", "user")
    assert senders.items("other") == ["a"]


async def test_an_id_that_stands_for_itself_again_has_its_own_feed(senders: Watched) -> None:
    """After a circle of merges was opened."""
    await senders.merge("user", "other")
    await senders.merge("user", "user")
    await senders.show("user", "a")
    await senders.follow()
    assert senders.items("user") == ["a"]


async def test_who_is_erased_gets_nothing_that_was_still_to_come(senders: Watched) -> None:
    """Retries, rows and feed go; the neighbour's stay; the answer says how much there was."""
    await senders.read(
        MAILS,
        ("u1", wire.encode(message("m1"))),
        ("u2", wire.encode(message("m2", person="u2", to="u2@example.com"))),
    )
    await senders.show("u1", "a")
    await senders.show("u2", "b")
    await senders.settle()
    await senders.follow()
    assert len(senders.rows(PENDING.prefix)) == 2
    await senders.read(MAILS, ("u1", None))
    (answer,) = [wire.decode_identity(one.value or b"") for one in senders.sent if one.topic == "identity"]
    assert isinstance(answer, wire.PersonErased)
    assert (answer.subject, answer.app, answer.place, answer.rows) == ("u1", "senders", "messages.email", 2)
    await senders.follow()
    assert senders.rows(PENDING.prefix) == [PENDING.key(b"m2")]
    assert senders.rows(WAITING.prefix) == [WAITING.key(b"u2")]
    assert senders.items("u1") == []
    assert senders.items("u2") == ["b"]
    everything = senders.store.scan(b"")
    assert [key for key, row in everything if b"u1" in key or b"u1" in row] == []
    retries = senders.rows(TIMER)
    senders.channel.results = [Accepted("p", 0)]
    senders.now_ms += 3_600_000
    await senders.fire()
    await senders.settle()
    assert [call.person for call in senders.channel.calls] == ["u1", "u2", "u2"]
    assert len(retries) == 3


async def test_a_result_that_comes_after_the_erasure_is_nobodys(senders: Watched) -> None:
    """The call was under way and cannot be called back; no record is made of it."""
    await senders.read(MAILS, ("u1", wire.encode(message("m1"))))
    await senders.read(MAILS, ("u1", None))
    await senders.settle()
    assert senders.deliveries() == []
    assert senders.rows(PENDING.prefix) == []


async def test_the_word_where_a_feed_went_is_erased_too(senders: Watched) -> None:
    """By the engine's answer, which comes behind all that it told of merges."""
    await senders.merge("visitor", "user")
    assert senders.rows(MOVED.prefix)
    erased = wire.PersonErased(
        id="e", subject="visitor", app="engine", place="state", ids=[], accounts=[], rows=1, at_ms=NOW
    )
    await senders.read(IDENTITY, ("visitor", wire.encode(erased)))
    assert senders.rows(MOVED.prefix) == []


async def test_a_message_that_ended_leaves_no_word_of_its_person(senders: Watched) -> None:
    """Only its id is remembered."""
    senders.channel.results = [Accepted("p", 0)]
    await senders.read(MAILS, ("u1", wire.encode(message("m1"))))
    await senders.settle()
    assert senders.rows(WAITING.prefix) == []


async def test_a_withdrawal_empties_the_feed_also_after_a_merge(senders: Watched) -> None:
    """It goes the way that the message went; nothing is delivered by it, and twice is once."""
    await senders.show("visitor", "a")
    await senders.merge("visitor", "user")
    back = message("back", "in_app", person="visitor", to=None, withdrawn="event: upgraded")
    for _ in range(2):
        await senders.read(BANNERS, ("visitor", wire.encode(back)))
        await senders.follow()
    assert senders.items("user") == []
    assert [name for name, *_ in senders.deliveries()] == ["a"]


async def test_what_a_person_dismissed_leaves_their_feed(senders: Watched) -> None:
    """Mail that was opened, and messages that are not there, change nothing."""
    await senders.show("u1", "a")
    await senders.show("u1", "b")
    for kind, name, channel in (("opened", "a", "email"), ("dismissed", "z", "in_app")):
        await senders.read(ENGAGEMENT, ("u1", engaged(kind, name, channel)))
    await senders.follow()
    assert senders.items("u1") == ["a", "b"]
    await senders.read(ENGAGEMENT, ("u1", engaged("dismissed", "a", "in_app")))
    await senders.follow()
    assert senders.items("u1") == ["b"]


def engaged(kind: Any, name: str, channel: Any) -> bytes:
    """An engagement of u1."""
    return wire.encode(
        wire.Engagement(id=name, type=kind, person="u1", message_id=name, channel=channel, at_ms=NOW)
    )
