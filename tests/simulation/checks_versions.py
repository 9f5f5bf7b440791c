"""What has to be true of publications and of words about journeys, seen from outside."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.actions import HOUR, MINUTE
from workers.core.compile import journey_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas import wire
    from tests.simulation.evidence import Evidence
    from tests.simulation.publishing import Told
    from workers.simulate.log import Record

LATE_MS = HOUR + 10 * MINUTE
"""A worker may stand still in a transaction for an hour, and end it by what it knew before."""

SHADOW = "~shadow"


@dataclass(frozen=True, slots=True)
class State:
    """All workers knew this of a journey from one moment to another, by true time."""

    journey: str
    state: str
    from_ms: int
    until_ms: int


def known_states(found: Evidence) -> Iterator[State]:
    """What was said about journeys, for as long as every worker had heard it and nothing else."""
    desk = found.left.wiring.desk
    said = [one for one in desk.told if one.journey is not None] if desk is not None else []
    for at, one in enumerate(said):
        later = [other.at_ms for other in said[at + 1 :] if other.journey == one.journey]
        from_ms = _heard_by_all(found, one)
        if from_ms is not None:
            yield State(
                one.journey or "", one.state or "", from_ms + LATE_MS, later[0] if later else found.end_ms
            )


def _heard_by_all(found: Evidence, told: Told) -> int | None:
    """When the last worker had heard of it; None: one never did."""
    first: dict[str, int] = {}
    for at_ms, worker, number in found.left.heard:
        if number > told.number:
            first.setdefault(worker, at_ms)
    return max(first.values()) if len(first) == len(found.left.cluster.workers) else None


def paused_journeys_do_nothing(found: Evidence) -> Iterator[str]:
    """While every worker knows that a journey is paused or stopped nobody enters it, and no step runs."""
    for known in known_states(found):
        if known.state not in ("paused", "stopped"):
            continue
        for record, decision in _about(found, known):
            entered = decision.kind == "entry" and decision.outcome == "enrolled"
            # Messages to members of an account were asked for before; their gates decide on them later.
            ran = decision.kind in ("send", "split") and not _is_members(found, decision)
            if entered or ran:
                told = f"{decision.kind} {decision.outcome} of {decision.subject}"
                yield f"{known.journey} is {known.state}, and at {record.timestamp}: {told}"


def nobody_enters_a_journey_that_drains(found: Evidence) -> Iterator[str]:
    """While every worker knows that a journey drains nobody enters it."""
    for known in known_states(found):
        if known.state == "draining":
            for record, decision in _about(found, known):
                if decision.kind == "entry" and decision.outcome == "enrolled":
                    yield f"{decision.subject} entered {known.journey} at {record.timestamp}, which drains"


def stopped_journeys_are_empty(found: Evidence) -> Iterator[str]:
    """What was ejected ended: with a decision for each, once all workers knew of it."""
    for known in known_states(found):
        if known.state != "stopped":
            continue
        inside: dict[str, str] = {}
        for record, decision in _about(found, known, since_ms=0):
            if decision.subject in found.entangled or record.timestamp > known.from_ms:
                continue
            if decision.kind == "entry" and decision.outcome == "enrolled":
                inside[decision.enrollment or ""] = decision.subject
            elif decision.kind == "exit":
                inside.pop(decision.enrollment or "", None)
        quiet = found.scenario.stalls_ms == 0 and known.until_ms > known.from_ms
        if quiet and inside:
            yield f"{known.journey} is stopped, and {sorted(inside.values())} are inside"


def _about(
    found: Evidence, known: State, since_ms: int | None = None
) -> Iterator[tuple[Record, wire.Decision]]:
    """The decisions about a journey while its state was known."""
    since_ms = known.from_ms if since_ms is None else since_ms
    for record, decision in found.of("decisions"):
        if decision.journey == known.journey and since_ms <= record.timestamp < known.until_ms:
            yield record, decision


def _is_members(found: Evidence, decision: wire.Decision) -> bool:
    journey = found.journeys.get(decision.journey)
    return journey is not None and journey.subject == "account" and decision.subject_type == "user"


def shadows_write_to_nobody(found: Evidence) -> Iterator[str]:
    """No message, delivery or conversion is of a shadow, nor of a version that ran as nothing else."""
    alone = _shadows_alone(found)
    outputs: list[tuple[str, str, str]] = [("message", one.journey, one.version) for _, one in found.messages]
    outputs += [("delivery", one.journey, one.version) for _, one in found.of("deliveries")]
    outputs += [("conversion", one.journey, one.version) for _, one in found.of("conversions")]
    for what, journey, version in outputs:
        if journey.endswith(SHADOW) or (journey, version) in alone:
            yield f"a {what} of {journey} {version}, which is a shadow"
    for _, decision in found.of("decisions"):
        if decision.journey.endswith(SHADOW) and decision.outcome in ("send", "request", "defer"):
            yield f"{decision.subject} in {decision.journey}: {decision.outcome}"


def _shadows_alone(found: Evidence) -> set[tuple[str, str]]:
    """The versions that were published as shadows, and never to run for people."""
    desk = found.left.wiring.desk
    if desk is None:
        return set()
    shadows: set[tuple[str, str]] = set()
    live: set[tuple[str, str]] = set()
    for change in (change for told in desk.told for change in told.changes):
        if change.after is not None:
            (shadows if change.shadow else live).add((change.journey, change.after))
    return shadows - live


def versions_are_kept(found: Evidence) -> Iterator[str]:
    """Who is inside a version that was pinned, or drains, finishes it; others go to published ones."""
    desk = found.left.wiring.desk
    if desk is None:
        return
    kept, known = set(), set()
    for change in (change for told in desk.told for change in told.changes):
        known.add((change.journey, change.after))
        if change.policy in ("pin", "drain"):
            kept.add((change.journey, change.before))
    followed = {
        (change.journey, change.before)
        for told in desk.told
        for change in told.changes
        if change.policy == "follow"
    }
    run: dict[str, list[wire.Decision]] = defaultdict(list)
    for _, decision in found.of("decisions"):
        if decision.enrollment is not None and decision.kind != "goal":
            run[decision.enrollment].append(decision)
    for decisions in run.values():
        first = decisions[0]
        place = (first.journey, first.version)
        others = {one.version for one in decisions} - {first.version}
        if place in kept - followed and others:
            yield f"{first.subject} was in {place}, which was kept, and then in {sorted(others)}"
        unknown = {version for version in others if (first.journey, version) not in known}
        if unknown and not first.journey.endswith(SHADOW):
            yield f"{first.subject} was in {place}, and then in {sorted(unknown)}, which nobody published"


def new_people_enter_the_newest_version(found: Evidence) -> Iterator[str]:
    """Once every worker has heard of a version, who enters runs it, where none was pinned."""
    desk = found.left.wiring.desk
    if desk is None:
        return
    newest: dict[str, list[tuple[int, str | None, bool]]] = defaultdict(list)
    for told in desk.told:
        heard_ms = _heard_by_all(found, told)
        for change in told.changes:
            if not change.shadow and heard_ms is not None:
                newest[change.journey].append((heard_ms + LATE_MS, change.after, change.policy == "pin"))
    last_ms = {told.at_ms for told in desk.told if told.changes}
    for record, decision in found.decisions("entry", "enrolled"):
        known = [one for one in newest[decision.journey] if one[0] <= record.timestamp]
        later = [at_ms for at_ms in last_ms if known and known[-1][0] - LATE_MS < at_ms <= record.timestamp]
        if not known or later or any(pinned for _, _, pinned in newest[decision.journey]):
            continue
        if decision.version != known[-1][1]:
            yield f"{decision.subject} entered {decision.journey} {decision.version}, not {known[-1][1]}"


def versions_are_what_files_say(found: Evidence) -> Iterator[str]:
    """Every version that decisions speak of is the hash of a journey that was drawn.

    Of a candidate that another journey sent to one that is gone, the decision has the version of the other.
    """
    drawn = {
        (one.journey, journey_version(one))
        for loaded in found.scenario.versions.loaded
        for one in loaded.workspace.journeys
    }
    for _, decision in found.of("decisions"):
        place = (decision.journey.removesuffix(SHADOW), decision.version)
        if place not in drawn and decision.outcome != "declined":
            yield f"{decision.subject} was decided in {place}, which nobody wrote"


CHECKS: tuple[Any, ...] = (
    paused_journeys_do_nothing,
    nobody_enters_a_journey_that_drains,
    stopped_journeys_are_empty,
    shadows_write_to_nobody,
    versions_are_kept,
    new_people_enter_the_newest_version,
    versions_are_what_files_say,
)
