"""A state that was backfilled is the one that had the definition from the start, whatever happened."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.workspace import Journey, Workspace
from tests.unit.cli.backfill_kit import Changing
from tests.unit.core.kit import journey
from tests.unit.identity.kit import HOUR, _moment

USERS = ("u1", "u2", "u5")  # of both partitions
NAMES = ("limit", "seen", "met")  # nobody asked about the last one before


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
        {"performed": "met", "within": "30d"},
        subject="account",
    ),
)

happenings = st.fixed_dictionaries(
    {
        "user": st.sampled_from(USERS),
        "name": st.sampled_from(NAMES),
        "account": st.sampled_from(["acme", "bolt", None]),
        "group": st.sampled_from([None, None, None, "acme", "bolt"]),
        "leaves": st.booleans(),
        "n": st.integers(0, 4),
        "late_ms": st.sampled_from([0, HOUR, 8 * 24 * HOUR]),
        "again": st.booleans(),
        "wrong_key": st.sampled_from([False, False, True]),
        "pass_ms": st.sampled_from([0, HOUR // 3]),
        "read": st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), max_size=3),
    }
)


def plausible(happening: dict[str, Any]) -> dict[str, Any]:
    """Of what nobody asks about an engine keeps no ids: a repeat of it is one only after somebody asks."""
    return {**happening, "again": happening["again"] and happening["name"] != "met"}


def some(least: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """At least so many events, each with what the partitions read after it."""
    return st.lists(happenings.map(plausible), min_size=least, max_size=12)


gone = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(["acme", "bolt"]),
        st.sampled_from(["joins", "joins", "acts", "leaves"]),
        st.sampled_from([0, HOUR]),
    ),
    max_size=8,
)
"""What the topic has dropped: users who join accounts, act for them and leave them; how late it comes."""


class Both:
    """The same history in an engine that asked from the start and in one that asks later.

    Both read the same records in the same transactions: what a partition sends on to another, because it has
    another key, comes to the same place.
    """

    def __init__(self) -> None:
        self.first, self.later = Changing(NEW), Changing(OLD)
        self.switched: set[int] = set()
        self._count = 0

    def begin(self, dropped: list[tuple[str, str, str, int]]) -> None:
        """This happened before the topic's first record."""
        for user, account, what, late_ms in dropped:
            for cluster in (self.first, self.later):
                told: dict[str, Any] = {"type": "group", "groupId": account}
                if what == "leaves":
                    told["traits"] = {"remove": True}
                if what == "acts":
                    told = {"type": "page", "context": {"groupId": account}}
                cluster.produce({"userId": user, "timestamp": _moment(cluster.now_ms - late_ms), **told})
                cluster.settle()
                cluster.now_ms += 1_000
        self.later.trim()

    def step(self, step: dict[str, Any]) -> None:
        """An event is produced, some records are read, some time passes."""
        self._produce(step)
        for number, most in step["read"]:
            for cluster in (self.first, self.later):
                cluster.turn(number, most)
        for cluster in (self.first, self.later):
            cluster.now_ms += step["pass_ms"]

    def switch(self, number: int) -> None:
        """A partition takes the new workspace up, once."""
        if number not in self.switched:
            self.switched.add(number)
            self.later.open(number, NEW)

    def _produce(self, step: dict[str, Any]) -> None:
        self._count += 1
        user = step["user"]
        plain: dict[str, Any] = {"type": "group", "userId": user, "groupId": step["group"]}
        if step["leaves"]:
            plain["traits"] = {"remove": True}
        if step["group"] is None:
            plain = {
                "type": "track",
                "event": step["name"],
                "userId": user,
                "properties": {"n": step["n"]},
                "context": {"groupId": step["account"]},
            }
        late_ms = step["late_ms"]
        for cluster in (self.first, self.later):
            event = {"messageId": f"x{self._count}", "timestamp": _moment(cluster.now_ms - late_ms), **plain}
            key = "another" if step["wrong_key"] else user
            for _ in range(2 if step["again"] else 1):
                cluster.send("product-events", key, msgspec.json.encode(event))

    def end(self) -> None:
        """Everything is read, in both."""
        for number in range(2):
            self.switch(number)
        self.first.settle()
        self.later.settle()


@settings(max_examples=80)
@given(
    gone,
    some(4),
    some(0),
    some(0),
    st.integers(0, 1),
    st.integers(0, 5),
)
def test_what_was_backfilled_is_what_would_have_been_counted(
    dropped: list[tuple[str, str, str, int]],
    before: list[dict[str, Any]],
    meanwhile: list[dict[str, Any]],
    after: list[dict[str, Any]],
    first: int,
    broken_off: int,
) -> None:
    """With repeats, late and misplaced events, and partitions that change at different times and lag behind.

    Users join accounts, say so again, act for one or the other, leave them and come back, in part before the
    topic begins; and do what accounts are asked about without a word for which of them.

    The command runs with the engine, is broken off after some records, and is given again, twice.
    """
    both = Both()
    both.begin(dropped)
    for step in before:
        both.step(step)
    both.switch(first)
    for step in meanwhile:
        both.step(step)
    both.switch(1 - first)
    both.later.backfill(broken_off)
    for step in after:
        both.step(step)
    both.later.backfill()
    for cluster in (both.first, both.later):
        cluster.turn(0)
    both.later.backfill()
    both.end()
    assert both.later.contents() == both.first.contents()
    assert not any(both.later.past().wanted.values())
    assert both.later.dead == []


deeds = st.lists(
    st.tuples(
        st.sampled_from(["limit", "limit", "limit", "joins", "joins", "leaves", "is"]),
        st.sampled_from(USERS),
        st.sampled_from(["acme", "acme", "bolt"]),
        st.sampled_from(USERS),
        st.booleans(),
    ),
    min_size=5,
    max_size=16,
)
"""What somebody does, with which account, or as whom; whether the event names the account."""


@settings(max_examples=120)
@given(deeds, st.integers(0, 6))
def test_what_was_done_under_ids_that_became_one_counts_where_it_counted(
    happened: list[tuple[str, str, str, str, bool]], dropped: int
) -> None:
    """Each id acted for its own accounts until it was merged; what brought it somebody's account came then.

    Each id is said to be another once, in circles, too. What a merged id does afterwards names its account.
    """
    first, later = Changing(NEW), Changing(OLD)
    said: set[str] = set()
    for number, (what, user, account, other, names) in enumerate(happened):
        if number == dropped:
            later.trim()
        if (what == "is" and (user in said or user == other)) or (what == "limit" and number < dropped):
            continue
        said |= {user} if what == "is" else set()
        for cluster in (first, later):
            _do(cluster, what, user, other if what == "is" else account, names=names)
    for number in range(2):
        later.open(number, NEW)
    later.backfill()
    first.settle()
    later.settle()
    assert later.contents() == first.contents()
    assert not later.past().untold


def _do(cluster: Changing, what: str, user: str, whom: str, *, names: bool) -> None:
    if what == "is":
        cluster.alias(user, whom)
    elif what == "limit":
        is_merged = cluster.identity(user).merged_into is not None
        cluster.track("limit", userId=user, context={"groupId": whom if names or is_merged else None})
    elif what == "leaves":
        cluster.group(user, whom, remove=True)
    else:
        cluster.group(user, whom)
    cluster.settle()
    cluster.now_ms += 1_000
