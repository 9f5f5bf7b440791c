"""Which members of an account get the messages of its journeys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import wire
from workers.core.commands import RecordDecision
from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.core.commands import RequestMessage


@dataclass(frozen=True, slots=True)
class Member:
    """A person of an account, with their role there; None where it is not known."""

    person: str
    role: str | None


def choose(members: Iterable[Member], roles: Sequence[str], limit: int) -> tuple[str, ...]:
    """The persons that are written to: at most ``limit``, in the order of ``roles``, then of their ids.

    Where no member's role is known, all members are meant. The order they come in makes no difference.
    """
    everyone = sorted(set(members), key=lambda member: (member.person, member.role or ""))
    if all(member.role is None for member in everyone):
        persons = [member.person for member in everyone]
    else:
        fitting = (member for role in roles for member in everyone if member.role == role)
        persons = [member.person for member in fitting]
    return tuple(dict.fromkeys(persons))[:limit]


def route(
    command: RequestMessage, members: Iterable[Member]
) -> tuple[tuple[wire.MessageRequest, ...], tuple[RecordDecision, ...]]:
    """The records to write to the scheduler topic, keyed by their subjects, and what to record instead.

    Each has an id of its own, so that asking again asks nobody twice.
    """
    persons = choose(members, command.roles, command.limit)
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
    return requests, () if requests else (_nobody(command),)


def _nobody(command: RequestMessage) -> RecordDecision:
    decision = wire.Decision(
        id=stable_id("decision", "recipients", command.id),
        kind="send",
        subject_type="account",
        subject=command.account,
        account=command.account,
        journey=command.journey,
        version=command.version,
        enrollment=command.enrollment,
        step=command.step,
        outcome="skip",
        reason="no_recipient",
        values={"roles": list(command.roles)},
        at_ms=command.at_ms,
    )
    return RecordDecision(decision)
