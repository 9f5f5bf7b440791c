"""Exits on request: who leaves, with what reason, and what asking again changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas.workspace import Workspace
from workers.core.commands import CancelTimer, RecordDecision
from workers.core.compile import compile_workspace
from workers.core.journeys.progress import Enrollment, Progress, SentMessage, TriggerFacts, Waiting
from workers.core.journeys.requested_exits import exit_on_request

if TYPE_CHECKING:
    from schemas import wire

NOW = 1_773_480_000_000
TIMER = "ab" * 16
JOURNEY = {
    "journey": "play",
    "subject": "user",
    "entry": {"on": {"event": "x"}},
    "exit": [{"when": {"event": "bought"}, "then": {"enroll": "other"}}],
    "steps": [{"wait": "1d"}],
}
OTHER = {"journey": "other", "subject": "user", "entry": {"on": {"event": "y"}}, "steps": [{"wait": "1d"}]}
PLAN = compile_workspace(Workspace.model_validate({"name": "w", "journeys": [JOURNEY, OTHER]})).user


def inside(journey: str = "play", key: str = "", entered_at_ms: int = NOW - 10) -> Enrollment:
    """Somebody who waits in a journey."""
    trigger = TriggerFacts("x", "m1", entered_at_ms, {})
    return Enrollment(
        f"{journey}{key}", journey, "v", entered_at_ms, trigger, "0", timer_id=TIMER, due_ms=NOW, key=key
    )


def asked(
    progress: Progress, why: str | None = None, **options: int
) -> tuple[Progress, list[wire.Decision], int]:
    """The row, the decisions, and how many timers are cancelled."""
    left = exit_on_request(PLAN, "play", why, {"request": "r1"}, progress, NOW, **options)
    decisions = [one.decision for one in left.commands if isinstance(one, RecordDecision)]
    cancelled = sum(isinstance(one, CancelTimer) for one in left.commands)
    assert len(left.commands) == len(decisions) + cancelled
    return left.progress, decisions, cancelled


@pytest.mark.parametrize(
    ("why", "reason"), [(None, "request"), ("", "request"), ("asked by phone", "request: asked by phone")]
)
def test_who_is_inside_leaves_with_the_reason(why: str | None, reason: str) -> None:
    """The timer is cancelled, the decision names the request, and nobody enters elsewhere by it."""
    row, (decision,), cancelled = asked(Progress("u1", (inside(),)), why)
    assert (decision.kind, decision.outcome, decision.reason) == ("exit", "exited", reason)
    assert (decision.values, cancelled) == ({"request": "r1"}, 1)
    assert [one.state for one in row.enrollments] == ["ended"]


def test_all_keys_leave_and_other_journeys_stay() -> None:
    """A journey with three orders is left three times."""
    row, decisions, _ = asked(Progress("u1", (inside(key="a"), inside(key="b"), inside("other"))))
    assert sorted(one.enrollment or "" for one in decisions) == ["playa", "playb"]
    assert {one.id: one.state for one in row.enrollments} == {
        "playa": "ended",
        "playb": "ended",
        "other": "active",
    }


def test_asking_again_changes_nothing() -> None:
    """The very row, and no decision."""
    once, _, _ = asked(Progress("u1", (inside(),)))
    again, decisions, _ = asked(once)
    assert again is once
    assert decisions == []


@pytest.mark.parametrize(("entered_at_ms", "leaves"), [(NOW - 1, True), (NOW, True), (NOW + 1, False)])
def test_of_a_run_those_who_came_after_it_began_stay(entered_at_ms: int, leaves: bool) -> None:
    """The instant itself counts as before."""
    row = Progress("u1", (inside(entered_at_ms=entered_at_ms),))
    _, decisions, _ = asked(row, entered_by_ms=NOW)
    assert bool(decisions) is leaves


def test_held_messages_go_and_sent_ones_are_remembered() -> None:
    """Nothing of the journey is sent after its exit; caps still count what was."""
    waiting = Waiting("m", "play", "play", (), NOW, NOW + 1, "quiet_hours")
    others = Waiting("n", "other", "other", (), NOW, NOW + 1, "quiet_hours")
    sent = SentMessage("s", "email", (), NOW - 5)
    row, _, _ = asked(
        Progress("u1", (inside(), inside("other")), messages=(sent,), waiting=(waiting, others))
    )
    assert (row.waiting, row.messages) == ((others,), (sent,))


def test_a_journey_whose_file_is_gone_is_left_too() -> None:
    """Its people would wait for ever otherwise."""
    left = exit_on_request(PLAN, "gone", None, {}, Progress("u1", (inside("gone"),)), NOW)
    assert left.progress.enrollments[0].end_reason == "request"
