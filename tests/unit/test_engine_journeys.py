"""Journeys in a whole engine: what those inside wait for reaches them, whichever topic it comes by."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from schemas.workspace import Journey, Segment, Workspace
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, HOUR, NOW, Cluster
from workers.core.compile import compile_workspace
from workers.signals.users import UserSignals


def mark(name: str) -> dict[str, Any]:
    """A step that shows that it ran."""
    return {"send": {"in_app": name}}


def until(condition: dict[str, Any]) -> dict[str, Any]:
    """A step that waits for a condition."""
    return {"wait_until": {"when": condition, "timeout": "30d"}}


def cluster_of(*steps: dict[str, Any], segments: tuple[dict[str, Any], ...] = (), **fields: Any) -> Cluster:
    """An engine with one journey, entered on ``limit``."""
    plain = journey(steps=list(steps), **fields)
    workspace = Workspace(
        name="test",
        journeys=(Journey.model_validate(plain),),
        segments=tuple(Segment.model_validate(one) for one in segments),
    )
    return Cluster(plan=compile_workspace(workspace))


def sent(cluster: Cluster) -> list[str]:
    """The templates sent so far, in order of time."""
    return [one.template for one in sorted(cluster.messages(), key=lambda one: one.requested_at_ms)]


def ended(cluster: Cluster) -> list[tuple[str, str | None]]:
    """How enrollments ended."""
    return [(one.outcome, one.reason) for one in cluster.of("decisions") if one.kind == "exit"]


def enter(cluster: Cluster, **fields: Any) -> None:
    """u1 enters."""
    cluster.track("limit", userId="u1", **fields)
    cluster.settle()


POWER = {
    "segment": "power",
    "subject": "user",
    "require": [{"performed": "report", "at_least": 2, "within": "7d"}],
}


def engaged(number: int = 1, **fields: Any) -> bytes:
    """A click on an e-mail, as the gateway writes it down."""
    return wire.encode(
        wire.Engagement(
            **{
                "id": f"e{number}",
                "type": "clicked",
                "person": "u1",
                "message_id": "m",
                "channel": "email",
                "journey": "upsell",
                "at_ms": NOW + HOUR,
                **fields,
            }
        )
    )


@pytest.mark.parametrize(
    ("condition", "happen"),
    [
        ({"trait": "plan", "eq": "pro"}, lambda cluster: cluster.identify("u1", plan="pro")),
        (
            {"account": {"trait": "plan", "eq": "pro"}},
            lambda cluster: cluster.group("u2", "acme", plan="pro"),
        ),
        ({"performed": "report", "at_least": 2, "within": "7d"}, None),
        ({"in_segment": "power"}, None),
        (
            {"performed": "email_clicked", "within": "1d"},
            lambda cluster: cluster.send("engagement", "u1", engaged()),
        ),
    ],
)
def test_whatever_makes_a_condition_true_takes_on_who_waits_for_it(condition: Any, happen: Any) -> None:
    """Traits, the account's traits, events, segments, engagement: at that instant."""
    cluster = cluster_of(until(condition), mark("after"), segments=(POWER,))
    cluster.group("u1", "acme", plan="free")
    enter(cluster)
    cluster.later(HOUR)
    assert sent(cluster) == []
    if happen is None:
        cluster.track("report", userId="u1")
        cluster.track("report", userId="u1")
    else:
        happen(cluster)
    cluster.settle()
    assert sent(cluster) == ["after"]
    assert cluster.messages()[0].requested_at_ms == NOW + HOUR
    assert cluster.waiting().keys() <= {
        timer for timer, one in cluster.waiting().items() if one.enrollment == "segments"
    }


def test_leaving_a_segment_by_time_alone_ends_a_journey() -> None:
    """Usage is normal again: nobody need do anything for the exit."""
    leave = [{"when": {"not": {"in_segment": "power"}}}]
    cluster = cluster_of({"wait": "20d"}, mark("after"), segments=(POWER,), exit=leave)
    cluster.track("report", userId="u1")
    cluster.track("report", userId="u1")
    enter(cluster)
    cluster.later(7 * DAY - 1)
    assert ended(cluster) == []
    cluster.later(1)
    assert ended(cluster) == [("exited", "condition: not (in_segment power)")]
    cluster.later(30 * DAY)
    assert sent(cluster) == []


def test_an_event_ends_before_it_takes_on() -> None:
    """One event makes a condition true, by a segment, and is an exit: nothing is sent."""
    cluster = cluster_of(
        until({"in_segment": "power"}), mark("after"), segments=(POWER,), exit=[{"when": {"event": "report"}}]
    )
    cluster.track("report", userId="u1")
    cluster.settle()
    cluster.later(HOUR)
    enter(cluster)
    cluster.track("report", userId="u1")
    cluster.settle()
    assert sent(cluster) == []
    assert ended(cluster) == [("exited", "event: report")]


def test_a_click_is_an_event_that_can_be_waited_for_once() -> None:
    """By whoever clicked what; a record that comes twice is one click."""
    step = {
        "wait_for": {"event": "email_clicked", "where": {"journey": "upsell"}, "timeout": "3d"},
        "timed_out": [mark("late")],
    }
    cluster = cluster_of(step, mark("clicked"), step, mark("again"))
    enter(cluster)
    cluster.later(HOUR)
    cluster.send("engagement", "u1", engaged(1, journey="other"))
    cluster.send("engagement", "u1", engaged(2, url="https://example.com/"))
    cluster.send("engagement", "u1", engaged(2, url="https://example.com/"))
    cluster.settle()
    assert sent(cluster) == ["clicked"]
    assert cluster.messages()[0].context.awaited == {
        "journey": "upsell",
        "message_id": "m",
        "channel": "email",
        "url": "https://example.com/",
    }


