"""A sample person for previews: a value for everything that a template reads.

What the tracking plan says of a value decides what it looks like; what it does not know is guessed by name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from workers.core.templates.compile import reads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.workspace import TrackingPlan
    from schemas.workspace.tracking_plan import Property
    from workers.core.templates.compile import TemplateSource

DATE: Final = "2026-03-14T09:00:00Z"
LINK: Final = "https://example.com/sample"
_BY_NAME: Final[tuple[tuple[re.Pattern[str], Any], ...]] = (
    (re.compile(r"email"), "ada@example.com"),
    (re.compile(r"first_name"), "Ada"),
    (re.compile(r"last_name"), "Lovelace"),
    (re.compile(r"url|link|image|href"), LINK),
    (re.compile(r"_at$|date|ends|starts|until|renews"), DATE),
    (re.compile(r"perc"), 85),
    (re.compile(r"price|amount|mrr|arr|revenue|cost|total|saving"), 1234.5),
    (re.compile(r"count|number|limit$|used|seats|days|quantity"), 3),
    (re.compile(r"plan"), "starter"),
    (re.compile(r"name"), "Acme"),
)
_NUMBER: Final = 42
_ROOTS: Final = ("user", "account", "event", "awaited", "related", "owner", "llm")


def sample_context(
    sources: Iterable[TemplateSource],
    events: Iterable[str],
    plan: TrackingPlan | None,
    evidence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Plain data under which the templates render, where the plan and the names of values tell what they are.

    ``events`` are those that the template is sent upon.
    """
    context: dict[str, Any] = {root: {} for root in _ROOTS}
    context["evidence"] = dict(evidence or {})
    calls = plan.calls() if plan is not None else {}
    for root, call in (("user", "identify"), ("account", "group")):
        if plan is not None and call in calls:
            context[root] = {name: _value(name, rule) for name, rule in plan.rules(calls[call]).items()}
    for event in events:
        if plan is not None and event in plan.events:
            rules = plan.events[event].properties
            context["event"] |= {name: _value(name, rule) for name, rule in rules.items()}
    for source in sources:
        for read in reads(source):
            root, *path = read.variable.name.split(".")
            if path and isinstance(context.get(root), dict) and "\u2026" not in read.variable.name:
                _put(context[root], path)
    return context


def _put(holder: dict[str, Any], path: list[str]) -> None:
    """A guess at the end of a path, where nothing is there."""
    for name in path[:-1]:
        inner = holder.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        holder = inner
    holder.setdefault(path[-1], _guess(path[-1]))


def _guess(name: str) -> Any:
    known = (value for pattern, value in _BY_NAME if pattern.search(name.lower()))
    return next(known, name.replace("_", " "))


def _value(name: str, rule: Property) -> Any:  # noqa: PLR0911  one per type
    """A value as the plan describes it."""
    if rule.enum:
        return rule.enum[0]
    kind = rule.type[0] if rule.type else None
    match kind:
        case "number" | "integer":
            guessed = _guess(name)
            number = guessed if isinstance(guessed, (int, float)) else _NUMBER
            least = number if rule.minimum is None else max(number, rule.minimum)
            bounded = least if rule.maximum is None else min(least, rule.maximum)
            return int(bounded) if kind == "integer" else bounded
        case "boolean":
            return True
        case "date-time":
            return DATE
        case "array":
            return [_value(name, rule.items)] * 2 if rule.items is not None else ["first", "second"]
        case "object":
            return {inner: _value(inner, one) for inner, one in rule.properties.items()}
        case _:
            guessed = _guess(name)
            return guessed if isinstance(guessed, str) else str(guessed)
