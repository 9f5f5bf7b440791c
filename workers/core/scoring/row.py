"""Decaying scores: exact at every instant, whatever the order in which events come.

An occurrence at ``t`` weighs ``2 ** -((now - t) / half_life)``. The sum of such weights at one instant says
all about the sum at every later one, so a score keeps one number for each contribution, as of ``at_ms``, the
time of its newest event: an earlier event is added with the weight that it has left, a later one moves
``at_ms`` on. Exponents are never above 0, so nothing overflows; what is very old becomes 0. The sums of two
subjects add.

Weights are kept without points: other points or thresholds in the file hold for the past as well. Another
event, ``where``, half-life or cap is another contribution, which begins at nothing.

A capped contribution also keeps the times that counted in its newest :data:`KEPT_STRETCHES` stretches, so
that which occurrences count does not depend on their order either. An occurrence that comes after its
stretch was forgotten is not counted.

The value is ``standing + fading * 2 ** -((now - at_ms) / half_life)``: monotonous while nothing happens, so
the instant at which time alone takes it over a threshold has a closed form (:func:`crosses_at_ms`).
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from schemas import wire
from workers.core.conditions.outcome import Outcome
from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.fields import SubjectType
    from workers.core.conditions.comparisons import Getter, Predicate, Test

KEPT_STRETCHES: Final = 8
"""Stretches of a cap that are remembered, the newest included: ``per: 1d`` is exact up to a week late."""

TOLD_POINTS: Final = 1.0
"""A score that differs by less from what accounts know is not told of."""

NEGLIGIBLE: Final = 2.0**-60
"""A contribution that weighs less is forgotten: even a million points would bring next to nothing."""

HORIZON_HALF_LIVES: Final = 200
"""No timer is set further ahead: by then every sum that a file can bring has long become 0."""

Direction: TypeAlias = Literal["up", "down"]


class ScoreState(msgspec.Struct, array_like=True):
    """What a subject's score keeps: a few dozen bytes.

    ``weights`` are the decayed sums of occurrences at ``at_ms``, by contribution. ``counted`` holds for
    capped contributions the times that counted, ascending, by stretch. ``reached`` names the thresholds that
    are reached, each with the time of the decision that said so. ``version`` is the score's when thresholds
    were last looked at (``""``: never).
    """

    at_ms: int = 0
    weights: dict[int, float] = msgspec.field(default_factory=dict)
    counted: dict[int, dict[int, list[int]]] = msgspec.field(default_factory=dict)
    reached: dict[str, int] = msgspec.field(default_factory=dict)
    version: str = ""


class Told(msgspec.Struct, array_like=True, frozen=True):
    """What accounts were told: the points that stand and fade as of ``at_ms``."""

    accounts: tuple[str, ...]
    standing: float
    fading: float
    at_ms: int


class Scores(msgspec.Struct, array_like=True):
    """State row of one subject: the state of each score by its name. ``timer_ms``: the timer that is set.

    ``told``: what the user's accounts know of a score.
    """

    states: dict[str, ScoreState] = msgspec.field(default_factory=dict)
    timer_ms: int | None = None
    told: dict[str, Told] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class EventPart:
    """A contribution of an event, compiled. ``id`` changes with anything that its weight depends on."""

    id: int
    label: str
    where: Predicate | None
    points: float
    cap_times: int
    cap_per_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class TraitPart:
    """A contribution of a trait, compiled."""

    label: str
    read: Getter
    test: Test
    points: float


@dataclass(frozen=True, slots=True)
class ThresholdPlan:
    """Reached at ``reaches`` or more, left below ``floor``, which is not above it."""

    name: str
    reaches: float
    floor: float


@dataclass(frozen=True, slots=True, eq=False)
class ScorePlan:
    """A score, compiled; ``version`` is a hash of all that its file says."""

    name: str
    version: str
    half_life_ms: int
    events: Mapping[str, tuple[EventPart, ...]]
    traits: tuple[TraitPart, ...]
    thresholds: tuple[ThresholdPlan, ...]

    def parts(self) -> Iterable[EventPart]:
        """The contributions of all events."""
        return (part for parts in self.events.values() for part in parts)


@dataclass(frozen=True, slots=True, eq=False)
class ScorePlans:
    """All scores of users, or of accounts.

    ``events`` are the scores that an event concerns by its name; ``traits`` names the traits that scores look
    at, as their first step: a change of any other cannot change a score.
    """

    scores: Mapping[str, ScorePlan]
    events: Mapping[str, tuple[ScorePlan, ...]]
    traits: frozenset[str]


@dataclass(frozen=True, slots=True)
class Part:
    """What one contribution brings at an instant."""

    name: str
    points: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold was reached (``up``) or left (``down``). ``parts`` are the contributions, largest first.

    ``by_definition``: the score's file has changed since its thresholds were last looked at, so that this
    may be why.
    """

    score: str
    version: str
    threshold: str
    level: float
    direction: Direction
    value: float
    parts: tuple[Part, ...]
    by_definition: bool = False


