"""Frequency caps: how many messages there were within a span, and when there is room again. Exact.

What counts is what was sent, and what someone of a holdout would have had. Nothing later than the span's
beginning is left out, also where clocks of workers differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.workspace.gate import OnCap
    from workers.core.facts import Moment
    from workers.core.gate.plan import CapPlan
    from workers.core.journeys.progress import SentMessage

_STRICTER: Final[dict[OnCap, int]] = {"defer": 0, "skip": 1, "drop": 2, "exit": 3}


@dataclass(frozen=True, slots=True)
class Reached:
    """A cap without room: what becomes of the message, and when there is room again by the clock alone."""

    label: str
    action: OnCap
    until_ms: int
    by_calendar: bool


def reached(
    caps: Iterable[CapPlan],
    about: tuple[str, Sequence[str], str],
    sent: Sequence[SentMessage],
    moment: Moment,
    on_cap: OnCap | None,
) -> tuple[Reached | None, dict[str, int]]:
    """The cap that decides on a message ``about`` (channel, tags, journey), and each count.

    All caps apply: the message goes out where all have room. Where several have none, the strictest action is
    taken (exit, drop, skip, defer); of several to be deferred, the latest. ``on_cap`` of the step overrules
    that of the caps. ``moment`` is the one whose caps they are: a person's, or an account's.
    """
    found: list[Reached] = []
    counts: dict[str, int] = {}
    for cap in caps:
        if not cap.counts(*about):
            continue
        bounds = cap.span.bounds(moment, 0)
        assert bounds is not None, "spans of caps are always there"
        times_ms = sorted(
            one.at_ms
            for one in sent
            if one.at_ms >= bounds[0] and not one.uncapped and cap.counts(one.channel, one.tags, one.journey)
        )
        counts[f"cap {cap.label}"] = len(times_ms)
        if len(times_ms) >= cap.most:
            found.append(_reached(cap, times_ms, moment, on_cap))
    strictest = max(found, key=lambda one: (_STRICTER[one.action], one.until_ms), default=None)
    return strictest, counts


def _reached(cap: CapPlan, times_ms: list[int], moment: Moment, on_cap: OnCap | None) -> Reached:
    action = on_cap or cap.on_cap
    if cap.span.sliding_ms is not None:
        leaving_ms = times_ms[len(times_ms) - cap.most]
        return Reached(cap.label, action, leaving_ms + cap.span.sliding_ms, by_calendar=False)
    edge_ms = cap.span.edge_ms(moment)
    assert edge_ms is not None, "a period of the calendar ends"
    return Reached(cap.label, action, edge_ms, by_calendar=True)
