"""Builders for the core's tests: journeys from few words, and a subject's whole world in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import wire
from schemas.workspace import Journey, MessageSettings, Workspace
from workers.core.activity import slots, windows
from workers.core.commands import (
    AskModel,
    CancelTimer,
    Enroll,
    RecordConversion,
    RecordDecision,
    RequestMessage,
    SendMessage,
    SetTimer,
    SetTraits,
    Tell,
    TellAccount,
    Transition,
)
from workers.core.compile import compile_workspace
from workers.core.facts import SubjectFacts
from workers.core.journeys.entry import (
    Declined,
    Eligible,
    decide_entry,
    declined_decision,
    eligible_record,
    enroll,
)
from workers.core.journeys.inside import Changed, Happened, changed_traits, observe, resume
from workers.core.journeys.progress import Progress
from workers.core.journeys.watching import hear, look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.devices import Devices
    from workers.core.plan import JourneyPlan, Plan, SubjectPlan

SECOND = 1_000
HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_773_482_520_000
"""A moment to begin at."""

BANNER: dict[str, Any] = {"send": {"in_app": "banner"}}
MAIL: dict[str, Any] = {"send": {"email": "mail"}}


def journey(name: str = "upsell", **fields: Any) -> dict[str, Any]:
    """A journey as its file says it: entered by users on ``limit``, sends a banner; ``fields`` replace."""
    plain: dict[str, Any] = {
        "journey": name,
        "subject": "user",
        "entry": {"on": {"event": "limit"}, "again": "always"},
        "steps": [BANNER],
    }
    if fields.get("subject") == "account":
        plain["recipients"] = {"role": "owner"}
    return plain | fields


def plan_of(*journeys: Mapping[str, Any], timezone: str = "UTC", **messages: Any) -> Plan:
    """The plan of these journeys; ``messages`` is the section of the settings with the gate's rules."""
    models = tuple(Journey.model_validate(dict(plain)) for plain in journeys)
    settings = MessageSettings.model_validate(messages)
    return compile_workspace(Workspace(name="test", timezone=timezone, journeys=models, messages=settings))


def only(plan: Plan) -> JourneyPlan:
    """The one journey of a plan."""
    (found,) = (*plan.user.journeys.values(), *plan.account.journeys.values())
    return found