def record(row: Scores, plans: ScorePlans, event: str, properties: Mapping[str, Any], at_ms: int) -> bool:
    """Count an event that happened at ``at_ms`` (changes ``row``); whether any score changed by it."""
    changed = False
    for plan in plans.events.get(event, ()):
        for part in plan.events[event]:
            if part.where is None or part.where(properties):
                state = row.states.setdefault(plan.name, ScoreState(at_ms))
                changed |= _count(state, part, plan.half_life_ms, at_ms)
    return changed


def value(state: ScoreState | None, plan: ScorePlan, traits: Mapping[str, Any], now_ms: int) -> float:
    """The score at ``now_ms``, and not before its newest event; None is the state of who did nothing."""
    standing, fading = _sums(state, plan, traits)
    return standing + fading * _weight(state.at_ms if state else now_ms, now_ms, plan.half_life_ms)


def parts(
    state: ScoreState | None, plan: ScorePlan, traits: Mapping[str, Any], now_ms: int
) -> tuple[Part, ...]:
    """Every contribution that brings something at ``now_ms``, the largest first, either way; they add up."""
    found = [Part(trait.label, trait.points) for trait in plan.traits if _holds(trait, traits)]
    if state is not None:
        weight = _weight(state.at_ms, now_ms, plan.half_life_ms)
        for part in plan.parts():
            points = part.points * state.weights.get(part.id, 0.0) * weight
            if points:
                found.append(Part(part.label, points))
    return tuple(sorted(found, key=lambda one: (-abs(one.points), one.name)))


def cross(row: Scores, plans: ScorePlans, traits: Mapping[str, Any], now_ms: int) -> list[Crossing]:
    """The thresholds crossed since the last call, each once (remembers them in ``row``).

    To be called after an event that counted, after a change of one of ``plans.traits``, and when the timer of
    :func:`next_change_ms` fires. Thresholds that a file no longer has are forgotten without a crossing.
    """
    crossings: list[Crossing] = []
    for name in [name for name in row.states if name not in plans.scores]:
        del row.states[name]
    for plan in plans.scores.values():
        state = row.states.get(plan.name)
        if state is None and not plan.traits:
            continue
        now_value = value(state, plan, traits, now_ms)
        reached = state.reached if state is not None else {}
        moved = [
            threshold
            for threshold in plan.thresholds
            if (now_value < threshold.floor if threshold.name in reached else now_value >= threshold.reaches)
        ]
        known = {threshold.name for threshold in plan.thresholds}
        if state is not None:
            state.reached = {name: since_ms for name, since_ms in reached.items() if name in known}
        by_definition = state is not None and state.version not in ("", plan.version)
        if state is not None:
            state.version = plan.version
        if not moved:
            continue
        state = row.states.setdefault(plan.name, ScoreState(now_ms, version=plan.version))
        why = parts(state, plan, traits, now_ms)
        for threshold in moved:
            direction: Direction = "up"
            if state.reached.pop(threshold.name, None) is not None:
                direction = "down"
            else:
                state.reached[threshold.name] = now_ms
            level = threshold.reaches if direction == "up" else threshold.floor
            crossings.append(
                Crossing(
                    plan.name, plan.version, threshold.name, level, direction, now_value, why, by_definition
                )
            )
    return crossings


def next_change_ms(row: Scores, plans: ScorePlans, traits: Mapping[str, Any], now_ms: int) -> int | None:
    """When, after ``now_ms``, time alone crosses the next threshold; None where it never will.

    The instant is exact: the first millisecond at which :func:`cross` would tell of it. Call it after
    :func:`cross` and set the subject's one timer to it.
    """
    moments = (
        crosses_at_ms(row.states[plan.name], plan, threshold, traits, now_ms)
        for plan in plans.scores.values()
        if plan.name in row.states
        for threshold in plan.thresholds
    )
    return min((moment for moment in moments if moment is not None), default=None)


