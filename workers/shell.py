"""Between the rows and the core: what a decision reads of a subject, and how its commands become effects.

Signals and scheduler share this; neither imports the other. All of it happens inside one transaction's
view, so that state, timers, messages and decisions commit together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from schemas import wire
from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time
from workers import telling, telling_traits
from workers.core import consent, segments
from workers.core.activity.row import Activity
from workers.core.activity.slots import follow
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
from workers.core.engaged import NOTHING
from workers.core.facts import Moment, SubjectFacts
from workers.core.ids import stable_id
from workers.core.journeys import triggers
from workers.core.journeys.entry import Declined, Eligible, decide_entry, declined_decision, eligible_record
from workers.core.journeys.inside import Changed, changed_traits, observe, resume
from workers.core.journeys.progress import Progress
from workers.core.journeys.recipients import Member, route
from workers.core.journeys.triggers import segment_trigger
from workers.core.journeys.watching import look
from workers.core.segments import Memberships
from workers.relations import facts_of, relate
from workers.state import CONSENTS, DEVICES, ENGAGEMENT, TABLES, Profile, is_by_definition, is_swept
from workers.subject_scores import SubjectScores
from workers.timers import SCORES, SEGMENTS, TimerPayload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from workers.core.commands import Command
    from workers.core.consent import Consents, Said
    from workers.core.devices import Devices
    from workers.core.engaged import EngagementRow
    from workers.core.objects.row import FillPlan
    from workers.core.plan import JourneyPlan, Plan, SubjectPlan
    from workers.core.scoring.row import Scores
    from workers.core.segments import Crossing
    from workers.engine_metrics import SignalMetrics
    from workers.state import SubjectTables
    from workers.stream.view import View
    from workers.tracking import TrackingPlanGuard


UPDATES_MAX = 20
"""Steps that set traits and go on in one turn of a subject; the rest follows by timers due at once."""


@dataclass(frozen=True)
class EngineParts:
    """What the engine's partitions share.

    ``topics`` gives the full name of a topic. ``erasure_key`` goes into the hashes that erased people are
    told by; with another key they are told no more. ``serial`` and ``published_at_ms`` are those of the
    publication that ``plan`` is; 0 where it was not published.
    """

    plan: Plan
    partitions: int
    topics: Callable[[str], str]
    metrics: SignalMetrics
    tracking: TrackingPlanGuard | None = None
    """Checks events against the tracking plan, where the workspace has one."""
    erasure_key: bytes = b""
    serial: int = 0
    published_at_ms: int = 0


class Subject:
    """One user or account inside one transaction: its rows, read on demand."""

    def __init__(
        self, kind: SubjectType, key: bytes, view: View, parts: EngineParts, at_ms: int | None = None
    ) -> None:
        """``at_ms``: when that happened which is decided on; None: it happens now."""
        self.kind = kind
        self.key = key
        self.id = key.decode()
        self.plan: SubjectPlan = parts.plan.user if kind == "user" else parts.plan.account
        self._tables: SubjectTables = TABLES[kind]
        self._view = view
        self._parts = parts
        self._updates: list[SetTraits] = []
        self._updating = False
        self._looking = False
        self._at_ms = at_ms
        self.is_silent = False
        """What happens brings nobody into a journey: two ids turn out to be one, or definitions changed."""
        self.scores = SubjectScores(self, view, parts)

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
    def accounts(self) -> Sequence[str]:
        """The accounts of a user, the present one last; an account itself."""
        if self.kind == "account":
            return (self.id,)
        row = self._view.table(self._tables.activity).get(self.key)
        return row.accounts if row is not None else ()

    @property
    def account(self) -> str | None:
        """The present account of a user: the one last acted for. An account itself."""
        accounts = self.accounts
        return accounts[-1] if accounts else None

    def account_for(self, named: str | None) -> str | None:
        """What an event is about: the one that it names, if the user is in it, else the present."""
        accounts = self.accounts
        return named if named in accounts else (accounts[-1] if accounts else None)

    @property
    def memberships(self) -> Memberships:
        """The segments that it is in."""
        return self._view.table(self._tables.memberships).get(self.key) or Memberships()

    def facts(
        self, now_ms: int, properties: Mapping[str, Any], event: tuple[str, int] | None = None
    ) -> SubjectFacts:
        """The newest state as the core reads it; with an event, its properties, name and time."""
        profile = self.profile
        row = self._view.table(self._tables.activity).get(self.key)
        accounts, told = None, profile.account_segments
        if self.kind == "user":
            accounts = {account: profile.accounts.get(account, {}) for account in self.accounts}
            present = accounts.get(self.account or "", {})
        else:
            present = profile.traits
        return SubjectFacts(
            now_ms=now_ms,
            traits=profile.traits,
            account_traits=present,
            accounts=accounts,
            consented=self._consents if self.kind == "user" else None,
            event_properties=properties,
            windows=row.windows if row is not None else {},
            retentions_ms=self.plan.retentions_ms,
            event=event,
            segments=frozenset(self.memberships.since_ms if self.plan.segments.ordered else ()),
            conversions_ms=self.progress.converted,
            scored=self.scores.known(profile) if self.plan.scores.scores else None,
            objects=facts_of(self.kind, self.key, self._view, self._parts),
            engaged=self._engaged,
            devices=self._devices if self.kind == "user" else None,
            account_segments=told.get(self.account or "", {}) if told else {},
            segments_of=told,
        )

    def _windows(self, held: Memberships, now_ms: int) -> SubjectFacts:
        """What segments see that ask about slots alone (``SegmentsPlan.plain``): no other row is read."""
        row = self._view.table(self._tables.activity).get(self.key) or Activity()
        inside, kept = frozenset(held.since_ms), self.plan.retentions_ms
        return SubjectFacts(now_ms, windows=row.windows, retentions_ms=kept, segments=inside)

    def _engaged(self) -> EngagementRow:
        return self._view.table(ENGAGEMENT).get(self.key) or NOTHING

    def _devices(self) -> Devices | None:
        return self._view.table(DEVICES).get(self.key)

    def put_progress(self, progress: Progress) -> None:
        """Store its journeys, where nothing else is to be done."""
        self._view.table(self._tables.progress).put(self.key, progress)

    def _consents(self) -> Consents | None:
        return self._view.table(CONSENTS).get(self.key)

    def note_consent(self, words: Iterable[Said], at_ms: int, source: str, now_ms: int) -> None:
        """Take in what the person agreed to or refused at ``at_ms``; segments that ask about it follow."""
        row = consent.known(self._consents(), self.profile.traits.get(consent.TRAIT))
        counts = [consent.take(row, said, min(at_ms, now_ms), source) for said in words]
        if counts:
            self._view.table(CONSENTS).put(self.key, row)
        if any(counts):
            self.settle_all(now_ms, counted=False)

    def propose(
        self,
        journeys: Iterable[JourneyPlan],
        trigger: wire.Trigger,
        now_ms: int,
        event: tuple[str, int] | None = None,
        *,
        account: str | None = None,
        tell_unmet: bool = True,
    ) -> bool:
        """A trigger of these journeys has come: an ``eligible`` record for each, or why not.

        ``event`` is its name and time where it is a product event; ``account`` the one that it names.
        Without ``tell_unmet`` nobody hears of conditions that are not met: who does not meet them is no
        candidate. Whether the subject is eligible.
        """
        account = self.account_for(account)
        facts = self.facts(now_ms, trigger.properties, event).of_account(account)
        eligible = False
        for journey in journeys:
            verdict = decide_entry(journey, facts, self.progress, now_ms)
            match verdict:
                case None:
                    continue
                case Eligible():
                    record = eligible_record(journey, self.id, account, trigger, verdict, now_ms=now_ms)
                    self._view.send(self._parts.topics("scheduler"), self.key, wire.encode(record))
                    self._parts.metrics.entry(journey.name, "eligible")
                    eligible = True
                case Declined():
                    if tell_unmet or not verdict.is_unmet:
                        decision = declined_decision(
                            journey, self.id, account, trigger.message_id, verdict, now_ms=now_ms
                        )
                        self.execute(decision)
        return eligible

    def named(self, journeys: Iterable[str]) -> list[JourneyPlan]:
        """The journeys of these names."""
        return [self.plan.journeys[name] for name in journeys]

    def since_ms(self, now_ms: int) -> int:
        """When that happened which is decided on; never later than now."""
        return now_ms if self._at_ms is None else min(self._at_ms, now_ms)

    def take(self, transition: Transition, now_ms: int) -> None:
        """Store the new progress and turn the commands into what the transaction commits."""
        table = self._view.table(self._tables.progress)
        known = table.get(self.key)
        as_before = transition.progress is known or (
            known is None and transition.progress == Progress(self.id)
        )
        if as_before and not transition.commands:
            return
        table.put(self.key, transition.progress)
        if not transition.commands:
            return
        for command in transition.commands:
            self.execute(command)
        # Messages, enrollments and goals are things that segments ask about.
        self.settle_all(now_ms, counted=False)
        self._update(now_ms)

    def look(self, now_ms: int) -> None:
        """Whoever waits for something that is true now goes on; whom a condition ends, ends. Free for others.

        Exits and goals of what has just happened must have been observed before.
        """
        if self._looking or not self.plan.looked_at:
            return
        self._looking = True
        while True:
            progress = self.progress
            if not progress.enrollments:
                break
            looked = look(self.plan, self.facts(now_ms, {}), progress, now_ms)
            if not looked.commands and looked.progress is progress:
                break
            self.take(looked, now_ms)
        self._looking = False

    def traits_changed(self, before: Mapping[str, Any], message_id: str, at_ms: int, now_ms: int) -> None:
        """What changed traits bring: exits, segments, ends of waits, candidates; ``before``: the old ones."""
        self.follow(at_ms, now_ms)
        self.scores.look(now_ms)
        changed = changed_traits(self.plan, before, self.profile.traits)
        if changed:
            happened = Changed(changed, message_id, at_ms)
            self.take(observe(self.plan, happened, self.progress, now_ms), now_ms)
        self.settle_all(now_ms, counted=False)
        after = self.profile.traits
        for journey, came in triggers.changed(self.plan.entering, before, after, message_id, at_ms):
            self.propose(self.named((journey,)), came, now_ms)

    def tell_members(self, changed: Iterable[str], message_id: str, now_ms: int) -> bool:
        """An account's traits ``changed`` have other values: tell its members. Whether all were at once."""
        return telling_traits.changed(self.key, changed, message_id, self._view, self._parts, now_ms)

    def _update(self, now_ms: int) -> None:
        """Set the traits that steps set, one step after the other, and let their journeys go on."""
        if self._updating:
            return
        self._updating = True
        for _ in range(UPDATES_MAX):
            if not self._updates:
                break
            update = self._updates.pop(0)
            self._set_traits(update, now_ms)
            facts, enrollment_id = self.facts(now_ms, {}), update.enrollment_id
            went = resume(self.plan, self.progress, enrollment_id, facts, now_ms, fired=False)
            self.take(went, now_ms)
        # Beyond that the traits are set all the same, and a timer that is due at once goes on with the rest.
        while self._updates:
            self._set_traits(self._updates.pop(0), now_ms)
        self._updating = False

    def _set_traits(self, update: SetTraits, now_ms: int) -> None:
        profile = self.profile
        before = dict(profile.traits)
        profile.traits.update(update.traits)
        for name in [name for name, value in update.traits.items() if value is None]:
            profile.traits.pop(name)
        self.put_profile(profile)
        self.traits_changed(before, update.message_id, now_ms, now_ms)
        if self.kind == "account":
            changed = [name for name, value in update.traits.items() if before.get(name) != value]
            self.tell_members(changed, update.message_id, now_ms)

    def relate(self, fills: Sequence[FillPlan], properties: Mapping[str, Any], at_ms: int) -> None:
        """Take in what an event does to its relationships with objects."""
        if fills:
            relate(fills, properties, at_ms, self.kind, self.key, self._view, self._parts)

    def follow(self, at_ms: int, now_ms: int) -> None:
        """Note since when conditions on traits are true, after traits of it or of its account changed."""
        if not self.plan.truths:
            return
        activities = self._view.table(self._tables.activity)
        row = activities.get(self.key) or Activity()
        moment = Moment(self.facts(now_ms, {}), self.progress, now_ms)
        changes = follow(self.plan.truths, row.windows, moment, at_ms)
        for slot_id, since in changes.items():
            if since is None:
                del row.windows[slot_id]
            else:
                row.windows[slot_id] = since
        if changes:
            activities.put(self.key, row)

    def sweep(self, now_ms: int) -> None:
        """Look at all its segments because definitions may be others: nobody enters a journey by that."""
        self.is_silent = True
        self.settle(now_ms, None)
        self.is_silent = False

    def settle(self, now_ms: int, concerned: Collection[str] | None, *, counted: bool = True) -> None:
        """Look at its segments: those that are concerned, or at all (None); see ``core.segments.settle``."""
        plan = self.plan.segments
        if concerned is not None and not concerned:
            return
        held = self.memberships
        if not counted and segments.is_quiet(plan, held, now_ms):
            return
        if not plan.standing if concerned is None else plan.plain.issuperset(concerned):
            facts, progress = self._windows(held, now_ms), Progress(self.id)
        else:
            facts, progress = self.facts(now_ms, {}), self.progress
        settled = segments.settle(plan, held, facts, progress, now_ms, concerned, counted=counted)
        self._cross(held, settled.memberships, settled.crossings, now_ms)

    def settle_all(self, now_ms: int, *, counted: bool = True) -> None:
        """Look at all its segments, and at who waits; free where the plan has none.

        Without ``counted`` something else happened than that events came into its windows.
        """
        if self.plan.segments.ordered:
            swept = not counted and is_swept(self._view, self.kind, self.key, self.plan)
            self.settle(now_ms, None, counted=not swept)
        self.look(now_ms)

    def enlist(self, segment: str, now_ms: int, *, member: bool) -> None:
        """Put it on a static segment's list, or take it off; what uses the segment follows."""
        plan, held = self.plan.segments, self.memberships
        memberships, crossing = segments.enlist(plan, held, segment, now_ms, member=member)
        if crossing is not None:
            self._cross(held, memberships, (crossing,), now_ms)
            known = self._view.table(self._tables.activity).get(self.key) is not None
            self.settle(now_ms, segments.using(plan, segment) if known else None)
            self.look(now_ms)

    def forget(self, held: Memberships, now_ms: int) -> None:
        """After its rows were deleted: who follows its segments learns that it left, and its timers go."""
        for name in held.since_ms:
            self._tell(segments.Crossing(name, "", "left", {}), now_ms)
        for what in (SEGMENTS, SCORES):
            self.execute(CancelTimer(stable_id(what, self.kind, self.id)))

    def join(self, theirs: Scores | None, lists: Memberships | None, now_ms: int) -> None:
        """Another id turns out to be this subject: take over its scores, and its places on lists.

        Nobody enters a journey by that.
        """
        self.is_silent = True
        if theirs is not None:
            self.scores.take_over(theirs, now_ms)
        for name in lists.since_ms if lists is not None else ():
            self.enlist(name, now_ms, member=True)
        self.settle_all(now_ms)
        self.is_silent = False

    def _cross(self, held: Memberships, now: Memberships, crossings: Sequence[Crossing], now_ms: int) -> None:
        """Store what became of the memberships: row, one timer for all, a record of each crossing."""
        if now is held:
            return
        table = self._view.table(self._tables.memberships)
        if now.is_empty:
            table.delete(self.key)
        else:
            table.put(self.key, now)
        telling.crossed(self.key, held, now, self.is_silent, self._view, self._parts, now_ms)
        due_ms = segments.next_due_ms(now)
        if due_ms != segments.next_due_ms(held):
            timer_id = stable_id("segments", self.kind, self.id)
            self.execute(CancelTimer(timer_id) if due_ms is None else SetTimer(timer_id, due_ms, SEGMENTS))
        for crossing in crossings:
            self._tell(crossing, now_ms)
        for crossing in crossings if not self.is_silent else ():
            since_ms = (now if crossing.change == "entered" else held).since_ms[crossing.segment]
            self._segment_entered(crossing, since_ms, now_ms)

    def _segment_entered(self, crossing: Crossing, since_ms: int, now_ms: int) -> None:
        journeys = self.plan.entering.by_segment.get((crossing.segment, crossing.change))
        if not journeys or is_by_definition(self._view, self.kind, self.key, self.plan, crossing.segment):
            return
        came = segment_trigger(
            self.kind, self.id, crossing.segment, crossing.change, since_ms, self.since_ms(now_ms)
        )
        self.propose(self.named(journeys), came, now_ms)

    def _tell(self, crossing: Crossing, now_ms: int) -> None:
        record = segments.change_record(crossing, self.kind, self.id, now_ms)
        self._parts.metrics.crossed(record.segment, record.change)
        self._view.send(self._parts.topics("segments"), self.key, wire.encode(record))

    def execute(self, command: Command) -> None:  # noqa: C901  one per kind
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
            case Tell(record):
                view.send(topics("scheduler"), record.subject.encode(), wire.encode(record))
            case RecordDecision(decision):
                self._parts.metrics.decided(decision)
                view.send(topics("decisions"), self.key, wire.encode(decision))
            case RecordConversion(conversion):
                view.send(topics("conversions"), self.key, wire.encode(conversion))
            case SetTraits():
                self._updates.append(command)
            case TellAccount(record):
                view.send(topics("account-traits"), record.account.encode(), wire.encode(record))
            case Enroll(record):
                view.send(topics("scheduler"), record.subject.encode(), wire.encode(record))
            case AskModel(record):
                view.send(topics("llm-requests"), record.connection.encode(), wire.encode(record))
            case _:
                assert_never(command)

    def _request(self, command: RequestMessage) -> None:
        members = [Member(user, role or None) for user, role in self.profile.members.items()]
        requests, decisions = route(command, members, self.scores.of_members(command.by, command.at_ms))
        topic = self._parts.topics("scheduler")
        for request in requests:
            self._view.send(topic, request.subject.encode(), wire.encode(request))
        for decision in decisions:
            self.execute(decision)
