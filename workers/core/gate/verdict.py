"""The gate: the one place through which every message to a person, and every call, passes or is stopped.

The rules, in their order, are in docs/messages.md. Each run looks at all of them anew, so that what was held
is decided by what holds when it is released.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from workers.core.addresses import address_of, has_digits
from workers.core.consent import allows
from workers.core.engaged import suppressed_by
from workers.core.facts import Moment
from workers.core.gate import caps, collisions
from workers.core.gate.plan import CALL, NO_RULES, OPEN_GATE
from workers.core.gate.send_time import next_time, spread
from workers.core.ids import stable_id
from workers.core.journeys.progress import MESSAGE_MEMORY_MS, MESSAGES_MAX, ONCE_MAX, Waiting, was_sent
from workers.core.journeys.shadowing import counted_as

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import Channel, SubjectType
    from schemas.workspace.gate import OnCap
    from workers.core.facts import Facts
    from workers.core.gate.plan import GatePlan, SendRules
    from workers.core.journeys.progress import Progress

REQUEST_MAX_AGE_MS: Final = MESSAGE_MEMORY_MS
"""A message asked for longer ago is not sent: whether it was sent before is forgotten by now."""

GRANT_VALID_MS: Final = 60_000
"""How long an account's word that a message may go out holds; later it is asked again."""

ASK_AGAIN_MS: Final = 600_000
"""When an account that has not answered is asked again."""

OPT_IN: Final = frozenset({"sms"})
"""Channels that need an explicit yes; the others need that nobody said no."""

OF_ACCOUNT: Final = "account"
"""Why a message waits for the word of an account: for milliseconds, so that no decision tells of it."""


class SendRequest(msgspec.Struct, frozen=True):
    """A message that a step wants to send. ``id`` is its idempotency key.

    ``subject`` is the person, or for the request of an account's journey before it is routed the account.
    ``asked`` is the account's request that the message answers, the same for every id of a person (None for a
    journey of the person's own). ``once``: this template may reach the person once, ever.
    ``requested_at_ms`` is when the step ran. ``variant`` is the one that chance chose, if any. ``rank`` is
    its priority: the highest goes first. ``watched`` are the traits whose change ends the account's journey,
    as its step saw them. ``gone`` is why the account's journey does not want it any more, and while that is
    ``paused`` it stays held. What a ``shadow`` asks for is decided and not sent; ``shadow_since_ms`` is when
    it began, or the one that runs beside this journey (None: there is none).
    """

    id: str
    subject_type: SubjectType
    subject: str
    account: str | None
    journey: str
    version: str
    enrollment: str
    step: str
    channel: Channel
    template: str
    tags: tuple[str, ...]
    once: bool
    holdout: bool
    requested_at_ms: int
    asked: str | None = None
    variant: str | None = None
    rules: SendRules = NO_RULES
    rank: float = 0.0
    watched: Mapping[str, Any] | None = None
    shadow: bool = False
    gone: str | None = None
    paused: bool = False
    shadow_since_ms: int | None = None

    @property
    def counted_as(self) -> str:
        """The journey whose message it is to caps and to other journeys: of a shadow the journey itself."""
        return counted_as(self.journey)

    @property
    def key(self) -> str:
        """What it is remembered by: of an account's request what two ids of one person have in common."""
        return self.asked or self.id


class Send(msgspec.Struct, frozen=True):
    """The message may go out, ``to`` this address (not in-app); ``values`` are what was looked at.

    ``granted_at_ms`` is when the account let it pass, where the account was asked.
    """

    to: str | None
    values: dict[str, Any]
    granted_at_ms: int | None = None


class Defer(msgspec.Struct, frozen=True):
    """The message is held as ``waiting`` says, and decided anew when it is released.

    ``ask``: the account is to be asked meanwhile.
    """

    waiting: Waiting
    values: dict[str, Any]
    ask: bool = False


class Skip(msgspec.Struct, frozen=True):
    """The message is not sent, and the journey goes on. No failure: ``reason`` says why.

    already_sent, stale, journey_gone, step_gone, suppressed, no_consent, no_address, once,
    too_many_messages, too_many_once, no_time, held_too_long, exclusive, cap or account_cap.
    """

    reason: str
    values: dict[str, Any]


class Drop(msgspec.Struct, frozen=True):
    """As :class:`Skip`, and what may come once counts as had: exclusive, cap, account_cap or withdrawn."""

    reason: str
    values: dict[str, Any]


class Exit(msgspec.Struct, frozen=True):
    """The message is not sent, and the enrollment ends: exclusive, cap or account_cap."""

    reason: str
    values: dict[str, Any]


Verdict: TypeAlias = Send | Defer | Skip | Drop | Exit


def decide_send(
    request: SendRequest, facts: Facts, progress: Progress, now_ms: int, gate: GatePlan = OPEN_GATE
) -> Verdict:
    """What becomes of a message now, by the person's own state. An address is never among the values."""
    return _Run(request, facts, progress, now_ms, gate).verdict()


