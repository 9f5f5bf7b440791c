"""A merge of two people is three transactions in two partitions: whoever dies in any of them loses nothing.

Who said that two ids are one asks, the other id's partition gives its rows, the first one takes them in
(``workers/identity/merging.py``).
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from schemas.topics import load_topics
from tests.faults import outcome as reading
from tests.faults.cluster import START_S, Worker, come_to_rest, last_phase
from tests.faults.history import merging_history, publish
from tests.faults.outcome import outcome, same
from workers.state import IDENTITIES, USERS
from workers.stream.admin import apply_topics
from workers.stream.partitioner import partition_of
from workers.stream.transaction import Step

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.outcome import Outcome

pytestmark = pytest.mark.kafka

PARTITIONS = 4
PARTS = ("asked", "given", "taken")
KILLS = [(part, step) for part in PARTS for step in Step if step is not Step.READ]
"""Not after READ: what a transaction will decide is not known then, and nothing of it is anywhere."""

PAST = merging_history(seed=41, families=2 * len(KILLS))
DESCRIBE, LOAD, LIMITS, MERGES, CHAINS, LATER = PAST.phases
PER_KILL = len(MERGES) // len(KILLS)
DECIDING = ("decisions", "messages.email", "messages.in_app", "conversions")


def test_the_ids_of_most_families_live_in_different_partitions() -> None:
    """Else nothing would have to be handed over."""
    apart = [
        len({partition_of(f"{kind}-{number}".encode(), PARTITIONS) for kind in ("visitor", "user", "other")})
        for number in range(PAST.users)
    ]
    assert sum(places > 1 for places in apart) > 0.8 * len(apart)


@pytest.fixture(scope="module")
def right(kafka: str, kafka_session: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The outcome, undisturbed; the merges by themselves decide nothing."""
    prefix = f"merges-right-{kafka_session[:8]}."
    worker = _worker(kafka, prefix, tmp_path_factory.mktemp("right"))
    try:
        worker.start()
        _live_through(worker, DESCRIBE, LOAD, LIMITS)
        before = _decided(kafka, prefix)
        _live_through(worker, MERGES, CHAINS)
        assert _decided(kafka, prefix) == before, "a merge triggers nothing"
        _live_through(worker, LATER)
        worker.stop()
        last_phase(worker, PARTITIONS)
    finally:
        worker.kill()
    found = outcome(kafka, prefix, PARTITIONS)
    _check(found)
    return found


def test_kills_inside_merges_change_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path, right: Outcome
) -> None:
    """After each step of the transaction that asks, of the one that gives, and of the one that takes.

    Windows, timers of journeys, memberships, consent, accounts and messages are those of the undisturbed run.
    """
    worker = _worker(kafka, topic_prefix, tmp_path)
    deaths = 0
    try:
        worker.start()
        _live_through(worker, DESCRIBE, LOAD, LIMITS)
        worker.stop()
        for number, (part, step) in enumerate(KILLS):
            publish(kafka, f"{topic_prefix}product-events", MERGES[number * PER_KILL :][:PER_KILL])
            if number % 7 == 5:
                worker.forget()
            worker.start(die_at=(step.value, 1), die_in=part)
            assert worker.wait(START_S) == -signal.SIGKILL, f"{part}, {step.name}: {worker.tail()}"
            deaths += 1
        worker.start()
        come_to_rest([worker], PARTITIONS)
        _live_through(worker, CHAINS, LATER)
        worker.stop()
        last_phase(worker, PARTITIONS)
    finally:
        worker.kill()

    assert deaths == len(PARTS) * (len(Step) - 1)
    same(outcome(kafka, topic_prefix, PARTITIONS), right)


def _worker(bootstrap: str, prefix: str, folder: Path) -> Worker:
    apply_topics(bootstrap, load_topics(), prefix=prefix, partitions=PARTITIONS)
    return Worker(bootstrap, prefix, folder, 0, PARTITIONS)


def _live_through(worker: Worker, *phases: list[tuple[bytes, bytes]]) -> None:
    for phase in phases:
        publish(worker.order.bootstrap, f"{worker.order.prefix}product-events", phase)
        come_to_rest([worker], PARTITIONS)


def _decided(bootstrap: str, prefix: str) -> dict[str, int]:
    return {topic: len(reading.read(bootstrap, prefix + topic, PARTITIONS)) for topic in DECIDING}


def _check(found: Outcome) -> None:
    """The history is what it is meant to be: each family is one person, with all that its ids did."""
    for number in range(PAST.users):
        person, *old = ("main", "user", "other") if number % 2 else ("user", "visitor", "other")
        for kind in old:
            key = f"{kind}-{number}".encode()
            kept = {row[:1] for _, row in found.rows if row[1:] == key}
            assert kept == {IDENTITIES.prefix}, f"{key!r} left rows behind"
        key = f"{person}-{number}".encode()
        held, *_ = next(row for (_, at), row in found.rows.items() if at == USERS.activity.prefix + key)
        uses = (12, 22)[number % 4 // 2] + (22 if number % 2 else 9 + 8) + 3
        assert uses in {total for total, _ in held.values()}, f"{key!r} has {held}, not {uses}"
    assert len(found.outputs["identity"]) == 2 * PAST.users
    assert found.outputs["messages.email"], "timers fired for the person"
    assert found.outputs["segments"], "and memberships moved"
    assert not found.outputs["dead-letters"]
