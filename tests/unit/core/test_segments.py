"""Who is in a segment, at every instant: decided by events, by changes, and by time alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from pydantic import ValidationError

from schemas.workspace import Segment, Workspace
from workers.core.activity import windows
from workers.core.compile import CircularSegmentsError, compile_workspace
from workers.core.facts import SubjectFacts
from workers.core.journeys.progress import Progress
from workers.core.segments import (
    Memberships,
    Settled,
    due_segments,
    enlist,
    next_due_ms,
    settle,
    using,
)

if TYPE_CHECKING:
    from workers.core.plan import SubjectPlan

DAY_MS = 86_400_000
NOW = 1_800_000_000_000

LIMITED = {"segment": "limited", "require": [{"performed": "limit", "at_least": 2, "within": "14d"}]}
STARTER = {"segment": "starter", "require": [{"trait": "plan", "eq": "starter"}]}
READY = {"segment": "ready", "require": [{"in_segment": "limited"}, {"in_segment": "starter"}]}
BETA = {"segment": "beta", "static": True}
INVITED = {"segment": "invited", "require": [{"in_segment": "beta"}], "exclude": [{"in_segment": "limited"}]}


def plan_of(*segments: dict[str, Any]) -> SubjectPlan:
    """The users' plan of a workspace with these segments."""
    return compile_workspace(Workspace.model_validate({"name": "w", "segments": list(segments)})).user


@dataclass
class Person:
    """One user, whose segments are settled after everything that happens."""

    plan: SubjectPlan
    row: Memberships = field(default_factory=Memberships)
    traits: dict[str, Any] = field(default_factory=dict)
    held: dict[int, bytes] = field(default_factory=dict)
    told: list[tuple[str, str, int]] = field(default_factory=list)

    def does(self, event: str, at_ms: int, now_ms: int | None = None) -> None:
        """An event arrives."""
        now_ms = at_ms if now_ms is None else now_ms
        for slot in self.plan.events[event].slots:
            self.held[slot.id] = windows.add(self.held.get(slot.id), at_ms, now_ms, slot.retention_ms)
        self.settles(now_ms, self.plan.segments.by_event[event])

    def becomes(self, now_ms: int, **traits: Any) -> None:
        """Traits change."""
        self.traits.update(traits)
        self.settles(now_ms, None)

    def waits(self, until_ms: int) -> None:
        """Time passes: every timer fires at its instant."""
        while (due_ms := next_due_ms(self.row)) is not None and due_ms <= until_ms:
            self.settles(due_ms, due_segments(self.row, due_ms))

    def settles(self, now_ms: int, concerned: frozenset[str] | None) -> Settled:
        """Look at the segments."""
        facts = SubjectFacts(
            now_ms=now_ms,
            traits=self.traits,
            windows=self.held,
            retentions_ms=self.plan.retentions_ms,
        )
        settled = settle(self.plan.segments, self.row, facts, Progress("u"), now_ms, concerned)
        self.row = settled.memberships
        self.told += [(one.segment, one.change, now_ms) for one in settled.crossings]
        return settled


def test_an_event_brings_a_subject_in_and_time_alone_takes_it_out() -> None:
    """To the millisecond: the occurrence that is 14 days old has left the window."""
    person = Person(plan_of(LIMITED))
    person.does("limit", NOW)
    assert person.told == []
    person.does("limit", NOW + DAY_MS)
    person.waits(NOW + 14 * DAY_MS - 1)
    assert person.told == [("limited", "entered", NOW + DAY_MS)]
    person.waits(NOW + 14 * DAY_MS)
    assert person.told[1:] == [("limited", "left", NOW + 14 * DAY_MS)]
    person.waits(NOW + 99 * DAY_MS)
    assert len(person.told) == 2
    assert next_due_ms(person.row) is None


def test_who_lost_its_windows_leaves() -> None:
    """A full look does not pass over a segment that the subject is in, though no window speaks for it."""
    person = Person(plan_of(LIMITED))
    person.does("limit", NOW)
    person.does("limit", NOW + 1)
    person.held = {}
    person.settles(NOW + 2, None)
    assert person.told == [("limited", "entered", NOW + 1), ("limited", "left", NOW + 2)]
    assert person.row.is_empty


def test_a_late_event_counts_from_when_it_happened() -> None:
    """The member that it makes leaves as if it had been there in time."""
    person = Person(plan_of(LIMITED))
    person.does("limit", NOW)
    person.does("limit", NOW - 10 * DAY_MS, now_ms=NOW)
    assert person.told == [("limited", "entered", NOW)]
    person.waits(NOW + 5 * DAY_MS)
    assert person.told[1:] == [("limited", "left", NOW + 4 * DAY_MS)]


def test_only_what_an_event_concerns_is_looked_at() -> None:
    """A trait that changed unseen does not show until something asks about it."""
    person = Person(plan_of(LIMITED, STARTER))
    person.becomes(NOW, plan="pro")
    person.traits["plan"] = "starter"
    person.does("limit", NOW)
    assert person.told == []
    person.settles(NOW, None)
    assert person.told == [("starter", "entered", NOW)]


def test_a_segment_of_segments_follows_at_once() -> None:
    """In the same step, and in the order in which they depend on each other."""
    person = Person(plan_of(READY, LIMITED, STARTER))
    person.becomes(NOW, plan="starter")
    person.does("limit", NOW)
    person.does("limit", NOW + 1)
    assert person.told[1:] == [("limited", "entered", NOW + 1), ("ready", "entered", NOW + 1)]
    person.waits(NOW + 14 * DAY_MS)
    assert [told[:2] for told in person.told[3:]] == [("limited", "left"), ("ready", "left")]