def test_a_step_sets_traits_as_an_identify_call_would() -> None:
    """The profile, segments and what follows in the journey, in the same transaction."""
    vip = {"segment": "vip", "subject": "user", "require": [{"trait": "vip", "eq": True}]}
    seen = {"branch": [{"when": {"in_segment": "vip"}, "steps": [mark("welcome")]}]}
    cluster = cluster_of({"update": {"traits": {"vip": True}}}, seen, segments=(vip,))
    enter(cluster)
    assert cluster.profile("u1").traits["vip"] is True
    assert [(one.segment, one.change) for one in cluster.of("segments")] == [("vip", "entered")]
    assert sent(cluster) == ["welcome"]
    assert cluster.waiting() == {}


def test_many_updates_in_one_turn_are_all_made() -> None:
    """Beyond the most of one turn the rest follows by timers that are due at once."""
    steps = [{"update": {"traits": {f"t{number}": number}}} for number in range(45)]
    cluster = cluster_of(*steps, mark("after"))
    enter(cluster)
    assert {name for name in cluster.profile("u1").traits if name.startswith("t")} == {
        f"t{number}" for number in range(45)
    }
    assert sent(cluster) == ["after"]
    assert cluster.waiting() == {}


def test_a_step_of_a_user_sets_traits_of_the_account_and_its_members_hear_of_it() -> None:
    """By the topic of account traits, on the account's own partition."""
    cluster = cluster_of({"update": {"account": {"asked": True}}}, mark("after"))
    cluster.group("u1", "acme", plan="free")
    cluster.group("u2", "acme")
    cluster.settle()
    enter(cluster)
    assert cluster.profile("acme", account=True).traits == {"plan": "free", "asked": True}
    assert cluster.profile("u2").accounts["acme"] == {"plan": "free", "asked": True}
    assert cluster.dead == []


def test_an_accounts_journey_sets_its_traits_and_its_members_hear_of_it() -> None:
    """And waits for an event of any member."""
    step = {"wait_for": {"event": "paid", "timeout": "3d"}}
    cluster = cluster_of({"update": {"traits": {"asked": True}}}, step, mark("after"), subject="account")
    cluster.group("u1", "acme", plan="free")
    cluster.group("u2", "acme")
    cluster.settle()
    enter(cluster, context={"groupId": "acme"})
    assert cluster.profile("u2").accounts["acme"]["asked"] is True
    cluster.later(HOUR)
    cluster.track("paid", userId="u2", context={"groupId": "acme"})
    cluster.settle()
    assert sorted(one.person for one in cluster.messages()) == ["u1", "u2"]


def test_a_journey_enrolls_in_another_through_the_scheduler() -> None:
    """Whose own entry decides, and whose decision tells of it."""
    first = journey("upsell", steps=[{"enroll": "welcome"}])
    second = journey("welcome", entry={"on": {"event": "never"}}, steps=[mark("hello")])
    cluster = Cluster(first, second)
    enter(cluster)
    cluster.track("limit", userId="u1")
    cluster.settle()
    assert sent(cluster) == ["hello"]
    entries = [
        (one.journey, one.outcome, one.reason) for one in cluster.of("decisions") if one.kind == "entry"
    ]
    assert entries.count(("welcome", "enrolled", None)) == 1
    assert entries.count(("welcome", "declined", "again")) == 1


def test_a_merge_takes_parts_that_wait_along() -> None:
    """Positions, what they wait for and the one timer; each part goes on once."""
    parts = [
        {"steps": [{"wait": "1d"}, mark("one")]},
        {"steps": [{"wait_for": {"event": "paid", "timeout": "3d"}}, mark("two")]},
    ]
    cluster = cluster_of({"parallel": parts}, mark("after"))
    cluster.track("limit", anonymousId="a1")
    cluster.settle()
    cluster.identify("u1", "a1")
    cluster.settle()
    assert len(cluster.waiting()) == 1
    cluster.track("paid", userId="u1")
    cluster.settle()
    cluster.later(2 * DAY)
    assert sent(cluster) == ["two", "one", "after"]
    assert {one.person for one in cluster.messages()} == {"u1"}
    assert cluster.waiting() == {}


def test_an_erased_persons_waits_are_gone() -> None:
    """No timer and no row tells of them."""
    cluster = cluster_of(until({"trait": "plan", "eq": "pro"}), mark("after"))
    enter(cluster)
    cluster.erase("u1")
    cluster.settle()
    assert cluster.waiting() == {}
    cluster.later(40 * DAY)
    assert sent(cluster) == []


def test_events_that_nobody_waits_for_cost_what_they_cost_before() -> None:
    """Only events that a step listens for, or that a condition counts, read the rows of their user."""
    listens = {"wait_for": {"event": "paid", "timeout": "1d", "restart_on": {"event": "added"}}}
    cluster = cluster_of(
        listens,
        until({"performed": "report", "within": "1d"}),
        until({"in_segment": "power"}),
        segments=(POWER,),
    )
    users = UserSignals(0, cluster.parts)
    uses = users._uses
    assert {name for name, use in uses.items() if use.decides} == {"limit", "paid", "added", "report"}
    quiet = cluster_of({"wait": "1d"}, mark("after"), segments=(POWER,))
    uses = UserSignals(0, quiet.parts)._uses
    assert {name for name, use in uses.items() if use.decides} == {"limit"}
