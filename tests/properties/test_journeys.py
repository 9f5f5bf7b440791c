"""What holds for every journey, whatever happens in whatever order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import msgspec
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.core.kit import DAY, HOUR, START, World, journey, plan_of
from workers.core.journeys.entry import is_held_out
from workers.core.journeys.progress import Position, Progress

if TYPE_CHECKING:
    from workers.core.commands import SetTimer

TEMPLATES = ("a", "b", "c")
CONDITION: dict[str, Any] = {"trait": "vip", "eq": True}

sends = st.builds(
    lambda channel, template, once: {"send": {channel: template} | ({"once": "user"} if once else {})},
    st.sampled_from(["in_app", "email"]),
    st.sampled_from(TEMPLATES),
    st.booleans(),
)
timeouts = st.sampled_from(["1s", "1h", "1d"])
waits = (timeouts | st.sampled_from([{"at": "09:00", "on": ["mon", "thu"]}, {"until": "2026-03-15"}])).map(
    lambda wait: {"wait": wait}
)
others = st.sampled_from(
    [
        {"update": {"traits": {"vip": True}}},
        {"update": {"traits": {"vip": None, "seen": {"now": True}}}},
        {"enroll": "one"},
        {"enroll": "two"},
        {"send": {"webhook": "call"}},
        {"send": {"in_app": "a"}, "variants": {"x": 40, "y": 60}},
    ]
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Every kind of step that holds others."""
    some = st.lists(inner, min_size=1, max_size=3)
    any_or_all = st.sampled_from(["any", "all"])
    return st.one_of(
        st.builds(
            lambda first, second: {"branch": [{"when": CONDITION, "steps": first}, {"otherwise": second}]},
            some,
            some,
        ),
        st.builds(
            lambda first, second: {
                "split": [
                    {"name": "x", "weight": 40, "steps": first},
                    {"name": "y", "weight": 60, "steps": second},
                ],
            },
            some,
            st.lists(inner, max_size=2),
        ),
        st.builds(
            lambda first, second, join: {"parallel": [{"steps": first}, {"steps": second}], "join": join},
            some,
            some,
            any_or_all,
        ),
        st.builds(
            lambda held, times, until: {
                "repeat": {"times": times, "steps": held} | ({"until": CONDITION} if until else {})
            },
            some,
            st.integers(1, 3),
            st.booleans(),
        ),
        st.builds(
            lambda timeout, held: {"wait_until": {"when": CONDITION, "timeout": timeout}, "timed_out": held},
            timeouts,
            st.lists(inner, max_size=2),
        ),
        st.builds(
            lambda timeout, since, held, restart: {
                "wait_for": {
                    "first_of": [{"event": "ping", "steps": held}, {"event": "paid"}],
                    "timeout": timeout,
                    "since": since,
                }
                | ({"restart_on": {"event": "again"}} if restart else {})
            },
            timeouts,
            st.sampled_from(["step", "entry"]),
            st.lists(inner, max_size=2),
            st.booleans(),
        ),
    )


steps = st.lists(st.recursive(sends | waits | others, _nested, max_leaves=6), min_size=1, max_size=5).filter(
    lambda plain: str(plain).count("'") < 2_000
)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "plan": st.integers(0, 1),
    "vip": st.booleans(),
    "gone": st.just(True) | st.just(False),
}
agains = st.sampled_from(["never", "always", {"after": "1d"}])
holdouts = st.sampled_from(["0%", "50%", "100%"])
durations = st.sampled_from([0, 1, 1_000, HOUR, HOUR + 1, DAY, 3 * DAY])


def described(name: str, again: Any, holdout: str, its_steps: list[dict[str, Any]]) -> dict[str, Any]:
    """A journey with two exits and a goal."""
    return journey(
        name,
        tags=["promo"],
        entry={"on": {"event": "enter"}, "again": again},
        exit=[
            {"when": {"event": "leave"}},
            {"when": {"changed": "plan"}},
            {"when": {"trait": "gone", "eq": True}, "then": {"enroll": "two"}},
        ],
        goal={"event": "paid", "within": "2d"},
        holdout=holdout,
        steps=its_steps,
    )


