"""What is wrong, or looks wrong, in how the parts of a workspace fit together."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from schemas.workspace import (
    AccountCondition,
    AccountSegmentCondition,
    AllCondition,
    ConsentCondition,
    ConvertedCondition,
    EnrolledCondition,
    ExitChange,
    ExitEvent,
    ExperimentCondition,
    MeasureCondition,
    NotCondition,
    Operators,
    PerformedCondition,
    PropertyCondition,
    Score,
    ScoreCondition,
    Segment,
    SegmentCondition,
    SustainedCondition,
)
from schemas.workspace.accounts import AccountSegment
from schemas.workspace.comparisons import NEGATIVE
from schemas.workspace.conditions import children
from schemas.workspace.steps import conditions_of, walk
from workers.core.lint.entry import assigned_findings, entry_findings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from schemas.workspace import Condition, Journey, Workspace

    Definition: TypeAlias = Journey | Segment

Severity: TypeAlias = Literal["error", "warning"]
Kind: TypeAlias = Literal["journeys", "segments", "objects", "settings"]
"""The folder of the file, or ``workspace.yaml``."""
Location: TypeAlias = tuple[str | int, ...]

_SHOWN_NAMES: Final = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change, or to think about; ``location`` leads to it in the file that defines ``name``."""

    kind: Kind
    name: str
    severity: Severity
    location: Location
    detail: str


def lint(workspace: Workspace) -> list[Finding]:
    """Everything found, journeys first, in the workspace's order. Only errors make a workspace unusable."""
    names = {journey.journey for journey in workspace.journeys}
    tags = {tag for journey in workspace.journeys for tag in journey.tags}
    found: list[Finding] = []
    for journey in workspace.journeys:
        found += _crossings(journey)
        found += _leaving(journey)
        found += [Finding("journeys", journey.journey, *rest) for rest in entry_findings(journey, workspace)]
        located = located_conditions(journey)
        found += [
            Finding("journeys", journey.journey, *rest)
            for rest in assigned_findings(located, journey, workspace)
        ]
    segments = {segment.segment: segment for segment in workspace.segments}
    scores = {score.score: score for score in workspace.scores}
    asking: tuple[Definition, ...] = (*workspace.journeys, *workspace.segments)
    for one in asking:
        found += _references(one, names, tags)
        found += _segments_named(one, segments)
        found += _scores_named(one, scores)
        found += _missing_values(one)
        found += _consent_topics(one, workspace.consent.topics)
    for segment in workspace.segments:
        found += _reached_in(segment)
    found += _circles(segments)
    return found


def finding(one: Definition, severity: Severity, location: Location, detail: str) -> Finding:
    """What is found in the file of a journey or of a segment."""
    if isinstance(one, Segment):
        return Finding("segments", one.segment, severity, location, detail)
    return Finding("journeys", one.journey, severity, location, detail)


def _references(one: Definition, names: set[str], tags: set[str]) -> Iterator[Finding]:
    """Journeys that conditions name are in the workspace."""
    for location, condition in located_conditions(one):
        if isinstance(condition, EnrolledCondition):
            place, named = (*location, "enrolled"), condition.enrolled
        elif isinstance(condition, ConvertedCondition):
            place, named = (*location, "converted"), condition.converted
        else:
            continue
        for name in named.journey or ():
            if name not in names:
                detail = f"there is no journey {name!r}; there are {listed(names)}"
                yield finding(one, "error", (*place, "journey"), detail)
        for tag in named.tag or ():
            if tag not in tags:
                detail = f"no journey has the tag {tag!r}: this is never true"
                yield finding(one, "warning", (*place, "tag"), detail)


def _segments_named(one: Definition, segments: Mapping[str, Segment]) -> Iterator[Finding]:
    """Segments that conditions name are in the workspace, and of the subject, or of a user's account."""
    for location, condition in located_conditions(one):
        asked: Literal["user", "account"] = one.subject
        if isinstance(condition, SegmentCondition):
            name, place = condition.in_segment, (*location, "in_segment")
        elif isinstance(condition, AccountSegmentCondition):
            name, place, asked = condition.account.in_segment, (*location, "account", "in_segment"), "account"
            if one.subject == "account":
                detail = f"this is about accounts itself: ask `in_segment: {name}`, without `account:`"
                yield finding(one, "error", place, detail)
                continue
        else:
            continue
        named = segments.get(name)
        if named is None:
            detail = f"there is no segment {name!r}; there are {listed(segments)}"
            yield finding(one, "error", place, detail)
        elif named.subject != asked:
            detail = f"{name!r} is a segment of {named.subject}s, and this is about {asked}s"
            if one.subject == "user":
                instead = f"account: {{in_segment: {name}}}" if asked == "user" else f"in_segment: {name}"
                detail += f": ask `{instead}`"
            yield finding(one, "error", place, detail)