def crossed_record(
    crossing: Crossing,
    kind: SubjectType,
    subject: str,
    account: str | None,
    event: tuple[str, str] | None,
    now_ms: int,
) -> wire.ScoreCrossed:
    """The record of a crossing; ``event``: name and message id of what did it, None: a trait, or time."""
    cause = event[1] if event is not None else str(now_ms)
    return wire.ScoreCrossed(
        id=stable_id("score", kind, subject, crossing.score, crossing.threshold, crossing.direction, cause),
        score=crossing.score,
        version=crossing.version,
        subject_type=kind,
        subject=subject,
        account=account,
        threshold=crossing.threshold,
        level=crossing.level,
        direction=crossing.direction,
        value=crossing.value,
        contributions=[wire.ScorePart(name=part.name, points=part.points) for part in crossing.parts],
        event=event[0] if event is not None else None,
        message_id=event[1] if event is not None else None,
        at_ms=now_ms,
    )


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one subject, as conditions ask for them."""

    row: Scores
    plans: ScorePlans
    traits: Mapping[str, Any]

    def value(self, name: str, now_ms: int) -> float | None:
        """The score at ``now_ms``; None where there is no score of that name."""
        plan = self.plans.scores.get(name)
        return None if plan is None else value(self.row.states.get(name), plan, self.traits, now_ms)

    def crosses_ms(self, name: str, level: float, now_ms: int) -> int | None:
        """The first millisecond after ``now_ms`` at which time alone takes it over ``level``; None: never."""
        plan, state = self.plans.scores.get(name), self.row.states.get(name)
        if plan is None or state is None:
            return None
        reached = {"": now_ms} if value(state, plan, self.traits, now_ms) >= level else {}
        asked = ScoreState(state.at_ms, state.weights, state.counted, reached)
        return crosses_at_ms(asked, plan, ThresholdPlan("", level, level), self.traits, now_ms)


def news(
    row: Scores, plan: ScorePlan, accounts: tuple[str, ...], traits: Mapping[str, Any], now_ms: int
) -> tuple[Told, tuple[str, ...]] | None:
    """What is to be told of a score, and which accounts; None: what they know is right within a tenth.

    Accounts let the points fade by themselves. So it is told of as often as the score grows by a tenth, and
    never because time passes.
    """
    state = row.states.get(plan.name)
    standing, fading = _sums(state, plan, traits)
    as_of_ms = state.at_ms if state is not None else now_ms
    told = row.told.get(plan.name)
    now_value = standing + fading * _weight(as_of_ms, now_ms, plan.half_life_ms)
    known = (
        0.0 if told is None else told.standing + told.fading * _weight(told.at_ms, now_ms, plan.half_life_ms)
    )
    is_news = abs(now_value - known) > max(abs(known) / 10, TOLD_POINTS)
    heard = told.accounts if told is not None and not is_news else ()
    to = tuple(one for one in accounts if one not in heard) if told is not None or is_news else ()
    return (Told(accounts, standing, fading, as_of_ms), to) if to else None


def crosses_at_ms(
    state: ScoreState, plan: ScorePlan, threshold: ThresholdPlan, traits: Mapping[str, Any], now_ms: int
) -> int | None:
    """The first millisecond after ``now_ms`` at which time alone crosses one threshold; None where never.

    A reached threshold is left when what fades is above 0; one that is not reached is reached when what fades
    is below 0 and what stands is enough.
    """
    standing, fading = _sums(state, plan, traits)
    leaving = threshold.name in state.reached
    level = threshold.floor if leaving else threshold.reaches
    if fading == 0 or (fading > 0) is not leaving:
        return None
    left = (level - standing) / fading
    if left <= 0 and not (left == 0 and not leaving):
        return None

    def is_crossed(at_ms: int) -> bool:
        now_value = standing + fading * _weight(state.at_ms, at_ms, plan.half_life_ms)
        return now_value < level if leaving else now_value >= level

    last_ms = state.at_ms + HORIZON_HALF_LIVES * plan.half_life_ms
    if not is_crossed(last_ms):
        return None
    guess_ms = last_ms if left == 0 else state.at_ms + int(-math.log2(min(left, 1.0)) * plan.half_life_ms)
    return _first(is_crossed, max(now_ms + 1, state.at_ms), min(guess_ms, last_ms), last_ms)


def merge(row: Scores, other: Scores, plans: ScorePlans) -> Scores:
    """The row of two subjects that turn out to be one, as if all events had been theirs.

    A threshold that either had reached is reached, so that the merge itself triggers nothing twice; what it
    lifts over a threshold crosses at the next :func:`cross`. Each subject's cap counted for itself where its
    stretches are forgotten.
    """
    merged = Scores()
    for name, plan in plans.scores.items():
        one, two = row.states.get(name), other.states.get(name)
        if one is None or two is None:
            if one is not None or two is not None:
                merged.states[name] = _copy(one or two)
            continue
        later, earlier = (one, two) if one.at_ms >= two.at_ms else (two, one)
        state = _copy(later)
        weight = _weight(earlier.at_ms, later.at_ms, plan.half_life_ms)
        for part_id, held in earlier.weights.items():
            state.weights[part_id] = state.weights.get(part_id, 0.0) + held * weight
        for part in plan.parts():
            if part.id in earlier.counted:
                _merge_counted(state, earlier.counted[part.id], part, plan.half_life_ms)
        state.reached = earlier.reached | later.reached
        merged.states[name] = state
    return merged


def _count(state: ScoreState, part: EventPart, half_life_ms: int, at_ms: int) -> bool:
    """Add one occurrence, unless a cap keeps it out; a late one may take the place of a later one."""
    weights = state.weights
    if at_ms > state.at_ms:
        weight = _weight(state.at_ms, at_ms, half_life_ms)
        state.weights = weights = {
            part_id: held * weight for part_id, held in weights.items() if held * weight > NEGLIGIBLE
        }
        state.at_ms = at_ms
    displaced_ms: int | None = None
    if part.cap_times:
        stretches = state.counted.setdefault(part.id, {})
        stretch = at_ms // part.cap_per_ms
        if stretch <= max(stretches, default=stretch) - KEPT_STRETCHES:
            return False
        times = stretches.setdefault(stretch, [])
        if len(times) == part.cap_times:
            if at_ms >= times[-1]:
                return False
            displaced_ms = times.pop()
        insort(times, at_ms)
        _forget_stretches(stretches)
    gained = _weight(at_ms, state.at_ms, half_life_ms)
    if displaced_ms is not None:
        gained -= _weight(displaced_ms, state.at_ms, half_life_ms)
    weights[part.id] = max(0.0, weights.get(part.id, 0.0) + gained)
    return True


def _merge_counted(
    state: ScoreState, other: Mapping[int, list[int]], part: EventPart, half_life_ms: int
) -> None:
    """Join the times that counted; what is then over the cap loses its weight."""
    stretches = state.counted.setdefault(part.id, {})
    for stretch, times in other.items():
        joined = sorted((*stretches.get(stretch, ()), *times))
        stretches[stretch] = joined[: part.cap_times]
        for over_ms in joined[part.cap_times :]:
            lost = _weight(over_ms, state.at_ms, half_life_ms)
            state.weights[part.id] = max(0.0, state.weights.get(part.id, 0.0) - lost)
    _forget_stretches(stretches)


def _forget_stretches(stretches: dict[int, list[int]]) -> None:
    newest = max(stretches)
    for stretch in [stretch for stretch in stretches if stretch <= newest - KEPT_STRETCHES]:
        del stretches[stretch]


def _weight(from_ms: int, to_ms: int, half_life_ms: int) -> float:
    """What is left of 1 after the time between; 1 where there is none."""
    return 2.0 ** (-(to_ms - from_ms) / half_life_ms) if to_ms > from_ms else 1.0


def _sums(state: ScoreState | None, plan: ScorePlan, traits: Mapping[str, Any]) -> tuple[float, float]:
    """The points that stand, and those that fade, as of the state's ``at_ms``."""
    standing = sum(part.points for part in plan.traits if _holds(part, traits))
    if state is None:
        return standing, 0.0
    return standing, math.fsum(part.points * state.weights.get(part.id, 0.0) for part in plan.parts())


