"""A person is forgotten: rows, timers, memberships, messages on their way. A mark that names nobody stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas import wire
from schemas.workspace.sends import SENDERS
from workers.core.commands import AskModel
from workers.core.ids import stable_id
from workers.core.journeys.recipients import forget_member
from workers.core.journeys.run import withdrawn_questions
from workers.identity.places import erasure_hash, move_member, take_out
from workers.shell import Subject
from workers.state import ACCOUNTS, ERASED, IDENTITIES, MEMBER_SCORES, USERS, Erased
from workers.telling import greet
from workers.telling_traits import introduce

if TYPE_CHECKING:
    from workers.shell import EngineParts
    from workers.stream.store import Timer
    from workers.stream.view import View

MARK_KEPT_MS: Final = 31 * 86_400_000
"""How long what happened before an erasure is recognised: events stay in their topic for 30 days, and for one
more until their segment goes, so nothing older can come again."""

_LIFT: Final = b"lift:"
"""Payloads of timers that remove a mark begin so; those of journeys are msgpack arrays."""


def erase(asked: wire.Erase, view: View, parts: EngineParts, now_ms: int) -> None:
    """Forget an id and all ids that came into it; of an id that was merged, the person it belongs to.

    Each id answers with a ``person_erased`` record that names the ids and accounts that answer too.
    """
    person = asked.subject
    key = person.encode()
    identity = view.table(IDENTITIES).get(key)
    merged_into = identity.merged_into if identity is not None else None
    if asked.only_if_merged_into is not None and merged_into != asked.only_if_merged_into:
        _answer(asked, view, parts, now_ms, place="somebody else")
        return
    activity = view.table(USERS.activity).get(key)
    accounts = list(dict.fromkeys((*(activity.accounts if activity is not None else ()), *asked.accounts)))
    subject = Subject("user", key, view, parts)
    memberships = subject.memberships
    for held in subject.progress.enrollments:
        for question in withdrawn_questions(held, now_ms):
            subject.execute(AskModel(question))
    rows, timers = take_out(key, view)
    subject.forget(memberships, now_ms)
    _mark(asked, key, view, parts, now_ms)
    also: list[str] = []
    if identity is not None:
        if merged_into is not None and asked.because_of is None:
            _ask(asked, merged_into, view, parts, now_ms, because_of=None)
            also.append(merged_into)
        for came in identity.sources:
            _ask(asked, came, view, parts, now_ms, because_of=person)
        for coming, into in identity.asked.items():
            _ask(asked, coming, view, parts, now_ms, because_of=person, only_if_merged_into=into)
        also += [*identity.sources, *identity.asked]
    for account in accounts:
        move_member(view, parts, account, person, None, now_ms, asked.request)
    for channel in SENDERS:
        # No value: nothing is left to be sent to this person.
        view.send(parts.topics(f"messages.{channel}"), key, None)
    _answer(asked, view, parts, now_ms, rows=len(rows) + timers, ids=also, accounts=accounts)
    parts.metrics.erased()


def move(moved: wire.MemberMoved, view: View, parts: EngineParts, now_ms: int) -> None:
    """An account takes its member's new id, with the role; or forgets a member."""
    key = moved.subject.encode()
    profiles = view.table(ACCOUNTS.profiles)
    profile = profiles.get(key)
    known = profile.members.pop(moved.user, None) if profile is not None else None
    if profile is not None and known is not None:
        if moved.into is not None:
            if moved.into not in profile.members:
                _greet(moved, view, parts, now_ms)
            profile.members[moved.into] = profile.members.get(moved.into) or known
        profiles.put(key, profile)
    scored = view.table(MEMBER_SCORES).get(key)
    if scored is not None and forget_member(scored, moved.user):
        view.table(MEMBER_SCORES).put(key, scored)
    if moved.request is not None:
        erased = wire.PersonErased(
            id=stable_id("erased", moved.request, moved.user, moved.subject),
            request=moved.request,
            subject=moved.user,
            app="engine",
            place="account",
            account=moved.subject,
            ids=[],
            accounts=[],
            rows=int(known is not None),
            at_ms=now_ms,
        )
        view.send(parts.topics("identity"), moved.user.encode(), wire.encode(erased))


def _greet(moved: wire.MemberMoved, view: View, parts: EngineParts, now_ms: int) -> None:
    """Tell the new id what the account is like; if it was merged or erased itself by now, it answers so."""
    assert moved.into is not None, "an erased member is not greeted"
    key = moved.subject.encode()
    introduce(key, (moved.into,), moved.id, view, parts, now_ms)
    greet(key, (moved.into,), view, parts, now_ms)


def lifts(timer: Timer) -> bool:
    """Whether a timer removes the mark of an erased person."""
    return timer.payload.startswith(_LIFT)


def lift(timer: Timer, view: View) -> None:
    """Remove the mark of an erased person: nothing of before can come any more."""
    view.table(ERASED).delete(timer.payload[len(_LIFT) :])


def _mark(asked: wire.Erase, key: bytes, view: View, parts: EngineParts, now_ms: int) -> None:
    marks, digest = view.table(ERASED), erasure_hash(parts, key)
    former = marks.get(digest)
    suppressed_until_ms = max(
        asked.suppress_until_ms or 0, former.suppressed_until_ms if former is not None else 0
    )
    marks.put(digest, Erased(now_ms, suppressed_until_ms))
    view.set_timer(digest, max(now_ms + MARK_KEPT_MS, suppressed_until_ms), _LIFT + digest)


def _ask(
    asked: wire.Erase,
    other: str,
    view: View,
    parts: EngineParts,
    now_ms: int,
    *,
    because_of: str | None,
    only_if_merged_into: str | None = None,
) -> None:
    """Erase another id of the person, in its partition; one that was still coming only if it came about."""
    record = wire.Erase(
        id=stable_id("erase", asked.request, other),
        request=asked.request,
        subject=other,
        because_of=because_of,
        only_if_merged_into=only_if_merged_into,
        accounts=[],
        reason=asked.reason,
        suppress_until_ms=asked.suppress_until_ms,
        at_ms=now_ms,
    )
    view.send(parts.topics("scheduler"), other.encode(), wire.encode(record))


def _answer(
    asked: wire.Erase,
    view: View,
    parts: EngineParts,
    now_ms: int,
    *,
    place: str = "state",
    rows: int = 0,
    ids: list[str] | None = None,
    accounts: list[str] | None = None,
) -> None:
    erased = wire.PersonErased(
        id=stable_id("erased", asked.request, asked.subject),
        request=asked.request,
        subject=asked.subject,
        app="engine",
        place=place,
        ids=ids or [],
        accounts=accounts or [],
        rows=rows,
        at_ms=now_ms,
    )
    view.send(parts.topics("identity"), asked.subject.encode(), wire.encode(erased))
