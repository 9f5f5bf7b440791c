"""The rules of a tracking plan one by one: exact, and saying what is broken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from schemas.workspace.tracking_plan import TYPE_CHECKS, is_of_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from schemas.workspace.tracking_plan import OnUnknown, Property

Rule: TypeAlias = Literal[
    "unknown_event",
    "unknown_property",
    "required_missing",
    "null_value",
    "type_mismatch",
    "not_in_enum",
    "out_of_range",
    "pattern_mismatch",
]

MAX_VIOLATIONS: Final = 20
"""Violations told of one event. The properties that a producer may add are without number."""

MAX_NAME_CHARS: Final = 80

MAX_PATTERN_TEXT_CHARS: Final = 1_000
"""A longer text does not match any pattern: the time that a search takes may grow with a power of it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that an event breaks.

    ``property`` is the path of the property or trait (``products[].sku``), empty for the event as a whole.
    ``detail`` names properties and types, never a value: values may be personal data. ``dead_letter``: the
    plan wants an event that breaks it put aside.
    """

    rule: Rule
    property: str
    detail: str
    dead_letter: bool


Tell: TypeAlias = "Callable[[Rule, str, str], None]"
"""Takes rule, path and sentence; a rule that a path breaks twice, in two items of a list, is told once."""

ValueCheck: TypeAlias = "Callable[[Any, Tell], None]"


def compile_object(
    rules: Mapping[str, Property], part: str, *, dead_letter: bool, unknown: OnUnknown
) -> Callable[[dict[str, Any]], list[Violation]]:
    """What checks the decoded ``part`` (``properties`` or ``traits``) of an event.

    Violations come in the order of the plan, unknown properties last.
    """
    fields = _fields(rules, "", part)

    def inspect(values: dict[str, Any]) -> list[Violation]:
        found: dict[tuple[Rule, str], Violation] = {}

        def tell(rule: Rule, path: str, detail: str) -> None:
            found.setdefault((rule, path), Violation(rule, path, detail, dead_letter))

        fields(values, tell)
        if unknown != "allow":
            for name in values:
                if name not in rules and len(found) < MAX_VIOLATIONS:
                    short = name[:MAX_NAME_CHARS]
                    detail = f"{part}.{short} is not in the plan"
                    found["unknown_property", short] = Violation(
                        "unknown_property", short, detail, unknown == "dead_letter"
                    )
        return list(found.values())

    return inspect


def _fields(rules: Mapping[str, Property], path: str, part: str) -> ValueCheck:
    """Each field of an object against its rules."""
    checks = [(name, rule.required, _value(rule, f"{path}{name}", part)) for name, rule in rules.items()]

    def check(values: Any, tell: Tell) -> None:
        for name, required, of_value in checks:
            if name in values:
                of_value(values[name], tell)
            elif required:
                tell("required_missing", f"{path}{name}", f"{part}.{path}{name} is required")

    return check


def _value(rules: Property, path: str, part: str) -> ValueCheck:
    """One value: null first, then its type, then all else that is said of it."""
    types, nullable, place = rules.type, rules.nullable, f"{part}.{path}"
    wanted = " or ".join(types or ())
    fits = [TYPE_CHECKS[kind] for kind in types or ()]
    inner = (*_scalars(rules, path, place), *_containers(rules, path, part))

    def check(value: Any, tell: Tell) -> None:
        if value is None:
            if not nullable:
                tell("null_value", path, f"{place} is null")
            return
        if fits and not any(fit(value) for fit in fits):
            tell("type_mismatch", path, f"{place} is {_kind(value)}, not {wanted}")
            return
        for one in inner:
            one(value, tell)

    return check


def _scalars(rules: Property, path: str, place: str) -> Iterable[ValueCheck]:
    if rules.enum is not None:
        yield _enum(rules.enum, path, place)
    if rules.minimum is not None or rules.maximum is not None:
        yield _range(rules.minimum, rules.maximum, path, place)
    if rules.pattern is not None:
        yield _matching(rules.pattern, path, place)


def _enum(values: tuple[Any, ...], path: str, place: str) -> ValueCheck:
    allowed = {(isinstance(one, bool), one) for one in values}
    detail = f"{place} is none of the {len(values)} values of the plan"

    def check(value: Any, tell: Tell) -> None:
        scalar = isinstance(value, (str, bool, int, float))
        if not scalar or (isinstance(value, bool), value) not in allowed:
            tell("not_in_enum", path, detail)

    return check


def _range(minimum: float | None, maximum: float | None, path: str, place: str) -> ValueCheck:
    def check(value: Any, tell: Tell) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return
        if minimum is not None and value < minimum:
            tell("out_of_range", path, f"{place} is below {minimum}")
        if maximum is not None and value > maximum:
            tell("out_of_range", path, f"{place} is above {maximum}")

    return check


def _matching(pattern: str, path: str, place: str) -> ValueCheck:
    search = re.compile(pattern).search

    def check(value: Any, tell: Tell) -> None:
        if not isinstance(value, str):
            return
        if len(value) > MAX_PATTERN_TEXT_CHARS:
            tell("pattern_mismatch", path, f"{place} is longer than {MAX_PATTERN_TEXT_CHARS} characters")
        elif search(value) is None:
            tell("pattern_mismatch", path, f"{place} does not match the pattern of the plan")

    return check


def _containers(rules: Property, path: str, part: str) -> Iterable[ValueCheck]:
    if rules.properties:
        fields = _fields(rules.properties, f"{path}.", part)
        yield lambda value, tell: fields(value, tell) if isinstance(value, dict) else None
    if rules.items is not None:
        of_item = _value(rules.items, f"{path}[]", part)

        def check(value: Any, tell: Tell) -> None:
            if isinstance(value, list):
                for item in value:
                    of_item(item, tell)

        yield check


def _kind(value: Any) -> str:
    """The type of a decoded JSON value in the words of the plan."""
    for kind in ("boolean", "integer", "number", "string", "array"):
        if is_of_type(value, kind):
            return kind
    return "object"
