"""Operators on dates, and comparisons of a value at a moment with when they change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from schemas.workspace import FieldRef
from schemas.workspace.comparisons import DATE_OPERATORS
from workers.core.conditions.comparisons import compile_comparison
from workers.core.conditions.compiled import earliest
from workers.core.conditions.outcome import Outcome, of
from workers.core.conditions.spans import compile_field, compile_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.workspace import Operators
    from workers.core.conditions.comparisons import Test
    from workers.core.conditions.compiled import Names
    from workers.core.facts import Moment
    from workers.core.zones import Zones

    Instants: TypeAlias = Callable[[int, Moment], tuple[int | None, ...]]
    Holds: TypeAlias = Callable[[int, Moment], bool | None]


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """A comparison of a value. ``changes_at_ms(value, moment)``: see ``CompiledCondition``."""

    test: Test
    changes_at_ms: Callable[[Any, Moment], int | None] | None


def compile_check(comparison: Operators, names: Names, *, in_ms: bool = False) -> Check:
    """The comparison of a value with constants, fields and dates; the source of its test is the moment.

    ``in_ms``: the value is a moment in milliseconds already, and no trait that may hold a date.
    """
    used = comparison.operators()
    if not any(name in DATE_OPERATORS for name in used):
        return Check(compile_comparison(comparison, compile_field), None)
    zones = names.zones()
    date_ms = _itself if in_ms else zones.date_ms
    rules = {name: _rule(name, used[name], zones) for name in used if name in DATE_OPERATORS}

    def dated(name: str, expected: Any) -> Test:  # noqa: ARG001  compiled above, with its instants
        holds = rules[name][0]

        def test(value: Any, moment: Moment) -> Outcome:
            at_ms = date_ms(value, moment)
            found = None if at_ms is None else holds(at_ms, moment)
            return Outcome.MISSING if found is None else of(found)

        return test

    instants = tuple(rule[1] for rule in rules.values())

    def changes_at_ms(value: Any, moment: Moment) -> int | None:
        at_ms = date_ms(value, moment)
        if at_ms is None:
            return None
        return earliest((one for find in instants for one in find(at_ms, moment)), moment.now_ms)

    return Check(compile_comparison(comparison, compile_field, dated), changes_at_ms)


def _itself(value: Any, moment: Moment) -> int | None:  # noqa: ARG001  stands in for ``Zones.date_ms``
    at_ms: int | None = value
    return at_ms


def _rule(name: str, expected: Any, zones: Zones) -> tuple[Holds, Instants]:
    """Whether a date complies (None: missing), and the instants at which that may change."""
    match name:
        case "older_than":
            return (
                lambda at_ms, moment: at_ms <= moment.now_ms - expected,
                lambda at_ms, _: (at_ms + expected,),
            )
        case "younger_than":
            return _slides(expected)
        case "in_next":
            return (
                lambda at_ms, moment: moment.now_ms < at_ms <= moment.now_ms + expected,
                lambda at_ms, _: (at_ms - expected, at_ms),
            )
        case "within":
            return _slides(expected) if isinstance(expected, int) else _lies_in(expected, zones)
        case _:
            return _compares(name, expected, zones)


def _slides(within_ms: int) -> tuple[Holds, Instants]:
    return (
        lambda at_ms, moment: moment.now_ms - within_ms < at_ms <= moment.now_ms,
        lambda at_ms, _: (at_ms, at_ms + within_ms),
    )


def _lies_in(expected: Any, zones: Zones) -> tuple[Holds, Instants]:
    span = compile_span(expected, zones)

    def holds(at_ms: int, moment: Moment) -> bool | None:
        bounds = span.bounds(moment, 0)
        return None if bounds is None else bounds[0] <= at_ms < bounds[1]

    return holds, lambda _, moment: (span.edge_ms(moment),)


def _compares(name: str, expected: Any, zones: Zones) -> tuple[Holds, Instants]:
    read = compile_field(expected) if isinstance(expected, FieldRef) else lambda _: expected
    is_before = name == "before"

    def holds(at_ms: int, moment: Moment) -> bool | None:
        limit_ms = zones.date_ms(read(moment), moment)
        return None if limit_ms is None else (at_ms < limit_ms) is is_before

    return holds, lambda *_: ()