class World:
    """One subject with its rows, its timers and what came out, driven as the shell drives the core."""

    def __init__(self, plan: SubjectPlan, subject: str = "u1", /, **traits: Any) -> None:
        self.plan = plan
        self.subject = subject
        self.now_ms = START
        self.traits: dict[str, Any] = {"email": "u1@example.com", **traits}
        self.account_traits: dict[str, Any] = {}
        self.windows: dict[int, bytes] = {}
        self.progress = Progress(subject)
        self.timers: dict[str, SetTimer] = {}
        self.messages: list[wire.Message] = []
        self.taken_back: list[wire.Message] = []
        self.requests: list[RequestMessage] = []
        self.told: list[Any] = []
        self.decisions: list[wire.Decision] = []
        self.conversions: list[wire.Conversion] = []
        self.asked: list[wire.Eligible] = []
        self.questions: list[wire.LlmAsked | wire.LlmWithdrawn] = []
        self.segments: frozenset[str] = frozenset()
        self.devices: Devices | None = None
        self._count = 0
        self._updates: list[SetTraits] = []

    def facts(
        self, properties: Mapping[str, Any] | None = None, event: tuple[str, int] | None = None
    ) -> SubjectFacts:
        """The newest state; ``event`` is the one that is looked at."""
        return SubjectFacts(
            now_ms=self.now_ms,
            traits=self.traits,
            account_traits=self.account_traits,
            event_properties=properties or {},
            event=event,
            windows=self.windows,
            retentions_ms=self.plan.retentions_ms,
            segments=self.segments,
            devices=lambda: self.devices,
        )

    def track(self, event: str, at_ms: int | None = None, **properties: Any) -> list[Eligible | Declined]:
        """An event arrives: it is counted, ends and converts, and who is eligible is enrolled at once."""
        records, verdicts = self.signal(event, at_ms, **properties)
        for record in records:
            self.enroll(record)
        self.enroll_asked()
        return verdicts

    def enroll_asked(self) -> None:
        """Those whom a journey asked for arrive at the scheduler."""
        while self.asked:
            self.enroll(self.asked.pop(0))

    def signal(
        self, event: str, at_ms: int | None = None, **properties: Any
    ) -> tuple[list[wire.Eligible], list[Eligible | Declined]]:
        """As :meth:`track`, but eligible records are handed back instead of enrolled."""
        self._count += 1
        happened = Happened(event, properties, f"m{self._count}", self.now_ms if at_ms is None else at_ms)
        concerned = self.plan.events.get(event)
        if concerned is None:
            return [], []
        for slot in concerned.slots:
            if slot.where is None or slot.where(properties):
                self.windows[slot.id] = windows.add(
                    self.windows.get(slot.id), happened.at_ms, self.now_ms, slot.retention_ms
                )
        for measure in concerned.measures:
            kept = slots.record(
                measure, self.windows.get(measure.id), happened.at_ms, self.now_ms, properties, self.subject
            )
            if kept is not None:
                self.windows[measure.id] = kept
        self.take(observe(self.plan, happened, self.progress, self.now_ms))
        self.take(hear(self.plan, happened, self.facts(), self.progress, self.now_ms))
        trigger = wire.Trigger(
            event=event, message_id=happened.message_id, at_ms=happened.at_ms, properties=properties
        )
        records, verdicts = [], []
        for entered in concerned.entries:
            facts = self.facts(properties, (event, happened.at_ms))
            verdict = decide_entry(entered, facts, self.progress, self.now_ms)
            if isinstance(verdict, Eligible):
                records.append(
                    eligible_record(entered, self.subject, None, trigger, verdict, now_ms=self.now_ms)
                )
            elif verdict is not None:
                decision = declined_decision(
                    entered, self.subject, None, happened.message_id, verdict, now_ms=self.now_ms
                )
                self.take(Transition(self.progress, (decision,)))
            if verdict is not None:
                verdicts.append(verdict)
        self.look()
        return records, verdicts

    def enroll(self, record: wire.Eligible) -> Transition:
        """An eligible record arrives at the scheduler."""
        return self.take(enroll(self.plan, record, self.facts(), self.progress, self.now_ms))

    def identify(self, **traits: Any) -> None:
        """Traits arrive."""
        self._count += 1
        self._set(traits)

    def look(self) -> None:
        """Something changed: whoever waits for it goes on."""
        while (looked := look(self.plan, self.facts(), self.progress, self.now_ms)) != Transition(
            self.progress
        ):
            self.take(looked)

    def _set(self, traits: Mapping[str, Any]) -> None:
        after = {**self.traits, **traits}
        changed = changed_traits(self.plan, self.traits, after)
        self.traits = after
        if changed:
            happened = Changed(changed, f"m{self._count}", self.now_ms)
            self.take(observe(self.plan, happened, self.progress, self.now_ms))
        self.look()

    def advance(self, duration_ms: int) -> None:
        """Time passes; timers fire in the order of their due times, each at its time."""
        until_ms = self.now_ms + duration_ms
        while due := [timer for timer in self.timers.values() if timer.due_ms <= until_ms]:
            timer = min(due, key=lambda one: (one.due_ms, one.timer_id))
            del self.timers[timer.timer_id]
            self.now_ms = max(self.now_ms, timer.due_ms)
            self.fire(timer)
            self.enroll_asked()
        self.now_ms = until_ms

    def fire(self, timer: SetTimer) -> Transition:
        """A timer fires now, whether it is still set or not."""
        return self.take(resume(self.plan, self.progress, timer.enrollment_id, self.facts(), self.now_ms))

    def take(self, transition: Transition) -> Transition:  # noqa: C901, PLR0912  one per command
        """Store the row and carry out the commands."""
        self.progress = transition.progress
        for command in transition.commands:
            match command:
                case SetTimer():
                    self.timers[command.timer_id] = command
                case CancelTimer(timer_id):
                    self.timers.pop(timer_id, None)
                case SendMessage(message):
                    (self.messages if message.withdrawn is None else self.taken_back).append(message)
                case RequestMessage():
                    self.requests.append(command)
                case Tell(record):
                    self.told.append(record)
                case RecordDecision(decision):
                    self.decisions.append(decision)
                case RecordConversion(conversion):
                    self.conversions.append(conversion)
                case SetTraits():
                    self._updates.append(command)
                case TellAccount(record):
                    self.told.append(record)
                case Enroll(record):
                    self.asked.append(record)
                case AskModel(record):
                    self.questions.append(record)
        while self._updates:
            update = self._updates.pop(0)
            self._set(update.traits)
            going, facts = update.enrollment_id, self.facts()
            self.take(resume(self.plan, self.progress, going, facts, self.now_ms, fired=False))
        return transition

    def sent(self) -> list[str]:
        """The templates sent, in order."""
        return [message.template for message in self.messages]

    def withdrawn(self) -> list[str]:
        """Why messages were taken back, in order."""
        return [message.withdrawn for message in self.taken_back if message.withdrawn is not None]

    def outcomes(self, kind: str) -> list[tuple[str, str | None]]:
        """Outcome and reason of the decisions of one kind, in order."""
        return [(one.outcome, one.reason) for one in self.decisions if one.kind == kind]
