"""The kernel on a real broker, with a small application that counts and echoes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.integration.kernel_kit import Running, Setup, run_until, until
from tests.unit.stream.kit import COUNTS, NOW
from workers.errors import TooManyDead
from workers.stream.store import POSITION

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka


@pytest.fixture
def setup(kafka: str, topic_prefix: str, tmp_path: Path) -> Setup:
    """An application of two partitions whose topics exist."""
    made = Setup(kafka, topic_prefix, tmp_path / "state")
    made.create_topics()
    return made


def numbered(first: int, after: int) -> list[bytes]:
    """Values that tell each event apart."""
    return [b"%d" % number for number in range(first, after)]


async def test_each_event_counts_once_over_a_restart(setup: Setup) -> None:
    """A restart goes on at the markers: nothing is skipped, repeated, or restored that is on disk."""
    setup.produce(*numbered(0, 600), keys=20)
    await run_until(setup, 600)
    setup.produce(*numbered(600, 1_000), keys=20)
    second = await run_until(setup, 400)
    assert sorted(setup.echoed()) == sorted(numbered(0, 1_000))  # type: ignore[type-var]  # none is None
    assert setup.counts() == {b"key-%d" % key: 50 for key in range(20)}
    assert setup.positions() == 1_000
    assert second.metric("records_processed_total") == 400
    assert second.metric("restore_records_total") <= 2 * setup.partitions


async def test_a_restore_into_an_empty_folder_gives_the_same_state(setup: Setup, tmp_path: Path) -> None:
    """Rows, timers, their index and the markers: everything is in the changelog."""
    timers = [b"timer:%d" % (NOW + 1_000 + number) for number in range(50)]
    setup.produce(*numbered(0, 300), *timers, keys=30)
    await run_until(setup, 350)
    before = setup.state()
    assert any(key.startswith(b"0:d") for key in before)
    setup.state_dir = tmp_path / "elsewhere"
    async with Running(setup) as running:
        await running.owns(2)
    assert setup.state() == before
    assert running.metric("restore_records_total") > 60
    assert running.metric("records_processed_total") == 0


async def test_two_applications_read_one_topic_without_knowing_of_each_other(
    setup: Setup, tmp_path: Path
) -> None:
    """Each has its own state, its own outputs and its own place in the topic."""
    other = Setup(setup.bootstrap, setup.prefix, setup.state_dir, app="other")
    other.create_topics(shared=False)
    setup.produce(*numbered(0, 200), keys=10)
    async with Running(setup) as one, Running(other) as two:
        await asyncio.gather(one.processed(200), two.processed(200))
    for app in (setup, other):
        assert sorted(app.echoed()) == sorted(numbered(0, 200))  # type: ignore[type-var]  # none is None
        assert sum(app.counts().values()) == 200


async def test_a_standby_is_promoted(setup: Setup, tmp_path: Path) -> None:
    """When its owner leaves, the warm copy goes on where it stood, with next to nothing to restore."""
    setup.standbys = 1
    setup.produce(*numbered(0, 2_000), keys=200)
    second = Setup(setup.bootstrap, setup.prefix, tmp_path / "second", standbys=1)
    async with Running(second) as heir:
        async with Running(setup) as owner:
            await until(
                lambda: (
                    owner.metric("records_processed_total") + heir.metric("records_processed_total") >= 2_000
                )
            )
            await asyncio.gather(owner.owns(1), heir.owns(1))
            standbys = heir.app.manager.standbys
            await until(lambda: standbys and all(one._store is not None for one in standbys.values()))
            ends = {number: one.store.changelog_next for number, one in owner.app.manager.partitions.items()}
            assert set(ends) == set(standbys)
            await until(
                lambda: all(
                    (store := standbys[number]._store) is not None and store.changelog_next >= end
                    for number, end in ends.items()
                )
            )
            restored = heir.metric("restore_records_total")
        await heir.owns(2)
        assert heir.metric("restore_records_total") - restored <= 4
        before = heir.metric("records_processed_total")
        setup.produce(*numbered(2_000, 2_200), keys=200)
        await heir.processed(int(before) + 200)
    assert second.counts() == {b"key-%d" % key: 11 for key in range(200)}
    assert Counter(second.echoed()) == Counter(numbered(0, 2_200))


async def test_timers_that_came_due_during_a_downtime_fire_in_their_order(setup: Setup) -> None:
    """Each once, by due time and not by the order in which they were set; those of tomorrow stay."""
    due = [5, 900, 40, 1, 300, 86_400_000]
    setup.produce(*(b"timer:%d" % (NOW + 1_000 + at) for at in due), keys=6)
    await run_until(setup, 6)
    setup.clock.time_ms = NOW + 10_000
    async with Running(setup) as running:
        await until(lambda: running.metric("timers_fired_total") == 5)
        await running.owns(2)
    fired = [int(key[4:]) for key, value in setup.read(f"{setup.app_id}-echo") if value == b"fired" and key]
    assert sorted(fired) == [0, 1, 2, 3, 4]
    by_partition = {
        key: number for number in range(2) for key in range(6) if await _lies_in(setup, key, number)
    }
    for number in range(2):
        mine = [due[key] for key in fired if by_partition[key] == number]
        assert mine == sorted(mine)
    again = await _idle(setup)
    assert again.metric("timers_fired_total") == 0


async def _lies_in(setup: Setup, key: int, number: int) -> bool:
    return b"%d:ckey-%d" % (number, key) in setup.state(COUNTS.prefix)


async def _idle(setup: Setup) -> Running:
    """Run until all is there, and one more event."""
    setup.produce(b"last")
    return await run_until(setup, 1)


async def test_a_poison_record_is_put_aside_and_its_partition_goes_on(setup: Setup) -> None:
    """Each kind of poison: its neighbours count, and the dead letter says where it lies."""
    setup.produce(b"a", b"bad", b"b", b"bug", b"c", b"big", b"d", b"unreadable", b"e")
    running = await run_until(setup, 9)
    assert setup.echoed() == [b"a", b"b", b"c", b"d", b"e"]
    assert setup.counts() == {b"key-0": 5}
    letters = [msgspec.json.decode(value or b"") for _, value in setup.read(setup.prefix + "dead-letters")]
    assert {(letter["offset"], letter["reason"]) for letter in letters} == {
        (1, "invalid"),
        (3, "handler_error"),
        (5, "too_large"),
        (7, "unreadable"),
    }
    assert running.metric("dead_letters_total") == 4


async def test_a_topic_that_is_mostly_bad_stops_the_worker_with_nothing_lost(setup: Setup) -> None:
    """What was not dead-lettered is still unread, and is read when the operator lets it go on."""
    setup.produce(*[b"unreadable"] * 3_000)
    async with Running(setup) as stopped:
        async with asyncio.timeout(20):
            failure = await stopped.app.failed()
    assert isinstance(failure, TooManyDead)
    dead = len(setup.read(setup.prefix + "dead-letters"))
    assert dead == setup.positions() < 1_000
    setup.share = 1.0
    setup.produce(b"a", b"b")
    await run_until(setup, 3_002 - dead)
    assert len(setup.read(setup.prefix + "dead-letters")) == 3_000
    assert setup.echoed() == [b"a", b"b"]


async def test_sigterm_drains(setup: Setup, tmp_path: Path) -> None:
    """In the middle of work the process ends what it began, tells the group where it stands, and exits 0."""
    setup.produce(*numbered(0, 20_000), keys=50)
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        worker = subprocess.Popen(  # noqa: ASYNC220 - it only starts here
            [
                sys.executable,
                "-m",
                "tests.integration.kernel_kit",
                setup.bootstrap,
                setup.prefix,
                str(setup.state_dir),
            ],
            stderr=file,
        )
    try:
        await until(lambda: worker.poll() is not None or (setup.state_dir / setup.app_id / "p0").exists())
        await until(lambda: b"partition.acquired" in log.read_bytes())
        worker.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(worker.wait, 30)
    finally:
        worker.kill()
        worker.wait()
    text = log.read_text()
    assert code == 0, text[-2_000:]
    assert "Traceback" not in text
    done = setup.positions()
    assert sum(setup.counts().values()) == done == len(setup.echoed())
    assert setup.group_offsets() == done
    await run_until(setup, 20_000 - done)
    assert sorted(setup.echoed()) == sorted(numbered(0, 20_000))  # type: ignore[type-var]  # none is None
    assert set(setup.state(POSITION)) == {
        b"%d:" % n + POSITION + setup.prefix.encode() + b"events" for n in (0, 1)
    }
