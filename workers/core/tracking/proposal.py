"""A proposed tracking plan as the text of a file, with what was counted as comments."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from workers.core.tracking.inference import propose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from workers.core.tracking.inference import FieldsSeen, Proposed, StreamSeen

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?: [A-Za-z0-9_-]+)*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})
"""Texts that some reader of YAML takes for something else."""

_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON leaves as it is and YAML refuses."""

_CALLS: Final = (
    ("page", "properties"),
    ("screen", "properties"),
    ("identify", "traits"),
    ("group", "traits"),
)


def proposal(seen: StreamSeen, samples: int, about: Iterable[str] = ()) -> str:
    """The text of ``tracking_plan.yaml``; ``about`` are lines for its head.

    ``samples`` as in :func:`workers.core.tracking.inference.propose`.
    """
    lines = [
        *(f"# {line}" for line in about),
        "# Proposed from what came, so it says what is, not what should be: look at each line, add owners",
        "# and descriptions, take out what is an accident. Comments: in how many events a property was.",
        "version: 1",
        "on_violation: flag",
        "unknown_events: flag",
        "unknown_properties: allow",
    ]
    if seen.left_out:
        lines.append(f"# left out: {seen.left_out} events, of more names than a plan may hold")
    if seen.events:
        lines.append("events:")
    for name, fields in sorted(seen.events.items()):
        lines += _planned(name, fields, samples, "  ", "properties")
    for call, part in _CALLS:
        if (fields_of_call := seen.calls.get(call)) is not None:
            lines += _planned(call, fields_of_call, samples, "", part)
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A text as YAML writes it: plain where no reader can mistake it, else in quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _planned(name: str, seen: FieldsSeen, samples: int, indent: str, part: str) -> Iterator[str]:
    proposed = propose(seen, samples)
    yield f"{indent}{quoted(name)}:" + ("" if proposed else " {}") + f"   # {seen.count} seen"
    if seen.left_out:
        yield f"{indent}  # left out: {seen.left_out} values, of more properties than a plan may hold"
    if proposed:
        yield f"{indent}  {part}:"
    for one in proposed:
        yield from _property(one, f"{indent}    ")


def _property(one: Proposed, indent: str) -> Iterator[str]:
    nulls = f", {one.nulls} null" if one.nulls else ""
    counted = f"   # {one.present} of {one.of}{nulls}"
    if not one.fields:
        yield f"{indent}{quoted(one.name)}: {_flow(one.rules)}{counted}"
        return
    yield f"{indent}{quoted(one.name)}:{counted}"
    for key, value in one.rules.items():
        yield f"{indent}  {key}: {_flow(value)}"
    yield f"{indent}  properties:"
    for inner in one.fields:
        yield from _property(inner, f"{indent}    ")


def _flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(_pairs(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _pairs(value: Mapping[str, Any]) -> Iterator[str]:
    for key, inner in value.items():
        yield f"{quoted(key)}: {_flow(inner)}"
