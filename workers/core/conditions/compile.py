"""Conditions compiled into closures over a subject's facts, with the values they saw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, assert_never

from schemas.workspace import (
    AccountCondition,
    AccountSegmentCondition,
    AllCondition,
    AnyCondition,
    ConsentCondition,
    ConvertedCondition,
    EnrolledCondition,
    ExperimentCondition,
    FieldRef,
    FirstCondition,
    LastCondition,
    LlmCondition,
    MeasureCondition,
    NotCondition,
    ObjectCondition,
    PerformedCondition,
    PropertyCondition,
    ReceivedCondition,
    RelatedCondition,
    ScoreCondition,
    SegmentCondition,
    SustainedCondition,
    TraitCondition,
    format_duration,
)
from workers.core.activity.slots import since_ms
from workers.core.conditions import counting, related, relations
from workers.core.conditions.compiled import LOOK_UP, SEARCH, CompiledCondition, Names, earliest, never
from workers.core.conditions.dates import compile_check
from workers.core.conditions.labels import operators_text
from workers.core.conditions.outcome import Outcome, all_of, any_of, negate, of
from workers.core.conditions.spans import compile_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas.workspace import Condition, Operators
    from workers.core.conditions.compiled import Changes, Values
    from workers.core.facts import Moment

__all__ = ["CompiledCondition", "Names", "Verdict", "compile_condition", "compile_conditions", "evaluate"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether conditions let a subject pass; else which did not (``failed``) and with what outcome.

    ``values`` are those looked at until it was clear, by the name of the condition; None: missing.
    """

    ok: bool
    values: dict[str, Any]
    failed: str | None = None
    outcome: Outcome | None = None


def compile_conditions(conditions: Iterable[Condition], names: Names) -> tuple[CompiledCondition, ...]:
    """The conditions in the order of their cost, so that a cheap one that decides spares the others."""
    compiled = (compile_condition(condition, names) for condition in conditions)
    return tuple(sorted(compiled, key=lambda condition: condition.cost))


def evaluate(require: Iterable[CompiledCondition], moment: Moment) -> Verdict:
    """Passes where every condition is TRUE."""
    values: Values = {}
    for condition in require:
        outcome = condition.test(moment, values)
        if outcome is not Outcome.TRUE:
            return Verdict(ok=False, values=values, failed=condition.label, outcome=outcome)
    return Verdict(ok=True, values=values)


def evaluate_none(exclude: Iterable[CompiledCondition], moment: Moment) -> Verdict:
    """Passes where no condition is TRUE; one that is MISSING excludes nobody."""
    values: Values = {}
    for condition in exclude:
        if condition.test(moment, values) is Outcome.TRUE:
            return Verdict(ok=False, values=values, failed=condition.label, outcome=Outcome.TRUE)
    return Verdict(ok=True, values=values)


def compile_condition(condition: Condition, names: Names) -> CompiledCondition:  # noqa: C901, PLR0911, PLR0912  one per kind
    """One condition and those inside it."""
    match condition:
        case TraitCondition() | PropertyCondition() | AccountCondition():
            return _field(condition, names)
        case ScoreCondition():
            return _score(condition, names)
        case PerformedCondition():
            return counting.performed(condition, names)
        case MeasureCondition():
            return counting.measured(condition, names)
        case FirstCondition() | LastCondition():
            return counting.happened(condition, names)
        case SustainedCondition() if isinstance(condition.sustained, PerformedCondition):
            return counting.sustained_count(condition, names)
        case SustainedCondition():
            return _sustained(condition, names)
        case ReceivedCondition():
            return relations.received(condition, names)
        case EnrolledCondition():
            return relations.enrolled(condition, names)
        case ConvertedCondition():
            return relations.converted(condition, names)
        case SegmentCondition():
            return relations.in_segment(condition)
        case AccountSegmentCondition():
            return relations.account_in_segment(condition)
        case ExperimentCondition():
            return relations.variant_is(condition)
        case ConsentCondition():
            return relations.consents(condition)
        case LlmCondition():
            return relations.llm_said(condition)
        case RelatedCondition():
            return related.related(condition, names)
        case ObjectCondition():
            return related.object_is(condition, names)
        case AllCondition():
            return _several("all", all_of, compile_conditions(condition.all_, names))
        case AnyCondition():
            return _several("any", any_of, compile_conditions(condition.any_, names))
        case NotCondition():
            return _negated(compile_condition(condition.not_, names))
        case _:
            assert_never(condition)


