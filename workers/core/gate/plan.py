"""The rules of the gate, compiled: what holds for all messages, and what one step or journey says."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from schemas.workspace.base import DAY_MS
from schemas.workspace.gate import (
    BEST_HOUR,
    MINUTE_MS,
    WEEKDAYS,
    Hours,
    MessageSettings,
    OnCap,
    Transactional,
)
from schemas.workspace.spans import LONGEST_MS, span_text
from workers.core.conditions.comparisons import compile_path
from workers.core.conditions.spans import Span, compile_span
from workers.core.local_hours import LocalHours
from workers.core.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from schemas.workspace import Cap, Journey, Send

    Rank: TypeAlias = "Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], float]"

_PERIOD_MS: Final = {
    name: LONGEST_MS[unit]
    for name, unit in {"today": "day", "this_week": "week", "this_month": "month"}.items()
}


@dataclass(frozen=True, slots=True, eq=False)
class CapPlan:
    """At most ``most`` of the messages that it counts within ``span``; empty sets count all.

    Calls of webhooks are counted only where ``channels`` name them.
    """

    label: str
    most: int
    span: Span
    memory_ms: int
    per_account: bool
    channels: frozenset[str]
    tags: frozenset[str]
    journeys: frozenset[str]
    on_cap: OnCap

    def counts(self, channel: str, tags: Iterable[str], journey: str) -> bool:
        """Whether a message is one of those that are counted: a call is no message, unless it is named."""
        return (
            (channel in self.channels if self.channels else channel != CALL)
            and (not self.tags or not self.tags.isdisjoint(tags))
            and (not self.journeys or journey in self.journeys)
        )


@dataclass(frozen=True, slots=True)
class ExclusivePlan:
    """Journeys of the tag compete; see docs/messages.md. ``collect_ms`` 0: first come, first served."""

    tag: str
    within_ms: int
    collect_ms: int
    on_loss: OnCap


@dataclass(frozen=True, slots=True, eq=False)
class GatePlan:
    """What holds for all messages of a workspace.

    ``quiet`` are the quiet hours of each channel. ``exempt`` is what does not apply to transactional
    messages, told by ``transactional_tags``. ``memory_ms`` is the longest time that a cap or an exclusive
    tag looks back to what a subject's own row remembers. Of the journeys with one of ``lone_tags`` nobody is
    in two.
    """

    zones: Callable[[], Zones]
    caps: tuple[CapPlan, ...] = ()
    account_caps: tuple[CapPlan, ...] = ()
    quiet: Mapping[str, tuple[LocalHours, ...]] = field(default_factory=dict)
    spread_ms: int = 30 * MINUTE_MS
    max_hold_ms: int = 3 * DAY_MS
    exclusive: tuple[ExclusivePlan, ...] = ()
    transactional_tags: frozenset[str] = frozenset()
    exempt: frozenset[str] = frozenset()
    lone_tags: frozenset[str] = frozenset()
    memory_ms: int = 0

    def exempt_of(self, tags: Iterable[str]) -> frozenset[str]:
        """What does not apply to a message with these tags: of consent, caps, quiet_hours, exclusive."""
        return self.exempt if not self.transactional_tags.isdisjoint(tags) else frozenset()


@dataclass(frozen=True, slots=True)
class SendRules:
    """What a step, or else its journey, says of a message.

    ``at``: the minute of the day, or ``best_hour`` with ``fallback``; None: at once. ``window``: hours in
    which it may go out; empty: at any. ``on_cap``, ``max_hold_ms`` None: as caps and workspace say.
    """

    topic: str | None = None
    at: int | Literal["best_hour"] | None = None
    fallback: int = 10 * 60
    window: tuple[LocalHours, ...] = ()
    on_cap: OnCap | None = None
    max_hold_ms: int | None = None


NO_RULES: Final = SendRules()

CALL: Final = "webhook"
"""The channel that writes to another system, and to nobody."""

_utc = cache(lambda: Zones("UTC"))

OPEN_GATE: Final = GatePlan(_utc)
"""The gate of a workspace that says nothing about messages."""


def compile_gate(settings: MessageSettings, zones: Callable[[], Zones]) -> GatePlan:
    """The gate of a workspace; reads the zone tables only where a rule needs them."""
    caps = tuple(_compile_cap(one, zones) for one in settings.caps)
    quiet: dict[str, tuple[LocalHours, ...]] = {}
    for hours in settings.quiet_hours:
        for channel in hours.channel:
            quiet[channel] = (*quiet.get(channel, ()), compile_hours(hours))
    exclusive = tuple(
        ExclusivePlan(one.tag, one.within, one.collect or 0, one.on_loss) for one in settings.exclusive
    )
    transactional = settings.transactional or Transactional()
    exempt = transactional.exempt_from if settings.transactional is not None else ()
    looking = [one.memory_ms for one in caps if not one.per_account or CALL in one.channels]
    return GatePlan(
        zones=zones,
        caps=tuple(one for one in caps if not one.per_account),
        account_caps=tuple(one for one in caps if one.per_account),
        quiet=quiet,
        spread_ms=settings.spread,
        max_hold_ms=settings.max_hold,
        exclusive=exclusive,
        transactional_tags=frozenset(transactional.tags if settings.transactional is not None else ()),
        exempt=frozenset(exempt),
        lone_tags=frozenset(one.tag for one in settings.exclusive if one.one_journey),
        memory_ms=max([*looking, *(one.within_ms for one in exclusive)], default=0),
    )


def compile_hours(hours: Hours) -> LocalHours:
    """Hours of the day with their weekdays as numbers."""
    return LocalHours(hours.from_, hours.to, frozenset(WEEKDAYS.index(day) for day in hours.days))


def compile_rules(send: Send, journey: Journey) -> SendRules:
    """What a step says of its message, else its journey."""
    # The hours of a journey are about writing to people; a call waits only where its own step says so.
    window = send.window if send.window is not None or send.channel == CALL else journey.window
    at: int | Literal["best_hour"] | None = BEST_HOUR if send.at == BEST_HOUR else send.at  # type: ignore[assignment]
    return SendRules(
        topic=send.topic or journey.topic,
        at=at,
        fallback=send.fallback,
        window=tuple(compile_hours(one) for one in window or ()),
        on_cap=send.on_cap,
        max_hold_ms=send.max_hold,
    )


def compile_rank(journey: Journey) -> Rank:
    """A function of traits, the account's traits and the trigger's properties: the highest comes first.

    Where the field holds no number it is 0.
    """
    priority = journey.priority
    if isinstance(priority, int):
        return lambda traits, account, properties: float(priority)  # noqa: ARG005  the same for everybody
    kind, _, path = priority.partition(".")
    read = compile_path(path)

    def rank(traits: Mapping[str, Any], account: Mapping[str, Any], properties: Mapping[str, Any]) -> float:
        value = read({"properties": properties, "account": account, "traits": traits}[kind])
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0

    return rank


def _compile_cap(cap: Cap, zones: Callable[[], Zones]) -> CapPlan:
    sliding = isinstance(cap.within, int)
    what = [*(cap.channel or ()), *(f"tag {tag}" for tag in cap.tag or ())]
    what += [f"journey {journey}" for journey in cap.journey or ()]
    whose = "an account" if cap.of == "account" else "a person"
    label = f"{cap.max} within {span_text(cap.within)} to {whose}" + (
        f" of {', '.join(what)}" if what else ""
    )
    return CapPlan(
        label=label,
        most=cap.max,
        span=compile_span(cap.within, None if sliding else zones()),
        memory_ms=cap.within if isinstance(cap.within, int) else _PERIOD_MS[cap.within],
        per_account=cap.of == "account",
        channels=frozenset(cap.channel or ()),
        tags=frozenset(cap.tag or ()),
        journeys=frozenset(cap.journey or ()),
        on_cap=cap.on_cap,
    )
