"""Following the topic: news are taken up, what cannot be run is refused and told, and stopping is clean."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from tests.unit.versions.test_published import FIRST, SECOND, Topic, bundle
from workers.errors import Misconfigured, Retryable
from workers.versions.active import Loader
from workers.versions.bundle import Bundle
from workers.versions.follower import WorkspaceFollower
from workers.versions.metrics import WorkspaceMetrics
from workers.versions.published import Published, key_of, version_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from workers.versions.active import Active


class Reader:
    """As :class:`workers.versions.topic.WorkspaceReader`, fed by the test."""

    def __init__(self, published: Published) -> None:
        self.published = published
        self.problems: list[str] = []
        self.closed = False
        self.away: list[Exception] = []
        self._fed: queue.Queue[list[tuple[bytes, bytes]]] = queue.Queue()
        self._inside = threading.Lock()

    def feed(self, records: Iterable[wire.WorkspaceRecord | tuple[bytes, bytes]]) -> None:
        """Records come."""
        self._fed.put([one if isinstance(one, tuple) else (key_of(one), wire.encode(one)) for one in records])

    def catch_up(self) -> Published:
        """What is there by then; before that, what stands in ``away``."""
        if self.away:
            raise self.away.pop(0)
        return self.published

    def wait(self, seconds: float) -> bool:
        """Take what comes."""
        with self._inside:
            assert not self.closed, "nobody reads from a client that is closed"
            try:
                fed = self._fed.get(timeout=min(seconds, 0.05))
            except queue.Empty:
                return False
            for key, value in fed:
                try:
                    self.published.take(key, value)
                except Misconfigured as problem:
                    self.problems.append(str(problem))
            return True

    def close(self) -> None:
        """Nobody may be inside."""
        assert self._inside.acquire(blocking=False), "a thread still reads"
        self._inside.release()
        self.closed = True


class Following:
    """A follower that started with the first version, or with nothing, and what it handed on."""

    def __init__(self, *, with_first: bool = True, wanted: str | None = None) -> None:
        self.topic = Topic()
        if with_first:
            self.topic.publish(FIRST)
        self.reader = Reader(self.topic.published)
        self.registry = CollectorRegistry()
        self.used: asyncio.Queue[Active] = asyncio.Queue()
        loader = Loader()
        self.follower = WorkspaceFollower(
            self.reader,  # type: ignore[arg-type]  # the fake has what is used
            loader,
            loader.load(self.topic.published, "shop") if with_first else None,
            self.used.put_nowait,
            WorkspaceMetrics(self.registry),
            wanted,
        )

    def publish(self, one: Bundle) -> None:
        """Somebody publishes."""
        elsewhere = Topic()
        elsewhere.published = Published(
            dict(self.topic.published.in_force), dict(self.topic.published.versions)
        )
        self.reader.feed(elsewhere.publish(one).records)

    def counted(self, outcome: str) -> float:
        """How many versions were taken, or refused."""
        return self.registry.get_sample_value("brimful_workspace_changes_total", {"outcome": outcome}) or 0

    def shown(self) -> set[str]:
        """The versions that the metric shows: one."""
        (metric,) = (one for one in self.registry.collect() if one.name == "brimful_workspace")
        return {sample.labels["version"] for sample in metric.samples}


@pytest.fixture
async def following() -> AsyncIterator[Following]:
    """One that runs."""
    made = Following()
    await made.follower.start()
    yield made
    await made.follower.stop()


async def test_what_is_published_is_handed_on_compiled(following: Following) -> None:
    """The newest, with its metrics and what ``/readyz`` tells."""
    assert following.follower.about() == {"name": "shop", "version": FIRST.version, "serial": 1}
    following.publish(SECOND)
    active = await following.used.get()
    assert (active.version, active.serial) == (SECOND.version, 2)
    assert following.follower.about() == {"name": "shop", "version": SECOND.version, "serial": 2}
    assert following.shown() == {SECOND.version}
    assert (following.counted("taken"), following.counted("refused")) == (1, 0)


async def test_what_cannot_be_run_is_refused_and_the_next_one_is_taken(following: Following) -> None:
    """The worker goes on with what it has, and says why."""
    bad = Bundle("shop", FIRST.files | {"journeys/more.yaml": "brand_new: 1\n"})
    in_force = following.topic.published.in_force["shop"]
    following.reader.feed(
        [*version_records(bad, 1), msgspec.structs.replace(in_force, version=bad.version, serial=2)]
    )
    while following.follower.refused is None:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    assert "brand_new" in following.follower.about()["refused"]
    assert following.follower.about()["version"] == FIRST.version
    assert following.used.empty()
    following.publish(bundle("wait: 5d"))
    await following.used.get()
    assert "refused" not in following.follower.about()
    assert (following.counted("taken"), following.counted("refused")) == (1, 1)


async def test_a_record_that_is_none_of_ours_is_counted_and_passed_over(following: Following) -> None:
    """A stray record in the topic stops nobody."""
    following.reader.feed([(b"shop", b"{")])
    following.publish(SECOND)
    while (await following.used.get()).version != SECOND.version:
        pass
    assert following.counted("refused") == 1


async def test_a_pause_is_handed_on_too(following: Following) -> None:
    """A word about a journey changes what runs, and is no new version."""
    state = wire.JourneyState(
        workspace="shop", journey="upsell", state="paused", paused_at_ms=1, spread_ms=0, by="me", at_ms=1
    )
    following.reader.feed([state])
    active = await following.used.get()
    assert active.plan.user.journeys["upsell"].running.condition == "paused"
    assert (active.serial, following.counted("taken")) == (1, 0)


async def test_stopping_waits_until_no_thread_reads() -> None:
    """The client must not be closed below somebody."""
    following = Following()
    await following.follower.start()
    await asyncio.sleep(0)
    await following.follower.stop()
    assert following.reader.closed
    assert isinstance(await following.follower.failed(), RuntimeError)


@pytest.fixture
async def later() -> AsyncIterator[Following]:
    """One that was started with nothing, as a gateway's; not started yet."""
    made = Following(with_first=False)
    yield made
    await made.follower.stop()


