"""Which members of an account get the messages of its journeys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from schemas import wire
from workers.core.commands import RecordDecision
from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from workers.core.commands import RequestMessage

SCORED_MAX: Final = 100
"""Members of an account whose score is kept, those with the most points: as many as recipients may be."""


class Recipients(NamedTuple):
    """Whom a message was meant for, without their ids: how many, and what tells these from others."""

    number: int
    digest: str


def recipients_of(persons: Iterable[str]) -> Recipients:
    """These persons, in whatever order."""
    different = sorted(set(persons))
    return Recipients(len(different), stable_id("recipients", *different)[:16])


def told_recipients(values: Mapping[str, Any]) -> Recipients | None:
    """What the values of a shadow's decision tell of its recipients; None: nothing."""
    number, digest = values.get("recipients"), values.get("recipients digest")
    return Recipients(number, digest) if isinstance(number, int) and isinstance(digest, str) else None


@dataclass(frozen=True, slots=True)
class Member:
    """A person of an account, with their role there; None where it is not known."""

    person: str
    role: str | None


class MemberScores(msgspec.Struct, array_like=True):
    """State row of an account: by score and member the points that stand, those that fade, and as of when."""

    held: dict[str, dict[str, tuple[float, float, int]]] = msgspec.field(default_factory=dict)


def learn(row: MemberScores, told: wire.MemberScore, half_life_ms: int, now_ms: int) -> None:
    """Take over what a member's score is (changes ``row``), unless it is older than what is known.

    Of a score the :data:`SCORED_MAX` members with the most points are kept.
    """
    members = row.held.setdefault(told.score, {})
    known = members.get(told.user)
    if known is not None and known[2] > told.at_ms:
        return
    members[told.user] = (told.standing, told.fading, told.at_ms)
    if len(members) > SCORED_MAX:
        points = points_of(row, told.score, half_life_ms, now_ms)
        del members[min(points, key=lambda user: (points[user], user))]


def forget_member(row: MemberScores, user: str) -> bool:
    """Forget a member (changes ``row``); whether anything was known."""
    known = [members for members in row.held.values() if user in members]
    for members in known:
        del members[user]
    return bool(known)


def points_of(row: MemberScores, score: str, half_life_ms: int, now_ms: int) -> dict[str, float]:
    """The points of the members whose score is known, at ``now_ms``."""
    return {
        user: standing + fading * 2.0 ** (-max(0, now_ms - at_ms) / half_life_ms)
        for user, (standing, fading, at_ms) in row.held.get(score, {}).items()
    }


def choose(
    members: Iterable[Member],
    roles: Sequence[str],
    limit: int,
    points: Mapping[str, float] | None = None,
    fallback: Sequence[str] = (),
) -> tuple[str, ...]:
    """The persons that are written to: at most ``limit``, in the order of ``roles``, then of their points.

    Without roles those with points are meant, the most first. Where no member's role is known, all members
    are of the role. Where nobody is found, ``champions`` and ``everyone`` are tried as ``fallback`` says. The
    order they come in makes no difference; of equal points the ids decide.
    """
    points = points or {}
    everyone = sorted(
        set(members), key=lambda one: (-points.get(one.person, 0.0), one.person, one.role or "")
    )
    champions = [one for one in everyone if points.get(one.person, 0.0) > 0]
    if not roles:
        found = champions
    elif all(member.role is None for member in everyone):
        found = everyone
    else:
        found = [member for role in roles for member in everyone if member.role == role]
    for other in fallback:
        found = found or (champions if other == "champions" else everyone)
    return tuple(dict.fromkeys(member.person for member in found))[:limit]


def route(
    command: RequestMessage, members: Iterable[Member], points: Mapping[str, float] | None = None
) -> tuple[tuple[wire.MessageRequest, ...], tuple[RecordDecision, ...]]:
    """The records to write to the scheduler topic, keyed by their subjects, and what to record instead.

    Each has an id of its own, so that asking again asks nobody twice. A shadow asks nobody; its decision
    tells how many it would have asked, and by a digest whether these are the same as others.
    """
    if command.message.withdrawn is not None:
        # Whoever had a message may have another role by now: all are told, and who had none is not changed.
        persons = tuple(sorted({member.person for member in members}))
    else:
        persons = choose(members, command.roles, command.limit, points, command.fallback)
    if command.shadow:
        return (), (_would_request(command, recipients_of(persons)),)
    requests = tuple(
        wire.MessageRequest(
            id=stable_id("request", command.id, person),
            request=command.id,
            subject=person,
            account=command.account,
            journey=command.journey,
            version=command.version,
            enrollment=command.enrollment,
            step=command.step,
            message=command.message,
            context=command.context,
            holdout=command.holdout or None,
            at_ms=command.at_ms,
        )
        for person in persons
    )
    nobody = not requests and command.message.withdrawn is None
    return requests, (_nobody(command),) if nobody else ()


def _nobody(command: RequestMessage) -> RecordDecision:
    return _decided(command, "recipients", "skip", "no_recipient", {"roles": list(command.roles)})


def _would_request(command: RequestMessage, asked: Recipients) -> RecordDecision:
    message = command.message
    values = {
        "channel": message.channel,
        "template": message.template,
        "recipients": asked.number,
        "recipients digest": asked.digest,
    }
    return _decided(command, "send", "would_request", "shadow", values)


def _decided(
    command: RequestMessage, what: str, outcome: str, reason: str, values: Mapping[str, Any]
) -> RecordDecision:
    decision = wire.Decision(
        id=stable_id("decision", what, command.id),
        kind="send",
        subject_type="account",
        subject=command.account,
        account=command.account,
        journey=command.journey,
        version=command.version,
        enrollment=command.enrollment,
        step=command.step,
        outcome=outcome,
        reason=reason,
        values=dict(values),
        variant=command.message.variant,
        holdout=command.holdout or None,
        at_ms=command.at_ms,
    )
    return RecordDecision(decision)
