"""From the scores of a workspace to the plan that the workers run."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from schemas.workspace import format_duration
from schemas.workspace.scores import EventContribution, TraitContribution
from workers.core.conditions.comparisons import compile_comparison, compile_path, compile_where
from workers.core.conditions.labels import operators_text, where_label
from workers.core.ids import VERSION_CHARS, stable_id
from workers.core.scoring.row import EventPart, ScorePlan, ScorePlans, ThresholdPlan, TraitPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.fields import SubjectType
    from schemas.workspace.scores import Score

_ID_CHARS: Final = 12
"""48 bits: the contributions of one score, at most a hundred, do not collide by accident."""


def compile_scores(scores: Iterable[Score], subject: SubjectType) -> ScorePlans:
    """The plan of all scores of one kind of subject: a function of what the files say alone."""
    plans = {one.score: _compile(one) for one in sorted(_of(scores, subject), key=lambda one: one.score)}
    events: dict[str, list[ScorePlan]] = defaultdict(list)
    for plan in plans.values():
        for event in plan.events:
            events[event].append(plan)
    traits = frozenset(
        part.trait.split(".")[0]
        for one in _of(scores, subject)
        for part in one.contributions
        if isinstance(part, TraitContribution)
    )
    return ScorePlans(plans, {event: tuple(held) for event, held in events.items()}, traits)


def _of(scores: Iterable[Score], subject: SubjectType) -> list[Score]:
    return [one for one in scores if one.subject == subject]


def _compile(score: Score) -> ScorePlan:
    events: dict[str, list[EventPart]] = defaultdict(list)
    traits = []
    for part in score.contributions:
        if isinstance(part, EventContribution):
            events[part.event].append(_event_part(part, score.half_life))
        else:
            label = f"trait {part.trait} {operators_text(part)}"
            test = compile_comparison(part, lambda field: compile_path(field.path))
            traits.append(TraitPart(label, compile_path(part.trait), test, float(part.points)))
    content = json.dumps(score.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return ScorePlan(
        name=score.score,
        version=stable_id("score", content)[:VERSION_CHARS],
        half_life_ms=score.half_life,
        events={event: tuple(parts) for event, parts in events.items()},
        traits=tuple(traits),
        thresholds=tuple(
            ThresholdPlan(name, float(threshold.reaches), threshold.floor())
            for name, threshold in score.thresholds.items()
        ),
    )


def _event_part(part: EventContribution, half_life_ms: int) -> EventPart:
    content = part.model_dump(mode="json", exclude={"points"}, exclude_defaults=True)
    identity = json.dumps([content, half_life_ms], sort_keys=True)
    where = where_label(part.where)
    cap = part.cap
    label = f"{part.event}{where}" + (
        f" (first {cap.times} of each {format_duration(cap.per)})" if cap is not None else ""
    )
    return EventPart(
        id=int(stable_id("contribution", identity)[:_ID_CHARS], 16),
        label=label,
        where=compile_where(part.where),
        points=float(part.points),
        cap_times=cap.times if cap is not None else 0,
        cap_per_ms=cap.per if cap is not None else 0,
    )
