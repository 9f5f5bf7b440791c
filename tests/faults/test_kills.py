"""Whatever dies, and whenever: every window, timer and output is that of an undisturbed run."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from schemas.topics import load_topics
from tests.faults.cluster import START_S, Worker, come_to_rest, last_phase, undisturbed, until
from tests.faults.history import History, history, publish
from tests.faults.outcome import Outcome, outcome, same
from workers.stream.admin import apply_topics
from workers.stream.transaction import Step

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka

PARTITIONS = 4
SMALL = history(seed=11, users=60, uses=30)
LARGE = history(seed=12, users=300, uses=110)
RANDOM_KILLS = 52


def _topics(bootstrap: str, prefix: str) -> None:
    apply_topics(bootstrap, load_topics(), prefix=prefix, partitions=PARTITIONS)


def _right(bootstrap: str, session: str, name: str, past: History, folder: Path) -> Outcome:
    prefix = f"faults-{name}-{session[:8]}."
    _topics(bootstrap, prefix)
    undisturbed(bootstrap, prefix, folder, past, PARTITIONS)
    right = outcome(bootstrap, prefix, PARTITIONS)
    assert len(right.outputs["messages.email"]) > 0, "the timers fired"
    assert len(right.outputs["dead-letters"]) > 0, "bad records were put aside"
    assert len(right.outputs["conversions"]) > 0, "goals were reached"
    return right


@pytest.fixture(scope="module")
def small_right(kafka: str, kafka_session: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The outcome of the small history, undisturbed."""
    return _right(kafka, kafka_session, "small", SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def large_right(kafka: str, kafka_session: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The outcome of the large history, undisturbed."""
    return _right(kafka, kafka_session, "large", LARGE, tmp_path_factory.mktemp("large"))


def test_a_kill_at_every_step_changes_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path, small_right: Outcome
) -> None:
    """After each numbered step the worker dies once among counting and once among deciding transactions."""
    _topics(kafka, topic_prefix)
    worker = Worker(kafka, topic_prefix, tmp_path, 0, PARTITIONS)
    describe, load, limits, upgrades = SMALL.phases
    deaths = 0
    try:
        for phase, deadly in ((describe, False), (load, True), (limits, True), (upgrades, False)):
            for step, events in zip(Step, _parts(phase, len(Step)), strict=True):
                publish(kafka, f"{topic_prefix}product-events", events)
                if deadly:
                    worker.start(die_at=(step.value, 2 if phase is load else 1))
                    assert worker.wait(START_S) == -signal.SIGKILL, worker.tail()
                    deaths += 1
            worker.start()
            come_to_rest([worker], PARTITIONS)
            worker.stop()
        last_phase(worker, PARTITIONS)
    finally:
        worker.kill()

    assert deaths == 2 * len(Step)
    same(outcome(kafka, topic_prefix, PARTITIONS), small_right)


def _parts(events: list[tuple[bytes, bytes]], number: int) -> list[list[tuple[bytes, bytes]]]:
    """The events in ``number`` runs of about the same length."""
    size = -(-len(events) // number)
    return [events[at : at + size] for at in range(0, size * number, size)]


def test_random_kills_under_load_change_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path, large_right: Outcome
) -> None:
    """Over fifty SIGKILLs at random moments of the load, every third with the local state deleted."""
    chance = random.Random(101)  # noqa: S311 - the seed is the test's own
    _topics(kafka, topic_prefix)
    worker = Worker(kafka, topic_prefix, tmp_path, 0, PARTITIONS)
    kills = 0
    try:
        publish(kafka, f"{topic_prefix}product-events", LARGE.phases[0])
        worker.start()
        come_to_rest([worker], PARTITIONS)
        publish(kafka, f"{topic_prefix}product-events", LARGE.phases[1])
        while kills < RANDOM_KILLS:
            worker.kill()
            kills += 1
            if kills % 3 == 0:
                worker.forget()
            worker.start(slow_s=0.1)
            until(worker.ready, START_S, f"ready worker: {worker.tail()}")
            time.sleep(chance.uniform(0.0, 0.5))
        assert any(worker.left()[0]), "the load was over before the last kill: make it larger"
        worker.kill()
        worker.start()
        come_to_rest([worker], PARTITIONS)
        for phase in LARGE.phases[2:]:
            publish(kafka, f"{topic_prefix}product-events", phase)
            come_to_rest([worker], PARTITIONS)
        worker.stop()
        last_phase(worker, PARTITIONS)
    finally:
        worker.kill()

    assert kills >= 50
    same(outcome(kafka, topic_prefix, PARTITIONS), large_right)


def test_two_workers_kills_rebalances_and_a_zombie_change_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path, large_right: Outcome
) -> None:
    """Two workers share the load; either is killed, stopped cleanly, or put to sleep beyond its session."""
    chance = random.Random(202)  # noqa: S311 - the seed is the test's own
    _topics(kafka, topic_prefix)
    workers = [Worker(kafka, topic_prefix, tmp_path, number, PARTITIONS) for number in range(2)]
    try:
        publish(kafka, f"{topic_prefix}product-events", LARGE.phases[0])
        workers[0].start()
        come_to_rest(workers[:1], PARTITIONS)
        publish(kafka, f"{topic_prefix}product-events", LARGE.phases[1])
        workers[0].stop()
        for worker in workers:
            worker.start(slow_s=0.1)
        for turn in ("kill", "stop", "sleep", "kill", "stop", "kill"):
            worker = chance.choice(workers)
            until(lambda worker=worker: not worker.alive or worker.ready(), START_S, "ready worker")  # type: ignore[misc]
            time.sleep(chance.uniform(0.5, 2.0))
            _disturb(worker, turn)
        for worker in workers:
            if not worker.alive:
                worker.start()
        come_to_rest(workers, PARTITIONS)
        for phase in LARGE.phases[2:]:
            publish(kafka, f"{topic_prefix}product-events", phase)
            come_to_rest(workers, PARTITIONS)
        for worker in workers:
            worker.stop()
        last_phase(workers[0], PARTITIONS)
    finally:
        for worker in workers:
            worker.kill()

    same(outcome(kafka, topic_prefix, PARTITIONS), large_right)


def _disturb(worker: Worker, turn: str) -> None:
    if turn == "sleep" and worker.alive:
        # Longer than its session: the other worker takes over, and this one wakes up as a zombie.
        worker.signal(signal.SIGSTOP)
        time.sleep(9)
        worker.signal(signal.SIGCONT)
        time.sleep(2)
        if worker.alive:
            return
    elif turn == "stop":
        worker.stop()
        time.sleep(1)
    else:
        worker.kill()
    worker.start(slow_s=0.1)
