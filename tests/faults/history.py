"""The events of the fault tests, in phases between which everything comes to rest.

Within a phase no two events of a subject race each other: who enters which journey, and on which values,
does not depend on which topic a transaction happened to take first. So every run has one right outcome,
to the record.
"""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import Producer

NOW_MS = 1_770_000_000_000
DAY_MS = 86_400_000
LATER_MS = NOW_MS + 2 * DAY_MS
"""The clock of the last phase: all timers of the phases before are due."""


@dataclass(frozen=True, slots=True)
class History:
    """``phases`` are lists of (key, value) for product-events; ``seed`` makes them what they are."""

    seed: int
    users: int
    phases: tuple[list[tuple[bytes, bytes]], ...]


def history(seed: int, users: int, uses: int) -> History:
    """Users, ten to an account, use an API, run into limits, upgrade; with duplicates and bad records."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    describe: list[tuple[bytes, bytes]] = []
    for user in range(users):
        describe.append(_event(chance, user, "identify", traits={"email": f"user-{user}@example.com"}))
        role = {"role": "admin"} if user % 10 == 0 else {}
        describe.append(
            _event(chance, user, "group", groupId=_account(user), traits={"plan": "basic", **role})
        )
    load: list[tuple[bytes, bytes]] = []
    for number in range(users * uses):
        at_ms = NOW_MS - 20 * DAY_MS + number * (20 * DAY_MS // (users * uses)) - chance.randrange(3_600_000)
        load.append(_event(chance, chance.randrange(users), "track", at_ms, event="api_called"))
        if chance.random() < 0.01:
            load.append(chance.choice(load))
        if chance.random() < 0.002:
            load.append((f"user-{number % users}".encode(), b'{"type": "track", "broken'))
    limits = [_event(chance, user, "track", event="plan_limit_reached") for user in range(users)]
    limits += [_event(chance, user, "track", event="account_checked") for user in range(0, users, 10)]
    upgrades = [_event(chance, user, "track", event="plan_upgraded") for user in range(0, users, 30)]
    return History(seed, users, (describe, load, limits, upgrades))


def publish(bootstrap: str, topic: str, events: list[tuple[bytes, bytes]]) -> None:
    """Write events, each to its key's partition, in order."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": 5,
        }
    )
    for key, value in events:
        while True:
            try:
                producer.produce(topic, key=key, value=value)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def _account(user: int) -> str:
    return f"acct-{user // 10}"


def _event(
    chance: random.Random, user: int, kind: str, at_ms: int = NOW_MS - 60_000, **fields: object
) -> tuple[bytes, bytes]:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    body = {
        "type": kind,
        "messageId": str(uuid.UUID(int=chance.getrandbits(128))),
        "userId": f"user-{user}",
        "timestamp": moment,
        "context": {"groupId": _account(user)},
        **fields,
    }
    return f"user-{user}".encode(), json.dumps(body).encode()
