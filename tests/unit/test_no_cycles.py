"""What decisions leave behind is freed by reference count: the collector of cycles finds nothing to do.

A pass of the collector over half a million objects holds a worker up for a second (measured). It comes when
so many wait for it, and the rows that a subject once read wait with the subject.
"""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.signals.kit import DAY, event
from tests.unit.signals.whole_kit import BANNER, WholeEngine, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENTRY = {"on": {"event": "limit"}, "again": "always"}
STEPS = [BANNER, {"wait": "1d"}, BANNER]
WORKSPACE: dict[str, Any] = {
    "segments": [
        {"segment": "paying", "require": [{"trait": "plan", "eq": "pro"}]},
        {"segment": "active", "require": [{"performed": "limit", "at_least": 1, "within": "14d"}]},
        {
            "segment": "busy",
            "subject": "account",
            "require": [{"performed": "limit", "at_least": 2, "within": "14d"}],
        },
    ],
    "scores": [
        {
            "score": "pql",
            "subject": "user",
            "half_life": "7d",
            "contributions": [{"event": "limit", "points": 10}],
            "thresholds": {"hot": 30},
        }
    ],
    "journeys": [
        {"journey": "people", "subject": "user", "entry": ENTRY, "steps": STEPS},
        {
            "journey": "accounts",
            "subject": "account",
            "recipients": {"role": "admin"},
            "entry": ENTRY,
            "steps": STEPS,
        },
    ],
}
PEOPLE = [f"u{number}" for number in range(40)]


def group(user: str, account: str) -> dict[str, Any]:
    """A group call."""
    return event(user=user, type="group", event=None, groupId=account, traits={"role": "admin"})


def alias(user: str) -> dict[str, Any]:
    """Somebody turns out to be who was seen before."""
    return event(user=user, type="alias", event=None, previousId=f"seen-{user}")


DONE: dict[str, Callable[[WholeEngine], None]] = {
    "events": lambda engine: engine.events(*(event(user=user) for user in PEOPLE)),
    "events of members": lambda engine: engine.events(
        *(event(user=user, context={"groupId": "acme"}) for user in PEOPLE)
    ),
    "groups": lambda engine: engine.events(*(group(user, "acme") for user in PEOPLE)),
    "traits": lambda engine: engine.events(*(identify(user, plan="pro") for user in PEOPLE)),
    "merges": lambda engine: engine.events(*(alias(user) for user in PEOPLE)),
    "timers": lambda engine: engine.waits(engine.now_ms + DAY),
    "a sweep": lambda engine: engine.publish(**{**WORKSPACE, "segments": WORKSPACE["segments"][1:]}),
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[WholeEngine]:
    """Everybody came and is in the account, and nothing waits for the collector."""
    made = WholeEngine(tmp_path, **WORKSPACE)
    for what in ("groups", "events of members", "traits"):
        DONE[what](made)
    gc.collect()
    gc.disable()
    yield made
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize("what", DONE)
def test_nothing_that_was_decided_waits_for_the_collector_of_cycles(engine: WholeEngine, what: str) -> None:
    """None for each of forty people; what is made once, such as a new logic in the place of another, may."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    DONE[what](engine)
    gc.collect()
    left = Counter(type(one).__name__ for one in gc.garbage if type(one).__module__.startswith("workers."))
    assert {name: number for name, number in left.items() if number >= len(PEOPLE)} == {}
