"""Pages of a journey's enrollments: each is in one page, and a partition is read once a minute."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.bench.people import standing_rows
from workers.core.journeys.progress import Progress
from workers.errors import Retryable
from workers.listed import Place, Wanted
from workers.reading import enrollments
from workers.reading.enrollments import GO_ON_S, KEPT_MS, Pages
from workers.state import USERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from workers.settings import Settings

NOW = 1_772_358_600_000
PARTITIONS = 3
INSIDE = 20


class Log:
    """A changelog of some people in the journeys w0 and w1, and how often each partition was read."""

    def __init__(self) -> None:
        rng = random.Random(3)  # noqa: S311 - repeatable rows, not a secret
        self.rows = {number: standing_rows(number, 2, NOW, rng) for number in range(INSIDE)}
        self.read: list[int] = []
        self.fails: set[int] = set()

    def read_rows(
        self, _settings: Any, prefixes: Collection[bytes], only: Collection[int], progress: Any
    ) -> Iterator[tuple[bytes, bytes]]:
        """As :func:`workers.reading.changelogs.read_rows`."""
        (partition,) = only
        self.read.append(partition)
        progress(0, 1)
        if partition in self.fails:
            raise Retryable("no broker")
        for number, rows in self.rows.items():
            if number % (PARTITIONS - 1) == partition:  # the last partition has nobody
                yield from ((key, value) for key, value in rows.items() if key[:1] in prefixes)


class Settings_:  # noqa: N801 - stands for the settings
    """What a reader asks of settings."""

    kafka = "broker"

    def topic(self, name: str) -> str:
        """The name."""
        return name

    def librdkafka(self) -> dict[str, Any]:
        """Nothing."""
        return {}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The changelog in the place of a topic."""
    made = Log()
    monkeypatch.setattr(enrollments, "read_rows", made.read_rows)
    monkeypatch.setattr(enrollments, "partitions_of", lambda *_: PARTITIONS)
    return made


def pages_of(clock: list[int], seconds: list[float] | None = None) -> Pages:
    """Pages on a clock that a test sets."""
    tick = seconds if seconds is not None else [0.0]
    return Pages(cast("Settings", Settings_()), lambda: None, lambda: clock[0], lambda: tick[0])


def all_of(pages: Pages, wanted: Wanted, limit: int) -> list[list[str]]:
    """The subjects of each page, to the end."""
    found, place = list[list[str]](), Place()
    while True:
        page = pages.page(wanted, place, limit)
        found.append([one["subject"] for one in page.items])
        if page.next is None:
            return found
        place = page.next


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 19, 20, 1_000])
def test_everybody_inside_is_in_one_page(log: Log, limit: int) -> None:
    """Pages are full but for the last; each partition was read once for all of them."""
    found = all_of(pages_of([NOW]), Wanted("w1"), limit)
    everybody = [subject for page in found for subject in page]
    assert sorted(everybody) == [f"user-{number:07d}" for number in range(INSIDE)]
    assert {len(page) for page in found[:-1]} <= {limit}
    assert log.read == [0, 1, 2]


def test_of_another_journey_or_step_there_is_nobody(log: Log) -> None:
    """One page says so, having looked everywhere."""
    for wanted in (Wanted("w7"), Wanted("w1", "ended"), Wanted("w1", "active", "9")):
        assert all_of(pages_of([NOW]), wanted, 5) == [[]]
    assert log.read == [0, 1, 2] * 3


def test_what_is_known_is_a_minute_old_at_most(log: Log) -> None:
    """Then it is read again, and the list goes on behind the same enrollment, though that one is gone."""
    clock = [NOW]
    pages = pages_of(clock)
    first = pages.page(Wanted("w1"), Place(), 3)
    assert first.next is not None
    clock[0] += KEPT_MS
    again = pages.page(Wanted("w1"), first.next, 3)
    assert (log.read, again.read_ms) == ([0], NOW)
    gone = next(n for n in log.rows if first.items[-1]["subject"] == f"user-{n:07d}")
    key = USERS.progress.key(f"user-{gone:07d}".encode())
    log.rows[gone] = {key: USERS.progress.encode(Progress(f"user-{gone:07d}"))}
    clock[0] += 1
    later = pages.page(Wanted("w1"), first.next, 3)
    assert (log.read, later.read_ms) == ([0, 0], clock[0])
    assert [one["subject"] for one in later.items] == [one["subject"] for one in again.items]


def test_a_page_that_takes_long_ends_with_what_there_is(log: Log) -> None:
    """So that whoever asks gets an answer; the next page goes on with the next partition."""
    seconds = [0.0]
    pages = pages_of([NOW], seconds)

    def slow(*_: int) -> None:
        seconds[0] += GO_ON_S + 1

    page = pages.page(Wanted("w1"), Place(), 1_000, slow)
    assert (len(page.items), page.next) == (10, Place(1))
    assert log.read == [0]


def test_what_fails_later_does_not_take_away_what_was_found(log: Log) -> None:
    """Whoever asks for just that partition hears of it."""
    log.fails.add(1)
    pages = pages_of([NOW])
    page = pages.page(Wanted("w1"), Place(), 1_000)
    assert (len(page.items), page.next) == (10, Place(1))
    with pytest.raises(Retryable):
        pages.page(Wanted("w1"), Place(1), 1_000)


def test_a_place_behind_the_last_partition_is_the_end(log: Log) -> None:
    """No error: a cursor may be older than the topic."""
    assert pages_of([NOW]).page(Wanted("w1"), Place(PARTITIONS), 5).next is None
    assert log.read == []
