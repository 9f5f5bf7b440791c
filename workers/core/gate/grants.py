"""An account's say in messages to its members: whether its journey still runs, and its caps. Exact.

A member's gate asks (``send_ask``) when nothing else stops a message. The account answers at once, and counts
what it granted before it knows whether it was sent: until it hears of that (``send_settled``) as though it
would be sent at the last moment at which the grant holds. So the caps hold whatever is on its way, in any
order, and a grant of which nothing is heard costs room for no longer than the cap's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.core.conditions.comparisons import compile_path, is_same
from workers.core.facts import Moment
from workers.core.gate import caps
from workers.core.gate.verdict import GRANT_VALID_MS
from workers.core.ids import stable_id
from workers.core.journeys.lineage import governing
from workers.core.journeys.progress import ELIGIBLE_MAX_AGE_MS, SentMessage
from workers.core.journeys.run import COMPLETED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.workspace.gate import OnCap
    from workers.core.facts import Facts
    from workers.core.gate.plan import GatePlan
    from workers.core.journeys.progress import Progress
    from workers.core.plan import JourneyPlan, Plan

GRANTS_MAX: Final = 5_000
"""Messages that an account counts; beyond it none is granted (``too_many_messages``)."""

WITHDRAWN: Final = "withdrawn"
"""Why a message of an account's journey is not granted: the account has left the journey."""

ACCOUNT_CAP: Final = "account_cap"


class Grants(msgspec.Struct, frozen=True, array_like=True):
    """State row of an account: what its caps count, each under the id of its question, by time.

    ``granted`` are those of which it is not heard yet whether they were sent, as of when they may be at last.
    """

    messages: tuple[SentMessage, ...] = ()
    granted: tuple[SentMessage, ...] = ()


def answer(
    plan: Plan, ask: wire.SendAsk, grants: Grants, facts: Facts, progress: Progress, now_ms: int
) -> tuple[Grants, wire.SendAnswer]:
    """Whether a message may go out now; ``facts`` and ``progress`` are the account's.

    A question that comes again has the same answer and is counted once, as long as it is counted.
    """
    gate, held = plan.gate, progress.enrollment(ask.enrollment or "")
    journey = governing(plan.account, held) if held is not None else None
    if ask.enrollment is not None and (
        journey is None or _was_left(journey, ask, Moment(facts, progress, now_ms))
    ):
        return grants, _answer(ask, now_ms, granted=False, reason=WITHDRAWN, action="drop")
    if not ask.capped:
        return grants, _answer(ask, now_ms, granted=True)
    if any(one.id == ask.id for one in (*grants.messages, *grants.granted)):
        return grants, _answer(ask, now_ms, granted=True, counted=True)
    grants = pruned(grants, gate, now_ms)
    counted = (*grants.messages, *grants.granted)
    if len(counted) >= GRANTS_MAX:
        return grants, _answer(ask, now_ms, granted=False, reason="too_many_messages", action="skip")
    about = (ask.channel, ask.tags, ask.journey)
    moment = Moment(facts, progress, now_ms)
    reached, _ = caps.reached(gate.account_caps, about, counted, moment, _action(ask.on_cap))
    if reached is not None:
        return grants, _answer(
            ask, now_ms, granted=False, reason=ACCOUNT_CAP, action=reached.action, until_ms=reached.until_ms
        )
    message = SentMessage(ask.id, ask.channel, tuple(ask.tags), now_ms + GRANT_VALID_MS, ask.journey)
    return Grants(grants.messages, (*grants.granted, message)), _answer(
        ask, now_ms, granted=True, counted=True
    )


def settle(grants: Grants, told: wire.SendSettled) -> Grants:
    """What became of a message that was granted: it counts when it was sent, or not at all.

    What is settled stays so: a question that comes twice has a second answer that nobody waits for.
    """
    known = next((one for one in grants.granted if one.id == told.ask), None)
    if known is None:
        return grants
    granted = tuple(one for one in grants.granted if one.id != told.ask)
    if told.sent_at_ms is None:
        return Grants(grants.messages, granted)
    sent = replace(known, at_ms=told.sent_at_ms)
    return Grants(tuple(sorted((*grants.messages, sent), key=lambda one: (one.at_ms, one.id))), granted)


def pruned(grants: Grants, gate: GatePlan, now_ms: int) -> Grants:
    """The row without messages that no cap looks back to."""

    def counted(one: SentMessage) -> bool:
        about = (one.channel, one.tags, one.journey)
        memory_ms = max((cap.memory_ms for cap in gate.account_caps if cap.counts(*about)), default=0)
        return one.at_ms > now_ms - memory_ms

    return Grants(tuple(filter(counted, grants.messages)), tuple(filter(counted, grants.granted)))


def _was_left(journey: JourneyPlan, ask: wire.SendAsk, moment: Moment) -> bool:
    """Whether the account was taken out of the journey, or would have been, had it not come to its end.

    Its last messages may be held for days after the end; what ends the journey withdraws them all the same.
    An enrollment that is not known any more ended too long ago to be judged.
    """
    facts = moment.facts
    enrollment = moment.progress.enrollment(ask.enrollment or "")
    if enrollment is None or not (enrollment.is_active or enrollment.end_reason == COMPLETED):
        return True
    for trait, before in (ask.watched or {}).items():
        if not is_same(before, compile_path(trait)(facts.traits)):
            return True
    # As an enrolment looks for them: one of the trigger's own instant counts, unless it may be the trigger.
    since_ms = moment.now_ms - enrollment.trigger.at_ms
    trigger = enrollment.trigger
    may_be_it = trigger.kind is not None or trigger.event in journey.exit_events
    looked_ms = since_ms if may_be_it else since_ms + 1
    looked_ms = min(looked_ms, ELIGIBLE_MAX_AGE_MS)
    return looked_ms > 0 and any(facts.count(slot_id, looked_ms) for slot_id in journey.exit_slots)


def _action(on_cap: str | None) -> OnCap | None:
    known: Sequence[OnCap] = ("skip", "defer", "drop", "exit")
    return next((one for one in known if one == on_cap), None)


def _answer(
    ask: wire.SendAsk,
    now_ms: int,
    *,
    granted: bool,
    counted: bool = False,
    reason: str | None = None,
    action: str | None = None,
    until_ms: int | None = None,
) -> wire.SendAnswer:
    return wire.SendAnswer(
        id=stable_id("answer", ask.id, str(now_ms)),
        ask=ask.id,
        message=ask.message,
        subject=ask.user,
        account=ask.subject,
        granted=granted,
        counted=counted,
        reason=reason,
        action=action,
        until_ms=until_ms,
        at_ms=now_ms,
    )
