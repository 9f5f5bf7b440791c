"""What conditions mean, slowly and obviously: every event in a list, every question answered from all of it.

Shares no code with the core: files' own words in, ``True``, ``False`` or ``None`` (missing) out.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """Something that happened; ``trigger`` is the one event that is looked at."""

    name: str
    at_ms: int
    properties: dict[str, Any]
    member: str = "u1"
    trigger: bool = False


@dataclass
class History:
    """All that is known of a subject; ``past`` are its traits as they were, as (since when, traits)."""

    now_ms: int
    events: list[Event]
    traits: dict[str, Any] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)
    past: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    messages: list[tuple[int, tuple[str, ...], str]] = field(default_factory=list)
    timezone: str = "UTC"

    def zone(self) -> ZoneInfo:
        """Of the subject, its account, the workspace."""
        for name in (self.traits.get("timezone"), self.account.get("timezone"), self.timezone):
            try:
                return ZoneInfo(name)  # type: ignore[arg-type]  # what is no name is refused below
            except (TypeError, ValueError, KeyError):
                continue
        raise AssertionError(self.timezone)

    def local(self, at_ms: int) -> datetime:
        """The clock on the subject's wall."""
        return (EPOCH + timedelta(milliseconds=at_ms)).astimezone(self.zone()).replace(tzinfo=None)

    def triggering(self) -> dict[str, Any]:
        """The properties of the event that is looked at."""
        return next((event.properties for event in self.events if event.trigger), {})


def millis(duration: str) -> int:
    """Of ``21d``."""
    return int(duration[:-1]) * UNITS_MS[duration[-1]]


def evaluate(condition: dict[str, Any], known: History) -> bool | None:  # noqa: C901, PLR0911  one per kind
    """The outcome of a condition."""
    if "all" in condition:
        inner = [evaluate(one, known) for one in condition["all"]]
        return False if False in inner else None if None in inner else True
    if "any" in condition:
        inner = [evaluate(one, known) for one in condition["any"]]
        return True if True in inner else None if None in inner else False
    if "not" in condition:
        found = evaluate(condition["not"], known)
        return None if found is None else not found
    if "trait" in condition:
        return compare(known.traits.get(condition["trait"]), condition, known)
    if "account" in condition:
        return compare(known.account.get(condition["account"]["trait"]), condition["account"], known)
    if "property" in condition:
        return compare(known.triggering().get(condition["property"]), condition, known)
    if "performed" in condition:
        return performed(condition, known)
    if "sustained" in condition:
        return sustained(condition, known)
    if "received" in condition:
        return received(condition, known)
    if "first" in condition or "last" in condition:
        name = condition["first"] if "first" in condition else condition["last"]
        times = [event.at_ms for event in matching(name, condition.get("where"), known)]
        at_ms = None if not times else min(times) if "first" in condition else max(times)
        return compare(None if at_ms is None else EPOCH + timedelta(milliseconds=at_ms), condition, known)
    return measured(condition, known)


def matching(name: str, where: dict[str, Any] | None, known: History) -> list[Event]:
    """The events of a name that ``where`` lets pass."""
    found = []
    for event in known.events:
        checks = [
            compare(event.properties.get(path), ops if isinstance(ops, dict) else {"eq": ops}, known)
            for path, ops in (where or {}).items()
        ]
        if event.name == name and all(check is True for check in checks):
            found.append(event)
    return found


def performed(condition: dict[str, Any], known: History) -> bool | None:
    """Counts, and the one event that makes a count reach a number."""
    events = matching(condition["performed"], condition.get("where"), known)
    backs = range(condition.get("each_of_last", 1))
    counts = []
    for back in backs:
        inside = [lies_in(event.at_ms, condition["within"], back, known) for event in events]
        if anchorless(condition["within"], known):
            return None
        counts.append(sum(one is True for one in inside))
    if "reaches" in condition:
        trigger = [event for event in events if event.trigger]
        counted = bool(trigger) and lies_in(trigger[0].at_ms, condition["within"], 0, known) is True
        return counted and counts[0] == condition["reaches"]
    if "exactly" in condition:
        return all(count == condition["exactly"] for count in counts)
    least = condition.get("at_least", 0 if "at_most" in condition else 1)
    return all(least <= count <= condition.get("at_most", 10**9) for count in counts)