def _scores_named(one: Definition, scores: Mapping[str, Score]) -> Iterator[Finding]:
    """Scores that conditions name are in the workspace, and of the same kind of subject."""
    for location, condition in located_conditions(one):
        if not isinstance(condition, ScoreCondition):
            continue
        place, named = (*location, "score"), scores.get(condition.score)
        if named is None:
            detail = f"there is no score {condition.score!r}; there are {listed(scores)}"
            yield finding(one, "error", place, detail)
        elif named.subject != one.subject:
            detail = f"{named.score!r} is a score of {named.subject}s, and this is about {one.subject}s"
            yield finding(one, "error", place, detail)


def _reached_in(segment: Segment) -> Iterator[Finding]:
    """Belonging lasts; to reach a number is an instant, and so is an event with its properties."""
    for location, condition in located_conditions(segment):
        if isinstance(condition, ScoreCondition) and not _fades_plainly(condition):
            detail = "a score fades: in a segment compare it with numbers, by gt, gte, lt or lte"
            yield finding(segment, "error", location, detail)
        if isinstance(condition, ExperimentCondition):
            detail = "a variant is assigned when a subject enters a journey: ask for it in a branch there"
            yield finding(segment, "error", (*location, "experiment"), detail)
        if isinstance(condition, PropertyCondition):
            detail = "a segment is not about one event: say performed, with where"
            yield finding(segment, "error", location, detail)
        if _reaching(condition) is not None:
            instead = "at_least" if isinstance(condition, PerformedCondition) else "gte"
            detail = f"reaches is true for one event, and a segment holds for a while: say {instead}"
            yield finding(segment, "error", (*location, "reaches"), detail)


def _fades_plainly(condition: ScoreCondition) -> bool:
    """Whether the instants are known at which time changes the outcome."""
    return not condition.references() and set(condition.operators()) <= {"gt", "gte", "lt", "lte"}


def _circles(segments: Mapping[str, Segment]) -> Iterator[Finding]:
    """Segments that use each other have no order in which they could be decided."""
    graph = {name: segment.uses() & segments.keys() for name, segment in sorted(segments.items())}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = list(dict.fromkeys(error.args[1]))
        detail = f"segments use each other in a circle: {', '.join(circle)}"
        first = segments[circle[0]]
        for location, condition in located_conditions(first):
            if isinstance(condition, SegmentCondition) and condition.in_segment in circle:
                yield finding(first, "error", (*location, "in_segment"), detail)
                return


def _missing_values(one: Definition) -> Iterator[Finding]:
    """A negative condition says what a missing value means."""
    for location, condition in located_conditions(one):
        if isinstance(condition, NotCondition):
            compared, place = _comparison(condition.not_, (*location, "not"))
            negative = isinstance(compared, AccountSegment) or (
                compared is not None and "exists" not in compared.operators()
            )
        else:
            compared, place = _comparison(condition, location)
            negative = isinstance(compared, Operators) and any(
                name in NEGATIVE for name in compared.operators()
            )
        if compared is not None and negative and compared.if_missing is None:
            detail = (
                "where the value is missing this is not true; say `if_missing: pass` or `if_missing: fail` "
                "to show that this is meant"
            )
            yield finding(one, "warning", place, detail)


def _consent_topics(one: Definition, topics: Mapping[str, str]) -> Iterator[Finding]:
    """A person consents, and to a topic that the workspace declares."""
    for location, condition in located_conditions(one):
        if not isinstance(condition, ConsentCondition):
            continue
        place, topic = (*location, "consent"), condition.consent.topic
        if one.subject == "account":
            detail = "people consent, accounts do not: each member's own consent is asked before a message"
            yield finding(one, "error", place, detail)
        elif topic is not None and topic not in topics:
            detail = f"there is no consent topic {topic!r} in workspace.yaml; there are {listed(topics)}"
            yield finding(one, "error", (*place, "topic"), detail)


