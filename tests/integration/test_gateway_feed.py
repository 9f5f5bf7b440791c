"""The feed reader's contract, on the fake and on Kafka, and what only Kafka can show."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from prometheus_client import CollectorRegistry

from workers.intake.feed import NO_FEED, FeedReader, InMemoryFeed
from workers.intake.kafka_feed import KafkaFeed
from workers.intake.metrics import GatewayMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

PARTITIONS = 4
ITEM = {"id": "i1", "message_id": "m1"}

Items = list[dict[str, Any]] | None


class Topic:
    """A compacted feeds topic to write to."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.bootstrap, self.name = bootstrap, name
        config = {"cleanup.policy": "compact"}
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([NewTopic(name, PARTITIONS, 1, config=config)])[name].result()
        self.producer = Producer({"bootstrap.servers": bootstrap})

    def write(self, person: str, items: Items) -> None:
        """One feed record, or a tombstone."""
        value = (
            None
            if items is None
            else json.dumps({"v": 1, "person": person, "items": items, "updated_at_ms": 1})
        )
        self.raw(person.encode(), value)

    def raw(self, key: bytes | None, value: str | bytes | None) -> None:
        """Any record, delivered before this returns."""
        self.producer.produce(self.name, key=key, value=value)
        assert self.producer.flush(10) == 0


@asynccontextmanager
async def tailing(
    topic: Topic, path: Path, registry: CollectorRegistry | None = None
) -> AsyncIterator[KafkaFeed]:
    """A started reader that is ready."""
    metrics = GatewayMetrics(registry or CollectorRegistry())
    feed = KafkaFeed(topic.bootstrap, topic=topic.name, path=path / "feed", metrics=metrics)
    feed.start()
    try:
        await ready(feed)
        yield feed
    finally:
        await feed.close()


async def ready(feed: KafkaFeed) -> None:
    """Return once the reader met the end of every partition."""
    while not feed.ready():  # noqa: ASYNC110 - it reads in a thread of its own
        await asyncio.sleep(0.01)


Setup = tuple[FeedReader, "Callable[[str, Items], None]"]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
async def setup(request: pytest.FixtureRequest, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Setup]:
    """A reader of each kind and a way to write feeds."""
    if request.param == "memory":
        memory = InMemoryFeed()
        yield memory, memory.write
        return
    topic = Topic(request.getfixturevalue("kafka"), f"{topic_prefix}feeds")
    async with tailing(topic, tmp_path) as feed:
        yield feed, topic.write


async def test_an_unknown_person_has_an_empty_feed(setup: Setup) -> None:
    """With the cursor that says so."""
    feed, _write = setup
    assert feed.ready()
    assert (feed.read("nobody").cursor, feed.read("nobody").items) == (NO_FEED, ())


async def test_a_watch_wakes_when_the_feed_is_written(setup: Setup) -> None:
    """The person's own watches, and nobody else's."""
    feed, write = setup
    with feed.watch("jürgen") as watch, feed.watch("other") as other:
        write("jürgen", [ITEM])
        assert await watch.wait(10)
        assert feed.read("jürgen").items == (ITEM,)
        assert not await other.wait(0)


async def test_every_write_changes_the_cursor(setup: Setup) -> None:
    """Also one that writes the same items again, and the first one of a person."""
    feed, write = setup
    cursors = [feed.read("u1").cursor]
    for _ in range(3):
        with feed.watch("u1") as watch:
            write("u1", [ITEM])
            assert await watch.wait(10)
        cursors.append(feed.read("u1").cursor)
    assert len(set(cursors)) == 4


async def test_a_removed_feed_is_empty(setup: Setup) -> None:
    """An erased person leaves nothing behind."""
    feed, write = setup
    for items in ([ITEM], None):
        with feed.watch("u1") as watch:
            write("u1", items)
            assert await watch.wait(10)
    assert feed.read("u1").items == ()


async def test_a_watch_is_given_back(setup: Setup) -> None:
    """Counting bounds the streams of one person."""
    feed, _write = setup
    with feed.watch("u1"), feed.watch("u1"):
        assert feed.watching("u1") == 2
    assert feed.watching("u1") == 0


@pytest.mark.kafka
async def test_all_feeds_written_before_the_start_are_known_when_it_is_ready(
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
) -> None:
    """The newest of each person, over all partitions, and again after a restart."""
    topic = Topic(kafka, f"{topic_prefix}feeds")
    for number in range(50):
        topic.write(f"u{number}", [])
        topic.write(f"u{number}", [{"id": f"i{number}"}])
    for _ in range(2):
        async with tailing(topic, tmp_path) as feed:
            assert [feed.read(f"u{number}").items[0]["id"] for number in range(50)] == [
                f"i{number}" for number in range(50)
            ]
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib in async code is refused


@pytest.mark.kafka
async def test_aborted_feeds_are_never_shown(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """Senders write in transactions, and a partition that ends in markers has an end all the same."""
    topic = Topic(kafka, f"{topic_prefix}feeds")
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic.name})
    producer.init_transactions(10)
    for items, commit in (([ITEM], True), ([{"id": "aborted"}], False)):
        producer.begin_transaction()
        producer.produce(topic.name, key=b"u1", value=json.dumps({"items": items}))
        producer.flush(10)
        if commit:
            producer.commit_transaction(10)
        else:
            producer.abort_transaction(10)
    async with tailing(topic, tmp_path) as feed:
        assert feed.read("u1").items == (ITEM,)


@pytest.mark.kafka
async def test_unreadable_feed_records_are_counted_and_passed(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """One bad record never stops the others."""
    topic = Topic(kafka, f"{topic_prefix}feeds")
    registry = CollectorRegistry()
    for key, value in ((b"u1", b"{"), (b"\xff", b'{"items":[]}'), (b"u2", b'{"items":5}')):
        topic.raw(key, value)
    topic.write("u1", [ITEM])
    async with tailing(topic, tmp_path, registry) as feed:
        assert feed.read("u1").items == (ITEM,)
    name = "brimful_gateway_feed_records_total"
    assert registry.get_sample_value(name, {"outcome": "unreadable"}) == 3
    assert registry.get_sample_value(name, {"outcome": "applied"}) == 1


@pytest.mark.kafka
async def test_a_topic_that_comes_later_is_found(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """Until then the gateway is not ready, and says so."""
    metrics = GatewayMetrics(CollectorRegistry())
    feed = KafkaFeed(kafka, topic=f"{topic_prefix}feeds", path=tmp_path / "feed", metrics=metrics)
    feed.start()
    try:
        assert not feed.ready()
        topic = Topic(kafka, f"{topic_prefix}feeds")
        topic.write("u1", [ITEM])
        await ready(feed)
        assert feed.read("u1").items == (ITEM,)
    finally:
        await feed.close()


async def test_closing_without_a_start_is_fine(tmp_path: Path) -> None:
    """So that a start-up that failed elsewhere can be cleaned up."""
    metrics = GatewayMetrics(CollectorRegistry())
    feed = KafkaFeed("127.0.0.1:1", topic="feeds", path=tmp_path / "feed", metrics=metrics)
    await feed.close()
    assert not feed.ready()