def test_a_list_is_kept_from_outside_and_others_may_use_it() -> None:
    """Static segments are neither entered nor left by anything else."""
    plan = plan_of(BETA, INVITED, LIMITED)
    row, crossing = enlist(plan.segments, Memberships(), "beta", NOW, member=True)
    assert crossing is not None
    assert (crossing.segment, crossing.change) == ("beta", "entered")
    assert enlist(plan.segments, row, "beta", NOW + 1, member=True) == (row, None)
    person = Person(plan, row)
    person.settles(NOW, using(plan.segments, "beta"))
    assert person.told == [("invited", "entered", NOW)]
    person.row, _ = enlist(plan.segments, person.row, "beta", NOW + 2, member=False)
    person.settles(NOW + 2, using(plan.segments, "beta"))
    assert person.told[1:] == [("invited", "left", NOW + 2)]
    assert person.row.since_ms == {}


@pytest.mark.parametrize("name", ["limited", "no_such"])
def test_nobody_is_put_on_a_list_that_is_none(name: str) -> None:
    """Neither a dynamic segment nor one that does not exist."""
    row = Memberships()
    assert enlist(plan_of(LIMITED).segments, row, name, NOW, member=True) == (row, None)


def test_what_changed_nothing_gives_the_very_row() -> None:
    """So that nobody writes it."""
    person = Person(plan_of(LIMITED))
    person.does("limit", NOW)
    before = person.row
    assert person.settles(NOW, frozenset({"limited"})).memberships is before


def test_a_new_workspace_has_other_segments() -> None:
    """What is gone is left, what is new is entered, what stays stays."""
    person = Person(plan_of(LIMITED, STARTER), traits={"plan": "starter"})
    person.settles(NOW, None)
    scale = {"segment": "not_pro", "require": [{"trait": "plan", "ne": "pro", "if_missing": "pass"}]}
    person.plan = plan_of(LIMITED, scale)
    person.settles(NOW + 5, None)
    assert person.row.since_ms == {"not_pro": NOW + 5}
    assert person.told == [
        ("starter", "entered", NOW),
        ("starter", "left", NOW + 5),
        ("not_pro", "entered", NOW + 5),
    ]


def test_segments_that_use_each_other_are_refused() -> None:
    """No order could decide them."""
    one = {"segment": "one", "require": [{"in_segment": "two"}]}
    two = {"segment": "two", "require": [{"in_segment": "one"}]}
    with pytest.raises(CircularSegmentsError, match="one"):
        plan_of(one, two)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"segment": "x"}, "require says who belongs"),
        ({"segment": "x", "exclude": [{"trait": "a", "eq": 1}]}, "require says who belongs"),
        (
            {"segment": "x", "static": True, "require": [{"trait": "a", "eq": 1}]},
            "a static segment is a list",
        ),
        ({"segment": "Not a name", "static": True}, "a name has small letters"),
    ],
)
def test_a_segment_is_a_condition_or_a_list(content: dict[str, Any], told: str) -> None:
    """Not both, and not neither."""
    with pytest.raises(ValidationError, match=told):
        Segment.model_validate(content)


def test_what_members_are_told_is_what_users_ask() -> None:
    """All of it once all segments were looked at; a crossing before that tells of itself alone."""
    asking = {"segment": "asking", "require": [{"account": {"in_segment": "teams"}}]}
    nested = {"segment": "nested", "require": [{"not": {"account": {"in_segment": "large"}}}]}
    teams = {"segment": "teams", "subject": "account", "static": True}
    large = {"segment": "large", "subject": "account", "require": [{"trait": "seats", "gte": 9}]}
    unasked = {"segment": "unasked", "subject": "account", "require": [{"trait": "seats", "gte": 9}]}
    content = {"name": "w", "segments": [asking, nested, teams, large, unasked]}
    plan = compile_workspace(Workspace.model_validate(content))
    assert plan.user.segments.told == frozenset()
    assert plan.account.segments.told == {"teams", "large"}
    on, _ = enlist(plan.account.segments, Memberships(), "teams", NOW, member=True)
    assert on.told == {"teams": True}
    facts = SubjectFacts(now_ms=NOW, traits={"seats": 9})
    all_told = settle(plan.account.segments, on, facts, Progress("a"), NOW, None).memberships
    assert all_told.told == {"teams": True, "large": True}
    off, _ = enlist(plan.account.segments, all_told, "teams", NOW + 1, member=False)
    assert off.told == {"teams": False, "large": True}


def test_accounts_are_looked_at_anew_when_users_ask_another_segment() -> None:
    """Though no segment of accounts is another; and where nobody asks, nothing is."""
    large = {"segment": "large", "subject": "account", "require": [{"trait": "seats", "gte": 9}]}
    asking = {"segment": "asking", "require": [{"account": {"in_segment": "large"}}]}
    versions = [
        compile_workspace(Workspace.model_validate({"name": "w", "segments": one})).account.segments.version
        for one in ([large], [large, asking], [large, {**asking, "segment": "other"}], [large, LIMITED])
    ]
    assert versions[0] == versions[3]
    assert versions[1] == versions[2] != versions[0]


def test_a_row_of_before_told_nobody() -> None:
    """Rows of the version without what was told are read as they are."""
    plain = msgspec.msgpack.encode([{"limited": NOW}, {}])
    assert msgspec.msgpack.decode(plain, type=Memberships) == Memberships({"limited": NOW})
