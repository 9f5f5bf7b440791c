"""What a tracking plan says of an event, as a msgspec type: decoding into it accepts good events fast.

A shape accepts nothing that :mod:`workers.core.tracking.rules` would refuse. It may refuse what those accept
(``5.0`` for an integer): then the rules decide.
"""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from math import ceil, floor
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from workers.core.tracking.rules import MAX_PATTERN_TEXT_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.workspace.tracking_plan import Property, PropertyType


class _AnyObject(msgspec.Struct, gc=False):
    """Any JSON object: its fields are skipped."""


_ANY: Final = (str, int, float, bool, list[msgspec.Raw], _AnyObject)
"""Any value but null, the types of which are told apart and the insides skipped."""


_SIMPLE: Final[dict[PropertyType, Any]] = {
    "string": str,
    "boolean": bool,
    "date-time": datetime,
    "array": list[msgspec.Raw],
    "object": _AnyObject,
}


class _InexpressibleError(ValueError):
    """A rule that no msgspec type says."""


def compile_shape(rules: Mapping[str, Property], *, closed: bool) -> Callable[[Any], Any] | None:
    """What raises ``msgspec.DecodeError`` unless undecoded properties are good; None where no type says it.

    ``closed``: properties beside those of ``rules`` are refused.
    """
    try:
        return msgspec.json.Decoder(_struct(rules, closed=closed)).decode
    except (ValueError, TypeError, NotImplementedError, OverflowError):
        # msgspec refuses some unions, names (with a quote) and numbers (of 64 bits) that the plan allows, and
        # _value() refuses what it cannot say: there the rules alone decide.
        return None


def _struct(rules: Mapping[str, Property], *, closed: bool = False) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for index, rule in enumerate(rules.values()):
        said = _value(rule)
        name = f"f{index}"
        fields.append((name, said) if rule.required else (name, said | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(
        "Shape",
        fields,
        rename={f"f{index}": name for index, name in enumerate(rules)},
        forbid_unknown_fields=closed,
        kw_only=True,
        gc=False,
    )


def _value(rules: Property) -> Any:
    """The type of one value."""
    options = _enum(rules) if rules.enum is not None else _typed(rules)
    said = reduce(or_, options)
    return said | None if rules.nullable else said


def _enum(rules: Property) -> tuple[Any, ...]:
    values = rules.enum or ()
    limited = rules.minimum is not None or rules.maximum is not None or rules.pattern is not None
    if limited or any(isinstance(value, bool) or not isinstance(value, (str, int)) for value in values):
        raise _InexpressibleError
    return (Literal[values],)


def _typed(rules: Property) -> tuple[Any, ...]:
    limited = rules.minimum is not None or rules.maximum is not None or rules.pattern is not None
    if rules.type is None:
        if limited or rules.items is not None or rules.properties:
            raise _InexpressibleError
        return _ANY
    kinds = set(rules.type)
    if {"string", "date-time"} <= kinds:
        kinds.discard("date-time")
    if "number" in kinds:
        kinds.discard("integer")
    if rules.pattern is not None and kinds != {"string"}:
        # Also where a type would say it: msgspec 0.22 reads beyond its own memory when a text with a pattern
        # stands in a union with a list.
        raise _InexpressibleError
    return tuple(option for kind in sorted(kinds) for option in _of(kind, rules))


def _of(kind: PropertyType, rules: Property) -> tuple[Any, ...]:
    match kind:
        case "string" if rules.pattern is not None:
            said: Any = Annotated[str, msgspec.Meta(pattern=rules.pattern, max_length=MAX_PATTERN_TEXT_CHARS)]
        case "integer":
            said = _limited(int, rules)
        case "number":
            return (_limited(int, rules), _limited(float, rules))
        case "array" if rules.items is not None:
            said = list[_value(rules.items)]  # type: ignore[misc]  # a type that is made here
        case "object" if rules.properties:
            said = _struct(rules.properties)
        case _:
            said = _SIMPLE[kind]
    return (said,)


def _limited(number: type, rules: Property) -> Any:
    """A number within the limits; those of integers are whole, as msgspec wants them."""
    least, most = rules.minimum, rules.maximum
    if least is None and most is None:
        return number
    if number is int:
        least, most = least if least is None else ceil(least), most if most is None else floor(most)
    return Annotated[number, msgspec.Meta(ge=least, le=most)]
