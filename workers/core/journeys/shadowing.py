"""What a shadow would have sent: it counts for that shadow alone, in place of what the running version sent.

From when the shadow was published on, the shadow and the running version of a journey each see their own
messages to a subject, and both those of everybody else. What was sent before counts for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from workers.core.journeys.lineage import SHADOW_MARK
from workers.core.journeys.progress import Shadowed

if TYPE_CHECKING:
    from workers.core.journeys.progress import Progress, SentMessage
    from workers.core.plan import JourneyPlan

SHADOWED_MAX: Final = 250
"""What is remembered of each kind (sent, withheld, once) of one shadow: the latest. A subject that would have
more from one journey makes the comparison less exact, and nothing else."""


def seen_by(journey: JourneyPlan, progress: Progress) -> Progress:
    """The row as conditions of the journey see it; the very row unless the journey is a shadow."""
    return seen(progress, journey.name, journey.shadow_since_ms or 0) if journey.shadow else progress


def seen(progress: Progress, shadow: str, since_ms: int) -> Progress:
    """The row as a shadow sees it, which began at ``since_ms``: for decisions, never to be stored."""
    own = _of(progress, shadow, since_ms)
    return replace(
        progress,
        messages=_instead(progress.messages, own.messages, shadow, since_ms),
        withheld=_instead(progress.withheld, own.withheld, shadow, since_ms),
        once=(*(key for key in progress.once if key not in own.hidden), *own.once),
    )


def with_shadowed(
    progress: Progress,
    shadow: str,
    since_ms: int,
    *,
    message: SentMessage | None = None,
    withheld: SentMessage | None = None,
    once: str | None = None,
) -> Progress:
    """The row that remembers what a shadow would have sent or withheld, and what of that may come once."""
    own = _of(progress, shadow, since_ms)
    own = replace(
        own,
        messages=_added(own.messages, message),
        withheld=_added(own.withheld, withheld),
        once=_noted(own.once, once),
    )
    return replace(progress, shadows={**progress.shadows, shadow: own})


def with_hidden(progress: Progress, journey: str, since_ms: int, once: str) -> Progress:
    """The row in which a journey's shadow does not see that its running version sent what may come once."""
    shadow = journey + SHADOW_MARK
    own = _of(progress, shadow, since_ms)
    return replace(
        progress, shadows={**progress.shadows, shadow: replace(own, hidden=_noted(own.hidden, once))}
    )


def counted_as(journey: str) -> str:
    """The name under which messages of a journey, or of its shadow, count."""
    return journey.removesuffix(SHADOW_MARK)


def merge_shadows(mine: dict[str, Shadowed], theirs: dict[str, Shadowed]) -> dict[str, Shadowed]:
    """What shadows would have sent to two who are one person; of two shadows of one name the later counts."""
    merged = {**theirs, **mine}
    for name in mine.keys() & theirs.keys():
        both = (theirs[name], mine[name])
        newest = max(one.since_ms for one in both)
        own = Shadowed(newest)
        for one in both:
            if one.since_ms == newest:
                own = replace(
                    own,
                    messages=_added(own.messages, *one.messages),
                    withheld=_added(own.withheld, *one.withheld),
                    once=_noted(own.once, *one.once),
                    hidden=_noted(own.hidden, *one.hidden),
                )
        merged[name] = own
    return merged


def _of(progress: Progress, shadow: str, since_ms: int) -> Shadowed:
    held = progress.shadows.get(shadow)
    # Of an earlier shadow of that name nothing counts.
    return held if held is not None and held.since_ms == since_ms else Shadowed(since_ms)


def _instead(
    sent: tuple[SentMessage, ...], own: tuple[SentMessage, ...], shadow: str, since_ms: int
) -> tuple[SentMessage, ...]:
    running = counted_as(shadow)
    others = (one for one in sent if one.journey != running or one.at_ms < since_ms)
    return tuple(sorted((*others, *own), key=lambda one: one.at_ms))


def _added(held: tuple[SentMessage, ...], *new: SentMessage | None) -> tuple[SentMessage, ...]:
    by_id = {one.id: one for one in (*held, *new) if one is not None}
    return tuple(sorted(by_id.values(), key=lambda one: (one.at_ms, one.id)))[-SHADOWED_MAX:]


def _noted(held: tuple[str, ...], *new: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*held, *(one for one in new if one is not None))))[-SHADOWED_MAX:]
