"""Messages at the gate that wait: held requests of accounts' journeys, and what accounts say to messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from schemas import wire
from workers.core import engaged
from workers.core.commands import CancelTimer, SetTimer, Tell
from workers.core.engaged import EngagementRow
from workers.core.gate import grants, held
from workers.core.gate.held import HELD, HeldRequests
from workers.core.gate.sending import answer_request, settled
from workers.core.gate.verdict import Defer
from workers.core.journeys import withdrawing
from workers.core.journeys.inside import resume
from workers.core.journeys.progress import with_enrollment
from workers.shell import Subject
from workers.state import ENGAGEMENT, GRANTS, HELD_REQUESTS

if TYPE_CHECKING:
    from workers.shell import EngineParts
    from workers.stream.view import View


def decide(asked: Any, view: View, parts: EngineParts, now_ms: int) -> None:
    """One record of the gate, on the partition of its subject."""
    match asked:
        case wire.MessageRequest() if asked.message.withdrawn is not None:
            take_back(asked, view, parts, now_ms)
        case wire.MessageRequest():
            request(asked, view, parts, now_ms)
        case wire.SendAsk():
            ask(asked, view, parts, now_ms)
        case wire.SendAnswer():
            answered(asked, view, parts, now_ms)
        case wire.SendSettled():
            settle(asked, view)
        case wire.Suppress():
            suppress(asked, view)
        case _:
            raise AssertionError(f"no record of the scheduler: {type(asked).__name__}")


def request(asked: wire.MessageRequest, view: View, parts: EngineParts, now_ms: int) -> None:
    """Decide on a message that an account's journey asks for; what is deferred is held with a timer."""
    subject = Subject("user", asked.subject.encode(), view, parts)
    table, key = view.table(HELD_REQUESTS), held.key_of(asked)
    row = table.get(subject.key) or HeldRequests()
    facts = subject.facts(now_ms, asked.context.event)
    room = key in row.requests or row.has_room(asked)
    gated = answer_request(parts.plan, asked, facts, subject.progress, now_ms, room=room)
    timer_id = held.timer_id(subject.id, key)
    if isinstance(gated.verdict, Defer):
        row.requests[key] = wire.encode(asked)
        table.put(subject.key, row)
        subject.execute(SetTimer(timer_id, gated.verdict.waiting.until_ms, f"{HELD}{key}"))
    elif key in row.requests:
        del row.requests[key]
        if row.requests:
            table.put(subject.key, row)
        else:
            table.delete(subject.key)
        subject.execute(CancelTimer(timer_id))
    subject.put_progress(gated.transition.progress)
    subject.take(gated.transition, now_ms)


def take_back(asked: wire.MessageRequest, view: View, parts: EngineParts, now_ms: int) -> None:
    """Hand on that an account's journey takes its in-app messages to this member back."""
    subject = Subject("user", asked.subject.encode(), view, parts)
    for command in withdrawing.answer(asked, now_ms):
        subject.execute(command)


def release(person: str, key: str, view: View, parts: EngineParts, now_ms: int) -> None:
    """Look again at a held request; one that is not held any more is passed over."""
    row = view.table(HELD_REQUESTS).get(person.encode())
    raw = row.requests.get(key) if row is not None else None
    if raw is not None:
        request(held.decode(raw), view, parts, now_ms)


def ask(asked: wire.SendAsk, view: View, parts: EngineParts, now_ms: int) -> None:
    """Answer, on the partition of an account, whether a message may go to its member."""
    subject = Subject("account", asked.subject.encode(), view, parts)
    table = view.table(GRANTS)
    known = table.get(subject.key) or grants.Grants()
    facts = subject.facts(now_ms, {})
    row, answer = grants.answer(parts.plan, asked, known, facts, subject.progress, now_ms)
    _put(row, known, subject.key, view)
    subject.execute(Tell(answer))


def settle(told: wire.SendSettled, view: View) -> None:
    """Count, on the partition of an account, a message that it granted."""
    key = told.subject.encode()
    known = view.table(GRANTS).get(key) or grants.Grants()
    _put(grants.settle(known, told), known, key, view)


def answered(told: wire.SendAnswer, view: View, parts: EngineParts, now_ms: int) -> None:
    """Go on, on the partition of the person, with a message whose account has answered.

    Where nobody waits for the answer any more, the account hears that nothing was sent.
    """
    subject = Subject("user", told.subject.encode(), view, parts)
    progress = held.heard(subject.progress, told)
    if progress is None:
        if told.counted:
            drop_member(told, view, parts, now_ms)
        return
    waiting = progress.held_message(told.message)
    assert waiting is not None, "it was held a moment ago"
    if waiting.requested:
        subject.put_progress(progress)
        release(subject.id, told.message, view, parts, now_ms)
        return
    enrollment = progress.enrollment(waiting.enrollment)
    assert enrollment is not None, "it was active a moment ago"
    if enrollment.timer_id is not None:
        subject.execute(CancelTimer(enrollment.timer_id))
    places = tuple(
        replace(one, due_ms=now_ms) if one.due_ms == waiting.until_ms else one for one in enrollment.places
    )
    progress = with_enrollment(progress, replace(enrollment, positions=places, due_ms=now_ms))
    facts = subject.facts(now_ms, {})
    subject.take(resume(subject.plan, progress, enrollment.id, facts, now_ms), now_ms)


def drop_member(told: wire.SendAnswer, view: View, parts: EngineParts, now_ms: int) -> None:
    """The person was erased: the account hears that nothing was sent."""
    if told.counted:
        record = settled(told.ask, told.account, None, now_ms)
        view.send(parts.topics("scheduler"), record.subject.encode(), wire.encode(record))


def _put(row: grants.Grants, known: grants.Grants, key: bytes, view: View) -> None:
    if row == known:
        return
    if row.messages or row.granted:
        view.table(GRANTS).put(key, row)
    else:
        view.table(GRANTS).delete(key)


def suppress(told: wire.Suppress, view: View) -> None:
    """Close a channel to a person as a list says, or open it again."""
    table, key = view.table(ENGAGEMENT), told.subject.encode()
    row = table.get(key) or EngagementRow()
    reason = engaged.listed(told.list_name)
    if told.suppressed:
        engaged.suppress(row, told.channel, reason, told.at_ms, told.address)
    else:
        engaged.lift(row, told.channel, reason)
    table.put(key, row)
