"""A whole engine in memory: partitions, their rows, and the topics between them, read in any order."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from struct import Struct
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CollectorRegistry

from schemas import wire
from tests.unit.core.kit import plan_of
from tests.unit.stream.kit import Rec
from workers.core.activity import windows
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.shell import EngineParts
from workers.state import ACCOUNTS, IDENTITIES, PERSONAL, USERS, Identity, Profile
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items, fire_timers
from workers.stream.partitioner import partition_of
from workers.stream.store import TIMER, Timer
from workers.stream.view import View
from workers.timers import TimerPayload, decode_payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.activity.row import Activity
    from workers.core.journeys.progress import Progress
    from workers.core.plan import Plan
    from workers.stream.tables import Table

NOW = 1_773_480_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
TOPICS = ("scheduler", "account-events", "account-traits", "engagement", "product-events")
OF_MERGING = (wire.MergeRequest, wire.Merged, wire.Released)
_DUE = Struct(">Q")


class Cluster:
    """Engines of ``partitions`` partitions; nothing moves until it is told to."""

    def __init__(self, *journeys: Mapping[str, Any], partitions: int = 3, plan: Plan | None = None) -> None:
        self.registry = CollectorRegistry()
        self.plan = plan or plan_of(*journeys)
        self.parts = EngineParts(
            self.plan,
            partitions,
            lambda name: name,
            SignalMetrics(self.registry),
            erasure_key=b"a key of the tests",
        )
        self.partitions = partitions
        self.rows: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        self.log: dict[tuple[str, int], list[Rec]] = defaultdict(list)
        self.read: dict[tuple[str, int], int] = defaultdict(int)
        self.dead: list[tuple[str, str]] = []
        self.now_ms = NOW
        self.engines = [EngineLogic(number, self.parts) for number in range(partitions)]
        self._ids = 0

    # -- into the topics

    def send(self, topic: str, key: str, value: bytes | None) -> None:
        """One record, to the partition of its key."""
        self._append(topic, key.encode(), value, None)

    def produce(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """An event as its producer sends it; made complete, so that it can be sent again."""
        self._ids += 1
        event = {"messageId": f"m{self._ids}", "timestamp": _moment(self.now_ms), **plain}
        self.send("product-events", event.get("userId") or event["anonymousId"], msgspec.json.encode(event))
        return event

    def track(self, name: str, **ids: Any) -> dict[str, Any]:
        """A track call."""
        return self.produce({"type": "track", "event": name, **ids})

    def identify(self, user: str, anonymous: str | None = None, **traits: Any) -> dict[str, Any]:
        """An identify call, also of the anonymous id where one is given."""
        return self.produce({"type": "identify", "userId": user, "anonymousId": anonymous, "traits": traits})

    def alias(self, previous: str, user: str) -> dict[str, Any]:
        """An alias call."""
        return self.produce({"type": "alias", "previousId": previous, "userId": user})

    def group(self, user: str, account: str, **traits: Any) -> dict[str, Any]:
        """A group call."""
        return self.produce({"type": "group", "userId": user, "groupId": account, "traits": traits})

    def erase(self, person: str, **fields: Any) -> None:
        """A request to erase."""
        asked = wire.Erase(
            id="e", request="r", subject=person, at_ms=self.now_ms, **({"accounts": []} | fields)
        )
        self.send("scheduler", person, wire.encode(asked))

    # -- through the engine

    def turn(self, number: int, most: int = 10**9, topics: tuple[str, ...] = TOPICS) -> bool:
        """One transaction of a partition: timers that are due, then records; False where nothing waits."""
        timers = self.due(number)
        batches = []
        for topic in topics:
            waiting = self.log[topic, number][self.read[topic, number] :][:most]
            if waiting:
                start = self.read[topic, number]
                batches.append(Batch(TP(topic, number), waiting, start, start + len(waiting)))
        if not timers and not batches:
            return False
        view, logic = View(self.rows[number].get), self.engines[number]
        prepared = [(batch, logic.prepare(batch, view, self.now_ms)[0]) for batch in batches]
        if timers:
            assert fire_timers(logic, timers, view, self.now_ms) == 0, "a timer could not be decided"
        for batch, items in prepared:
            apply_items(logic, batch.tp, items, view, self.now_ms)
            self.read[batch.tp.topic, number] = batch.end
        self._check_quiet(prepared, timers, view)
        self._commit(number, view)
        return True

    def settle(self, most: int = 10**9) -> None:
        """Until nothing moves any more; what goes round for ever is found here."""
        for _ in range(1_000):
            moved = [self.turn(number, most) for number in range(self.partitions)]
            if not any(moved):
                return
        raise AssertionError("records go round for ever")

    def later(self, ms: int) -> None:
        """Time passes, and what became due happens."""
        self.now_ms += ms
        self.settle()

    def due(self, number: int) -> list[Timer]:
        """The timers that are due, by their due time."""
        return sorted(
            (timer for timer in self.timers(number) if timer.due_ms <= self.now_ms),
            key=lambda timer: (timer.due_ms, timer.timer_id),
        )

    def _check_quiet(self, prepared: Any, timers: list[Timer], view: View) -> None:
        """A merge by itself decides nothing, sends nothing, converts nothing."""
        items = [item for _, some in prepared for item in some]
        if not timers and items and all(isinstance(getattr(one, "asked", None), OF_MERGING) for one in items):
            assert {output.topic for output in view.outputs} <= {
                "scheduler",
                "identity",
                "segments",
                "scores",
            }

    def _commit(self, number: int, view: View) -> None:
        for key, row in view.changes().items():
            if row is None:
                self.rows[number].pop(key, None)
            else:
                self.rows[number][key] = row
        self.dead += [(letter.reason, letter.detail) for letter in view.dead]
        for output in view.outputs:
            self._append(output.topic, output.key, output.value, output.partition)

    def _append(self, topic: str, key: bytes | None, value: bytes | None, partition: int | None) -> None:
        if partition is None:
            partition = partition_of(key or b"", self.partitions)
        held = self.log[topic, partition]
        held.append(Rec(len(held), value, key))

    # -- what came of it

    def of(self, topic: str) -> list[Any]:
        """All records of a topic, decoded; for messages also those without a value, as None."""
        decode = getattr(wire, f"decode_{_DECODERS.get(topic, topic)}")
        found = [record for (name, _), held in self.log.items() if name == topic for record in held]
        return [None if record.value is None else decode(record.value) for record in found]

    def messages(self) -> list[wire.Message]:
        """All messages over all channels; what takes messages back is none."""
        found = [one for topic in ("messages.email", "messages.in_app") for one in self.of(topic) if one]
        return [one for one in found if one.withdrawn is None]

    def row(self, table: Table[Any], key: str) -> Any:
        """A row in the partition of its key."""
        stored = self.rows[partition_of(key.encode(), self.partitions)].get(table.key(key.encode()))
        return None if stored is None else table.decode(stored)

    def activity(self, person: str) -> Activity | None:
        """What a person did."""
        row: Activity | None = self.row(USERS.activity, person)
        return row

    def profile(self, key: str, *, account: bool = False) -> Profile:
        """A profile; an empty one where there is none."""
        return self.row((ACCOUNTS if account else USERS).profiles, key) or Profile()

    def progress(self, person: str) -> Progress | None:
        """A person's journeys."""
        row: Progress | None = self.row(USERS.progress, person)
        return row

    def identity(self, person: str) -> Identity:
        """A person's ids."""
        return self.row(IDENTITIES, person) or Identity()

    def root(self, person: str) -> str:
        """The id that all of the person's ids lead to."""
        passed = [person]
        while (following := self.identity(passed[-1]).merged_into) is not None:
            assert following not in passed, f"a circle: {passed}"
            passed.append(following)
        return passed[-1]

    def times(self, key: str, *, account: bool = False) -> list[int]:
        """When the occurrences in the one window of a subject were."""
        plan = self.plan.account if account else self.plan.user
        ((slot_id, retention_ms),) = plan.retentions_ms.items()
        row = self.row((ACCOUNTS if account else USERS).activity, key)
        held = row.windows.get(slot_id) if row is not None else None
        return [] if held is None else list(windows.decode(held, retention_ms).singles)

    def timers(self, number: int) -> list[Timer]:
        """All timers of a partition."""
        return [
            Timer(key[1:], _DUE.unpack_from(row)[0], row[8:])
            for key, row in self.rows[number].items()
            if key.startswith(TIMER)
        ]

    def waiting(self) -> dict[str, TimerPayload]:
        """What journeys' timers carry, by their ids."""
        return {
            timer.timer_id.hex(): decode_payload(timer.payload)
            for number in range(self.partitions)
            for timer in self.timers(number)
            if not timer.payload.startswith(b"lift:")
        }

    def tables_of(self, person: str) -> set[str]:
        """The tables that have a row of this id."""
        return {table.name for table in PERSONAL if self.row(table, person) is not None}

    def mentions(self, text: str) -> list[bytes]:
        """The keys of all rows that hold a text, in the key or in the value."""
        raw = text.encode()
        return [key for rows in self.rows for key, row in rows.items() if raw in key or raw in row]


_DECODERS = {
    "segments": "segment_change",
    "llm-requests": "llm",
    "scores": "score_crossed",
    "messages.email": "message",
    "messages.sms": "message",
    "messages.push": "message",
    "messages.in_app": "message",
    "decisions": "decision",
    "conversions": "conversion",
}


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