class JourneyMachine(RuleBasedStateMachine):
    """One person in two journeys: events, traits, time, stale timers, repeated records, edited journeys."""

    @initialize(
        again=st.tuples(agains, agains), holdout=st.tuples(holdouts, holdouts), each=st.tuples(steps, steps)
    )
    def begin(self, again: Any, holdout: Any, each: Any) -> None:
        """Two journeys and nobody in them."""
        self.journeys = [
            described(name, *parts) for name, *parts in zip(("one", "two"), again, holdout, each, strict=True)
        ]
        self.world = World(plan_of(*self.journeys).user)
        self.fired: list[SetTimer] = []
        self.records: list[Any] = []
        self.left_at_count: dict[str, int] = {}
        self.edited = False

    @rule()
    def enter(self) -> None:
        """A candidate that is enrolled at once."""
        records, _ = self.world.signal("enter")
        for record in records:
            self.world.enroll(record)
        self.world.enroll_asked()
        self.records += records

    @rule()
    def become_a_candidate(self) -> None:
        """A candidate whose record still waits."""
        self.records += self.world.signal("enter")[0]

    @rule(data=st.data())
    def enroll_late_or_again(self, data: st.DataObject) -> None:
        """A record arrives late, or a second time."""
        if self.records:
            self.world.enroll(data.draw(st.sampled_from(self.records)))

    @rule(event=st.sampled_from(["leave", "paid", "ping", "again"]), late_ms=st.sampled_from([0, 0, 1, HOUR]))
    def happen(self, event: str, late_ms: int) -> None:
        """An event that ends, converts, or is waited for, perhaps late."""
        self.world.track(event, self.world.now_ms - late_ms)

    @rule(traits=st.fixed_dictionaries({}, optional=OPTIONAL))
    def change(self, traits: dict[str, Any]) -> None:
        """Traits that may end, or lead elsewhere."""
        self.world.identify(**traits)

    @rule(email=st.sampled_from([None, "a@example.com"]), allowed=st.booleans())
    def consent(self, email: str | None, allowed: bool) -> None:
        """The gate opens and closes."""
        self.world.identify(email=email, consent={"in_app": allowed})

    @rule(duration_ms=durations)
    def wait(self, duration_ms: int) -> None:
        """Time passes and timers fire."""
        self.fired += list(self.world.timers.values())
        self.world.advance(duration_ms)

    @rule(data=st.data())
    def fire_a_stale_timer(self, data: st.DataObject) -> None:
        """A timer that has fired, was cancelled or was moved to later, fires all the same."""
        due = {
            timer.enrollment_id for timer in self.world.timers.values() if timer.due_ms <= self.world.now_ms
        }
        stale = [timer for timer in self.fired if timer.enrollment_id not in due]
        if stale:
            transition = self.world.fire(data.draw(st.sampled_from(stale)))
            assert transition.commands == ()

    @rule(which=st.integers(0, 1), edited=steps)
    def publish(self, which: int, edited: list[dict[str, Any]]) -> None:
        """The workspace is edited under those inside."""
        self.edited = True
        self.journeys[which] = self.journeys[which] | {"steps": edited}
        self.world.plan = plan_of(*self.journeys).user

    @invariant()
    def no_message_twice(self) -> None:
        """At most one message per idempotency key."""
        ids = [message.id for message in self.world.messages]
        assert len(ids) == len(set(ids))

    @invariant()
    def no_message_after_the_end(self) -> None:
        """Once an enrollment has ended, no message of it follows, at whatever time."""
        ended = {
            decision.enrollment
            for decision in self.world.decisions
            if decision.kind == "exit" and decision.enrollment is not None
        }
        for enrollment in ended:
            sent = sum(message.enrollment == enrollment for message in self.world.messages)
            assert self.left_at_count.setdefault(enrollment, sent) == sent

    @invariant()
    def the_holdout_is_never_messaged(self) -> None:
        """Whatever version of whatever journey runs."""
        held_out = {
            name for name, plan in self.world.plan.journeys.items() if is_held_out(plan, self.world.subject)
        }
        assert not held_out & {message.journey for message in self.world.messages}

    @invariant()
    def once_is_once(self) -> None:
        """A template of a step that says so is sent once after it was remembered."""
        assert len(self.world.progress.once) == len(set(self.world.progress.once))

    @invariant()
    def every_enrollment_that_waits_has_its_timer(self) -> None:
        """And no timer is set for anybody else."""
        active = [held for held in self.world.progress.enrollments if held.is_active]
        waiting = {
            held.timer_id: min(
                position.due_ms for position in (*held.positions, Position("", held.look_ms or 2**60))
            )
            for held in active
        }
        assert waiting == {timer.timer_id: timer.due_ms for timer in self.world.timers.values()}
        assert all(held.positions for held in active)

    @invariant()
    def no_step_runs_twice(self) -> None:
        """Each send and each split of each round is decided once: parts join once, replays do nothing."""
        decided = [one.id for one in self.world.decisions if one.kind in {"send", "split"}]
        assert self.edited or len(decided) == len(set(decided))

    @invariant()
    def chance_is_sticky(self) -> None:
        """The arm of an experiment is that of the subject, whatever came before."""
        arms: dict[str, str | None] = {}
        for one in self.world.decisions:
            if one.kind == "split":
                name = f"{one.values['experiment']} {one.version}"
                assert arms.setdefault(name, one.variant) == one.variant

    @invariant()
    def nothing_is_kept_of_what_is_over(self) -> None:
        """Of an ended enrollment no position, and no properties."""
        for held in self.world.progress.enrollments:
            if not held.is_active:
                assert (held.positions, held.awaited, held.early, held.due_ms) == ((), {}, {}, None)

    @invariant()
    def one_active_enrollment_per_journey(self) -> None:
        """Whatever came twice."""
        active = [held.journey for held in self.world.progress.enrollments if held.is_active]
        assert len(active) == len(set(active))

    @invariant()
    def one_conversion_and_one_end_per_enrollment(self) -> None:
        """Decision ids are unique for both."""
        conversions = [one.enrollment for one in self.world.conversions]
        assert len(conversions) == len(set(conversions))
        ends = [one.enrollment for one in self.world.decisions if one.kind == "exit"]
        assert len(ends) == len(set(ends))

    @invariant()
    def each_message_has_its_decision(self) -> None:
        """No send without a record of why."""
        decided = sum(one.kind == "send" and one.outcome == "send" for one in self.world.decisions)
        assert decided == len(self.world.messages)

    @invariant()
    def the_row_survives_its_codec(self) -> None:
        """At every point."""
        encoded = msgspec.msgpack.encode(self.world.progress)
        assert msgspec.msgpack.decode(encoded, type=Progress) == self.world.progress


