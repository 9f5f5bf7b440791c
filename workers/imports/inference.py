"""The types of a CSV file's columns where no mapping declares them. Pure.

A column is a number or a boolean only where every value in it is one and nothing hints at a code: leading
zeros, a plus, more digits than a float holds, or a name such as ``zip`` or ``phone_number``. All else stays
text, dates too: conditions read ISO 8601 texts as dates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workers.imports.values import is_empty

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.workspace.imports import TraitColumn, ValueType
    from workers.imports.rows import Row

DIGITS_MAX: Final = 15
"""Any whole number of so many digits is exact as a float of 64 bits, as which many read JSON."""

CODES: Final = frozenset(
    {
        "id",
        "ids",
        "uuid",
        "guid",
        "key",
        "code",
        "codes",
        "zip",
        "zipcode",
        "postal",
        "postcode",
        "plz",
        "phone",
        "telephone",
        "tel",
        "mobile",
        "cell",
        "fax",
        "msisdn",
        "sku",
        "ean",
        "upc",
        "gtin",
        "isbn",
        "iban",
        "bic",
        "vat",
        "ssn",
        "pin",
        "hash",
        "token",
        "serial",
        "version",
    }
)
"""Words in the name of a column whose digits are no quantity."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]\d{1,2})?")
_LEADING_ZERO = re.compile(r"[+-]?0\d+")
_BOOLEANS = frozenset({"true", "false"})


@dataclass(frozen=True, slots=True)
class Inferred:
    """What a column is read as; ``why`` says why a column of digits stays text, "" otherwise."""

    type: ValueType
    why: str = ""


def infer(columns: Iterable[str], rows: Iterable[Row]) -> dict[str, Inferred]:
    """The types of these columns, over all rows that are readable; ``string`` where a column has no value."""
    found = {name: Inferred("string", "by its name") for name in columns if is_code(name)}
    held: dict[str, ValueType | None] = {name: None for name in columns if name not in found}
    for row in rows:
        if not held:
            break
        for name in list(held) if row.problem is None else ():
            value = row.values.get(name)
            if is_empty(value):
                continue
            before, now = held[name], _of(str(value).strip(), held[name])
            if now == "string":
                found[name] = Inferred(now, _why(str(value).strip()) if before != "boolean" else "")
                del held[name]
            else:
                held[name] = now
    found |= {name: Inferred(held[name] or "string") for name in held}
    return {name: found[name] for name in columns}


def is_code(column: str) -> bool:
    """Whether a column's name says that its digits are a code: ``zip``, ``accountId``, ``order_number``."""
    words = [word.lower() for word in _WORDS.findall(column)]
    return not CODES.isdisjoint(words) or (len(words) > 1 and words[-1] in {"number", "nr", "no"})


def typed(traits: Mapping[str, TraitColumn], types: Mapping[str, Inferred]) -> dict[str, TraitColumn]:
    """The columns with their types."""
    return {
        trait: spec.model_copy(update={"type": types[spec.column].type}) for trait, spec in traits.items()
    }


def types_text(types: Mapping[str, Inferred]) -> str:
    """For people: ``seats integer, zip string (leading zeros)``."""
    return ", ".join(f"{name} {one.type}{f' ({one.why})' if one.why else ''}" for name, one in types.items())


def _of(text: str, before: ValueType | None) -> ValueType:
    """The type of a column with this value, that was ``before`` without it (None: it had none yet)."""
    if text.lower() in _BOOLEANS:
        return "boolean" if before in {None, "boolean"} else "string"
    if before == "boolean" or _digits(text) > DIGITS_MAX:
        return "string"
    if _INTEGER.fullmatch(text):
        return before or "integer"
    return "number" if _NUMBER.fullmatch(text) else "string"


def _digits(text: str) -> int:
    """The digits before a point: of a fraction those behind it may be rounded, as everywhere."""
    return sum(character.isdigit() for character in text.partition(".")[0])


def _why(text: str) -> str:
    """Why a value that is made of digits makes its column text."""
    if _LEADING_ZERO.fullmatch(text):
        return "leading zeros"
    if re.fullmatch(r"\+\d[\d ]*", text):
        return "a plus before digits"
    return f"more than {DIGITS_MAX} digits" if _INTEGER.fullmatch(text) else ""
