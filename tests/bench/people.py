"""People inside journeys, written straight into the engine's changelog: as if they had come one by one."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from schemas.topics import DEFAULT_PARTITIONS
from workers.core.activity.row import Activity
from workers.core.ids import stable_id
from workers.core.journeys.progress import Enrollment, Position, Progress, TriggerFacts, Waiting
from workers.state import USERS, Profile
from workers.step_counts import count, stored_counts
from workers.stream.partition import SEAL
from workers.stream.partitioner import partition_of
from workers.stream.store import TIMER, position_change, timer_row
from workers.stream.transaction import PartitionProducer
from workers.timers import TimerPayload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.bench.model import Context

    Rows = dict[bytes, bytes]

CHANGELOG = "brimful-engine-changelog"
ROWS_PER_TRANSACTION = 5_000
DAY_MS = 86_400_000
VERSION = "0" * 16


def person(number: int) -> str:
    """The id of one of them."""
    return f"user-{number:07d}"


def standing_rows(number: int, journeys: int, now_ms: int, rng: random.Random) -> Rows:
    """Somebody who waits for a month at the first step of so many journeys ``w0``, ``w1``, ..."""
    who = person(number)
    rows: Rows = {}
    enrollments = []
    for at in range(journeys):
        entered_ms = now_ms - rng.randrange(DAY_MS)
        due_ms = entered_ms + 30 * DAY_MS
        position = Position("0", due_ms, since_ms=entered_ms)
        held = _enrollment(f"w{at}", entered_ms, due_ms, position, rng)
        enrollments.append(held)
        rows[TIMER + bytes.fromhex(held.timer_id or "")] = _timer(who, held, due_ms)
    entered = {one.journey: one.entered_at_ms for one in enrollments}
    return rows | _rows_of(who, Progress(who, tuple(enrollments), entered), number)


def held_rows(number: int, now_ms: int, until_ms: Callable[[str], int], rng: random.Random) -> Rows:
    """Somebody whose message of the first step of ``w0`` quiet hours hold."""
    who = person(number)
    due_ms = until_ms(who)
    position = Position("0", due_ms, since_ms=now_ms)
    held = _enrollment("w0", now_ms, due_ms, position, rng)
    message = stable_id("message", "w0", held.id, "0", "1")
    waiting = Waiting(message, held.id, "w0", (), now_ms, due_ms, "quiet_hours", recorded=True)
    row = Progress(who, (held,), {"w0": now_ms}, waiting=(waiting,))
    return {TIMER + bytes.fromhex(held.timer_id or ""): _timer(who, held, due_ms)} | _rows_of(
        who, row, number
    )


def fill(context: Context, prefix: str, people: Iterable[Rows]) -> tuple[int, int]:
    """Write rows of people, each to their partition, in transactions; how many records, and their bytes."""
    parts: list[Rows] = [{} for _ in range(DEFAULT_PARTITIONS)]
    standing: list[Counter[bytes]] = [Counter() for _ in range(DEFAULT_PARTITIONS)]
    producers = []
    for number in range(DEFAULT_PARTITIONS):
        producer = PartitionProducer(context.bootstrap, f"{prefix}brimful-engine", number, {})
        producer.fence()
        producers.append(producer)
    written = size = 0

    def commit(number: int) -> None:
        marker = dict([position_change(f"{prefix}product-events", 0)])
        producer = producers[number]
        producer.begin()
        producer.produce(f"{prefix}{CHANGELOG}", number, (parts[number] | marker).items(), (SEAL, b""), ())
        producer.flush()
        producer.commit()
        parts[number] = {}

    for rows in people:
        stored = next(key for key in rows if key.startswith(USERS.progress.prefix))
        number = partition_of(stored[1:], DEFAULT_PARTITIONS)
        parts[number] |= rows
        standing[number].update(count((USERS.progress.decode(rows[stored]),), "user"))
        written += len(rows)
        size += sum(map(len, rows.values()))
        if len(parts[number]) >= ROWS_PER_TRANSACTION:
            commit(number)
    for number in range(DEFAULT_PARTITIONS):
        parts[number] |= stored_counts(standing[number])
        commit(number)
        producers[number].close()
    return written, size


def all_standing(people: int, journeys: int, now_ms: int) -> Iterator[Rows]:
    """So many people, each in so many journeys."""
    rng = random.Random(20_260_314)  # noqa: S311 - repeatable rows, not a secret
    return (standing_rows(number, journeys, now_ms, rng) for number in range(people))


def all_held(people: int, now_ms: int, until_ms: Callable[[str], int]) -> Iterator[Rows]:
    """So many people with a held message each."""
    rng = random.Random(20_260_315)  # noqa: S311 - repeatable rows, not a secret
    return (held_rows(number, now_ms, until_ms, rng) for number in range(people))


def _enrollment(
    journey: str, entered_ms: int, due_ms: int, position: Position, rng: random.Random
) -> Enrollment:
    return Enrollment(
        id=f"{rng.getrandbits(128):032x}",
        journey=journey,
        version=VERSION,
        entered_at_ms=entered_ms,
        trigger=TriggerFacts("came", f"{rng.getrandbits(64):016x}", entered_ms, {"limit_type": "seats"}),
        step="0",
        timer_id=f"{rng.getrandbits(128):032x}",
        due_ms=due_ms,
        positions=(position,),
    )


def _timer(who: str, held: Enrollment, due_ms: int) -> bytes:
    return timer_row(due_ms, encode_payload(TimerPayload("user", who, held.id)))


def _rows_of(who: str, progress: Progress, number: int) -> Rows:
    key = who.encode()
    profile = Profile({"plan": ("free", "pro")[number & 1], "email": f"{who}@mail.example.com"})
    return {
        USERS.activity.key(key): USERS.activity.encode(Activity()),
        USERS.profiles.key(key): USERS.profiles.encode(profile),
        USERS.progress.key(key): USERS.progress.encode(progress),
    }