def _field(
    condition: TraitCondition | PropertyCondition | AccountCondition, names: Names
) -> CompiledCondition:
    compared: Operators
    if isinstance(condition, AccountCondition):
        field, compared = FieldRef(account=condition.account.trait), condition.account
    elif isinstance(condition, PropertyCondition):
        field, compared = FieldRef.model_validate({"property": condition.property_}), condition
    else:
        field, compared = FieldRef(trait=condition.trait), condition
    return _compared(field.label, compile_field(field), compared, names)


def _score(condition: ScoreCondition, names: Names) -> CompiledCondition:
    """A score fades, so time alone may take it over one of the numbers that it is compared with."""
    score = condition.score
    compared = _compared(f"score {score}", lambda moment: moment.facts.score(score), condition, names)
    levels = tuple(float(one) for one in condition.operators().values() if isinstance(one, int | float))

    def changes(moment: Moment) -> int | None:
        crossings = (moment.facts.score_crosses_ms(score, level) for level in levels)
        return earliest(crossings, moment.now_ms)

    return replace(compared, changes_at_ms=changes)


def _compared(
    name: str, read: Callable[[Moment], Any], comparison: Operators, names: Names
) -> CompiledCondition:
    """A value that is looked up, and the other fields that it is compared with."""
    check = compile_check(comparison, names)
    compare, changes_at_ms = check.test, check.changes_at_ms
    others = tuple((field.label, compile_field(field)) for field in comparison.references())

    def test(moment: Moment, values: Values) -> Outcome:
        value = values[name] = read(moment)
        for other, read_other in others:
            values[other] = read_other(moment)
        return compare(value, moment)

    changes: Changes = never
    if changes_at_ms is not None:
        changes = lambda moment: changes_at_ms(read(moment), moment)  # noqa: E731  a closure as the one above
    return CompiledCondition(f"{name} {operators_text(comparison)}", LOOK_UP, test, changes)


def _sustained(condition: SustainedCondition, names: Names) -> CompiledCondition:
    """True where the condition on traits is, and has been since long enough."""
    inner = compile_condition(condition.sustained, names)
    slot_id, for_ms = names.truth_id(condition), condition.for_
    name = f"since when {inner.label}"

    def test(moment: Moment, values: Values) -> Outcome:
        outcome = inner.test(moment, values)
        if outcome is not Outcome.TRUE:
            return outcome
        since = values[name] = since_ms(moment.facts.held(slot_id))
        return of(since is not None and since <= moment.now_ms - for_ms)

    def changes_at_ms(moment: Moment) -> int | None:
        since = since_ms(moment.facts.held(slot_id))
        return None if since is None else earliest((since + for_ms,), moment.now_ms)

    return CompiledCondition(f"{inner.label} for {format_duration(for_ms)}", SEARCH, test, changes_at_ms)


def _several(
    word: str, combine: Callable[[Iterable[Outcome]], Outcome], inner: tuple[CompiledCondition, ...]
) -> CompiledCondition:
    tests = tuple(condition.test for condition in inner)
    changes = tuple(one.changes_at_ms for one in inner if one.changes_at_ms is not never)
    label = f"{word} ({'; '.join(condition.label for condition in inner)})"

    def test(moment: Moment, values: Values) -> Outcome:
        return combine(one(moment, values) for one in tests)

    def changes_at_ms(moment: Moment) -> int | None:
        return earliest((one(moment) for one in changes), moment.now_ms)

    cost = max(condition.cost for condition in inner)
    slots = [one.slots for one in inner if one.slots is not None]
    read = frozenset[int]().union(*slots) if len(slots) == len(inner) else None
    return CompiledCondition(label, cost, test, changes_at_ms if changes else never, read)


def _negated(inner: CompiledCondition) -> CompiledCondition:
    test = inner.test
    return CompiledCondition(
        f"not ({inner.label})",
        inner.cost,
        lambda moment, values: negate(test(moment, values)),
        inner.changes_at_ms,
        inner.slots,
    )
