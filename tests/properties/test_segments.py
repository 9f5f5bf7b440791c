"""Looking at fewer segments comes to the same as looking at all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.workspace import Workspace
from workers.core.activity import slots, windows
from workers.core.compile import compile_workspace
from workers.core.facts import SubjectFacts
from workers.core.journeys.progress import Progress
from workers.core.segments import Memberships, is_quiet, next_due_ms, settle

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from workers.core.plan import SegmentsPlan, SubjectPlan

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_773_480_000_000

Plain = dict[str, Any]
Step = tuple[str, int]

_events = st.sampled_from(["a", "b", "c"])
_spans = st.sampled_from(["1d", "3d", "7d"])
_numbers = st.integers(0, 3)
_leaves: SearchStrategy[Plain] = st.one_of(
    st.builds(lambda e, w, n: {"performed": e, "within": w, "at_least": n + 1}, _events, _spans, _numbers),
    st.builds(lambda e, w, n: {"performed": e, "within": w, "at_most": n}, _events, _spans, _numbers),
    st.builds(lambda e, w, n: {"count": e, "within": w, "gte": n}, _events, _spans, _numbers),
    st.builds(lambda e, w, n: {"distinct": "n", "of": e, "within": w, "lt": n}, _events, _spans, _numbers),
    st.builds(lambda e, w, n: {"sum": "n", "of": e, "within": w, "gte": n}, _events, _spans, _numbers),
    st.builds(lambda e, n: {"performed": e, "within": "lifetime", "at_least": n + 1}, _events, _numbers),
    st.builds(lambda e, w: {"last": e, "older_than": w}, _events, _spans),
    st.builds(lambda e, w: {"count": e, "within": w, "trend": {"gte": 1}}, _events, _spans),
    st.sampled_from([{"trait": "plan", "eq": "pro"}, {"performed": "a", "within": "today", "at_least": 1}]),
)
_conditions = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        inner.map(lambda one: {"not": one}),
        st.lists(inner, min_size=1, max_size=2).map(lambda some: {"all": some}),
        st.lists(inner, min_size=1, max_size=2).map(lambda some: {"any": some}),
    ),
    max_leaves=3,
)


@st.composite
def plans(draw: DrawFn) -> SubjectPlan:
    """Some segments, some of which use one before them."""
    segments: list[Plain] = []
    for number in range(draw(st.integers(1, 5))):
        segment: Plain = {"segment": f"s{number}", "require": [draw(_conditions)]}
        if draw(st.booleans()):
            segment["exclude"] = [draw(_conditions)]
        if segments and draw(st.integers(0, 3)) == 0:
            segment["require"].append({"in_segment": draw(st.sampled_from(segments))["segment"]})
        segments.append(segment)
    return compile_workspace(Workspace.model_validate({"name": "w", "segments": segments})).user


class Rows:
    """What one user did, and the two rows of memberships that are to be the same."""

    def __init__(self, plan: SubjectPlan) -> None:
        self.plan: SubjectPlan = plan
        self.segments: SegmentsPlan = plan.segments
        self.held: dict[int, bytes] = {}
        self.traits: dict[str, Any] = {}
        self.row = Memberships()

    def does(self, event: str, at_ms: int, now_ms: int) -> None:
        """An event comes into the windows that want it."""
        wanted = self.plan.events.get(event)
        for slot in wanted.slots if wanted is not None else ():
            self.held[slot.id] = windows.add(self.held.get(slot.id), at_ms, now_ms, slot.retention_ms)
        for measure in wanted.measures if wanted is not None else ():
            kept = slots.record(measure, self.held.get(measure.id), at_ms, now_ms, {"n": at_ms % 3}, None)
            if kept is not None:
                self.held[measure.id] = kept

    def settled(self, now_ms: int, concerned: frozenset[str] | None, *, counted: bool = True) -> Memberships:
        """The row as it would be."""
        facts = SubjectFacts(
            now_ms, traits=self.traits, windows=self.held, retentions_ms=self.plan.retentions_ms
        )
        return settle(
            self.segments, self.row, facts, Progress("u"), now_ms, concerned, counted=counted
        ).memberships


_steps: SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "pro", "free", "waits", "waits"]), st.integers(0, 80)),
    max_size=8,
)


@given(plans(), _steps)
def test_those_that_are_passed_over_are_as_they_were(plan: SubjectPlan, steps: list[Step]) -> None:
    """Of somebody new, after each event and change, and at every instant at which time changes something."""
    who, now_ms, everything = Rows(plan), NOW, frozenset(plan.segments.places)
    who.row = who.settled(now_ms, everything)
    for kind, number in steps:
        if kind == "waits":
            until_ms = now_ms + number * HOUR
            while (due_ms := next_due_ms(who.row)) is not None and due_ms <= until_ms:
                now_ms = due_ms
                expected = who.settled(now_ms, everything)
                assert not is_quiet(plan.segments, who.row, now_ms)
                assert who.settled(now_ms, None).since_ms == expected.since_ms
                assert who.settled(now_ms, None, counted=False).since_ms == expected.since_ms
                who.row = expected
            now_ms = until_ms
        elif kind in {"pro", "free"}:
            who.traits["plan"] = kind
            assert who.settled(now_ms, None, counted=False) == who.settled(now_ms, everything)
        else:
            who.does(kind, now_ms - number * HOUR, now_ms)
            assert who.settled(now_ms, plan.segments.by_event.get(kind, frozenset())).since_ms == (
                who.settled(now_ms, everything).since_ms
            )
        expected = who.settled(now_ms, everything)
        assert who.settled(now_ms, None) == expected
        if is_quiet(plan.segments, who.row, now_ms) and kind not in {"a", "b", "c"}:
            assert expected.since_ms == who.row.since_ms
        who.row = expected


@given(plans())
def test_who_did_nothing_is_looked_at_where_something_may_let_them_in(plan: SubjectPlan) -> None:
    """Segments of counts that nobody new is in are passed over; the others are not."""
    who = Rows(plan)
    assert who.settled(NOW, None) == who.settled(NOW, frozenset(plan.segments.places))
    assert who.settled(NOW, None, counted=False) == who.settled(NOW, None)
