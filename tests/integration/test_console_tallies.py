"""The console's copy of what the insights counted, over a changelog on a real broker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from schemas.topics import DEFAULT_PARTITIONS, load_topics
from tests.integration.changelog_kit import write_rows
from workers.reading.tallies import TallyFollower
from workers.settings import from_env
from workers.stream.admin import apply_topics
from workers.tallies import STANDING, STEPS, TALLIES, Standing, StepTally, Tally

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 30.0


def until(holds: Callable[[], bool]) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


@pytest.mark.kafka
async def test_the_copy_is_what_is_committed(kafka: str, topic_prefix: str) -> None:
    """From the beginning, and what changes; rows that are gone, or were never committed, are not in it."""
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=DEFAULT_PARTITIONS)
    tally = TALLIES.encode(Tally("upsell", "v1", "entry", "enrolled", 3))
    stuck = STEPS.encode(StepTally("upsell", "1", "send", "skip", "no_address", problem=True, count=2))
    there = STANDING.encode(Standing("user", "upsell", "v1", "1", 7, 1))
    for number in (0, 5):
        write_rows(
            kafka,
            f"{topic_prefix}brimful-insights",
            number,
            {TALLIES.key(b"a"): tally, STEPS.key(b"a"): stuck},
            commit=True,
        )
    write_rows(
        kafka,
        f"{topic_prefix}brimful-insights",
        1,
        {STANDING.key(b"a"): there, b"zanother table": b"x"},
        commit=True,
    )
    write_rows(kafka, f"{topic_prefix}brimful-insights", 2, {TALLIES.key(b"a"): tally}, commit=False)

    follower = TallyFollower(from_env({"BRIMFUL_KAFKA": kafka, "BRIMFUL_TOPIC_PREFIX": topic_prefix}))
    assert not follower.ready()
    follower.start()
    try:
        until(follower.ready)
        assert [one.count for one in follower.rows.tallies()] == [3, 3]
        assert [one.reason for one in follower.rows.steps()] == ["no_address", "no_address"]
        assert [one.number for one in follower.rows.standing()] == [7]
        newer = TALLIES.encode(Tally("upsell", "v1", "entry", "enrolled", 4))
        write_rows(kafka, f"{topic_prefix}brimful-insights", 5, {TALLIES.key(b"a"): newer}, commit=True)
        write_rows(kafka, f"{topic_prefix}brimful-insights", 1, {STANDING.key(b"a"): None}, commit=True)
        until(lambda: sorted(one.count for one in follower.rows.tallies()) == [3, 4])
        until(lambda: follower.rows.standing() == [])
    finally:
        await follower.close()
    assert not follower.ready()


async def test_without_brokers_it_goes_on_trying() -> None:
    """The console says that its numbers are not complete; it ends when it is told to."""
    follower = TallyFollower(from_env({"BRIMFUL_KAFKA": "127.0.0.1:1"}))
    follower.start()
    assert not follower.ready()
    await follower.close()
