"""What is wrong, or looks wrong, in how journeys are entered, and in the experiments that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from schemas.workspace import (
    ExperimentCondition,
    OnChange,
    OnSchedule,
    OnScore,
    OnSegment,
    PropertyCondition,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas.workspace import Condition, Journey, Score, Segment, Workspace

    Found: TypeAlias = tuple[Literal["error", "warning"], tuple[str | int, ...], str]
    """Severity, location in the journey's file, and detail."""


def entry_findings(journey: Journey, workspace: Workspace) -> Iterator[Found]:
    """Everything found about one journey."""
    segments = {one.segment: one for one in workspace.segments}
    scores = {one.score: one for one in workspace.scores}
    for place, trigger in journey.entry.located_triggers():
        location = ("entry", *place)
        match trigger:
            case OnSegment():
                yield from _segment(journey, trigger.segment, location, segments)
            case OnSchedule():
                if trigger.segment is not None:
                    yield from _segment(journey, trigger.segment, location, segments)
                elif not journey.entry.require:
                    detail = "everybody is a candidate each time: name a segment, or say who in require"
                    yield "warning", location, detail
            case OnScore():
                yield from _score(journey, trigger, location, scores)
            case OnChange():
                yield from _change(trigger, location)
    yield from _properties(journey)
    yield from _recipients(journey, scores)
    yield from _experiments(journey, workspace)


def _segment(
    journey: Journey, name: str, location: tuple[str | int, ...], segments: dict[str, Segment]
) -> Iterator[Found]:
    named, place = segments.get(name), (*location, "segment")
    if named is None:
        yield "error", place, f"there is no segment {name!r}; there are {_listed(segments)}"
    elif named.subject != journey.subject:
        detail = f"{name!r} is a segment of {named.subject}s, and this is a journey of {journey.subject}s"
        yield "error", place, detail


def _score(
    journey: Journey, trigger: OnScore, location: tuple[str | int, ...], scores: dict[str, Score]
) -> Iterator[Found]:
    named = scores.get(trigger.score)
    if named is None:
        detail = f"there is no score {trigger.score!r}; there are {_listed(scores)}"
        yield "error", (*location, "score"), detail
    elif named.subject != journey.subject:
        detail = f"{trigger.score!r} is a score of {named.subject}s, this is a journey of {journey.subject}s"
        yield "error", (*location, "score"), detail
    elif trigger.threshold not in named.thresholds:
        detail = (
            f"{trigger.score!r} has no threshold {trigger.threshold!r}; it has {_listed(named.thresholds)}"
        )
        yield "error", (*location, "threshold"), detail


def _change(trigger: OnChange, location: tuple[str | int, ...]) -> Iterator[Found]:
    before, after = trigger.before(), trigger.after()
    if before is not None and after is not None and len(before) == 1 and before == after:
        yield "error", (*location, "to"), "a change is from one value to another: this never comes"


def _properties(journey: Journey) -> Iterator[Found]:
    """A property of the trigger is missing where only triggers come that have none."""
    if all(isinstance(one, OnChange | OnSchedule | OnScore | OnSegment) for one in journey.entry.triggers()):
        for part in ("require", "exclude"):
            for index, condition in enumerate(getattr(journey.entry, part)):
                if isinstance(condition, PropertyCondition) and condition.property_ not in _KNOWN:
                    detail = (
                        "no event begins this journey: a property is missing, and what asks for it not true"
                    )
                    yield "warning", ("entry", part, index, "property"), detail


_KNOWN = frozenset(
    {
        *("segment", "change", "run_at_ms"),
        *("score", "threshold", "direction", "value", "contributions"),
        *("trait", "from", "to"),
    }
)
"""Properties of triggers that are no events."""


def _recipients(journey: Journey, scores: dict[str, Score]) -> Iterator[Found]:
    by = journey.recipients.by if journey.recipients is not None else None
    if by is None:
        return
    named = scores.get(by)
    if named is None:
        yield "error", ("recipients", "by"), f"there is no score {by!r}; there are {_listed(scores)}"
    elif named.subject != "user":
        detail = f"{by!r} is a score of accounts: members are chosen by a score of users"
        yield "error", ("recipients", "by"), detail


def _experiments(journey: Journey, workspace: Workspace) -> Iterator[Found]:
    named = {one.experiment: one for one in workspace.experiments}
    for index, name in enumerate(journey.experiments):
        place = ("experiments", index)
        if name not in named:
            yield "error", place, f"there is no experiment {name!r}; there are {_listed(named)}"
        elif journey.subject == "account" and named[name].unit == "user":
            detail = f"{name!r} assigns each user, and this journey is of accounts: say unit: account in it"
            yield "error", place, detail


def assigned_findings(
    conditions: Iterable[tuple[tuple[str | int, ...], Condition]], journey: Journey, workspace: Workspace
) -> Iterator[Found]:
    """What is wrong in conditions, each with its location, that ask for a variant."""
    weights = {
        name: variants
        for one in workspace.experiments
        if one.experiment in journey.experiments
        for name, variants in one.assigned().items()
    }
    for location, condition in conditions:
        if not isinstance(condition, ExperimentCondition):
            continue
        place, known = (*location, "experiment"), weights.get(condition.experiment)
        if location[0] == "entry":
            yield "error", place, "a variant is assigned when the subject enters: ask for it in a branch"
        elif known is None:
            detail = f"the journey's experiments assign no {condition.experiment!r}, but {_listed(weights)}"
            yield "error", place, detail
        else:
            for variant in condition.is_:
                if variant not in known:
                    detail = f"{condition.experiment!r} has no variant {variant!r}; it has {_listed(known)}"
                    yield "error", (*location, "is"), detail


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
