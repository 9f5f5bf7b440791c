"""Whether what is said of an object is what its type declares. Pure."""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from schemas.workspace import Reference
from schemas.workspace.base import MAX_LIST
from schemas.workspace.values import is_plain_date

if TYPE_CHECKING:
    from schemas.wire import ObjectAttributes
    from schemas.workspace.objects import AttributeType
    from workers.core.objects.plan import TypesPlan

TEXT_MAX_CHARS: Final = 2_000
ID_MAX_BYTES: Final = 256

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?")

_EXPECTED: Final = {
    "string": f"a text of at most {TEXT_MAX_CHARS} characters",
    "number": "a number",
    "boolean": "true or false",
    "date": "an ISO 8601 date or moment, or a number of Unix time",
    "list": f"a list of at most {MAX_LIST} texts, numbers, or true or false",
}


def problem_of(told: ObjectAttributes, types: TypesPlan) -> str | None:
    """What makes a statement unusable, as a sentence; None where all is well.

    Attributes that the type does not declare are no problem: nobody reads them.
    """
    declared = types.attributes.get(told.object)
    if declared is None:
        there = ", ".join(sorted(types.attributes)) or "none"
        return f"object: the workspace has no type {told.object!r} of objects; there are {there}"
    if len(told.object_id.encode()) > ID_MAX_BYTES:
        return f"object_id: longer than {ID_MAX_BYTES} bytes"
    for name, value in told.attributes.items():
        kind = declared.get(name)
        if kind is not None and value is not None and not _is_of(_plain(value, kind), kind):
            return f"attributes.{name}: {_expected(kind)} is expected"
    return None


def declared_values(told: ObjectAttributes, types: TypesPlan) -> dict[str, Any]:
    """What is said of declared attributes, each of its type; None takes an attribute away.

    Shops and CSV files write numbers, and true and false, as texts: where a number or boolean is declared,
    a text that JSON would read as one is one, and a number where an id is declared is the id's text.
    """
    declared = types.attributes.get(told.object, {})
    return {
        name: _plain(value, declared[name]) for name, value in told.attributes.items() if name in declared
    }


def _plain(value: Any, kind: AttributeType) -> Any:
    if isinstance(kind, Reference):
        return [_id(one) for one in value] if isinstance(value, list) else _id(value)
    if kind == "number" and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if set(value) & {".", "e", "E"} else int(value)
    if kind == "boolean" and isinstance(value, str):
        return {"true": True, "false": False}.get(value, value)
    return value


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _expected(kind: AttributeType) -> str:
    if isinstance(kind, Reference):
        return (
            f"the id of a {kind.type}" if kind.object_ else f"a list of at most {MAX_LIST} ids of {kind.type}"
        )
    return _EXPECTED[kind]


def _is_of(value: Any, kind: AttributeType) -> bool:
    match kind:
        case Reference():
            return _is_id(value) if kind.object_ else _is_list(value) and all(map(_is_id, value))
        case "string":
            return _is_text(value)
        case "number":
            return _is_number(value)
        case "boolean":
            return isinstance(value, bool)
        case "date":
            return _is_number(value) or (isinstance(value, str) and _is_date(value))
        case "list":
            return _is_list(value) and all(
                isinstance(one, bool) or _is_number(one) or _is_text(one) for one in value
            )


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MAX_LIST


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_MAX_CHARS


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.encode()) <= ID_MAX_BYTES


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text) if is_plain_date(text) else datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
