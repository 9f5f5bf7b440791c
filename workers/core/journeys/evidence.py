"""Why a subject is in a journey, as templates show it: the values that its conditions had at the entry.

An enrollment keeps those values where a template of its journey shows them; what they were compared with is
in the journey, and is not kept again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from schemas.workspace import (
    AccountCondition,
    AllCondition,
    AnyCondition,
    Condition,
    MeasureCondition,
    OnReaching,
    PerformedCondition,
    PropertyCondition,
    ScoreCondition,
    SendStep,
    TraitCondition,
)
from schemas.workspace.conditions import children
from schemas.workspace.spans import span_text
from schemas.workspace.steps import walk
from workers.core.conditions.compile import compile_condition
from workers.core.journeys.triggers import reaching
from workers.core.templates.texts import texts_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from schemas.workspace import Journey, Operators
    from schemas.workspace.spans import SpanValue
    from workers.core.conditions.compiled import Names

DAY_MS: Final = 86_400_000
VALUES_MAX: Final = 20
"""Conditions of one journey whose values are kept with each enrollment."""

_MENTION: Final = re.compile(r"\bevidence\b")
_THRESHOLDS: Final = ("gte", "gt", "lte", "lt", "eq", "in_", "in")


@dataclass(frozen=True, slots=True)
class EvidencePlan:
    """One condition of an entry. ``label`` is its name in decisions, ``name`` the event, trait or score.

    ``counts``: its value is a number of times. ``threshold`` is what it is compared with, None where that is
    no constant; ``within`` is its span (``14d``), None without one; ``days`` of a span that slides.
    """

    label: str
    name: str
    counts: bool
    threshold: Any
    within: str | None
    days: float | None

    def value(self, values: Mapping[str, Any]) -> Any:
        """The condition's value among those that a decision notes; None where it was not looked at."""
        noted = [name for name in values if self.label == name or self.label.startswith(f"{name} ")]
        return values[max(noted, key=len)] if noted else None


def evidence_plans(
    journey: Journey, names: Names, templates: Mapping[str, Mapping[str, Any]]
) -> tuple[EvidencePlan, ...]:
    """What a journey's templates can show; empty where none of them does."""
    sent = (text for template in _sent(journey, templates) for text in texts_in(template))
    if not any(_MENTION.search(text) for text in sent):
        return ()
    triggers = (one for one in journey.entry.event_triggers() if isinstance(one, OnReaching))
    asked: list[Condition] = [reaching(one) for one in triggers]
    asked += [leaf for condition in journey.entry.require for leaf in _leaves(condition)]
    plans = (_plan(condition, compile_condition(condition, names).label) for condition in asked)
    return tuple(plan for plan in plans if plan is not None)[:VALUES_MAX]


def kept(plans: Sequence[EvidencePlan], values: Mapping[str, Any]) -> dict[str, Any]:
    """Of the values of an entry, those that templates show."""
    found = {plan.label: plan.value(values) for plan in plans}
    return {label: value for label, value in found.items() if value is not None}


def shown(plans: Sequence[EvidencePlan], values: Mapping[str, Any]) -> dict[str, Any] | None:
    """What templates see as ``evidence``; None where there is nothing to see.

    ``conditions`` has all, in the order of the file, and ``events`` the counts by their event. ``count``,
    ``threshold``, ``within`` and ``days`` are those of the first count.
    """
    conditions = [
        {
            "label": plan.label,
            "name": plan.name,
            "value": values[plan.label],
            "threshold": plan.threshold,
            "within": plan.within,
            "days": plan.days,
        }
        for plan in plans
        if plan.label in values
    ]
    if not conditions:
        return None
    events: dict[str, dict[str, Any]] = {}
    for plan in plans:
        if plan.counts and plan.label in values:
            said = {"count": values[plan.label], "threshold": plan.threshold, "within": plan.within}
            events.setdefault(plan.name, {**said, "days": plan.days})
    first = next(iter(events.values()), {})
    return {**first, "conditions": conditions, "events": events}


def _plan(condition: Condition, label: str) -> EvidencePlan | None:  # noqa: PLR0911  one per kind
    match condition:
        case PerformedCondition(each_of_last=None):
            least, most = condition.bounds()
            threshold = most if least == 0 else least
            return EvidencePlan(
                label, condition.performed, counts=True, threshold=threshold, **_span(condition.within)
            )
        case MeasureCondition(trend=None, each_of_last=None):
            counts = condition.function in ("count", "members", "distinct") and condition.divided_by is None
            name = condition.event if condition.function in ("count", "members") else condition.path
            return EvidencePlan(
                label,
                name or condition.event,
                counts=counts,
                threshold=_threshold(condition),
                **_span(condition.within),
            )
        case TraitCondition():
            return _of_field(label, condition.trait, condition)
        case PropertyCondition():
            return _of_field(label, condition.property_, condition)
        case AccountCondition():
            return _of_field(label, condition.account.trait, condition.account)
        case ScoreCondition():
            return _of_field(label, condition.score, condition)
        case _:
            return None


def _of_field(label: str, name: str, comparison: Operators) -> EvidencePlan:
    threshold = _threshold(comparison)
    return EvidencePlan(label, name, counts=False, threshold=threshold, within=None, days=None)


def _span(span: SpanValue) -> dict[str, Any]:
    days = span / DAY_MS if isinstance(span, int) else None
    whole = int(days) if days is not None and days == int(days) else days
    return {"within": span_text(span), "days": whole}


def _threshold(comparison: Operators) -> Any:
    """The constant that a value is compared with; None where there is none, or another field."""
    used = comparison.operators()
    value = next((used[name] for name in _THRESHOLDS if name in used), None)
    return value if isinstance(value, (str, int, float)) else None


def _leaves(condition: Condition) -> Iterator[Condition]:
    """The conditions that may hold for an entry: those under a `not` say what is not so."""
    if isinstance(condition, (AllCondition, AnyCondition)):
        for inner in children(condition):
            yield from _leaves(inner)
    else:
        yield condition


def _sent(journey: Journey, templates: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The templates that a journey sends, those that they fall back to included."""
    ways = [step.send for _, step in walk(journey.steps, ("steps",)) if isinstance(step, SendStep)]
    names = [send.template for send in ways]
    for _, step in walk(journey.steps, ("steps",)):
        if isinstance(step, SendStep):
            names += [one.template for one in (step.variants or {}).values() if one.template is not None]
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name not in seen and name in templates:
            seen.add(name)
            yield templates[name]
            names.append(str(templates[name].get("fields", {}).get("fallback", "")))
