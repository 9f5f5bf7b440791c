"""Accounts learn how much their members' scores are, to write to those with the most points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.core.journeys.recipients import MemberScores, learn
from workers.state import MEMBER_SCORES

if TYPE_CHECKING:
    from schemas import wire
    from workers.shell import EngineParts
    from workers.stream.view import View


def learn_score(told: wire.MemberScore, view: View, parts: EngineParts, now_ms: int) -> None:
    """Take over what a member's partition tells; of a score that the workspace has no more, nothing."""
    plan = parts.plan.user.scores.scores.get(told.score)
    if plan is None:
        return
    table, key = view.table(MEMBER_SCORES), told.subject.encode()
    row = table.get(key) or MemberScores()
    learn(row, told, plan.half_life_ms, now_ms)
    table.put(key, row)
