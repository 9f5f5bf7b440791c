"""Between the rows and the core: what a decision reads of a subject, and how its commands become effects.

Signals and scheduler share this; neither imports the other. All of it happens inside one transaction's
view, so that state, timers, messages and decisions commit together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from schemas import wire
from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time
from workers.core.commands import (
    CancelTimer,
    RecordConversion,
    RecordDecision,
    RequestMessage,
    SendMessage,
    SetTimer,
    Transition,
)
from workers.core.facts import SubjectFacts
from workers.core.progress import Progress
from workers.core.recipients import Member, route
from workers.state import TABLES, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.core.commands import Command
    from workers.core.plan import Plan, SubjectPlan
    from workers.engine_metrics import SignalMetrics
    from workers.state import SubjectTables
    from workers.stream.view import View


class TimerPayload(msgspec.Struct, array_like=True, frozen=True):
    """What a journey's timer carries: whose it is, and which enrollment it wakes."""

    subject_type: SubjectType
    subject: str
    enrollment: str


encode_payload = msgspec.msgpack.Encoder().encode
decode_payload = msgspec.msgpack.Decoder(TimerPayload).decode


@dataclass(frozen=True)
class EngineParts:
    """What the engine's partitions share.

    ``topics`` gives the full name of a topic. ``erasure_key`` goes into the hashes that erased people are
    told by; with another key they are told no more.
    """

    plan: Plan
    partitions: int
    topics: Callable[[str], str]
    metrics: SignalMetrics
    erasure_key: bytes = b""


class Subject:
    """One user or account inside one transaction: its rows, read on demand."""

    def __init__(self, kind: SubjectType, key: bytes, view: View, parts: EngineParts) -> None:
        self.kind = kind
        self.key = key
        self.id = key.decode()
        self.plan: SubjectPlan = parts.plan.user if kind == "user" else parts.plan.account
        self._tables: SubjectTables = TABLES[kind]
        self._view = view
        self._parts = parts

    @property
    def profile(self) -> Profile:
        """What is known of it; change it only through :meth:`put_profile`."""
        return self._view.table(self._tables.profiles).get(self.key) or Profile()

    def put_profile(self, profile: Profile) -> None:
        """Store the profile."""
        self._view.table(self._tables.profiles).put(self.key, profile)

    @property
    def progress(self) -> Progress:
        """Its journeys."""
        return self._view.table(self._tables.progress).get(self.key) or Progress(self.id)

    @property
    def account(self) -> str | None:
        """The account of a user; an account itself."""
        return self.id if self.kind == "account" else self.profile.account

    def facts(self, now_ms: int, properties: Mapping[str, Any]) -> SubjectFacts:
        """The newest state as the core reads it."""
        profile = self.profile
        row = self._view.table(self._tables.activity).get(self.key)
        return SubjectFacts(
            now_ms=now_ms,
            traits=profile.traits,
            account_traits=profile.traits if self.kind == "account" else profile.account_traits,
            event_properties=properties,
            windows=row.windows if row is not None else {},
            retentions_ms=self.plan.retentions_ms,
        )

    def take(self, transition: Transition) -> None:
        """Store the new progress and turn the commands into what the transaction commits."""
        if not transition.commands:
            return
        self._view.table(self._tables.progress).put(self.key, transition.progress)
        for command in transition.commands:
            self.execute(command)

    def execute(self, command: Command) -> None:
        """The one place where a command becomes an effect."""
        view, topics = self._view, self._parts.topics
        match command:
            case SetTimer(timer_id, due_ms, enrollment_id):
                payload = encode_payload(TimerPayload(self.kind, self.id, enrollment_id))
                view.set_timer(bytes.fromhex(timer_id), due_ms, payload)
            case CancelTimer(timer_id):
                view.cancel_timer(bytes.fromhex(timer_id))
            case SendMessage(message):
                view.send(
                    topics(f"messages.{message.channel}"), message.person.encode(), wire.encode(message)
                )
            case RequestMessage():
                self._request(command)
            case RecordDecision(decision):
                if decision.kind == "entry":
                    self._parts.metrics.entry(decision.journey, decision.outcome)
                view.send(topics("decisions"), self.key, wire.encode(decision))
            case RecordConversion(conversion):
                view.send(topics("conversions"), self.key, wire.encode(conversion))
            case _:
                assert_never(command)

    def _request(self, command: RequestMessage) -> None:
        members = [Member(user, role or None) for user, role in self.profile.members.items()]
        requests, decisions = route(command, members)
        topic = self._parts.topics("scheduler")
        for request in requests:
            self._view.send(topic, request.subject.encode(), wire.encode(request))
        for decision in decisions:
            self.execute(decision)
