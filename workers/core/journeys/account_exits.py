"""What a user's accounts end: journeys that an account's trait ends, and those of an account that is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workers.core.commands import Transition
from workers.core.conditions.comparisons import compile_path, is_same
from workers.core.journeys.inside import exited
from workers.core.journeys.lineage import governing
from workers.core.journeys.progress import pruned
from workers.core.journeys.reasons import account_change_reason
from workers.core.journeys.run import end

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from workers.core.commands import Command
    from workers.core.journeys.progress import Enrollment, Progress
    from workers.core.plan import JourneyPlan, SubjectPlan

LEFT_ACCOUNT: Final = "left_account"
"""``end_reason`` of an enrollment whose person has left the account that it was about."""


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """Traits of one of the user's accounts that have another value now (see :func:`changed_of_account`)."""

    account: str
    traits: tuple[str, ...]
    message_id: str


def changed_of_account(
    plan: SubjectPlan, told: Collection[str], before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[str, ...]:
    """Those traits of an account that some exit watches and whose value is not what it was.

    ``told`` are the names that the account's partition says have changed: what the user's partition merely
    did not know yet is no change.
    """
    return tuple(
        trait
        for trait, read in ((trait, compile_path(trait)) for trait in plan.account_exits)
        if any(trait == name or trait.startswith(f"{name}.") for name in told)
        and not is_same(read(before), read(after))
    )


def exit_by_account(
    plan: SubjectPlan, changed: AccountChanged, progress: Progress, now_ms: int
) -> Transition:
    """End the enrollments of that account whose journeys watch one of the traits; of other accounts none."""
    reasons: dict[JourneyPlan, str] = {}
    for trait in changed.traits:
        for journey in plan.account_exits.get(trait, ()):
            reasons.setdefault(journey, account_change_reason(trait))
    inside = [(held, governing(plan, held)) for held in _of_account(progress, changed.account)]
    ended = [
        (held, reasons[governs]) for held, governs in inside if governs is not None and governs in reasons
    ]
    return _end(plan, progress, ended, {"message_id": changed.message_id}, now_ms)


def leave(plan: SubjectPlan, account: str, message_id: str, progress: Progress, now_ms: int) -> Transition:
    """End all enrollments of an account that the user is no member of any more.

    What an ended enrollment's goal needs is kept: who converts after all is counted.
    """
    ended = [(held, LEFT_ACCOUNT) for held in _of_account(progress, account)]
    return _end(plan, progress, ended, {"message_id": message_id, "account": account}, now_ms)


def _of_account(progress: Progress, account: str) -> list[Enrollment]:
    return [held for held in progress.enrollments if held.is_active and held.account == account]


def _end(
    plan: SubjectPlan,
    progress: Progress,
    ended: list[tuple[Enrollment, str]],
    values: Mapping[str, Any],
    now_ms: int,
) -> Transition:
    if not ended:
        return Transition(progress)
    commands: list[Command] = []
    for enrollment, reason in ended:
        journey = governing(plan, enrollment)
        if journey is None:
            done = end(plan.subject, enrollment, progress, reason, values=values, now_ms=now_ms)
        else:
            done = exited(journey, enrollment, reason, values, progress, now_ms)
        progress = done.progress
        commands += done.commands
    return Transition(pruned(progress, now_ms, plan.message_memory_ms, plan.shadows), tuple(commands))
