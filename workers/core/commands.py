"""What the core asks the shell to do. Records come complete: the shell encodes and routes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas import wire
    from workers.core.journeys.progress import Progress


class SetTimer(msgspec.Struct, frozen=True):
    """Wake the enrollment at ``due_ms``; it replaces one of the same id. ``timer_id`` is 32 hex digits."""

    timer_id: str
    due_ms: int
    enrollment_id: str


class CancelTimer(msgspec.Struct, frozen=True):
    """Forget a timer; one that is not there any more is no error."""

    timer_id: str


class SendMessage(msgspec.Struct, frozen=True):
    """Write a message to ``messages.<channel>``, keyed by its person. The gate has let it pass."""

    message: wire.Message


class RequestMessage(msgspec.Struct, frozen=True):
    """Ask members of the account for whom the message is meant; each one's own gate decides.

    The shell writes to each the record that :func:`workers.core.journeys.recipients.route` makes of this and
    of the account's members. A ``shadow`` asks nobody: it is only told how many it would have asked.
    """

    id: str
    account: str
    journey: str
    version: str
    enrollment: str
    step: str
    message: wire.RequestedMessage
    context: wire.MessageContext
    roles: tuple[str, ...]
    limit: int
    at_ms: int
    by: str | None = None
    fallback: tuple[str, ...] = ()
    holdout: bool = False
    shadow: bool = False


class Tell(msgspec.Struct, frozen=True):
    """Write a record of the gate to ``scheduler``, keyed by its subject."""

    record: wire.SendAsk | wire.SendAnswer | wire.SendSettled


class RecordDecision(msgspec.Struct, frozen=True):
    """Write to ``decisions``, keyed by the decision's subject."""

    decision: wire.Decision


class RecordConversion(msgspec.Struct, frozen=True):
    """Write to ``conversions``, keyed by the conversion's subject."""

    conversion: wire.Conversion


class SetTraits(msgspec.Struct, frozen=True):
    """Set traits of the subject (None takes one away), with all that an identify call would bring.

    ``message_id`` names it in decisions. The enrollment is due now, and goes on after that.
    """

    traits: Mapping[str, Any]
    message_id: str
    enrollment_id: str


class TellAccount(msgspec.Struct, frozen=True):
    """Write to ``account-traits``, keyed by the account: traits of a user's account, set by a step."""

    record: wire.AccountTraits


class Enroll(msgspec.Struct, frozen=True):
    """Write to ``scheduler``, keyed by its subject: the subject is to enter another journey."""

    record: wire.Eligible


class AskModel(msgspec.Struct, frozen=True):
    """Write to ``llm-requests``, keyed by its connection: a question, or that nobody waits for its answer."""

    record: wire.LlmAsked | wire.LlmWithdrawn


Command: TypeAlias = (
    SetTimer
    | CancelTimer
    | SendMessage
    | RequestMessage
    | Tell
    | RecordDecision
    | RecordConversion
    | SetTraits
    | TellAccount
    | Enroll
    | AskModel
)


class Transition(msgspec.Struct, frozen=True):
    """The row of the subject as it is now, and what to do, in this order.

    Where nothing was decided, ``commands`` is empty and ``progress`` is the very row that went in. With
    ``noted`` the row is another all the same: something has to be remembered that nobody needs to hear of.
    """

    progress: Progress
    commands: tuple[Command, ...] = ()
    noted: bool = False
