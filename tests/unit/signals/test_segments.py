"""Segments in the engine: events, identities, accounts, messages, lists and time move subjects in and out."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.workspace import Workspace
from tests.unit.signals.kit import DAY, NOW, event, record
from tests.unit.stream.kit import Rec, Waiting
from workers.core.compile import compile_workspace
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.shell import EngineParts
from workers.signals.account_events import Described, Occurred, encode
from workers.state import ACCOUNTS, USERS
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items, fire_timers
from workers.stream.store import PartitionStore, Timer
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workers.state import SubjectTables
    from workers.stream.tables import Table

LIMITED = {"segment": "limited", "require": [{"performed": "limit", "at_least": 2, "within": "14d"}]}
PAYING = {"segment": "paying", "require": [{"trait": "plan", "in": ["pro", "scale"]}]}
FREE = {"segment": "free", "require": [{"trait": "plan", "not_in": ["pro"], "if_missing": "pass"}]}
BETA = {"segment": "beta", "static": True}
INVITED = {"segment": "invited", "require": [{"in_segment": "beta"}, {"trait": "plan", "eq": "pro"}]}
BUSY_TEAM = {
    "segment": "busy_team",
    "subject": "account",
    "require": [{"members": "limit", "gte": 3, "within": "14d"}],
}
FULL_TEAM = {
    "segment": "full_team",
    "subject": "account",
    "require": [{"trait": "seats_used", "divided_by": {"trait": "seats_limit"}, "gte": 0.8}],
}
IN_BIG_ACCOUNT = {"segment": "in_big_account", "require": [{"account": {"trait": "size", "gte": 100}}]}
ONBOARDED = {"segment": "onboarded", "require": [{"enrolled": {"journey": "welcome"}}]}
WELCOME = {
    "journey": "welcome",
    "subject": "user",
    "entry": {"on": {"event": "signed_up"}},
    "steps": [{"wait": "1d"}],
}


class Whole:
    """The engine of the only partition, on a store of its own; what it sends itself comes back to it."""

    def __init__(
        self,
        folder: Path,
        *segments: dict[str, Any],
        journeys: Sequence[Any] = (),
        scores: Sequence[Any] = (),
    ) -> None:
        self._folder = folder
        self.now_ms = NOW
        self.told: list[tuple[str, str, str, int]] = []
        self.crossed: list[wire.ScoreCrossed] = []
        self.store = PartitionStore(folder / "db")
        self._offset = 0
        self.waiting = Waiting()
        self.publish(*segments, journeys=journeys, scores=scores)

    def publish(
        self, *segments: dict[str, Any], journeys: Sequence[Any] = (), scores: Sequence[Any] = ()
    ) -> None:
        """Begin anew with another workspace."""
        content = {
            "name": "w",
            "segments": list(segments),
            "journeys": list(journeys),
            "scores": list(scores),
        }
        plan = compile_workspace(Workspace.model_validate(content))
        metrics = SignalMetrics(CollectorRegistry())
        self.logic = EngineLogic(0, EngineParts(plan, 1, lambda name: name, metrics))
        self.waiting.begin(self.logic.opened(self.store))
        self._work()

    def events(self, *events: dict[str, Any]) -> None:
        """These events arrive."""
        self._run("product-events", [record(one, at) for at, one in enumerate(events)])

    def hears(self, told: Any) -> None:
        """A record of the scheduler topic arrives."""
        self._run("scheduler", [Rec(0, wire.encode(told), told.subject.encode())])

    def waits(self, until_ms: int) -> None:
        """Time passes; what falls due acts at its instant."""
        while (due_ms := self.store.next_due_ms()) is not None and due_ms <= until_ms:
            self.now_ms = max(self.now_ms, due_ms)
            view = View(self.store.get)
            timers: list[Timer] = self.store.due(self.now_ms, 100)
            fire_timers(self.logic, timers, view, self.now_ms)
            self._commit(view)
        self.now_ms = until_ms

    def _run(self, topic: str, records: list[Rec]) -> None:
        view, tp = View(self.store.get), TP(topic, 0)
        items, _ = self.logic.prepare(Batch(tp, records, 0, len(records)), view, self.now_ms)
        apply_items(self.logic, tp, items, view, self.now_ms)
        assert view.dead == []
        self._commit(view)

    def _work(self) -> None:
        while self.waiting:
            view = View(self.store.get)
            self.waiting.turn(self.logic, view, self.now_ms)
            self._commit(view)

    def _commit(self, view: View) -> None:
        self._offset += 1
        self.store.write(view.changes(), changelog_next=self._offset, now_ms=self.now_ms)
        self.waiting.more(view.effects)
        for output in view.outputs:
            if output.topic == "segments":
                change = wire.decode_segment_change(output.value or b"")
                assert output.key == change.subject.encode()
                self.told.append((change.subject, change.segment, change.change, change.at_ms))
            if output.topic == "scores":
                self.crossed.append(wire.decode_score_crossed(output.value or b""))
        for topic in ("account-events", "scheduler"):
            again = [Rec(0, one.value or b"", one.key) for one in view.outputs if one.topic == topic]
            if again:
                self._run(topic, again)


def identify(user: str, **traits: Any) -> dict[str, Any]:
    """An identify call."""
    return event(user=user, type="identify", event=None, traits=traits)


def group(user: str, account: str, **traits: Any) -> dict[str, Any]:
    """A group call."""
    return event(user=user, type="group", event=None, groupId=account, traits=traits)


def test_events_bring_in_and_a_timer_takes_out(tmp_path: Path) -> None:
    """At the instant at which the window lets go, with nothing happening."""
    engine = Whole(tmp_path, LIMITED)
    engine.events(event(), event(at_ms=NOW - 4 * DAY))
    engine.waits(NOW + 30 * DAY)
    assert engine.told == [
        ("u1", "limited", "entered", NOW),
        ("u1", "limited", "left", NOW + 10 * DAY),
    ]
    assert engine.store.next_due_ms() is None


def test_more_of_the_same_moves_the_timer_and_tells_nobody(tmp_path: Path) -> None:
    """A member that stays a member is no news."""
    engine = Whole(tmp_path, LIMITED)
    engine.events(event(), event())
    engine.waits(NOW + 5 * DAY)
    engine.events(event(at_ms=NOW + 5 * DAY), event(at_ms=NOW + 5 * DAY))
    engine.waits(NOW + 40 * DAY)
    assert engine.told[1:] == [("u1", "limited", "left", NOW + 19 * DAY)]


def test_traits_move_people_at_once(tmp_path: Path) -> None:
    """In the transaction that learns of them."""
    engine = Whole(tmp_path, PAYING)
    engine.events(identify("u1", plan="free"))
    engine.events(identify("u1", plan="pro"))
    engine.events(identify("u1", plan="scale"))
    engine.events(identify("u1", plan=None))
    assert [told[2] for told in engine.told] == ["entered", "left"]


def test_who_is_seen_for_the_first_time_is_looked_at(tmp_path: Path) -> None:
    """Whatever the first event is: a negative condition may hold for somebody who did nothing yet."""
    engine = Whole(tmp_path, FREE, LIMITED)
    engine.events(event("limit", "u7"))
    assert engine.told == [("u7", "free", "entered", NOW)]


def test_distinct_members_bring_an_account_in(tmp_path: Path) -> None:
    """Three members, not three events; and time alone takes it out."""
    engine = Whole(tmp_path, BUSY_TEAM)
    context = {"groupId": "acme"}
    for user in ("u1", "u1", "u2"):
        engine.events(event("limit", user, context=context))
    assert engine.told == []
    engine.events(event("limit", "u3", at_ms=NOW - DAY, context=context))
    engine.waits(NOW + 20 * DAY)
    assert engine.told == [
        ("acme", "busy_team", "entered", NOW),
        ("acme", "busy_team", "left", NOW + 13 * DAY),
    ]


def test_a_ratio_of_an_accounts_traits_moves_it(tmp_path: Path) -> None:
    """Eight seats of ten are 80 %; a larger plan takes it out again."""
    engine = Whole(tmp_path, FULL_TEAM)
    engine.events(group("u1", "acme", seats_used=7, seats_limit=10))
    assert engine.told == []
    engine.events(group("u1", "acme", seats_used=8))
    engine.events(group("u2", "acme", seats_limit=20))
    assert [told[1:3] for told in engine.told] == [("full_team", "entered"), ("full_team", "left")]


def test_what_an_account_is_like_moves_its_members(tmp_path: Path) -> None:
    """Through the facts that members are told."""
    engine = Whole(tmp_path, IN_BIG_ACCOUNT)
    engine.events(group("u1", "acme"), group("u2", "acme"))
    engine.events(group("u1", "acme", size=500))
    assert sorted(told[0] for told in engine.told) == ["u1", "u2"]


def test_being_in_a_journey_is_something_to_ask_about(tmp_path: Path) -> None:
    """Entered with the enrollment, left with its end."""
    engine = Whole(tmp_path, ONBOARDED, journeys=[WELCOME])
    engine.events(event("signed_up"))
    engine.waits(NOW + 2 * DAY)
    assert engine.told == [
        ("u1", "onboarded", "entered", NOW),
        ("u1", "onboarded", "left", NOW + DAY),
    ]


def test_a_list_is_filled_from_outside(tmp_path: Path) -> None:
    """And what is built on it follows; saying it twice is saying it once."""
    engine = Whole(tmp_path, BETA, INVITED)
    engine.events(identify("u1", plan="pro"))
    entry = wire.ListEntry(id="l0", subject_type="user", subject="u1", segment="beta", member=True, at_ms=NOW)
    engine.hears(entry)
    engine.hears(entry)
    engine.hears(msgspec.structs.replace(entry, member=False))
    assert [told[1:3] for told in engine.told] == [
        ("beta", "entered"),
        ("invited", "entered"),
        ("beta", "left"),
        ("invited", "left"),
    ]


def test_a_new_segment_is_filled_with_those_who_belong(tmp_path: Path) -> None:
    """Everybody is looked at once when a workspace with other segments comes, and not again after that."""
    engine = Whole(tmp_path, LIMITED)
    users = [f"u{number:05}" for number in range(120)]
    engine.events(*(identify(user, plan="pro" if at % 2 else "free") for at, user in enumerate(users)))
    assert engine.told == []
    engine.publish(LIMITED, PAYING)
    assert [told[0] for told in engine.told] == users[1::2]
    engine.told.clear()
    engine.publish(LIMITED, PAYING)
    assert list(engine.logic.opened(engine.store)) == []
    assert engine.told == []


def test_a_segment_that_is_gone_is_left_by_all(tmp_path: Path) -> None:
    """Who follows it elsewhere learns of that, and it begins empty when the name comes back."""
    engine = Whole(tmp_path, LIMITED)
    engine.events(event(), event())
    engine.publish()
    assert engine.told[1:] == [("u1", "limited", "left", NOW)]
    engine.publish(PAYING)
    engine.publish(LIMITED)
    assert engine.told[2:] == []
    engine.events(event(), event())
    assert engine.told[2:] == [("u1", "limited", "entered", NOW)]


PQL = {
    "score": "pql",
    "subject": "user",
    "half_life": "7d",
    "contributions": [
        {"event": "invite_sent", "points": 40},
        {"trait": "plan", "eq": "starter", "points": 10},
    ],
    "thresholds": {"hot": {"reaches": 60, "falls_below": 40}},
}
TEAM_PQL = {
    "score": "team",
    "subject": "account",
    "half_life": "7d",
    "contributions": [{"event": "invite_sent", "where": {"kind": "admin"}, "points": 30}],
    "thresholds": {"warm": 60},
}
HOT = {"segment": "hot", "require": [{"score": "pql", "gte": 60}]}


def test_a_score_tells_of_thresholds_and_of_what_made_it(tmp_path: Path) -> None:
    """Up with the event that did it, down by time alone, at the millisecond, with hysteresis."""
    engine = Whole(tmp_path, scores=[PQL])
    engine.events(identify("u1", plan="starter"))
    engine.events(event("invite_sent"))
    assert engine.crossed == []
    engine.events(event("invite_sent", messageId="second"))
    (up,) = engine.crossed
    assert (up.threshold, up.direction, up.value, up.message_id) == ("hot", "up", 90.0, "second")
    assert [(part.name, part.points) for part in up.contributions] == [
        ("invite_sent", 80.0),
        ("trait plan eq starter", 10.0),
    ]
    engine.waits(NOW + 40 * DAY)
    down = engine.crossed[1]
    # 10 stand, and 80 fade to 30 in 7 d * log2(80 / 30).
    assert (down.direction, down.event, down.at_ms) == ("down", None, NOW + 855_814_680)
    assert down.value < 40
    assert len(engine.crossed) == 2


def test_a_trait_moves_a_score(tmp_path: Path) -> None:
    """Without an event."""
    engine = Whole(tmp_path, scores=[PQL])
    engine.events(event("invite_sent", at_ms=NOW), event("invite_sent", at_ms=NOW - 3 * DAY))
    engine.waits(NOW + DAY)
    engine.events(identify("u1", plan="starter"))
    assert [one.direction for one in engine.crossed] == ["up", "down", "up"][: len(engine.crossed)]
    assert engine.crossed[0].value >= 60


def test_an_account_s_score_counts_all_members(tmp_path: Path) -> None:
    """And only the events that it asks for."""
    engine = Whole(tmp_path, scores=[TEAM_PQL])
    for user, kind in (("u1", "admin"), ("u2", "guest"), ("u3", "admin")):
        one = event("invite_sent", user, context={"groupId": "acme"}, properties={"kind": kind})
        engine.events(one)
    (up,) = engine.crossed
    assert (up.subject_type, up.subject, up.value) == ("account", "acme", 60.0)


def test_a_segment_of_a_score_is_left_as_the_score_fades(tmp_path: Path) -> None:
    """At any number, whether or not it is a threshold."""
    segment = {"segment": "warm", "require": [{"score": "pql", "gte": 25}]}
    engine = Whole(tmp_path, HOT, segment, scores=[PQL])
    engine.events(event("invite_sent"), event("invite_sent"))
    engine.waits(NOW + 99 * DAY)
    # 80 fade to 60 in 7 d * log2(80 / 60), to 25 in 7 d * log2(80 / 25).
    assert engine.told == [
        ("u1", "warm", "entered", NOW),
        ("u1", "hot", "entered", NOW),
        ("u1", "hot", "left", NOW + 251_014_680),
        ("u1", "warm", "left", NOW + 1_014_897_889),
    ]


def test_who_reached_a_goal_is_known_after_the_journey(tmp_path: Path) -> None:
    """For as long as the condition asks, to the millisecond."""
    recent = {"segment": "recent", "require": [{"converted": {"journey": "welcome"}, "within": "90d"}]}
    ends = {"goal": {"event": "upgraded", "within": "14d"}, "exit": [{"when": {"event": "upgraded"}}]}
    engine = Whole(tmp_path, recent, journeys=[{**WELCOME, **ends}])
    engine.events(event("signed_up"))
    engine.now_ms += DAY
    engine.events(event("upgraded", at_ms=NOW + DAY))
    engine.waits(NOW + 200 * DAY)
    assert engine.told == [
        ("u1", "recent", "entered", NOW + DAY),
        ("u1", "recent", "left", NOW + 91 * DAY),
    ]


# -- what is read of a subject


def tables_of(kind: SubjectTables) -> list[Table[Any]]:
    """All tables of a kind of subjects."""
    return [getattr(kind, one.name) for one in fields(kind)]


def read_ahead(topic: str, value: Rec, *segments: dict[str, Any], journeys: Sequence[Any] = ()) -> set[str]:
    """The tables of subjects that are read for one record."""
    content = {"name": "w", "segments": list(segments), "journeys": list(journeys)}
    plan = compile_workspace(Workspace.model_validate(content))
    parts = EngineParts(plan, 1, lambda name: name, SignalMetrics(CollectorRegistry()))
    view = View(dict[bytes, bytes]().get)
    _, keys = EngineLogic(0, parts).prepare(Batch(TP(topic, 0), [value], 0, 1), view, NOW)
    tables = (*tables_of(USERS), *tables_of(ACCOUNTS))
    return {table.name for table in tables for key in keys if key.startswith(table.prefix)}


def test_an_event_that_only_counts_reads_two_rows() -> None:
    """Windows and memberships; as soon as a segment asks about more, or lets somebody in, all."""
    limit = record(event("limit", userId="u1"))
    assert read_ahead("product-events", limit, LIMITED) == {"user_activity", "user_memberships"}
    everything = {"user_activity", "user_profiles", "user_progress", "user_memberships"}
    assert read_ahead("product-events", limit, LIMITED, PAYING) == everything
    entering = {**WELCOME, "entry": {"on": {"segment": "limited"}}}
    assert read_ahead("product-events", limit, LIMITED, journeys=[entering]) == everything
    using = {"segment": "using", "require": [{"in_segment": "limited"}]}
    assert read_ahead("product-events", limit, LIMITED, using) == everything


def test_what_members_did_reads_two_rows_of_an_account() -> None:
    """Unless a segment of accounts asks about more, or what came describes the account."""
    did = Rec(0, encode([Occurred("acme", "u1", "limit", NOW, "m")]))
    told = Rec(0, encode([Described("acme", "u1", "", NOW, {})]))
    everything = {"account_activity", "account_profiles", "account_progress", "account_memberships"}
    assert read_ahead("account-events", did, BUSY_TEAM) == {"account_activity", "account_memberships"}
    assert read_ahead("account-events", told, BUSY_TEAM) == everything
    assert read_ahead("account-events", did, BUSY_TEAM, FULL_TEAM) == everything
