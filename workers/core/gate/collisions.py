"""Journeys that want the same person at once: exclusive tags, and which of several goes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workers.core.gate.plan import CALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.core.gate.plan import ExclusivePlan
    from workers.core.journeys.progress import Progress, Waiting


@dataclass(frozen=True, slots=True)
class Lost:
    """Another journey has the person, or goes first; ``until_ms`` is when to try again, if at all."""

    rule: ExclusivePlan
    winner: str
    until_ms: int
    values: dict[str, Any]


def occupied(rules: Iterable[ExclusivePlan], journey: str, progress: Progress, now_ms: int) -> Lost | None:
    """The journey whose messages keep those of ``journey`` away; None where there is none.

    ``rules`` are those of the message's tags. What someone of a holdout would have had counts too.
    """
    for rule in rules:
        held = [
            one
            for one in (*progress.messages, *progress.withheld)
            if rule.tag in one.tags
            and one.channel != CALL
            and one.journey not in ("", journey)
            and one.at_ms > now_ms - rule.within_ms
        ]
        if held:
            last = max(held, key=lambda one: one.at_ms)
            values = {"journey": last.journey, "at_ms": last.at_ms}
            return Lost(rule, last.journey, last.at_ms + rule.within_ms, values)
    return None


def collect_until_ms(rules: Iterable[ExclusivePlan], waiting: Waiting | None, now_ms: int) -> int | None:
    """Until when a message competes with others before it is decided; None: it does not."""
    if waiting is not None and waiting.collect_until_ms is not None:
        return waiting.collect_until_ms
    longest_ms = max((rule.collect_ms for rule in rules), default=0)
    return now_ms + longest_ms if longest_ms else None


def outranked(rules: Sequence[ExclusivePlan], mine: Waiting, progress: Progress, now_ms: int) -> Lost | None:
    """The best of those that compete, where it is not ``mine``, whose time to collect is over.

    The highest rank wins; of equals the one that was held first, then the least id. Those that have
    competed in vain for something else since (a cap, quiet hours) compete no more.
    """
    for rule in rules:
        rivals = [
            one
            for one in progress.waiting
            if rule.tag in one.tags
            and one.journey != mine.journey
            and one.collect_until_ms is not None
            and one.collect_until_ms > now_ms - rule.collect_ms
            and _lives(one, progress)
        ]
        best = max(rivals, key=_order, default=None)
        if best is not None and _order(best) > _order(mine):
            values = {"journey": best.journey, "rank": best.rank, "own rank": mine.rank}
            return Lost(rule, best.journey, max(best.collect_until_ms or 0, now_ms) + 1, values)
    return None


def _order(one: Waiting) -> tuple[float, int, str]:
    # Turned round where the least is the best; ids are of equal length.
    return one.rank, -one.since_ms, "".join(chr(255 - ord(char)) for char in one.id[:32])


def _lives(one: Waiting, progress: Progress) -> bool:
    if one.requested:
        return True
    enrollment = progress.enrollment(one.enrollment)
    return enrollment is not None and enrollment.is_active