async def test_one_that_begins_with_nothing_takes_what_is_published(
    later: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once Kafka answers; until the topic was read it is not ready."""
    monkeypatch.setattr("workers.versions.follower.AGAIN_SECONDS", 0.0)
    later.topic.publish(FIRST)
    later.reader.away = [Retryable("Kafka does not answer"), Misconfigured("there is no such topic")]
    assert (later.follower.ready(), later.follower.started()) == (False, False)
    assert later.follower.about() == {"name": None, "version": None}
    await later.follower.start()
    assert (await later.used.get()).version == FIRST.version
    while not later.follower.ready():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    assert later.reader.away == []
    assert later.follower.about()["version"] == FIRST.version
    later.publish(SECOND)
    assert (await later.used.get()).version == SECOND.version


async def test_where_nothing_is_published_it_is_ready_and_waits(later: Following) -> None:
    """What is published then is taken."""
    await later.follower.start()
    while not later.follower.ready():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    assert (later.follower.active, later.follower.refused) == (None, None)
    later.publish(FIRST)
    assert (await later.used.get()).version == FIRST.version
    assert (later.counted("taken"), later.counted("refused")) == (1, 0)


async def test_of_several_published_the_wanted_one_is_taken() -> None:
    """Where none is wanted, that is told, and nothing is taken."""
    other = Bundle("other", FIRST.files)
    for wanted, found in (("other", "other"), (None, None)):
        made = Following(with_first=False, wanted=wanted)
        made.topic.publish(FIRST)
        made.topic.publish(other)
        await made.follower.start()
        while not made.follower.ready():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        active = made.follower.active
        assert (active.name if active is not None else None) == found
        assert (made.follower.refused is None) is (found is not None)
        await made.follower.stop()
