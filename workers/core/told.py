"""Which segments of accounts conditions of users name: of those accounts tell their members, of no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.workspace import AccountSegmentCondition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.fields import SubjectType
    from schemas.workspace import Condition, Workspace
    from workers.core.journeys.lineage import Pinned


def told_segments(subject: SubjectType, workspace: Workspace, older: Iterable[Pinned]) -> frozenset[str]:
    """The segments of accounts that journeys and segments of users ask about; empty for users.

    ``older``: versions of journeys that people finish, of either kind of subject.
    """
    if subject == "user":
        return frozenset()
    conditions: list[Condition] = []
    for journey in (*workspace.journeys, *(pin.journey for pin in older)):
        conditions += journey.conditions()
    for segment in workspace.segments:
        conditions += segment.conditions()
    named = {one.account.in_segment for one in conditions if isinstance(one, AccountSegmentCondition)}
    groups = frozenset(one.segment for one in workspace.segments if one.subject == "account")
    return groups & named
