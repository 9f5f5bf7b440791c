"""What the pages of the console show, as values for their templates. Reads nothing by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from workers.core.journeys.lineage import SHADOW_MARK
from workers.intake.console.graph import Node, graph_of, paths_of
from workers.intake.console.numbers import JourneyNumbers, journeys_of, outcomes_of, standing_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.workspace import Journey
    from workers.core.plan import JourneyPlan
    from workers.intake.console.numbers import Outcome
    from workers.intake.console.sources import Defined, Rows

SAMPLES: Final = 5
"""Subjects that are named of overdue timers that are alike."""


@dataclass(frozen=True, slots=True)
class JourneyLine:
    """A journey in the list. ``version`` and ``condition`` are None where the workspace has it no more."""

    name: str
    subject: str | None
    tags: Sequence[str]
    version: str | None
    condition: str | None
    numbers: JourneyNumbers


@dataclass(frozen=True, slots=True)
class JourneyView:
    """One journey. ``inside`` and ``outcomes`` are by the path of a step in the version in force.

    ``elsewhere`` are steps of other versions, and of a shadow, with who stands there; ``gone`` what came out
    at steps that the version in force has not; ``wrong`` what went wrong lately, the latest first.
    """

    line: JourneyLine
    steps: tuple[Node, ...]
    inside: Mapping[str, int]
    outcomes: Mapping[str, list[Outcome]]
    elsewhere: Sequence[tuple[str, str, int]]
    gone: Sequence[tuple[str, list[Outcome]]]
    entry: Sequence[str] = ()
    goal: str | None = None
    holdout_percent: float = 0.0
    wrong: Sequence[tuple[str, Outcome]] = field(default=())


def journey_lines(defined: Defined | None, rows: Rows, now_ms: int) -> list[JourneyLine]:
    """All journeys: what needs a look first, then by name; those that are gone while anybody is inside."""
    numbers = journeys_of(rows.tallies(), rows.steps(), rows.standing(), now_ms)
    known = {} if defined is None else {one.journey: one for one in defined.workspace.journeys}
    lines = [_line(name, defined, numbers.get(name, JourneyNumbers())) for name in known]
    left = {name: one for name, one in numbers.items() if name not in known}
    shown = left if defined is None else {name: one for name, one in left.items() if one.inside}
    lines += [_line(name, None, one) for name, one in shown.items()]
    return sorted(lines, key=lambda line: (not line.numbers.problems, line.name))


def journey_view(name: str, defined: Defined | None, rows: Rows, now_ms: int) -> JourneyView | None:
    """One journey; None where nobody knows of it."""
    steps, standing = rows.steps(), rows.standing()
    numbers = journeys_of(rows.tallies(), steps, standing, now_ms).get(name)
    file = _file(name, defined)
    if numbers is None and file is None:
        return None
    line = _line(name, defined if file is not None else None, numbers or JourneyNumbers())
    plan = _plan(name, defined) if file is not None else None
    nodes = graph_of(file.steps, plan.steps) if file is not None and plan is not None else ()
    inside: Counter[str] = Counter()
    elsewhere: list[tuple[str, str, int]] = []
    for (journey, version, step), number in sorted(standing_of(standing).items()):
        if journey == name and plan is not None and version == plan.version:
            inside[step] += number
        elif journey == name or journey == name + SHADOW_MARK:
            elsewhere.append((version, f"{step} (shadow)" if journey != name else step, number))
    outcomes = outcomes_of(steps, name, now_ms)
    paths = set(paths_of(nodes))
    elsewhere += [(line.version or "", step, n) for step, n in inside.items() if step not in paths]
    wrong = [(step, one) for step, some in outcomes.items() for one in some if one.problem and not one.ruled]
    return JourneyView(
        line,
        nodes,
        inside,
        outcomes,
        elsewhere,
        sorted((step, some) for step, some in outcomes.items() if step not in paths),
        [_words(one.model_dump(mode="json", exclude_none=True)) for one in file.entry.triggers()]
        if file
        else (),
        file.goal.event if file is not None and file.goal is not None else None,
        plan.holdout_bp / 100 if plan is not None else 0.0,
        sorted((one for one in wrong if one[1].day), key=lambda one: -one[1].last_ms),
    )


def enrollment_line(item: Mapping[str, Any]) -> dict[str, Any]:
    """An enrollment as a line of a table; ``item`` is that of :func:`workers.standing.enrollment_item`."""
    positions = item["positions"]
    since = [one["since_ms"] for one in positions if one["since_ms"] is not None]
    return {
        **item,
        "steps": ", ".join(one["step"] for one in positions) or item["step"],
        "since_ms": min(since, default=item["entered_at_ms"]),
        "waits_for": "; ".join(one["waits_for"] for one in positions),
    }


def decision_line(one: Mapping[str, Any]) -> dict[str, Any]:
    """A decision with the values that it was taken on, as words."""
    values = one.get("values") or {}
    return {**one, "said": ", ".join(f"{name}: {value}" for name, value in values.items())}


def timer_groups(found: Sequence[Mapping[str, Any]], now_ms: int) -> list[dict[str, Any]]:
    """Overdue timers by kind, journey and step, those with the most first, each with its latest and some."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for item in found:
        key = (item["kind"], item["journey"] or "", item["step"] or "")
        group = groups.setdefault(
            key, {"kind": key[0], "journey": key[1], "step": key[2], "count": 0, "late_ms": 0, "some": []}
        )
        group["count"] += 1
        group["late_ms"] = max(group["late_ms"], now_ms - item["due_ms"])
        if item["subject"] is not None and len(group["some"]) < SAMPLES:
            group["some"].append((item["subject_type"], item["subject"]))
    return sorted(groups.values(), key=lambda group: -int(group["count"]))


def subject_path(kind: str, subject: str) -> str:
    """Where the console shows a subject."""
    return f"/console/{'accounts' if kind == 'account' else 'people'}/{quote(subject, safe='')}"


def _file(name: str, defined: Defined | None) -> Journey | None:
    journeys = () if defined is None else defined.workspace.journeys
    return next((one for one in journeys if one.journey == name), None)


def _plan(name: str, defined: Defined | None) -> JourneyPlan | None:
    if defined is None:
        return None
    return defined.plan.user.journeys.get(name) or defined.plan.account.journeys.get(name)


def _line(name: str, defined: Defined | None, numbers: JourneyNumbers) -> JourneyLine:
    plan = _plan(name, defined)
    if plan is None:
        return JourneyLine(name, None, (), None, None, numbers)
    return JourneyLine(name, plan.subject, plan.tags, plan.version, plan.running.condition, numbers)


def _words(told: Mapping[str, Any]) -> str:
    """What a file says in one line: ``event: came``."""
    return ", ".join(f"{name}: {value}" for name, value in told.items())
