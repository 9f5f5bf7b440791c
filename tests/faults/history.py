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


def merging_history(seed: int, families: int) -> History:
    """People of three ids each: a visitor, a user, and another user that is the same person.

    Each uses the API and runs into the limit before it is known who is who: by ``identify`` in families of
    an even number, by ``alias`` in the others, with late events of the old id behind it. Then the third id
    comes, in the others as a chain. Then the old ids go on, as if nothing had happened, and some upgrade.
    """
    chance = random.Random(seed)  # noqa: S311 - not a secret
    phases: list[list[tuple[bytes, bytes]]] = [[], [], [], [], [], []]
    describe, load, limits, merges, chains, later = phases
    for number in range(families):
        visitor, user, other = (f"{kind}-{number}" for kind in ("visitor", "user", "other"))
        account = f"acct-{number // 4}"
        for one, role in ((user, "admin"), (other, "member")):
            said = {"email": number % 3 != 0} if one == other else {"email": True}
            traits = {"email": f"{one}@example.com", "plan": "basic", "consent": said}
            describe.append(_event_of(chance, one, account, "identify", traits=traits))
            facts = {"plan": "basic", "role": role}
            describe.append(_event_of(chance, one, account, "group", groupId=account, traits=facts))
        for one, uses in ((visitor, 9), (user, (12, 22)[number % 4 // 2]), (other, (8, 22)[number % 2])):
            for use in range(uses):
                at_ms = NOW_MS - (use * 20 + 1) * DAY_MS // 23 - chance.randrange(60_000)
                load.append(_event_of(chance, one, account, "track", at_ms, event="api_called"))
            limits.append(_event_of(chance, one, account, "track", event="plan_limit_reached"))
        chance.shuffle(load)
        old = other if number % 2 else visitor
        if number % 2:
            merges.append(_event_of(chance, user, account, "alias", previousId=other))
            main = f"main-{number}"
            chains.append(_event_of(chance, main, account, "alias", previousId=user))
        else:
            merges.append(_event_of(chance, user, account, "identify", anonymousId=visitor, traits={}))
            chains.append(_event_of(chance, user, account, "alias", previousId=other))
        merges.append(_event_of(chance, old, account, "track", event="api_called"))
        for one in (old, user):
            later.append(_event_of(chance, one, account, "track", event="api_called"))
        last = "plan_limit_reached" if number % 5 else "plan_upgraded"
        later.append(_event_of(chance, old, account, "track", event=last))
    return History(seed, families, tuple(phases))


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
    return _event_of(chance, f"user-{user}", _account(user), kind, at_ms, **fields)


def _event_of(
    chance: random.Random,
    person: str,
    account: str,
    kind: str,
    at_ms: int = NOW_MS - 60_000,
    **fields: object,
) -> tuple[bytes, bytes]:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    body = {
        "type": kind,
        "messageId": str(uuid.UUID(int=chance.getrandbits(128))),
        "anonymousId" if person.startswith("visitor") else "userId": person,
        "timestamp": moment,
        "context": {"groupId": account},
        **fields,
    }
    return person.encode(), json.dumps(body).encode()
