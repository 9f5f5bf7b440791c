"""What holds for every journey, whatever happens in whatever order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import msgspec
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.core.kit import DAY, HOUR, START, World, journey, plan_of
from workers.core.entry import is_held_out
from workers.core.progress import Progress

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
waits = st.sampled_from(["1s", "1h", "1d"]).map(lambda duration: {"wait": duration})
plain_steps = st.lists(sends | waits, min_size=1, max_size=5)
branches = st.builds(
    lambda first, second: {"branch": [{"when": CONDITION, "steps": first}, {"otherwise": second}]},
    plain_steps,
    plain_steps,
)
steps = st.lists(sends | waits | branches, min_size=1, max_size=5)
agains = st.sampled_from(["never", "always", {"after": "1d"}])
holdouts = st.sampled_from(["0%", "50%", "100%"])
durations = st.sampled_from([0, 1, 1_000, HOUR, HOUR + 1, DAY, 3 * DAY])


def described(name: str, again: Any, holdout: str, its_steps: list[dict[str, Any]]) -> dict[str, Any]:
    """A journey with two exits and a goal."""
    return journey(
        name,
        tags=["promo"],
        entry={"on": {"event": "enter"}, "again": again},
        exit=[{"when": {"event": "leave"}}, {"when": {"changed": "plan"}}],
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

    @rule()
    def enter(self) -> None:
        """A candidate that is enrolled at once."""
        records, _ = self.world.signal("enter")
        for record in records:
            self.world.enroll(record)
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

    @rule(event=st.sampled_from(["leave", "paid"]), late_ms=st.sampled_from([0, 0, 1, HOUR]))
    def happen(self, event: str, late_ms: int) -> None:
        """An event that ends or converts, perhaps late."""
        self.world.track(event, self.world.now_ms - late_ms)

    @rule(traits=st.fixed_dictionaries({}, optional={"plan": st.integers(0, 1), "vip": st.booleans()}))
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
        """A timer that has fired, or was cancelled, fires all the same."""
        stale = [timer for timer in self.fired if timer.timer_id not in self.world.timers]
        if stale:
            transition = self.world.fire(data.draw(st.sampled_from(stale)))
            assert transition.commands == ()

    @rule(which=st.integers(0, 1), edited=steps)
    def publish(self, which: int, edited: list[dict[str, Any]]) -> None:
        """The workspace is edited under those inside."""
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
        waiting = {held.timer_id for held in self.world.progress.enrollments if held.is_active}
        assert waiting == set(self.world.timers)

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
    world.advance(400 * DAY)
    assert world.outcomes("exit") == [("completed", None)]
    assert world.timers == {}
    decided = [one.step for one in world.decisions if one.kind == "send"]
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
