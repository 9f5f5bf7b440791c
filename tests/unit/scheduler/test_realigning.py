"""The engine of a partition takes another version up, and looks at everybody inside."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.core.releases_kit import BANNER, DAY, OFFER, WAIT, Publisher
from tests.unit.signals.kit import NOW, event, record
from tests.unit.stream.kit import Rec, Waiting
from workers.core.journeys.releases import Wishes
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.scheduler.realigning import Aligning
from workers.shell import EngineParts
from workers.state import USERS
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items, fire_timers
from workers.stream.store import PartitionStore
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


CHUNK = 50
"""What one transaction looks at."""

MAIL: dict[str, Any] = {"send": {"in_app": "mail"}}
"""Nobody here has an address."""


class Partition:
    """One partition with its store; what it sends to the scheduler comes back to it."""

    def __init__(self, folder: Path) -> None:
        self.publisher = Publisher()
        self.publisher.world.now_ms = self.now_ms = NOW
        self.store = PartitionStore(folder / "db")
        self.metrics = SignalMetrics(CollectorRegistry())
        self.messages: list[str] = []
        self.exits: Counter[str | None] = Counter()
        self.transactions = 0
        self.waiting = Waiting(CHUNK)

    def publish(self, *steps: Any, **more: Any) -> None:
        """Publish the journey with these steps; none: without it."""
        self.publisher.world.now_ms = self.now_ms
        self.publisher.publish(*([journey(steps=list(steps))] if steps else []), **more)
        self.use()

    def say(self, state: Any, **more: Any) -> None:
        """Pause, resume or stop it."""
        self.publisher.world.now_ms = self.now_ms
        self.publisher.say("upsell", state, **more)
        self.use()

    def use(self) -> None:
        """The partition gets a new logic, as the kernel gives it one; its first notices wait."""
        parts = EngineParts(self.publisher.plan, 1, lambda name: name, self.metrics)
        self.logic = EngineLogic(0, parts)
        self.waiting.begin(self.logic.opened(self.store))

    def work(self, most: int = 1_000) -> None:
        """Transactions of what waits, until there is nothing."""
        while self.waiting and most:
            most -= 1
            view = View(self.store.get)
            self.waiting.turn(self.logic, view, self.now_ms)
            self._commit(view)

    def enter(self, *users: str) -> None:
        """These users reach the limit."""
        self._run(
            "product-events",
            [record(event(user=user, at_ms=self.now_ms), at) for at, user in enumerate(users)],
        )

    def wait(self, duration_ms: int) -> None:
        """Time passes."""
        until_ms = self.now_ms + duration_ms
        while (due_ms := self.store.next_due_ms()) is not None and due_ms <= until_ms:
            self.now_ms = max(self.now_ms, due_ms)
            view = View(self.store.get)
            fire_timers(self.logic, self.store.due(self.now_ms, 5_000), view, self.now_ms)
            self._commit(view)
        self.now_ms = until_ms

    def places(self) -> Counter[tuple[str, str]]:
        """How many are inside, by version and step."""
        rows = (USERS.progress.decode(row) for _, row in self.store.scan(USERS.progress.prefix))
        return Counter((one.version, one.step) for row in rows for one in row.enrollments if one.is_active)

    def _run(self, topic: str, records: list[Rec]) -> None:
        view, tp = View(self.store.get), TP(topic, 0)
        items, _ = self.logic.prepare(Batch(tp, records, 0, len(records)), view, self.now_ms)
        apply_items(self.logic, tp, items, view, self.now_ms)
        assert view.dead == []
        self._commit(view)

    def _commit(self, view: View) -> None:
        self.transactions += 1
        self.store.write(view.changes(), changelog_next=self.transactions, now_ms=self.now_ms)
        self.waiting.more(view.effects)
        for output in view.outputs:
            if output.topic.startswith("messages."):
                self.messages.append(wire.decode_message(output.value or b"").template)
            if output.topic == "decisions":
                decision = wire.decode_decision(output.value or b"")
                if decision.kind == "exit":
                    self.exits[decision.reason] += 1
        again = [Rec(0, one.value or b"", one.key) for one in view.outputs if one.topic == "scheduler"]
        if again:
            self._run("scheduler", again)


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[Partition]:
    """An empty partition."""
    made = Partition(tmp_path)
    yield made
    made.store.close()


def test_everybody_inside_follows_within_bounded_transactions(partition: Partition) -> None:
    """So many rows at a time, so that events do not wait; nobody is left, nobody counted twice."""
    partition.publish(BANNER, WAIT, MAIL)
    partition.work()
    partition.enter(*(f"u{number}" for number in range(2 * CHUNK + 1)))
    before = partition.transactions
    partition.publish(OFFER, BANNER, WAIT, MAIL)
    partition.work()
    assert partition.transactions - before == 4, "three for users, one that finds no accounts"
    assert partition.places() == {(partition.publisher.version(), "2"): 2 * CHUNK + 1}
    partition.wait(2 * DAY)
    assert Counter(partition.messages) == {"banner": 2 * CHUNK + 1, "mail": 2 * CHUNK + 1}


def test_a_publication_in_the_middle_of_another_leaves_nobody_behind(partition: Partition) -> None:
    """What was left of the first is dropped, and the second begins anew."""
    partition.publish(BANNER, WAIT, MAIL)
    partition.work()
    partition.enter(*(f"u{number}" for number in range(CHUNK + 1)))
    partition.publish(OFFER, BANNER, WAIT, MAIL)
    partition.work(most=1)
    partition.publish(OFFER, OFFER, BANNER, WAIT, MAIL)
    partition.work()
    assert partition.places() == {(partition.publisher.version(), "3"): CHUNK + 1}


def test_a_crash_in_the_middle_begins_anew_and_a_restart_after_it_does_not(partition: Partition) -> None:
    """The row that says so is written with the last subjects."""
    partition.publish(BANNER, WAIT, MAIL)
    partition.work()
    partition.enter(*(f"u{number}" for number in range(CHUNK + 1)))
    partition.publish(OFFER, BANNER, WAIT, MAIL)
    partition.work(most=1)
    partition.use()
    partition.work()
    assert partition.places() == {(partition.publisher.version(), "2"): CHUNK + 1}
    partition.use()
    assert not partition.waiting


def test_who_cannot_go_on_ends_with_a_decision(partition: Partition) -> None:
    """Published with --force: each is told of, and no timer of theirs is left."""
    partition.publish(BANNER, WAIT, MAIL)
    partition.work()
    partition.enter("u1", "u2")
    partition.publish(BANNER, MAIL)
    partition.work()
    assert partition.exits == {"version_gone": 2}
    assert partition.store.next_due_ms() is None


def test_a_stopped_journey_ends_all_inside_and_a_pinned_version_with_it(partition: Partition) -> None:
    """Stop is for the journey, whatever the version."""
    partition.publish(BANNER, WAIT, MAIL)
    partition.work()
    partition.enter("u1")
    partition.publish(OFFER, WAIT, MAIL, wishes=Wishes(policies={"upsell": "pin"}))
    partition.work()
    partition.enter("u2")
    partition.say("stopped")
    partition.work()
    assert partition.exits == {"stopped": 2}
    assert partition.places() == {}


def test_what_a_pause_held_is_released_in_the_order_in_which_it_was_due(partition: Partition) -> None:
    """Held without a timer, so that a restart does not fire it; let go by the word that it runs again."""
    partition.publish(BANNER, WAIT, MAIL)
    partition.work()
    partition.enter("u1")
    partition.wait(DAY)
    partition.enter("u2")
    partition.say("paused")
    partition.work()
    partition.wait(4 * DAY)
    assert partition.store.next_due_ms() is None
    assert partition.messages == ["banner", "banner"]
    partition.say("running", spread_ms=DAY)
    partition.work()
    dues = [timer.due_ms - partition.now_ms for timer in partition.store.due(partition.now_ms + 9 * DAY, 9)]
    assert dues == [DAY // 4, DAY // 2]
    partition.wait(DAY)
    assert partition.messages == ["banner", "banner", "mail", "mail"]


def test_a_workspace_that_was_not_published_moves_nobody(tmp_path: Path) -> None:
    """A folder's people are carried over when their time comes, as ever."""
    partition = Partition(tmp_path)
    partition.use()
    assert not any(isinstance(one, Aligning) for one in partition.logic.opened(partition.store))
    partition.store.close()


def test_what_the_new_version_says_of_who_waits_is_looked_at_with_them(partition: Partition) -> None:
    """A condition that is true already takes them on: nothing else may ever happen to them."""
    more, fewer = (
        {"wait_until": {"when": {"performed": "limit", "at_least": times, "within": "9d"}, "timeout": "9d"}}
        for times in (2, 1)
    )
    partition.publish(more, MAIL)
    partition.enter("u1")
    partition.work()
    assert partition.messages == []
    partition.publish(fewer, MAIL)
    partition.work()
    assert partition.messages == ["mail"]


def test_an_event_during_a_pause_takes_people_on_after_it(partition: Partition) -> None:
    """Where the event came to them, in one transaction with all else that it does."""
    partition.publish({"wait_for": {"event": "limit", "timeout": "9d"}}, MAIL)
    partition.enter("u1")
    partition.say("paused")
    partition.work()
    partition.now_ms += DAY
    partition.enter("u1")
    partition.wait(DAY)
    assert partition.messages == []
    partition.say("running")
    partition.work()
    partition.wait(1)
    assert partition.messages == ["mail"]