def measured(condition: dict[str, Any], known: History) -> bool | None:
    """Aggregates of spans."""
    functions = ("count", "sum", "average", "min", "max", "distinct", "members")
    function = next(name for name in functions if name in condition)
    name = condition[function] if function in {"count", "members"} else condition["of"]
    events = matching(name, condition.get("where"), known)

    def value(back: int) -> Any:  # noqa: PLR0911  one per function
        if anchorless(condition["within"], known):
            return None
        inside = [one for one in events if lies_in(one.at_ms, condition["within"], back, known)]
        if function == "count":
            return len(inside)
        if function == "members":
            return len({event.member for event in inside})
        found = [event.properties.get(condition[function]) for event in inside]
        if function == "distinct":
            return len({(isinstance(one, bool), one) for one in found if isinstance(one, (str, int, float))})
        numbers = [one for one in found if isinstance(one, (int, float)) and not isinstance(one, bool)]
        if function == "sum":
            return sum(numbers)
        if not numbers:
            return None
        return {"average": sum(numbers) / len(numbers), "min": min(numbers), "max": max(numbers)}[function]

    if "trend" in condition:
        now, before = value(0), value(1)
        ratio = now / before if now is not None and before is not None and before > 0 else None
        return compare(ratio, condition["trend"], known)
    outcomes = [compare(value(back), condition, known) for back in range(condition.get("each_of_last", 1))]
    return False if False in outcomes else None if None in outcomes else True


def sustained(condition: dict[str, Any], known: History) -> bool | None:
    """True now, and at every instant back to the beginning of the time asked for."""
    for_ms = millis(condition["for"])
    inner = condition["sustained"]
    if "performed" in inner:
        times = [event.at_ms for event in matching(inner["performed"], inner.get("where"), known)]
        within_ms = millis(inner["within"])
        turns = {at_ms + shift + one for at_ms in times for shift in (0, within_ms) for one in (-1, 0, 1)}
        instants = {known.now_ms - for_ms + 1, known.now_ms} | {
            turn for turn in turns if known.now_ms - for_ms < turn <= known.now_ms
        }
        return all(performed(inner, History(instant, known.events)) for instant in instants)
    present = evaluate(inner, known)
    if present is not True:
        return present
    since_ms = None
    for at_ms, traits in known.past:
        held = evaluate(inner, History(known.now_ms, known.events, traits, known.account))
        since_ms = None if held is not True else at_ms if since_ms is None else since_ms
    return since_ms is not None and since_ms <= known.now_ms - for_ms


def received(condition: dict[str, Any], known: History) -> bool | None:
    """Messages of a tag, over a channel."""
    if anchorless(condition["within"], known):
        return None
    asked = condition["received"]
    return any(
        lies_in(at_ms, condition["within"], 0, known)
        and ("tag" not in asked or asked["tag"] in tags)
        and asked.get("channel", channel) == channel
        for at_ms, tags, channel in known.messages
    )


def anchorless(span: Any, known: History) -> bool:
    """Whether a billing period is asked for, of a subject that has none."""
    is_billing = isinstance(span, dict) or "billing" in span
    return is_billing and renewals(span, known) is None


def lies_in(at_ms: int, span: Any, back: int, known: History) -> bool | None:
    """Whether an instant lies in a span, or in the one that many before it."""
    if at_ms > known.now_ms and not (isinstance(span, str) and span.startswith("this")):
        return False
    if isinstance(span, dict) or "billing" in span:
        return in_billing(at_ms, span, back, known)
    if span == "lifetime":
        return True
    if span[0].isdigit():
        age_ms = known.now_ms - at_ms
        return back * millis(span) <= age_ms < (back + 1) * millis(span)
    behind = back + (span.startswith("previous") or span == "yesterday")
    passed = number_of_period(known.local(known.now_ms), span) - number_of_period(known.local(at_ms), span)
    return bool(passed == behind)


def number_of_period(local: datetime, span: str) -> int:
    """Days, weeks, months, quarters or years since some day, by the clock on the wall."""
    if span in {"today", "yesterday"}:
        return local.toordinal()
    if span.endswith("week"):
        return (local.toordinal() - local.weekday()) // 7
    months = local.year * 12 + local.month - 1
    return months // {"month": 1, "quarter": 3, "year": 12}[span.split("_")[1]]


def renewals(span: Any, known: History) -> tuple[list[datetime], bool] | None:
    """Many renewals around now, and whether they are counted in the subject's zone (else in UTC)."""
    if isinstance(span, dict):
        ((kind, name),) = span["billing_period"].items()
        value = (known.traits if kind == "trait" else known.account).get(name)
        step = {"month": 1, "quarter": 3, "year": 12}[span.get("every", "month")]
    else:
        value, step = known.traits.get("billing_anchor", known.account.get("billing_anchor")), 1
    at = moment_of(value, known)
    if at is None:
        return None
    is_local = isinstance(value, str) and len(value) == 10
    anchor = at.astimezone(known.zone() if is_local else UTC).replace(tzinfo=None)
    found = []
    for number in range(-50, 51):
        month = anchor.month - 1 + number * step
        year, month = anchor.year + month // 12, month % 12 + 1
        day = anchor.day
        while True:
            try:
                found.append(anchor.replace(year=year, month=month, day=day))
                break
            except ValueError:
                day -= 1
    return found, is_local


