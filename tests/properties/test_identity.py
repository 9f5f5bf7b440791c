"""Merges in any order, racing with events and with each other, against the history of one id."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, HOUR, TOPICS, Cluster
from workers.core.journeys.progress import Progress
from workers.core.merge import MERGED
from workers.state import ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = 60_000
VISITORS = tuple(f"visitor-{number}" for number in range(2))
USERS = tuple(f"user-{number}" for number in range(3))
BANNER = {"send": {"in_app": "banner", "once": "user"}}
STEPS = [BANNER, {"wait": "20m"}, {"send": {"email": "letter"}}]
WINDOW = {"performed": "limit", "at_least": 2, "within": "21d"}
UPSELL = journey(
    "upsell",
    entry={"on": {"event": "limit"}, "require": [WINDOW], "again": {"after": "7d"}},
    exit=[{"when": {"changed": "plan"}}],
    steps=STEPS,
)
EXPANSION = journey(
    "expansion",
    subject="account",
    entry={"on": {"event": "checked"}, "require": [{**WINDOW, "at_least": 3}], "again": {"after": "7d"}},
    steps=STEPS,
)


@st.composite
def targets(draw: st.DrawFn) -> dict[str, str]:
    """For some ids the one they are said to be: users any other, in chains and circles; visitors a user."""
    users = {user: draw(st.sampled_from((*USERS, *USERS, None))) for user in USERS}
    visitors = {visitor: draw(st.sampled_from((*USERS, None))) for visitor in VISITORS}
    return {one: into for one, into in (users | visitors).items() if into not in (None, one)}


def components(into: dict[str, str], said: set[str]) -> dict[str, frozenset[str]]:
    """The ids that are one person, after what was said."""
    groups = {one: {one} for one in (*VISITORS, *USERS)}
    for one in said:
        joined = groups[one] | groups[into[one]]
        for member in joined:
            groups[member] = joined
    return {one: frozenset(group) for one, group in groups.items()}


def is_circular(into: dict[str, str]) -> bool:
    """Whether some ids are, directly or by others, said to be themselves."""
    for one in into:
        passed, following = {one}, into.get(one)
        while following is not None and following not in passed:
            passed.add(following)
            following = into.get(following)
        if following is not None:
            return True
    return False


class History:
    """Drives a cluster by what Hypothesis draws, and remembers what is true."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.cluster = Cluster(UPSELL, EXPANSION)
        self.into = data.draw(targets())
        self.repeats = not is_circular(self.into)
        self.said: set[str] = set()
        self.times: dict[str, list[int]] = defaultdict(list)
        self.accounts: dict[str, list[int]] = defaultdict(list)
        self.members: dict[str, set[str]] = defaultdict(set)
        self.refused: set[str] = set()
        self.sent: list[dict[str, Any]] = []

    def someone(self) -> tuple[str, dict[str, str]]:
        """An id, and how an event names it."""
        one = self.data.draw(st.sampled_from((*VISITORS, *USERS)))
        return one, {"userId" if one in USERS else "anonymousId": one}

    def track(self) -> None:
        """An event that counts, perhaps for an account."""
        one, ids = self.someone()
        account = self.data.draw(st.sampled_from([None, "acme", "bolt"]))
        context = {"context": {"groupId": account}} if account is not None else {}
        name = self.data.draw(st.sampled_from(["limit", "limit", "checked"]))
        event = self.cluster.track(name, **ids, **context)
        self.sent.append(event)
        if name == "limit":
            self.times[one].append(self.cluster.now_ms)

    def again(self) -> None:
        """A producer that heard nothing sends an event again; not amid a circle (see docs/identity.md)."""
        if self.sent and self.repeats:
            self.cluster.produce(self.data.draw(st.sampled_from(self.sent)))

    def say(self) -> None:
        """Two ids are said to be one, for the first time or again."""
        if self.into:
            one = self.data.draw(st.sampled_from(sorted(self.into)))
            self.said.add(one)
            if one in VISITORS:
                self.cluster.identify(self.into[one], one)
            else:
                self.cluster.alias(one, self.into[one])

    def describe(self) -> None:
        """Traits: an address, a plan, a refusal."""
        one, ids = self.someone()
        described: list[dict[str, Any]] = [
            {"email": "a@example.com"},
            {"plan": "pro"},
            {"consent": {"email": False}},
        ]
        traits = self.data.draw(st.sampled_from(described))
        if "consent" in traits:
            self.refused.add(one)
        self.cluster.produce({"type": "identify", **ids, "traits": traits})

    def join(self) -> None:
        """Somebody joins an account."""
        one, ids = self.someone()
        account = self.data.draw(st.sampled_from(["acme", "bolt"]))
        self.members[account].add(one)
        role = {"role": self.data.draw(st.sampled_from(["owner", "admin"]))}
        self.cluster.produce({"type": "group", **ids, "groupId": account, "traits": role})

    def work(self) -> None:
        """One partition takes some records of one topic, while all else waits."""
        number = self.data.draw(st.integers(0, self.cluster.partitions - 1))
        topic = self.data.draw(st.sampled_from(TOPICS))
        self.cluster.turn(number, self.data.draw(st.integers(1, 4)), (topic,))

    def wait(self) -> None:
        """Time passes: a second, or enough for timers; in all less than the day that ids are known for."""
        self.cluster.now_ms += self.data.draw(st.sampled_from([1_000, 20 * MINUTE]))

    def run(self, *, settle: bool = True) -> None:
        """Everything happens, and comes to rest."""
        acts: list[Callable[[], None]] = [
            self.track,
            self.track,
            self.again,
            self.say,
            self.say,
            self.describe,
            self.join,
            self.wait,
        ]
        for act in self.data.draw(
            st.lists(st.sampled_from([*acts, *[self.work] * 7]), min_size=25, max_size=70)
        ):
            act()
        if settle:
            self.cluster.settle(self.data.draw(st.sampled_from([1, 3, 10**9])))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_the_order_the_ids_of_a_person_end_as_one(data: st.DataObject) -> None:
    """No loss, no double counting, no trigger, one row each, timers that fit, and accounts that know it."""
    past = History(data)
    past.run()
    cluster = past.cluster
    assert cluster.dead == []
    groups = components(past.into, past.said)
    for group in set(groups.values()):
        _check_person(past, group)
    for account, joined in past.members.items():
        roots = {cluster.root(one) for one in joined}
        assert set(cluster.row(ACCOUNTS.profiles, account).members) == roots
    sent = [message.id for message in cluster.messages()]
    assert len(sent) == len(set(sent))
    going = {
        held.timer_id: (cluster.root(one), held.id)
        for one in groups
        for held in (cluster.progress(one) or Progress(one)).enrollments
        if held.timer_id is not None
    }
    mine = {timer: told for timer, told in cluster.waiting().items() if told.subject_type == "user"}
    assert {timer: (told.subject, told.enrollment) for timer, told in mine.items()} == going


