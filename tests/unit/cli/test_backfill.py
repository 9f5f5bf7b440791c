"""What becomes of slots when a workspace changes: kept, begun anew, filled once, forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import Journey, Workspace
from tests.unit.cli.backfill_kit import Changing
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY
from workers.cli.backfill import check_runs, exact_from, untold
from workers.core.activity.windows import add_all, decode, refit
from workers.core.compile import compile_workspace
from workers.errors import Misconfigured

USER, OTHER = "user-1", "visitor-1"


def asking(within: str, event: str = "limit") -> Workspace:
    """A workspace that counts an event for so long."""
    condition: dict[str, Any] = {"performed": event, "within": within}
    plain = journey(entry={"on": {"event": "never"}, "require": [condition]})
    return Workspace(name="w", journeys=(Journey.model_validate(plain),))


def changed(first: Workspace, then: Workspace, *, partitions: int = 2) -> Changing:
    """Someone did something 10 days and an hour ago, and the workspace changed since."""
    cluster = Changing(first, partitions)
    cluster.track("limit", userId=USER)
    cluster.settle()
    cluster.now_ms += 10 * DAY
    cluster.track("limit", userId=USER)
    cluster.settle()
    for number in range(partitions):
        cluster.open(number, then)
    return cluster


@pytest.mark.parametrize(
    ("before", "after", "at_once", "filled"),
    [
        ("21d", "21d", 2, 2),
        ("30d", "14d", 2, 2),  # a shorter window has all that it needs
        ("30d", "7d", 1, 1),
        ("7d", "14d", 0, 2),  # a longer one begins anew
    ],
)
def test_a_window_whose_length_changes(before: str, after: str, at_once: int, filled: int) -> None:
    """And nothing is left of the old one."""
    cluster = changed(asking(before), asking(after))
    assert len(cluster.times(USER)) == at_once
    assert len(cluster.activity(USER).windows) <= 1  # type: ignore[union-attr]
    cluster.backfill()
    cluster.settle()
    assert len(cluster.times(USER)) == filled


def test_filling_again_changes_nothing() -> None:
    """Whoever gives the command twice, or after it had ended."""
    cluster = changed(asking("7d"), asking("14d"))
    for _ in range(3):
        cluster.backfill()
    cluster.settle()
    cluster.backfill()
    cluster.settle()
    assert len(cluster.times(USER)) == 2
    assert not any(cluster.past().wanted.values())


def test_an_event_that_nobody_asked_about_before_is_filled_too() -> None:
    """Of people of whom there is no row yet."""
    cluster = changed(asking("7d", "other"), asking("14d"))
    assert cluster.activity(USER) is None
    cluster.backfill()
    cluster.settle()
    assert len(cluster.times(USER)) == 2


def test_a_workspace_that_comes_back_at_once_is_not_misread() -> None:
    """What rows still hold of it has a hole: it begins anew, and may be filled."""
    cluster = changed(asking("7d"), asking("7d", "other"))
    for number in range(2):
        cluster.open(number, asking("14d"), tidied=False)
        cluster.open(number, asking("7d", "other"), tidied=False)
        cluster.open(number, asking("14d"))
    assert cluster.times(USER) == []
    cluster.backfill()
    cluster.settle()
    assert len(cluster.times(USER)) == 2


def test_the_past_of_an_id_that_was_merged_is_the_persons() -> None:
    """It is sent on, once."""
    cluster = changed(asking("7d"), asking("7d"))
    cluster.track("limit", anonymousId=OTHER)
    cluster.settle()
    cluster.identify(USER, OTHER)
    cluster.settle()
    for number in range(2):
        cluster.open(number, asking("14d"))
    for _ in range(2):
        cluster.backfill()
        cluster.settle()
    assert len(cluster.times(USER)) == 3


def test_what_a_shared_device_did_for_one_person_does_not_come_to_the_next() -> None:
    """Its history stays where it was: word of whose that is would name somebody who may be erased by then."""
    cluster = Changing(asking("7d"))
    for user in (USER, "user-2"):
        cluster.track("limit", anonymousId=OTHER)
        cluster.settle()
        cluster.identify(user, OTHER)
        cluster.settle()
    cluster.track("limit", anonymousId=OTHER)
    cluster.settle()
    for number in range(2):
        cluster.open(number, asking("14d"))
    past = cluster.past()
    assert [line.partition(":")[0] for line in untold(past)] == ["2 event(s) of 1 id(s) count for no user"]
    cluster.backfill()
    cluster.settle()
    assert (len(cluster.times(USER)), len(cluster.times("user-2"))) == (0, 1)


def test_nothing_comes_back_of_who_was_erased() -> None:
    """Though the topic still has it, and somebody of that id came again."""
    cluster = changed(asking("7d"), asking("14d"))
    cluster.erase(USER)
    cluster.settle()
    cluster.now_ms += 1
    cluster.track("limit", userId=USER)
    cluster.settle()
    cluster.backfill()
    cluster.settle()
    assert len(cluster.times(USER)) == 1


def test_the_command_wants_the_workspace_that_the_engine_runs() -> None:
    """Another one's windows have no beginning yet."""
    cluster = changed(asking("7d"), asking("14d"))
    check_runs(compile_workspace(asking("14d")), cluster.books())
    with pytest.raises(Misconfigured, match=r"partition\(s\) 0, 1 run another workspace"):
        check_runs(compile_workspace(asking("21d")), cluster.books())


def test_it_says_from_when_on_a_window_is_exact() -> None:
    """Now, where the topic reaches back far enough."""
    plan = compile_workspace(asking("14d")).user
    slots = frozenset(plan.slot_parts)
    assert exact_from(plan, slots, 0, 14 * DAY) == ["limit, 14d: exact from now on"]
    (line,) = exact_from(plan, slots, DAY, 14 * DAY)
    begins = "the topic begins at 1970-01-02T00:00:00+00:00"
    assert line == f"limit, 14d: exact from 1970-01-16T00:00:00+00:00: {begins}"


@pytest.mark.parametrize("many", [3, 128, 400])
def test_a_shorter_window_counts_what_a_longer_one_did(many: int) -> None:
    """Singly up to 128; what was folded stays folded."""
    now_ms = 100 * DAY
    times = [now_ms - at * 3_600_000 for at in range(many)]
    long = add_all(None, times, now_ms, 60 * DAY)
    short = decode(refit(long, 60 * DAY, 7 * DAY, now_ms), 7 * DAY)
    kept = [at_ms for at_ms in sorted(times) if at_ms > now_ms - 7 * DAY]
    assert list(short.singles) == kept[-len(short.singles) :]
    assert len(short.singles) >= min(128, len(kept))