TestJourneys = JourneyMachine.TestCase
TestJourneys.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@settings(deadline=None)
@given(its_steps=steps, vip=st.booleans())
def test_everybody_comes_to_the_end(its_steps: list[dict[str, Any]], vip: bool) -> None:
    """Without an exit, whoever enters completes, and each step on the way is decided once."""
    world = World(plan_of(described("one", "never", "0%", its_steps)).user, vip=vip)
    world.track("enter")
    world.advance(2_000 * DAY)
    assert world.outcomes("exit") == [("completed", None)]
    assert world.timers == {}
    decided = [one.id for one in world.decisions if one.kind == "send"]
    assert len(decided) == len(set(decided))


@settings(deadline=None)
@given(its_steps=steps, after_ms=st.integers(0, 3 * DAY))
def test_nothing_is_sent_at_or_after_the_time_of_an_exit(
    its_steps: list[dict[str, Any]], after_ms: int
) -> None:
    """Whatever the step it comes in."""
    world = World(plan_of(described("one", "never", "0%", its_steps)).user)
    world.track("enter")
    world.advance(after_ms)
    before = len(world.messages)
    world.track("leave")
    world.advance(400 * DAY)
    assert len(world.messages) == before
    assert all(message.requested_at_ms <= START + after_ms for message in world.messages)


@settings(deadline=None)
@given(its_steps=steps, subject=st.text(min_size=1, max_size=20))
def test_treated_and_held_out_take_the_same_decisions(its_steps: list[dict[str, Any]], subject: str) -> None:
    """But for what they are called: a comparison of the two compares messages and nothing else."""
    treated, held_out = (
        World(plan_of(described("one", "never", share, its_steps)).user, subject) for share in ("0%", "100%")
    )
    for world in (treated, held_out):
        world.track("enter")
        world.advance(10 * DAY)
    same = [
        (one.kind, one.step, one.outcome.replace("would_send", "send"), one.reason, one.at_ms)
        for one in held_out.decisions
    ]
    assert same == [(one.kind, one.step, one.outcome, one.reason, one.at_ms) for one in treated.decisions]
    assert held_out.messages == []
