"""What the gate promises of a whole engine, whatever happens in whatever order."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.core.kit import journey, plan_of
from tests.unit.identity.kit import DAY, HOUR, Cluster
from workers.state import GRANTS, HELD_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas import wire

MINUTE = 60_000
PEOPLE = ("ada", "bob", "cyd")
ACCOUNTS = ("acme", "bolt")
ZONES = ("Europe/Oslo", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")
QUIET = {"from": "22:00", "to": "06:30", "channel": ["in_app", "email"]}
PERSON_MAX, PERSON_MS = 2, 6 * HOUR
ACCOUNT_MAX, ACCOUNT_MS = 4, 12 * HOUR
MAX_HOLD_MS = 2 * DAY
OF_GATE = (b'"send_ask"', b'"send_answer"', b'"send_settled"', b'"message_request"')
STARTS = (1_773_480_000_000, 1_774_722_000_000, 1_792_864_800_000)
"""An ordinary day, and the evenings before clocks are set forward, and back, in Europe."""

actions = st.sampled_from(["skip", "defer", "drop", "exit"])


def users(name: str, event: str, holdout: str = "0%", **fields: Any) -> dict[str, Any]:
    """A journey of three messages that an upgrade ends."""
    return journey(
        name,
        tags=["promo"],
        entry={"on": {"event": event}, "again": "always"},
        exit=[{"when": {"event": "upgraded"}}],
        holdout=holdout,
        steps=[
            {"send": {"in_app": "a"}},
            {"send": {"email": "b"}},
            {"wait": "3h"},
            {"send": {"in_app": "c"}},
        ],
        **fields,
    )


def journeys() -> list[dict[str, Any]]:
    """Two of users, one of them with a holdout, and one of accounts."""
    of_accounts = users("team", "team_limit", subject="account", recipients={"role": "owner", "limit": 5})
    return [
        users("one", "limit"),
        users("two", "other", holdout="50%", priority="properties.margin"),
        of_accounts,
    ]


class GateMachine(RuleBasedStateMachine):
    """Three people of two accounts; records move one partition at a time, and some come twice."""

    @initialize(
        on_cap=actions,
        of_account=actions,
        on_loss=actions,
        exclusive=st.sampled_from([None, "at once", "5m"]),
        start_ms=st.sampled_from(STARTS),
    )
    def begin(self, on_cap: str, of_account: str, on_loss: str, exclusive: str | None, start_ms: int) -> None:
        """A workspace with caps of both kinds, quiet hours, and perhaps an exclusive tag."""
        tag = {"tag": "promo", "within": "2h", "on_loss": on_loss}
        if exclusive == "5m":
            tag["collect"] = exclusive
        plan = plan_of(
            *journeys(),
            caps=[
                {"max": PERSON_MAX, "within": "6h", "on_cap": on_cap},
                {"max": 3, "within": "today", "on_cap": on_cap},
                {"max": ACCOUNT_MAX, "within": "12h", "of": "account", "on_cap": of_account},
            ],
            quiet_hours=[QUIET],
            spread="30m",
            max_hold="2d",
            exclusive=[tag] if exclusive else [],
        )
        self.cluster = Cluster(plan=plan)
        self.cluster.now_ms = start_ms
        self.zones: dict[str, str] = {}
        self.account_of: dict[str, str] = {}
        self.merged: dict[str, str] = {}
        for number, person in enumerate(PEOPLE):
            self.live_in(person, ZONES[number])
            self.belong(person, ACCOUNTS[number % 2])

    @rule(person=st.sampled_from(PEOPLE), zone=st.sampled_from(ZONES))
    def live_in(self, person: str, zone: str) -> None:
        """Once: who moves over the date line would have two nights in one."""
        if person not in self.zones:
            self.zones[person] = zone
            self.cluster.identify(person, email=f"{person}@example.com", timezone=zone)
            self.cluster.settle()

    def belong(self, person: str, account: str) -> None:
        """The account's journey may write to them."""
        self.account_of[person] = account
        self.cluster.group(person, account, role="owner")
        self.cluster.settle()

    @rule(
        person=st.sampled_from(PEOPLE),
        event=st.sampled_from(["limit", "limit", "other", "team_limit", "team_limit", "upgraded"]),
        margin=st.integers(0, 5),
        moves=st.sampled_from([True, True, False]),
    )
    def happen(self, person: str, event: str, margin: int, moves: bool) -> None:
        """What begins journeys, and what ends them; perhaps nothing moves yet."""
        context = {"groupId": self.account_of[person]}
        self.cluster.track(event, userId=person, properties={"margin": margin}, context=context)
        if moves:
            self.cluster.settle()

    @rule(person=st.sampled_from(PEOPLE), allowed=st.booleans())
    def consent(self, person: str, allowed: bool) -> None:
        """The gate closes and opens."""
        self.cluster.identify(person, consent={"in_app": allowed})

    @rule(number=st.integers(0, 2), most=st.integers(1, 3))
    def turn(self, number: int, most: int) -> None:
        """One partition works, the others stand still."""
        self.cluster.turn(number, most)

    @rule(number=st.integers(0, 2), data=st.data())
    def repeat(self, number: int, data: st.DataObject) -> None:
        """A record of the gate comes a second time."""
        held = self.cluster.log["scheduler", number]
        of_gate = [
            one
            for one in held
            if b'"send_' in (one.value or b"") or b'"message_request"' in (one.value or b"")
        ]
        if of_gate:
            again = data.draw(st.sampled_from(of_gate))
            self.cluster.send("scheduler", (again.key or b"").decode(), again.value)

    @rule(minutes=st.sampled_from([0, 1, 5, 31, 60, 240, 600]))
    def wait(self, minutes: int) -> None:
        """Time passes; everything catches up, or nothing does."""
        self.cluster.later(minutes * MINUTE)

    @rule(minutes=st.sampled_from([1, 5, 60]))
    def stand_still(self, minutes: int) -> None:
        """Time passes and nobody works: later all of it is late."""
        self.cluster.now_ms += minutes * MINUTE

    @rule(pair=st.sampled_from([("ada", "bob"), ("bob", "cyd")]))
    def merge(self, pair: tuple[str, str]) -> None:
        """Two ids turn out to be one person, whose zone is that of the one who stays."""
        previous, person = pair
        if previous not in self.merged and self.zones.get(previous) != self.zones.get(person):
            self.cluster.settle()
            self.merged[previous] = person
            self.merged_at = self.cluster.now_ms
            self.cluster.alias(previous, person)
            self.cluster.settle()

    def teardown(self) -> None:
        """In the end nothing is held, and all that went out may be looked at from outside."""
        if not hasattr(self, "cluster"):
            return
        self.cluster.settle()
        for _ in range(12):
            self.cluster.later(MAX_HOLD_MS // 6)
        self.check()

    def check(self) -> None:
        """Everything promised, from the records alone."""
        cluster = self.cluster
        assert cluster.dead == []
        messages = cluster.messages()
        ids = Counter(message.id for message in messages)
        assert set(ids.values()) <= {1}
        for person in PEOPLE:
            if person in self.merged or person in self.merged.values():
                continue
            mine = [one for one in messages if one.person == person]
            assert most_within((one.requested_at_ms for one in mine), PERSON_MS) <= PERSON_MAX
            by_day = Counter(self.local(one).date() for one in mine)
            assert max(by_day.values(), default=0) <= 3
        for account in ACCOUNTS:
            times = [one.requested_at_ms for one in messages if one.account == account]
            assert most_within(times, ACCOUNT_MS) <= ACCOUNT_MAX
        for message in messages:
            local = self.local(message)
            assert "06:30" <= local.strftime("%H:%M") < "22:00", (message.person, local)
        self.check_decisions(messages)

    def local(self, message: wire.Message) -> datetime:
        """What the person's clock showed when the message went out."""
        return datetime.fromtimestamp(message.requested_at_ms / 1000, ZoneInfo(self.zones[message.person]))

    def check_decisions(self, messages: list[wire.Message]) -> None:
        """The holdout got nothing, nobody anything after an exit; a deferral is told of once, and ends."""
        decisions = self.cluster.of("decisions")
        held_out = {one.enrollment for one in decisions if one.holdout and one.kind == "entry"}
        assert not held_out & {message.enrollment for message in messages}
        exits = {
            one.enrollment: one.at_ms for one in decisions if one.kind == "exit" and one.outcome == "exited"
        }
        for message in messages:
            assert message.requested_at_ms <= exits.get(message.enrollment, message.requested_at_ms)
        deferrals = Counter(one.id for one in decisions if one.outcome == "defer")
        assert set(deferrals.values()) <= {1}
        for person in PEOPLE:
            assert self.cluster.row(HELD_REQUESTS, person) is None
            progress = self.cluster.progress(person)
            assert progress is None or progress.waiting == ()
        for account in ACCOUNTS:
            grants = self.cluster.row(GRANTS, account)
            assert grants is None or grants.granted == ()


def most_within(times_ms: Iterable[int], within_ms: int) -> int:
    """The most that any window of that length holds."""
    ordered = sorted(times_ms)
    return max((sum(end - within_ms < one <= end for one in ordered) for end in ordered), default=0)


TestGate = GateMachine.TestCase
TestGate.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


def test_the_check_itself_finds_what_is_too_much() -> None:
    """Half-open: what happened exactly a window ago is outside."""
    assert most_within([0, 5, 10], 10) == 2
    assert most_within([0, 5, 9], 10) == 3
    assert most_within([], 10) == 0