def in_billing(at_ms: int, span: Any, back: int, known: History) -> bool | None:
    """Whether so many renewals lie between an instant and now."""
    found = renewals(span, known)
    if found is None:
        return None
    days, is_local = found
    clock = (
        known.local if is_local else (lambda ms: (EPOCH + timedelta(milliseconds=ms)).replace(tzinfo=None))
    )
    behind = bisect_right(days, clock(known.now_ms)) - bisect_right(days, clock(at_ms))
    previous = bool(span.get("previous")) if isinstance(span, dict) else span.startswith("previous")
    return behind == back + previous


def moment_of(value: Any, known: History) -> datetime | None:
    """What a trait holds as a date."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            if len(value) == 10:
                day = date.fromisoformat(value)
                return datetime(day.year, day.month, day.day, tzinfo=known.zone())
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return EPOCH + (timedelta(seconds=value) if abs(value) < 1e11 else timedelta(milliseconds=value))


def other(expected: Any, known: History) -> Any:
    """A constant, or what another field holds."""
    if not isinstance(expected, dict):
        return expected
    ((kind, name),) = expected.items()
    fields = {"trait": known.traits, "account": known.account, "property": known.triggering()}
    return fields[kind].get(name)


def compare(value: Any, operators: dict[str, Any], known: History) -> bool | None:
    """All operators together."""
    if "divided_by" in operators:
        below = other(operators["divided_by"], known)
        fine = is_number(value) and is_number(below) and below > 0
        value = value / below if fine else None
    outcomes = [
        single(name, value, expected, known)
        for name, expected in operators.items()
        if name in NAMES
        and not (name == "within" and ("of" in operators or "performed" in operators))
        and not (name == "within" and any(one in operators for one in ("count", "members")))
    ]
    outcome = False if False in outcomes else None if None in outcomes else True
    if outcome is None and "if_missing" in operators:
        return bool(operators["if_missing"] == "pass")
    return outcome


def is_number(value: Any) -> bool:
    """Truth values are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(one: Any, two: Any) -> bool:
    """Equal, and of the same kind."""
    kinds = [str if isinstance(x, str) else bool if isinstance(x, bool) else float for x in (one, two)]
    return not isinstance(one, (list, dict)) and kinds[0] is kinds[1] and one == two


NAMES = {"eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "exists", "contains", "not_contains"} | {
    *("starts_with", "ends_with", "matches", "before", "after", "older_than", "younger_than", "in_next"),
    "within",
}


def single(name: str, value: Any, expected: Any, known: History) -> bool | None:  # noqa: C901, PLR0911, PLR0912
    """One operator."""
    if name == "exists":
        return (value is not None) is expected
    limit = other(expected, known) if name != "within" else expected
    if value is None or limit is None:
        return None
    if name in {"eq", "ne"}:
        return same(value, limit) is (name == "eq")
    if name in {"in", "not_in"}:
        return any(same(value, one) for one in limit) is (name == "in")
    if name in {"gt", "gte", "lt", "lte"}:
        if not is_number(value) or not is_number(limit):
            return None
        return bool(
            {"gt": value > limit, "gte": value >= limit, "lt": value < limit}.get(name, value <= limit)
        )
    if name in {"contains", "not_contains"}:
        if isinstance(value, list):
            return any(same(one, limit) for one in value) is (name == "contains")
        if not isinstance(value, str) or not isinstance(limit, str):
            return None
        return (limit in value) is (name == "contains")
    if name in {"starts_with", "ends_with", "matches"}:
        if not isinstance(value, str):
            return None
        if name == "matches":
            return glob(limit, value)
        return value[: len(limit)] == limit if name == "starts_with" else value.endswith(limit)
    at = moment_of(value, known)
    if at is None:
        return None
    now = EPOCH + timedelta(milliseconds=known.now_ms)
    if name in {"before", "after"}:
        edge = moment_of(limit, known)
        return None if edge is None else (at < edge) if name == "before" else (at >= edge)
    if name == "within":
        if anchorless(limit, known):
            return None
        return lies_in((at - EPOCH) // timedelta(milliseconds=1), limit, 0, known)
    span = timedelta(milliseconds=millis(limit))
    return {
        "older_than": at <= now - span,
        "younger_than": now - span < at <= now,
        "in_next": now < at <= now + span,
    }[name]


def glob(pattern: str, text: str) -> bool:
    """``*`` stands for any characters, tried one after another."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return text[:1] == pattern[0] and glob(pattern[1:], text[1:])