def _check_person(past: History, group: frozenset[str]) -> None:
    cluster = past.cluster
    (root,) = {cluster.root(one) for one in group}
    assert cluster.times(root) == sorted(at_ms for one in group for at_ms in past.times[one])
    for one in group - {root}:
        assert cluster.tables_of(one) <= {"identities"}
    assert set(cluster.identity(root).sources) == {one for one in group if one != root}
    assert cluster.identity(root).asked == {}
    if group & past.refused:
        assert cluster.profile(root).traits["consent"] == {"email": False}
    progress = cluster.progress(root)
    if progress is not None:
        active = [held.journey for held in progress.enrollments if held.is_active]
        assert len(active) == len(set(active))
        assert progress.subject == root
        assert all(held.is_active or held.end_reason for held in progress.enrollments)
        assert MERGED not in {held.end_reason for held in progress.enrollments} or len(group) > 1


events = st.lists(
    st.tuples(
        st.sampled_from(["limit", "limit", "plan", "group", "again"]),
        st.sampled_from(["visitor-0", "user-0", "both"]),
        st.sampled_from([1_000, HOUR, DAY, 8 * DAY]),
    ),
    max_size=25,
)


@given(events, st.booleans())
@settings(max_examples=100, deadline=None)
def test_after_a_merge_both_ids_act_as_one_id_always_did(
    past: list[tuple[str, str, int]], aliased: bool
) -> None:
    """Entries, exits, waits, caps and `once` are decided as for somebody who never had a second id."""
    outcomes = []
    for ids in (
        {
            "visitor-0": {"anonymousId": "visitor-0"},
            "user-0": {"userId": "user-0"},
            "both": {"userId": "user-0", "anonymousId": "visitor-0"},
        },
        {who: {"userId": "user-0"} for who in ("visitor-0", "user-0", "both")},
    ):
        cluster = Cluster(UPSELL, EXPANSION)
        if aliased:
            cluster.alias("visitor-0", "user-0")
        else:
            cluster.identify("user-0", "visitor-0", email="u@example.com")
        cluster.settle()
        last: dict[str, Any] = {}
        for number, (what, who, gap_ms) in enumerate(past):
            if what == "again" and last:
                cluster.produce(last)
            elif what == "plan":
                cluster.produce({"type": "identify", **ids[who], "traits": {"plan": f"p{number}"}})
            elif what == "group":
                cluster.produce({"type": "group", **ids[who], "groupId": "acme", "traits": {}})
            else:
                last = cluster.track("limit", **ids[who])
            cluster.settle()
            cluster.later(gap_ms)
        outcomes.append(
            (
                [(one.kind, one.outcome, one.reason, one.at_ms) for one in cluster.of("decisions")],
                [(one.id, one.template, one.person, one.requested_at_ms) for one in cluster.messages()],
                cluster.times("user-0"),
                cluster.times("acme", account=True),
                cluster.progress("user-0"),
                # A call that came by the other id has no offset in the partition of this one.
                msgspec.structs.replace(cluster.profile("user-0"), joined={}),
                cluster.profile("acme", account=True),
            )
        )
    merged, single = outcomes
    assert merged == single


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_whoever_is_erased_amid_merges_is_gone_everywhere(data: st.DataObject) -> None:
    """Whatever was on its way: no row, timer, membership or word of a merge names an id that answered."""
    past = History(data)
    past.run(settle=False)
    cluster = past.cluster
    asked = data.draw(st.sampled_from((*VISITORS, *USERS)))
    cluster.erase(asked)
    for _ in range(data.draw(st.integers(0, 20))):
        past.work()
    cluster.settle(data.draw(st.sampled_from([1, 3, 10**9])))
    erased = {
        one.subject
        for one in cluster.of("identity")
        if isinstance(one, wire.PersonErased) and one.place == "state"
    }
    assert asked in erased
    for one in erased:
        assert [key for key in cluster.mentions(one) if not key.startswith(b"x")] == []
    assert cluster.dead == []
