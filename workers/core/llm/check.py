"""What is taken from a model's answer: an approved outcome, or nothing. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.slots import SlotRules, cleaned, slot_problem
from workers.core.llm.prompt import FIELDS

if TYPE_CHECKING:
    from schemas.wire import LlmAsked

ANSWER_MAX_CHARS: Final = 20_000
"""A longer answer is none."""

_FENCED: Final = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)
"""Models that are not held to a schema put JSON into a block of code."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The outcome, or (None) why the answer cannot be taken, as a short code with a remark behind a colon."""

    value: str | None
    problem: str | None = None


def take(asked: LlmAsked, answer: str) -> Taken:
    """What an answer comes to.

    It is one JSON object with the one field that was asked for. A label or variant is one of the question's,
    letter for letter; a text keeps the question's rules, once spaces and line breaks are single spaces.
    """
    document = _document(answer)
    if document is None:
        return Taken(None, "not_json")
    name = FIELDS[asked.task]
    value = document.get(name)
    if set(document) != {name} or not isinstance(value, str):
        return Taken(None, "wrong_shape")
    if asked.options is not None:
        return Taken(value) if value in asked.options else Taken(None, "not_an_option")
    text = cleaned(value)
    rules = SlotRules(asked.max_chars or 0, tuple(asked.forbid or ()), tuple(asked.links or ()))
    problem = slot_problem(text, rules)
    return Taken(text) if problem is None else Taken(None, f"text_refused: {problem}")


def _document(answer: str) -> dict[str, Any] | None:
    text = answer.strip()
    if len(text) > ANSWER_MAX_CHARS:
        return None
    fenced = _FENCED.fullmatch(text)
    try:
        document = msgspec.json.decode(fenced[1] if fenced else text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
