"""Where an id is known now: looked up only for ids that have no row of their own."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from schemas import wire
from workers.core.gate.held import renamed
from workers.core.gate.held import timer_id as held_timer_id
from workers.core.ids import stable_id
from workers.relations import leave
from workers.state import ERASED, HELD_REQUESTS, IDENTITIES, PERSONAL, USERS, Identity

if TYPE_CHECKING:
    from schemas.fields import MergeCause
    from workers.shell import EngineParts
    from workers.stream.view import View

Rows: TypeAlias = dict[bytes, bytes]
"""A person's rows by their table's prefix, as they are stored."""

IDS_MAX = 2_000
"""Ids that may come into one person; the row stays below Kafka's limit at 400 bytes each. Beyond it an id
stays by itself: so many devices are a shared login or a test, not a person."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The id is not to be counted here: it belongs to ``into``, or (None) to somebody who was erased."""

    into: str | None


def elsewhere(view: View, parts: EngineParts, key: bytes, at_ms: int, now_ms: int) -> Elsewhere | None:
    """Where something that happened at ``at_ms`` belongs, of an id that has no row; None: it is a new one.

    Someone who was erased may come back as somebody new, with what happened after the erasure alone.
    """
    identity = view.table(IDENTITIES).get(key)
    if identity is not None and identity.merged_into is not None:
        return Elsewhere(identity.merged_into)
    return Elsewhere(None) if is_erased(view, parts, key, at_ms, now_ms) else None


def places_of(parts: EngineParts, key: bytes) -> tuple[bytes, ...]:
    """The storage keys of what :func:`elsewhere` reads."""
    return (IDENTITIES.prefix + key, ERASED.prefix + erasure_hash(parts, key))


def is_erased(view: View, parts: EngineParts, key: bytes, at_ms: int, now_ms: int) -> bool:
    """Whether something that happened at ``at_ms`` is of a person who was erased since, or is suppressed."""
    erased = view.table(ERASED).get(erasure_hash(parts, key))
    return erased is not None and (at_ms <= erased.at_ms or now_ms < erased.suppressed_until_ms)


def erasure_hash(parts: EngineParts, key: bytes) -> bytes:
    """What an erased id is told by: 16 bytes that do not give the id away to who lacks the key."""
    return blake2b(key, digest_size=16, key=parts.erasure_key[:64], person=b"brimful-erased").digest()


def link(view: View, parts: EngineParts, person: str, source: str, cause: MergeCause, at_ms: int) -> None:
    """Ask that ``source`` becomes ``person``, whose partition this is, as was said at ``at_ms``.

    A pair that is known costs one look-up.
    """
    if source == person:
        return
    key = person.encode()
    identities = view.table(IDENTITIES)
    identity = identities.get(key) or Identity()
    if source in identity.sources or source in identity.asked:
        return
    if len(identity.sources) + len(identity.asked) >= IDS_MAX:
        parts.metrics.merge("refused")
        return
    identity.asked[source] = person
    identities.put(key, identity)
    request = wire.MergeRequest(
        id=stable_id("merge", source, person, str(at_ms)),
        subject=source,
        into=person,
        cause=cause,
        at_ms=at_ms,
    )
    view.send(parts.topics("scheduler"), source.encode(), wire.encode(request))
    parts.metrics.merge("asked")


def forward_event(
    view: View, parts: EngineParts, into: str, event: bytes, event_at_ms: int, now_ms: int
) -> None:
    """Send a product event on to the person it belongs to.

    It goes the way of the merge itself, behind it: so the person's partition knows what the id had done,
    and which messages it had seen, before it counts the event.
    """
    text = event.decode()
    forwarded = wire.Forwarded(
        id=stable_id("forwarded", into, text),
        subject=into,
        event=text,
        event_at_ms=event_at_ms,
        at_ms=now_ms,
    )
    view.send(parts.topics("scheduler"), into.encode(), wire.encode(forwarded))


Addressed: TypeAlias = (
    wire.Eligible
    | wire.AccountFacts
    | wire.AccountSegments
    | wire.MessageRequest
    | wire.ListEntry
    | wire.ConsentChange
    | wire.EnrollRequest
    | wire.ExitRequest
    | wire.SendAnswer
    | wire.Suppress
    | wire.LlmAnswered
)
"""Records of the scheduler topic that are for whoever an id belongs to."""


def forward_record(
    view: View,
    parts: EngineParts,
    record: Addressed,
    into: str,
) -> None:
    """Send on what was meant for an id that was merged.

    A message that an account asks for gets the id that the person's own would have: it is sent once.
    """
    topic = parts.topics("scheduler")
    moved: Addressed = (
        renamed(record, into) if isinstance(record, wire.MessageRequest) else replace(record, subject=into)
    )
    view.send(topic, into.encode(), wire.encode(moved))


def take_out(key: bytes, view: View) -> tuple[Rows, int]:
    """Delete a person's rows, and how many more: what the rows were.

    More are the timers of journeys and of held messages, and places among those who follow objects.
    """
    progress = view.table(USERS.progress).get(key)
    timers = [
        held.timer_id for held in (progress.enrollments if progress is not None else ()) if held.timer_id
    ]
    held = view.table(HELD_REQUESTS).get(key)
    timers += [held_timer_id(key.decode(), one) for one in (held.requests if held is not None else ())]
    for timer_id in timers:
        view.cancel_timer(bytes.fromhex(timer_id))
    rows: Rows = {}
    left = leave("user", key, view)
    for table in PERSONAL:
        row = view.table(table).get(key)
        if row is not None:
            rows[table.prefix] = table.encode(row)
            view.table(table).delete(key)
    return rows, len(timers) + left


def move_member(
    view: View,
    parts: EngineParts,
    account: str,
    user: str,
    into: str | None,
    now_ms: int,
    request: str | None = None,
) -> None:
    """Tell an account that its member is known by another id, or (None) was erased."""
    moved = wire.MemberMoved(
        id=stable_id("member", account, user, into or "", request or str(now_ms)),
        subject=account,
        user=user,
        into=into,
        request=request,
        at_ms=now_ms,
    )
    view.send(parts.topics("scheduler"), account.encode(), wire.encode(moved))
