"""How the console writes times and numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def span(duration_ms: int) -> str:
    """A duration in its largest unit, rounded down: ``3 h``."""
    for unit_ms, name in _UNITS:
        if duration_ms >= unit_ms:
            return f"{duration_ms // unit_ms} {name}"
    return "0 s"


def moment(at_ms: int | None, now_ms: int) -> Markup:
    """A time as how long ago or ahead it is, with the exact one to point at; a dash where there is none."""
    if at_ms is None:
        return Markup("&ndash;")
    told = datetime.fromtimestamp(at_ms / 1000, UTC)
    words = f"{span(now_ms - at_ms)} ago" if at_ms <= now_ms else f"in {span(at_ms - now_ms)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        told.strftime("%Y-%m-%dT%H:%M:%SZ"), told.strftime("%Y-%m-%d %H:%M:%S UTC"), words
    )


_OUTCOMES: Final = {
    ("send", "send"): "passed on to be sent",
    ("send", "would_send"): "would be sent (holdout)",
    ("send", "defer"): "held by the gate",
    ("send", "skip"): "message skipped",
    ("send", "drop"): "message dropped",
    ("send", "exit"): "journey ended by the gate",
    ("send", "request"): "members asked",
    ("delivery", "sent"): "delivered",
    ("delivery", "failed"): "delivery failed",
    ("delivery", "unknown"): "delivery with an unknown end",
    ("delivery", "skipped"): "not delivered",
    ("delivery", "suppressed"): "not delivered",
    ("problem", "put_off"): "put off, to be tried again an hour later",
    ("split", "assigned"): "went this way",
    ("exit", "completed"): "came to the end",
    ("exit", "exited"): "left the journey",
    ("llm", "answered"): "answered",
    ("llm", "fallback"): "fallback taken",
}


def outcome_words(kind: str, outcome: str) -> str:
    """What came out at a step, for people."""
    return _OUTCOMES.get((kind, outcome), f"{kind} {outcome}".replace("_", " "))


def number(value: int) -> str:
    """A number with its thousands told apart."""
    return f"{value:,}"
