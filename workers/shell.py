"""Between the rows and the core: what a decision reads of a subject, and how its commands become effects.

Signals and scheduler share this; neither imports the other. All of it happens inside one transaction's
view, so that state, timers, messages and decisions commit together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from schemas import wire
from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time
from workers import telling_traits
from workers.core import consent
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
from workers.core.journeys.watching import look
from workers.core.segments import Memberships
from workers.relations import facts_of, relate
from workers.state import CONSENTS, DEVICES, ENGAGEMENT, TABLES, Profile
from workers.subject_scores import SubjectScores
from workers.subject_segments import SubjectSegments
from workers.timers import SCORES, SEGMENTS, TimerPayload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from workers.core.commands import Command
    from workers.core.consent import Consents, Said
    from workers.core.devices import Devices
    from workers.core.engaged import EngagementRow
    from workers.core.objects.row import FillPlan
    from workers.core.plan import JourneyPlan, Plan, SubjectPlan
    from workers.core.scoring.row import Scores
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

    def read_of(self, kind: SubjectType) -> tuple[bytes, ...]:
        """The prefixes of the rows of a subject that decisions read, its activity's first."""
        plan = self.plan.user if kind == "user" else self.plan.account
        return TABLES[kind].read_by(plan, objects=bool(self.plan.types.attributes))


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
        self._activity = view.table(self._tables.activity)
        self._profiles = view.table(self._tables.profiles)
        self._progress = view.table(self._tables.progress)
        self._view = view
        self._parts = parts
        self._updates: list[SetTraits] = []
        self._updating = False
        self._looking = False
        self._at_ms = at_ms
        self.is_silent = False
        """What happens brings nobody into a journey: two ids turn out to be one, or definitions changed."""

    # Made anew each time: kept here they would refer to each other, and thousands of subjects a second would
    # wait for the collector of cycles, whose pass then holds up everything for a second (measured).

    @property
    def scores(self) -> SubjectScores:
        """Its scores."""
        return SubjectScores(self, self._view, self._parts)

    @property
    def segments(self) -> SubjectSegments:
        """Its segments."""
        return SubjectSegments(self, self._view, self._parts)

    @property
    def profile(self) -> Profile:
        """What is known of it; change it only through :meth:`put_profile`."""
        return self._profiles.get(self.key) or Profile()

    def put_profile(self, profile: Profile) -> None:
        """Store the profile."""
        self._profiles.put(self.key, profile)

    @property
    def progress(self) -> Progress:
        """Its journeys."""
        return self._progress.get(self.key) or Progress(self.id)

    @property
    def accounts(self) -> Sequence[str]:
        """The accounts of a user, the present one last; an account itself."""
        if self.kind == "account":
            return (self.id,)
        row = self._activity.get(self.key)
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
        profile, of_user = self.profile, self.kind == "user"
        row, progress = self._activity.get(self.key), self._progress.get(self.key)
        named = self.accounts
        account = named[-1] if named else ""
        accounts, told = None, profile.account_segments
        if of_user:
            accounts = {one: profile.accounts.get(one, {}) for one in named}
            present = accounts.get(account, {})
        else:
            present = profile.traits
        return SubjectFacts(
            now_ms=now_ms,
            traits=profile.traits,
            account_traits=present,
            accounts=accounts,
            consented=self._consents if of_user else None,
            event_properties=properties,
            windows=row.windows if row is not None else {},
            retentions_ms=self.plan.retentions_ms,
            event=event,
            segments=frozenset(self.memberships.since_ms if self.plan.segments.ordered else ()),
            conversions_ms=progress.converted if progress is not None else {},
            scored=self.scores.known(profile) if self.plan.scores.scores else None,
            objects=facts_of(self.kind, self.key, self._view, self._parts),
            engaged=self._engaged,
            devices=self._devices if of_user else None,
            account_segments=told.get(account, {}) if told else {},
            segments_of=told,
        )

    def _engaged(self) -> EngagementRow:
        return self._view.table(ENGAGEMENT).get(self.key) or NOTHING

    def _devices(self) -> Devices | None:
        return self._view.table(DEVICES).get(self.key)

    def put_progress(self, progress: Progress) -> None:
        """Store its journeys, where nothing else is to be done."""
        self._progress.put(self.key, progress)

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
        known = self._progress.get(self.key)
        if not transition.commands:
            nothing = known is None and transition.progress == Progress(self.id)
            if transition.progress is not known and not nothing:
                self._progress.put(self.key, transition.progress)
            return
        self._progress.put(self.key, transition.progress)
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
            telling_traits.changed(self.key, changed, update.message_id, self._view, self._parts, now_ms)

    def relate(self, fills: Sequence[FillPlan], properties: Mapping[str, Any], at_ms: int) -> None:
        """Take in what an event does to its relationships with objects."""
        if fills:
            relate(fills, properties, at_ms, self.kind, self.key, self._view, self._parts)

    def follow(self, at_ms: int, now_ms: int) -> None:
        """Note since when conditions on traits are true, after traits of it or of its account changed."""
        if not self.plan.truths:
            return
        row = self._activity.get(self.key) or Activity()
        moment = Moment(self.facts(now_ms, {}), self.progress, now_ms)
        changes = follow(self.plan.truths, row.windows, moment, at_ms)
        for slot_id, since in changes.items():
            if since is None:
                del row.windows[slot_id]
            else:
                row.windows[slot_id] = since
        if changes:
            self._activity.put(self.key, row)

    def settle_all(self, now_ms: int, *, counted: bool = True) -> None:
        """Look at all its segments, and at who waits; free where the plan has none.

        Without ``counted`` something else happened than that events came into its windows.
        """
        if self.plan.segments.ordered:
            self.segments.settle_all(now_ms, counted=counted)
        self.look(now_ms)

    def forget(self, held: Memberships, now_ms: int) -> None:
        """After its rows were deleted: who follows its segments learns that it left, and its timers go."""
        self.segments.tell_left(held, now_ms)
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
            self.segments.enlist(name, now_ms, member=True)
        self.settle_all(now_ms)
        self.is_silent = False

    def execute(self, command: Command) -> None:  # noqa: C901  one per kind
        """The one place where a command becomes an effect."""
        view, topics = self._view, self._parts.topics
        match command:
            case RecordDecision(decision):
                self._parts.metrics.decided(decision)
                view.send(topics("decisions"), self.key, wire.encode(decision))
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