def once_key(request: SendRequest) -> str | None:
    """What a row remembers of a message that may not come twice; None where it may.

    Someone of the holdout is remembered apart: they never got the message, yet must look to the
    comparison like someone who did.
    """
    if not request.once:
        return None
    return stable_id("once", request.channel, request.template, "holdout" if request.holdout else "sent")


class _Run:
    """One message at the gate: each rule notes what it looks at, and may decide."""

    def __init__(
        self, request: SendRequest, facts: Facts, progress: Progress, now_ms: int, gate: GatePlan
    ) -> None:
        self._request = request
        self._facts = facts
        self._progress = progress
        self._now_ms = now_ms
        self._gate = gate
        self._held = progress.held_message(request.key)
        self._exempt = gate.exempt_of(request.tags)
        self._values: dict[str, Any] = {}
        self._to: str | None = None

    def verdict(self) -> Verdict:
        # A call reaches nobody: what a person allows, and who else wants them, says nothing about it.
        of_calls = (self._known, self._remembered, self._untimely, self._capped)
        of_messages = (
            self._known,
            self._wanted,
            self._closed,
            self._remembered,
            self._untimely,
            self._exclusive,
            self._capped,
            self._competes,
            self._account,
        )
        for rule in of_calls if self._request.channel == CALL else of_messages:
            verdict = rule()
            if verdict is not None:
                return verdict
        answer = self._held.answer if self._held is not None else None
        return Send(self._to, self._values, answer.at_ms if answer is not None else None)

    # -- what it never gets past

    def _known(self) -> Verdict | None:
        request = self._request
        sent = was_sent(self._progress, request.id) or was_sent(self._progress, request.key)
        if sent or any(one.id == request.key for one in self._progress.withheld):
            return Skip("already_sent", self._values)
        if self._held is None and self._now_ms - request.requested_at_ms > REQUEST_MAX_AGE_MS:
            return Skip("stale", {"requested_at_ms": request.requested_at_ms})
        return None

    def _wanted(self) -> Verdict | None:
        """A person's own journey sees to this itself: it holds who stands at a step."""
        if self._request.gone is not None:
            return Skip(self._request.gone, self._values)
        return self._defer(self._now_ms + ASK_AGAIN_MS, "paused") if self._request.paused else None

    def _closed(self) -> Verdict | None:
        request, facts = self._request, self._facts
        address = address_of(request.channel, facts.traits)
        reason = suppressed_by(facts.engagement(), request.channel, address)
        if reason is not None:
            return Skip("suppressed", {**self._values, "suppressed by": reason})
        if not self._consented():
            return Skip("no_consent", self._values)
        if request.channel == "email":
            has_address = self._values["has address"] = address is not None and "@" in address
            if not has_address:
                return Skip("no_address", self._values)
            self._to = address
        if request.channel == "sms":
            has_number = self._values["has number"] = address is not None and has_digits(address)
            if not has_number:
                return Skip("no_address", self._values)
            self._to = address
        if request.channel == "push":
            self._to = facts.push_address()
            self._values["has device"] = self._to is not None
            if self._to is None:
                return Skip("no_address", self._values)
        return None

    def _consented(self) -> bool:
        request = self._request
        topic = request.rules.topic
        said = self._facts.consent(request.channel, topic)
        self._values[f"consent {request.channel}" + (f" {topic}" if topic else "")] = said
        if "consent" in self._exempt:
            # What is no marketing needs no yes; on a channel with opt-in a no is final all the same.
            return request.channel not in OPT_IN or said is not False
        return allows(request.channel, said)

    def _remembered(self) -> Verdict | None:
        key = once_key(self._request)
        if key is not None:
            if key in self._progress.once:
                return Skip("once", self._values)
            if len(self._progress.once) >= ONCE_MAX:
                return Skip("too_many_once", self._values)
        if max(len(self._progress.messages), len(self._progress.withheld)) >= MESSAGES_MAX:
            return Skip("too_many_messages", self._values)
        return None

    # -- when it may go out

    def _untimely(self) -> Verdict | None:
        since_ms = self._held.since_ms if self._held is not None else self._now_ms
        hours = () if "quiet_hours" in self._exempt else self._gate.quiet.get(self._request.channel, ())
        moment = Moment(self._facts, self._progress, self._now_ms)
        found = next_time(self._request, self._gate, hours, since_ms, moment)
        self._values |= found.values
        if found.at_ms is None:
            return Skip("no_time", self._values)
        return None if found.at_ms <= self._now_ms else self._defer(found.at_ms, found.reason)

    # -- who else wants the person

    def _exclusive(self) -> Verdict | None:
        rules = self._rules()
        if not rules:
            return None
        lost = collisions.occupied(rules, self._request.counted_as, self._progress, self._now_ms)
        return self._lost(lost) if lost is not None else None

    def _rules(self) -> tuple[Any, ...]:
        if not self._gate.exclusive or "exclusive" in self._exempt:
            return ()
        return tuple(rule for rule in self._gate.exclusive if rule.tag in self._request.tags)

    def _lost(self, lost: collisions.Lost) -> Verdict:
        self._values[f"exclusive {lost.rule.tag}"] = lost.values
        return self._stopped(lost.rule.on_loss, "exclusive", lost.until_ms)

    def _competes(self) -> Verdict | None:
        rules = self._rules()
        until_ms = collisions.collect_until_ms(rules, self._held, self._now_ms)
        if until_ms is None:
            return None
        if until_ms > self._now_ms:
            return self._defer(until_ms, "collecting", collect_until_ms=until_ms)
        assert self._held is not None, "it competed while it was held"
        lost = collisions.outranked(rules, self._held, self._progress, self._now_ms)
        return self._lost(lost) if lost is not None else None

    # -- how many there may be

    def _capped(self) -> Verdict | None:
        request, granted_at_ms = self._request, self._granted_at_ms()
        mine = self._gate.account_caps if request.subject_type == "account" else self._gate.caps
        if "caps" in self._exempt or not mine:
            return None
        # A granted message counts as sent when it was granted: looked at from there, no span holds too many.
        moment = Moment(self._facts, self._progress, granted_at_ms or self._now_ms)
        sent = (*self._progress.messages, *self._progress.withheld)
        about = (request.channel, request.tags, request.counted_as)
        found, counts = caps.reached(mine, about, sent, moment, request.rules.on_cap)
        self._values |= counts
        if found is None:
            return None
        self._values["capped by"] = found.label
        spread_ms = spread(request, self._gate.spread_ms) if found.by_calendar else 0
        return self._stopped(found.action, "cap", found.until_ms + spread_ms)

    def _granted_at_ms(self) -> int | None:
        answer = self._held.answer if self._held is not None else None
        return answer.at_ms if answer is not None and answer.granted else None

    def _account(self) -> Verdict | None:
        """Ask the account where its journey wants the message, or its caps count it."""
        request, held = self._request, self._held
        if not is_for_account(request, self._gate):
            return None
        answer = held.answer if held is not None else None
        if answer is None:
            asked = held is not None and held.ask is not None and held.until_ms > self._now_ms
            until_ms = held.until_ms if held is not None and asked else self._now_ms + ASK_AGAIN_MS
            return self._defer(until_ms, OF_ACCOUNT, ask=not asked)
        assert held is not None, "an answer is kept with what is held"
        if answer.granted:
            # By the clock that asked: the account's may be another, and it granted later than it was asked.
            asked_at_ms = held.until_ms - ASK_AGAIN_MS
            if self._now_ms <= asked_at_ms + GRANT_VALID_MS:
                return None
            return self._defer(self._now_ms + ASK_AGAIN_MS, OF_ACCOUNT, ask=True)
        self._values["account"] = answer.reason
        # A moment that is over already, by this clock, must not make the two ask and answer without end.
        until_ms = answer.until_ms if answer.until_ms > self._now_ms else self._now_ms + GRANT_VALID_MS
        return self._stopped(_action(answer.action), answer.reason, until_ms)

    # -- what then

    def _stopped(self, action: OnCap, reason: str, until_ms: int) -> Verdict:
        match action:
            case "defer":
                return self._defer(until_ms, reason)
            case "drop":
                return Drop(reason, self._values)
            case "exit":
                # One member's own limits are no reason to end the journey of the whole account.
                return (Drop if self._request.asked is not None else Exit)(reason, self._values)
            case _:
                return Skip(reason, self._values)

    def _defer(
        self, until_ms: int, reason: str, *, collect_until_ms: int | None = None, ask: bool = False
    ) -> Verdict:
        request, held = self._request, self._held
        since_ms = held.since_ms if held is not None else self._now_ms
        max_hold_ms = request.rules.max_hold_ms or self._gate.max_hold_ms
        values = {**self._values, "waits for": reason, "until_ms": until_ms}
        if until_ms > since_ms + max_hold_ms:
            return Skip("held_too_long", {**values, "since_ms": since_ms})
        waiting = Waiting(
            id=request.key,
            enrollment=request.enrollment,
            journey=request.journey,
            tags=request.tags,
            since_ms=since_ms,
            until_ms=max(until_ms, self._now_ms + 1),
            reason=reason,
            rank=request.rank,
            requested=request.asked is not None,
            recorded=held is not None and held.recorded,
            collect_until_ms=collect_until_ms or (held.collect_until_ms if held is not None else None),
            ask=held.ask if held is not None and reason == OF_ACCOUNT else None,
            step=request.step,
            channel=request.channel,
            template=request.template,
        )
        return Defer(waiting, values, ask)


def is_for_account(request: SendRequest, gate: GatePlan) -> bool:
    """Whether an account has a say: its journey asks for the message, or one of its caps counts it."""
    return request.asked is not None or is_capped_by_account(request, gate)


def is_capped_by_account(request: SendRequest, gate: GatePlan) -> bool:
    """Whether a cap of the account counts the message."""
    if request.account is None or "caps" in gate.exempt_of(request.tags):
        return False
    about = (request.channel, request.tags, request.counted_as)
    return any(cap.counts(*about) for cap in gate.account_caps)


def _action(name: str) -> OnCap:
    known: dict[str, OnCap] = {"skip": "skip", "defer": "defer", "drop": "drop", "exit": "exit"}
    return known.get(name, "skip")
