"""A state that was filled from files and topic is the one that had all of it through the topic."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.test_backfill import NEW, OLD, USERS, happenings
from tests.unit.cli.backfill_kit import Changing
from tests.unit.identity.kit import DAY, _moment

in_file = st.sampled_from([True, True, False])
happening = st.tuples(happenings.map(lambda one: {**one, "account": one["account"] or "acme"}), in_file)


def some(least: int) -> st.SearchStrategy[list[tuple[dict[str, Any], bool]]]:
    """At least so many events, each with whether the files have it, too."""
    return st.lists(happening, min_size=least, max_size=8)


class Three:
    """One history: all through the topic; or its beginning in files alone, and most of the rest in both."""

    def __init__(self, *, from_the_start: bool) -> None:
        self.first, self.later = Changing(NEW), Changing(NEW if from_the_start else OLD)
        self.lines: list[bytes] = []
        self._count = 0

    def ancient(self, step: dict[str, Any]) -> None:
        """Of before there was a topic."""
        self._happen(step, [self.first], is_in_file=True)

    def step(self, step: dict[str, Any], *, is_in_file: bool) -> None:
        """Through the topic, in both."""
        self._happen(step, [self.first, self.later], is_in_file=is_in_file)
        for number, most in step["read"]:
            self.later.turn(number, most)

    def _happen(self, step: dict[str, Any], clusters: list[Changing], *, is_in_file: bool) -> None:
        self._count += 1
        user = step["user"]
        plain: dict[str, Any] = {"type": "group", "userId": user, "groupId": step["account"]}
        if not step["group"]:
            named = {"event": step["name"], "context": {"groupId": step["account"]}}
            plain = {"type": "track", "userId": user, "properties": {"n": step["n"]}, **named}
        moment = _moment(self.first.now_ms - step["late_ms"])
        line = msgspec.json.encode({"messageId": f"x{self._count}", "timestamp": moment, **plain})
        times = 2 if step["again"] else 1
        for cluster in clusters:
            for _ in range(times):
                cluster.send("product-events", "another" if step["wrong_key"] else user, line)
        if is_in_file:
            self.lines += [line] * times
        self.first.settle()
        for cluster in (self.first, self.later):
            cluster.now_ms += step["pass_ms"]

    def end(self) -> None:
        """Everything is read, in both."""
        self.first.settle()
        self.later.settle()


@settings(max_examples=80)
@given(some(3), some(2), some(0), some(0), st.booleans(), st.integers(0, 6))
def test_what_files_have_and_the_topic_has_counts_once(
    ancient: list[tuple[dict[str, Any], bool]],
    before: list[tuple[dict[str, Any], bool]],
    meanwhile: list[tuple[dict[str, Any], bool]],
    after: list[tuple[dict[str, Any], bool]],
    from_the_start: bool,
    broken_off: int,
) -> None:
    """With windows that are new and windows that have counted from the start of the topic.

    The command runs with the engine, is broken off after some records, and is given again, twice.
    """
    both = Three(from_the_start=from_the_start)
    for one, _ in ancient:
        both.ancient(one)
    for cluster in (both.first, both.later):
        cluster.now_ms += DAY
    for one, is_in_file in before:
        both.step(one, is_in_file=is_in_file)
    both.later.open(0, NEW)
    for one, is_in_file in meanwhile:
        both.step(one, is_in_file=is_in_file)
    both.later.open(1, NEW)
    lines = list(both.lines)
    both.later.backfill_files(lines, broken_off)
    for one, is_in_file in after:
        both.step(one, is_in_file=is_in_file)
    both.later.backfill_files(lines)
    both.later.turn(0)
    both.later.backfill_files(lines)
    both.end()
    assert both.later.contents() == both.first.contents()
    assert not any(both.later.past().wanted.values())
    assert not any(both.later.archive([]).wanted.values())
    assert both.later.dead == []


def test_the_history_has_users_of_both_partitions() -> None:
    """Else nothing would have to be told apart by partition."""
    cluster = Changing(NEW)
    for user in USERS:
        cluster.track("limit", userId=user)
    assert all(cluster.log["product-events", number] for number in range(2))
