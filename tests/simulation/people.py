"""The people of a run, and what producers send of them: in and out of order, twice, late, misplaced."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from schemas import wire
from tests.simulation.actions import DAY, HOUR, SECOND, Produced
from tests.simulation.systems import Systems
from tests.simulation.words import COUNTED, ENDING, NEVER, ORDERS, PLANS, PRODUCTS, ROLES, STAGE, TOPIC, ZONES

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.workspaces import Versions

REPEATED_MS = 10 * HOUR
"""A producer that heard nothing sends again within this time: less than the day that ids are remembered."""

QUIET_MS = 6 * HOUR
"""Who asks to be erased is silent so long before, so that no clock dates an event after the erasure."""

MALFORMED = (
    b"not json",
    b'{"type": "track", "messageId": "x"}',
    b'{"type": "dance", "messageId": "x", "timestamp": "2026-03-14T09:00:00Z", "userId": "u0"}',
    b'{"type": "track", "messageId": "x", "timestamp": "2026-03-14T09:00:00Z", "event": "limit"}',
    b"\xff\xfe",
    None,
)
"""Records that cannot be used, whoever sends them."""


class People:
    """Users with and without an account, visitors, and accounts; draws what they do."""

    def __init__(self, random: Random, versions: Versions, partitions: int) -> None:
        self._random = random
        self._versions = versions
        self._partitions = partitions
        self._users = [f"u{number}" for number in range(random.randint(2, 8))]
        self._visitors = [f"v{number}" for number in range(random.randint(0, 3))]
        self._accounts = [f"a{number}" for number in range(random.randint(1, 3))]
        # Some users name their account with each event; of the others the account is known by a group call.
        self._says_account = {user: random.choice(self._accounts) for user in self._users[::2]}
        self._merges = random.random() < 0.4
        self._erases = random.random() < 0.3
        self._into = self._targets()
        self._erased: set[str] = set()
        self._sent: list[Produced] = []
        self._number = 0
        self._acts: dict[str, tuple[int, Callable[[int], list[Produced]]]] = {
            "track": (60, self._track),
            "identify": (10, self._identify),
            "group": (5, self._group),
            "repeat": (8, self._repeat),
            "merge": (4 if self._merges else 0, self._merge),
            "erase": (1 if self._erases else 0, self._erase),
            "malformed": (2, self._malformed),
        } | Systems(random, versions, self._accounts, partitions, self._alive, self._id).acts()

    def introduce(self, at_ms: int) -> list[Produced]:
        """Most users are known with an address when the run begins."""
        known = [user for user in self._users if self._random.random() < 0.85]
        return [self._describe(user, at_ms, self._traits(user)) for user in known]

    def act(self, at_ms: int) -> list[Produced]:
        """What is sent at a moment; nothing where nobody is left to do it."""
        kinds = list(self._acts)
        (kind,) = self._random.choices(kinds, [self._acts[one][0] for one in kinds])
        records = self._acts[kind][1](at_ms)
        self._sent += [one for one in records if one.topic == "product-events" and not one.note]
        return records

    # -- who

    def _targets(self) -> dict[str, str]:
        """Who turns out to be whom: never in circles."""
        pairs = {visitor: self._random.choice(self._users) for visitor in self._visitors}
        for at, user in enumerate(self._users[1:], 1):
            if self._random.random() < 0.3:
                pairs[user] = self._users[self._random.randrange(at)]
        return pairs

    def _alive(self) -> list[str]:
        return [one for one in (*self._users, *self._visitors) if one not in self._erased]

    def _someone(self) -> dict[str, str] | None:
        alive = self._alive()
        return _ids(self._random.choice(alive)) if alive else None

    def _traits(self, user: str) -> dict[str, Any]:
        """Address and plan; of some the zone, which never changes."""
        known: dict[str, Any] = {"email": f"{user}@example.com", "plan": "free"}
        return known | ({"timezone": self._random.choice(ZONES)} if self._random.random() < 0.5 else {})

    # -- what

    def _track(self, at_ms: int) -> list[Produced]:
        ids = self._someone()
        if ids is None:
            return []
        random = self._random
        name = random.choices((*COUNTED, ENDING, NEVER), (30, 20, 10, 9, 5))[0]
        properties: dict[str, Any] = {"size": random.randrange(6), "feature": "seats"}
        if name == ENDING:
            properties = {"mrr": random.choice([10, 100]), "mrr_delta": 10, "to_plan": "pro"}
        if random.random() < 0.7:
            properties |= {"order": random.choice(ORDERS), "product": random.choice(PRODUCTS)}
        account = self._says_account.get(ids.get("userId", ""))
        context = {"context": {"groupId": account}} if account is not None else {}
        event = {"type": "track", "event": self._versions.event(name), "properties": properties}
        return [self._event(ids | event | context, at_ms)]

    def _identify(self, at_ms: int) -> list[Produced]:
        ids = self._someone()
        if ids is None:
            return []
        described: list[dict[str, Any]] = [
            {"plan": self._random.choice(PLANS)},
            {"email": "somebody@example.com"},
            {"email": None},
            {"consent": {"email": self._random.random() < 0.5}},
            {"consent": {"email": {TOPIC: False}}},
            {"role": self._random.choice(ROLES)},
            {STAGE: self._random.choice(["asked", None])},
            {"renewal": _moment(at_ms + self._random.randrange(-3, 9) * DAY)[:10]},
        ]
        return [self._event(ids | {"type": "identify", "traits": self._random.choice(described)}, at_ms)]

    def _group(self, at_ms: int) -> list[Produced]:
        alive = [one for one in self._users if one not in self._erased]
        if not alive:
            return []
        user = self._random.choice(alive)
        account = self._says_account.get(user) or self._random.choice(self._accounts)
        traits: dict[str, Any] = {"role": self._random.choice(ROLES), "plan": self._random.choice(PLANS)}
        if self._random.random() < 0.1:
            traits = {"remove": True}
        return [self._event({"type": "group", "userId": user, "groupId": account, "traits": traits}, at_ms)]

    def _repeat(self, at_ms: int) -> list[Produced]:
        """The same record again, now or up to some hours later."""
        lately = [one for one in self._sent[-40:] if one.at_ms > at_ms - REPEATED_MS // 2]
        if not lately:
            return []
        delay_ms = self._random.choice([0, 50, 5_000, self._random.randrange(REPEATED_MS // 2)])
        again = self._random.choice(lately)
        if again.key in self._erased:
            return []
        return [replace(again, at_ms=at_ms + delay_ms, note="again")]

    def _merge(self, at_ms: int) -> list[Produced]:
        pairs = [pair for pair in self._into.items() if self._erased.isdisjoint(pair)]
        if not pairs:
            return []
        one, into = self._random.choice(pairs)
        if one in self._visitors:
            return [
                self._event({"type": "identify", "userId": into, "anonymousId": one, "traits": {}}, at_ms)
            ]
        return [self._event({"type": "alias", "previousId": one, "userId": into}, at_ms)]

    def _erase(self, at_ms: int) -> list[Produced]:
        """Somebody is forgotten, with all that they are known as, and does nothing more."""
        one = self._random.choice((*self._users, *self._visitors))
        group = {one}
        for _ in self._into:
            group |= {other for pair in self._into.items() if not group.isdisjoint(pair) for other in pair}
        self._erased |= group if self._merges else {one}
        asked = wire.Erase(
            id=f"e{at_ms}", request=f"r{at_ms}", subject=one, accounts=[], at_ms=at_ms + QUIET_MS
        )
        return [self._record(at_ms + QUIET_MS, "scheduler", one, wire.encode(asked))]

    def _malformed(self, at_ms: int) -> list[Produced]:
        value = self._random.choice(MALFORMED)
        return [replace(self._record(at_ms, "product-events", "u0", value), note="malformed")]

    # -- records

    def _describe(self, user: str, at_ms: int, traits: dict[str, Any]) -> Produced:
        return self._event({"type": "identify", "userId": user, "traits": traits}, at_ms, lateness_ms=0)

    def _event(self, plain: dict[str, Any], at_ms: int, lateness_ms: int | None = None) -> Produced:
        random = self._random
        if lateness_ms is None:
            choices = (0, random.randrange(2 * SECOND), random.randrange(HOUR), random.randrange(2 * DAY))
            lateness_ms = random.choices((*choices, -HOUR // 3, -5 * HOUR), (40, 40, 12, 6, 1, 1))[0]
        key = plain.get("userId") or plain["anonymousId"]
        event = {"messageId": self._id(), "timestamp": _moment(at_ms - lateness_ms), **plain}
        record = self._record(at_ms, "product-events", key, msgspec.json.encode(event))
        if lateness_ms < -HOUR:
            return replace(record, note="future")
        odd = random.random()
        if odd < 0.02:
            return replace(record, partition=random.randrange(self._partitions), note="misplaced")
        return replace(record, key="somebody", note="wrong key") if odd < 0.04 else record

    def _record(self, at_ms: int, topic: str, key: str, value: bytes | None) -> Produced:
        return Produced(at_ms, topic, key, value)

    def _id(self) -> str:
        self._number += 1
        return f"m{self._number}"


def _ids(one: str) -> dict[str, str]:
    return {"userId": one} if one.startswith("u") else {"anonymousId": one}


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
