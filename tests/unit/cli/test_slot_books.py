"""The books of slots while workspaces follow one another quickly, in one worker and over two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas import wire
from tests.properties.test_backfill import asks, workspace
from tests.unit.cli.backfill_kit import Changing, _Store
from tests.unit.stream.kit import Waiting
from workers.core.activity.backfill import Book, Noter, is_behind
from workers.core.compile import compile_workspace
from workers.engine import EngineLogic
from workers.shell import EngineParts
from workers.stream.view import View

if TYPE_CHECKING:
    from schemas.workspace import Workspace

PEOPLE = tuple(f"u{number}" for number in range(8))


def wanting(limit: str, seen: str) -> Workspace:
    """A workspace that asks how often two events came within so long."""
    return workspace(
        asks(
            "asking",
            {"performed": "limit", "at_least": 2, "within": limit},
            {"performed": "seen", "at_least": 2, "within": seen},
        )
    )


class Worker(Changing):
    """One partition, whose notices wait in the order of the mailbox, as the kernel keeps them."""

    def __init__(self, first: Workspace) -> None:
        super().__init__(first, partitions=1)
        self.left = Waiting(rows=2)
        self.act()

    def act(self) -> None:
        """Everybody does both."""
        for user in PEOPLE:
            self.track("limit", userId=user)
            self.track("seen", userId=user)
        self.settle()

    def use(self, following: Workspace, serial: int = 0) -> None:
        """Decide by another workspace from the next transaction on; what waits in the mailbox waits on."""
        self.plan = compile_workspace(following)
        parts = EngineParts(
            self.plan,
            1,
            lambda name: name,
            self.parts.metrics,
            erasure_key=b"a key of the tests",
            serial=serial,
            published_at_ms=serial * 1_000,
        )
        logic = self.engines[0] = EngineLogic(0, parts)
        positions = {topic: at for (topic, _), at in self.read.items()}
        self.left.begin(logic.opened(_Store(self.rows[0], positions)))  # type: ignore[arg-type]

    def turn_notices(self) -> None:
        """One transaction of what waits."""
        view = View(self.rows[0].get)
        self.left.turn(self.engines[0], view, self.now_ms)
        self._commit(0, view)
        self.left.more(view.effects)

    def counted(self) -> dict[str, int]:
        """How much the windows of each person hold."""
        found = dict.fromkeys(PEOPLE, 0)
        for (_, user, _), held in self.contents().items():
            found[user] += len(held)
        return found


@pytest.mark.parametrize("turns", range(7))
def test_what_is_tidied_for_one_workspace_does_not_end_what_the_next_has_to_tidy(
    turns: int,
) -> None:
    """The second publication comes while rows are gone through for the first: each window is handed over."""
    worker = Worker(wanting("30d", "30d"))
    worker.use(wanting("14d", "30d"))
    for _ in range(turns):
        worker.turn_notices()
    worker.use(wanting("14d", "14d"))
    for _ in range(20):
        worker.turn_notices()
    assert not worker.left
    assert worker.counted() == dict.fromkeys(PEOPLE, 2)
    book = worker.book("user")
    assert not book.leaving
    assert all(mark.whole for mark in book.slots.values())


# -- two workers, one of which is a publication behind


def through(worker: Worker) -> None:
    """Everything that waits is done."""
    while worker.left:
        worker.turn_notices()


@pytest.mark.parametrize("turns", [0, 1, 3, 20])
def test_a_worker_that_is_behind_gives_nothing_away(turns: int) -> None:
    """It has the partition for a moment: what was handed over stays, and what it counted comes to it."""
    worker = Worker(wanting("30d", "30d"))
    worker.use(wanting("30d", "30d"), serial=1)
    through(worker)
    worker.use(wanting("14d", "30d"), serial=2)
    for _ in range(turns):
        worker.turn_notices()
    worker.left = Waiting(rows=2)  # another process has the partition now
    worker.use(wanting("30d", "30d"), serial=1)
    through(worker)
    worker.act()
    worker.left = Waiting(rows=2)
    worker.use(wanting("14d", "30d"), serial=2)
    through(worker)
    assert worker.counted() == dict.fromkeys(PEOPLE, 4)
    book = worker.book("user")
    assert not book.leaving
    assert all(mark.whole and not mark.missed for mark in book.slots.values())


def test_what_a_worker_that_is_behind_did_not_count_begins_anew_and_says_so() -> None:
    """What the newer publication alone asks has a hole: a backfill brings all of it."""
    longer = wanting("60d", "30d")
    worker = Worker(wanting("30d", "30d"))
    worker.use(wanting("30d", "30d"), serial=1)
    through(worker)
    worker.use(longer, serial=2)
    through(worker)
    worker.backfill()
    worker.settle()
    assert all(mark.whole for mark in worker.book("user").slots.values())
    worker.use(wanting("30d", "30d"), serial=1)
    through(worker)
    worker.act()
    worker.use(longer, serial=2)
    through(worker)
    marks = worker.book("user").slots.values()
    assert sorted(mark.whole for mark in marks) == [False, True]
    worker.backfill()
    worker.settle()
    assert worker.counted() == dict.fromkeys(PEOPLE, 4)
    assert all(mark.whole for mark in worker.book("user").slots.values())


def test_what_is_brought_to_a_worker_that_is_behind_is_brought_again() -> None:
    """It does not know the window, so that it cannot take it in: nothing is lost, and the book says so."""
    longer = wanting("60d", "30d")
    worker = Worker(wanting("30d", "30d"))
    worker.use(wanting("30d", "30d"), serial=1)
    through(worker)
    worker.use(longer, serial=2)
    through(worker)
    brought = worker.past()
    worker.use(wanting("30d", "30d"), serial=1)
    through(worker)
    for key, record in (*brought.records(worker.now_ms), *brought.endings(worker.now_ms)):
        worker.send("scheduler", key, wire.encode(record))
    worker.settle()
    assert worker.dead == []
    worker.use(longer, serial=2)
    through(worker)
    worker.backfill()
    worker.settle()
    assert worker.counted() == dict.fromkeys(PEOPLE, 2)
    assert all(mark.whole for mark in worker.book("user").slots.values())


@pytest.mark.parametrize(
    ("noter", "behind"),
    [
        (Noter("w", 1, 1_000), True),
        (Noter("w", 2, 2_000), False),
        (Noter("w", 3, 3_000), False),
        (Noter("w", 1, 9_000), False),
        (Noter("other", 1, 1_000), False),
        (Noter("w", 0, 0), False),
    ],
    ids=["earlier", "the same", "later", "the topic was written anew", "another workspace", "a folder"],
)
def test_who_is_behind_is_told_by_the_number_and_the_time(noter: Noter, behind: bool) -> None:
    """Else nobody would ever note anything again."""
    assert is_behind(Book(workspace="w", serial=2, at_ms=2_000), noter) is behind
    assert not is_behind(None, noter)