def _crossings(journey: Journey) -> Iterator[Finding]:
    """An event can reach a number only where the journey is entered on that very event."""
    entry = journey.entry
    only = entry.events() if len(entry.event_triggers()) == len(entry.triggers()) else ()
    allowed: set[Location] = set()
    tops: list[tuple[Location, Condition]] = [
        (("entry", "require", index), one) for index, one in enumerate(journey.entry.require)
    ]
    while tops:
        location, condition = tops.pop()
        if only == (_reaching(condition),):
            allowed.add(location)
        elif isinstance(condition, AllCondition):
            tops += [((*location, "all", index), one) for index, one in enumerate(condition.all_)]
    for location, condition in located_conditions(journey):
        if _reaching(condition) is not None and location not in allowed:
            detail = (
                f"reaches is true for the one event that makes the count or sum that number: it belongs into "
                f"entry.require (or `all` there) of a journey entered on that event alone, not on "
                f"{', '.join(map(repr, entry.events())) or 'something else'}"
            )
            yield Finding("journeys", journey.journey, "error", (*location, "reaches"), detail)


def _reaching(condition: Condition) -> str | None:
    """The event that has to reach a number; None where a condition asks for no such thing."""
    if isinstance(condition, PerformedCondition) and condition.reaches is not None:
        return condition.performed
    if isinstance(condition, MeasureCondition) and condition.reaches is not None:
        return condition.event
    return None


def _leaving(journey: Journey) -> Iterator[Finding]:
    """An upgrade or the like ends the journey: a goal that does not may be followed by more messages."""
    exits = {leaving.when.event for leaving in journey.exit if isinstance(leaving.when, ExitEvent)}
    if journey.goal is not None and journey.goal.event not in exits:
        detail = f"who reaches the goal stays inside: add `- when: {{event: {journey.goal.event}}}` to exit"
        yield Finding("journeys", journey.journey, "warning", ("goal", "event"), detail)


def _comparison(
    condition: Condition, location: Location
) -> tuple[Operators | AccountSegment | None, Location]:
    if isinstance(condition, (AccountCondition, AccountSegmentCondition)):
        return condition.account, (*location, "account")
    return (condition, location) if isinstance(condition, Operators) else (None, location)


def located_conditions(one: Definition) -> Iterator[tuple[Location, Condition]]:
    """Each condition of a journey or segment with its place, those inside others after them."""
    tops: list[tuple[Location, Condition]] = []
    holder, prefix = (one, ()) if isinstance(one, Segment) else (one.entry, ("entry",))
    for part in ("require", "exclude"):
        conditions: tuple[Condition, ...] = getattr(holder, part)
        tops += [((*prefix, part, index), condition) for index, condition in enumerate(conditions)]
    if not isinstance(one, Segment):
        tops += [
            (("exit", index, "when"), leaving.when)
            for index, leaving in enumerate(one.exit)
            if not isinstance(leaving.when, (ExitEvent, ExitChange))
        ]
        for location, step in walk(one.steps, ("steps",)):
            tops += [((*location, *way), condition) for way, condition in conditions_of(step)]
    for location, condition in tops:
        yield from _with_inner(location, condition)


def _with_inner(location: Location, condition: Condition) -> Iterator[tuple[Location, Condition]]:
    yield location, condition
    if isinstance(condition, NotCondition):
        yield from _with_inner((*location, "not"), condition.not_)
        return
    if isinstance(condition, SustainedCondition):
        yield from _with_inner((*location, "sustained"), condition.sustained)
        return
    key = "all" if "all_" in type(condition).model_fields else "any"
    for index, inner in enumerate(children(condition)):
        yield from _with_inner((*location, key, index), inner)


def listed(names: Collection[str]) -> str:
    """Names as a message lists them: the first few."""
    known = sorted(names)
    more = f" and {len(known) - _SHOWN_NAMES} more" if len(known) > _SHOWN_NAMES else ""
    return (", ".join(known[:_SHOWN_NAMES]) or "none") + more
