"""A state that was backfilled is the one that had the definition from the start, whatever happened."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.workspace import Journey, Workspace
from tests.unit.backfill_kit import Changing
from tests.unit.core.kit import journey
from tests.unit.identity.kit import HOUR, NOW, _moment

USERS = ("u1", "u2", "u3")
NAMES = ("limit", "seen")


def asks(name: str, *conditions: dict[str, Any], subject: str = "user") -> Journey:
    """A journey that nobody enters, and that asks for these."""
    entry = {"on": {"event": "never"}, "require": list(conditions)}
    return Journey.model_validate(journey(name, subject=subject, entry=entry))


def of(event: str, within: str) -> list[dict[str, Any]]:
    """A plain window, a series, a set and a total of an event."""
    return [
        {"performed": event, "at_least": 2, "within": within},
        {"performed": event, "within": within, "where": {"n": {"gte": 2}}},
        {"sum": "n", "of": event, "within": within, "gte": 3},
        {"distinct": "n", "of": event, "within": within, "gte": 3},
        {"performed": event, "at_least": 2, "within": "lifetime"},
    ]


def workspace(*journeys: Journey) -> Workspace:
    """A workspace of these."""
    return Workspace(name="w", journeys=journeys)


OLD = workspace(
    asks("users", *of("limit", "7d"), {"performed": "seen", "within": "30d"}),
    asks("accounts", {"performed": "limit", "within": "7d"}, subject="account"),
)
NEW = workspace(
    # limit is looked at for longer, seen for shorter and in other ways; accounts ask for more
    asks("users", *of("limit", "14d"), *of("seen", "7d")),
    asks(
        "accounts",
        *of("limit", "14d"),
        {"members": "seen", "within": "14d", "gte": 2},
        {"performed": "seen", "within": "30d"},
        subject="account",
    ),
)

events = st.fixed_dictionaries(
    {
        "user": st.sampled_from(USERS),
        "name": st.sampled_from(NAMES),
        "account": st.sampled_from([None, "acme", "bolt"]),
        "n": st.integers(0, 4),
        "late_ms": st.sampled_from([0, HOUR, 8 * 24 * HOUR]),
        "again": st.booleans(),
        "wrong_key": st.booleans(),
    }
)
joins = st.fixed_dictionaries({"user": st.sampled_from(USERS), "group": st.just(True)})
turns = st.fixed_dictionaries({"turn": st.integers(0, 1), "most": st.integers(1, 3)})
times = st.fixed_dictionaries({"pass_ms": st.sampled_from([HOUR // 12, HOUR // 3])})
switches = st.fixed_dictionaries({"switch": st.integers(0, 1)})
steps = st.lists(events | joins | turns | times | switches, max_size=30)


class Both:
    """The same history in an engine that asked from the start and in one that asks later."""

    def __init__(self) -> None:
        self.first, self.later = Changing(NEW), Changing(OLD)
        self.switched: set[int] = set()
        self._count = 0

    def step(self, step: dict[str, Any]) -> None:
        """One thing that happens."""
        if "turn" in step:
            self.later.turn(step["turn"], step["most"])
        elif "pass_ms" in step:
            for cluster in (self.first, self.later):
                cluster.settle() if cluster is self.first else None
                cluster.now_ms += step["pass_ms"]
        elif "switch" in step:
            self.switch(step["switch"])
        else:
            self._produce(step)

    def switch(self, number: int) -> None:
        """A partition takes the new workspace up, once."""
        if number not in self.switched:
            self.switched.add(number)
            self.later.open(number, NEW)

    def _produce(self, step: dict[str, Any]) -> None:
        self._count += 1
        user = step["user"]
        plain: dict[str, Any] = {"type": "group", "userId": user, "groupId": "acme"}
        if "group" not in step:
            plain = {
                "type": "track",
                "event": step["name"],
                "userId": user,
                "properties": {"n": step["n"]},
                "context": {"groupId": step["account"]},
            }
        late_ms = step.get("late_ms", 0)
        for cluster in (self.first, self.later):
            event = {"messageId": f"x{self._count}", "timestamp": _moment(cluster.now_ms - late_ms), **plain}
            key = "another" if step.get("wrong_key") else user
            for _ in range(2 if step.get("again") else 1):
                cluster.send("product-events", key, msgspec.json.encode(event))

    def end(self) -> None:
        """Everything is read, in both."""
        for number in range(2):
            self.switch(number)
        self.first.settle()
        self.later.settle()


@settings(max_examples=60)
@given(steps, steps, st.integers(0, 5))
def test_what_was_backfilled_is_what_would_have_been_counted(
    before: list[dict[str, Any]], after: list[dict[str, Any]], broken_off: int
) -> None:
    """With repeats, late and misplaced events, and partitions that change at different times and lag behind.

    The command runs with the engine, is broken off after some records, and is given again.
    """
    both = Both()
    for step in before:
        both.step(step)
    for number in range(2):
        both.switch(number)
    both.later.backfill(broken_off)
    for step in after:
        both.step(step)
    both.later.backfill()
    both.later.turn(0)
    both.later.backfill()
    both.end()
    assert both.later.contents() == both.first.contents()
    assert not any(both.later.past().wanted.values())
    assert both.later.dead == []
    assert both.first.now_ms >= NOW