def _holds(part: TraitPart, traits: Mapping[str, Any]) -> bool:
    return part.test(part.read(traits), traits) is Outcome.TRUE


def _copy(state: ScoreState | None) -> ScoreState:
    assert state is not None, "only a state that is there is copied"
    counted = {
        part_id: {stretch: list(times) for stretch, times in stretches.items()}
        for part_id, stretches in state.counted.items()
    }
    return ScoreState(state.at_ms, dict(state.weights), counted, dict(state.reached), state.version)


def _first(is_crossed: Any, low_ms: int, guess_ms: int, high_ms: int) -> int:
    """The first millisecond from ``low_ms`` that is crossed; ``high_ms`` is. The guess is off by rounding."""
    reach = 2
    while low_ms < high_ms and reach < high_ms - low_ms:
        # Widen around the guess until the answer is inside; then halve.
        if guess_ms - reach > low_ms and not is_crossed(guess_ms - reach):
            low_ms = guess_ms - reach + 1
        if guess_ms + reach < high_ms and is_crossed(guess_ms + reach):
            high_ms = max(low_ms, guess_ms + reach)
        reach *= 8
    while low_ms < high_ms:
        middle = (low_ms + high_ms) // 2
        low_ms, high_ms = (low_ms, middle) if is_crossed(middle) else (middle + 1, high_ms)
    return low_ms
