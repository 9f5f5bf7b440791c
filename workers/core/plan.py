"""A workspace compiled for the hot path: what to record of each event, and which journeys it concerns.

``plan.user.events.get(name)`` is all that an event costs which no journey speaks of.

A step is named by its path: its place among its siblings, counted from 0, after the path of what holds
it: ``2`` is the third step, ``2.0.1`` the second step of the first arm of the branch that is the third. What
runs after a timeout is counted after the arms. A step with an ``id`` has that as its path, wherever it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workers.core.gate.plan import OPEN_GATE, GatePlan
from workers.core.journeys.lineage import RUNNING, Move, Running
from workers.core.journeys.step_plans import BranchStepPlan, SendStepPlan, StepPlan, WaitStepPlan
from workers.core.journeys.triggers import NO_ENTRIES, EntryPlans
from workers.core.objects.plan import NO_OBJECTS, NO_TYPES, ObjectsPlan, TypesPlan
from workers.core.scoring.row import ScorePlans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.fields import SubjectType
    from workers.core.activity.slots import MeasureSlot, TruthSlot
    from workers.core.conditions.comparisons import Getter, Predicate
    from workers.core.conditions.compiled import CompiledCondition
    from workers.core.gate.plan import Rank
    from workers.core.journeys.evidence import EvidencePlan
    from workers.core.journeys.experiments import ExperimentPlan, HoldoutPlan
    from workers.core.journeys.triggers import EventTrigger
    from workers.core.objects.row import FillPlan

__all__ = [
    "NO_SCORES",
    "NO_SEGMENTS",
    "BranchStepPlan",
    "EventPlan",
    "ExitPlan",
    "GoalPlan",
    "JourneyPlan",
    "Plan",
    "SegmentPlan",
    "SegmentsPlan",
    "SendStepPlan",
    "Slot",
    "StepPlan",
    "SubjectPlan",
    "WaitStepPlan",
]


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A plain window: times alone, written by :mod:`workers.core.activity.windows`, also on the hot path.

    The id changes with anything that its content depends on.
    """

    id: int
    event: str
    where: Predicate | None
    retention_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class GoalPlan:
    """The goal of a journey. ``revenue`` reads the amount from the event's properties, ``match`` the key."""

    event: str
    where: Predicate | None
    within_ms: int
    revenue: Getter | None
    match: Getter | None = None

    def revenue_of(self, properties: Mapping[str, Any]) -> float | None:
        """The amount; None where the journey names none or the property is not a number."""
        value = self.revenue(properties) if self.revenue is not None else None
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def key_text(value: Any) -> str | None:
    """A property as the key of an enrollment: texts and numbers are; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return None
    return str(value)


@dataclass(frozen=True, slots=True, eq=False)
class ExitPlan:
    """A condition that ends an enrollment, and the journey that the subject is to enter then, if any."""

    condition: CompiledCondition
    enroll: str | None


def _unranked(traits: Any, account: Any, properties: Any) -> float:  # noqa: ARG001  a Rank
    return 0.0


@dataclass(frozen=True, slots=True, eq=False)
class JourneyPlan:
    """A journey, compiled. ``version`` is a hash of all that its file says, apart from comments and order.

    ``entry_events`` holds for each event that makes a candidate the triggers of which one must match.
    ``again_after_ms``: from one entry to the next that is allowed; None: never again. ``exit_events`` holds
    for each event the predicates of which one must match (None matches all), each with what reads the key of
    the enrollment that it ends (None: of any key); ``exit_slots`` are the windows that remember those of any
    key until the enrolment has looked. ``exit_traits`` are the subject's own, ``exit_account_traits`` those
    of a user's account. ``holdout_bp`` is in basis points. ``key`` reads from a trigger's properties what
    there is one enrollment of. ``by`` is the score that recipients are chosen by.
    What a ``shadow`` does is recorded, and nothing else; ``shadow_since_ms`` is when it began (0: always), or
    the one that runs beside this version (None: there is none). Without ``takes_entries`` not even those
    enter who were found eligible under this version before it was replaced.
    """

    name: str
    version: str
    subject: SubjectType
    tags: tuple[str, ...]
    priority: int
    entry_events: Mapping[str, tuple[EventTrigger, ...]]
    require: tuple[CompiledCondition, ...]
    exclude: tuple[CompiledCondition, ...]
    again_after_ms: int | None
    exit_events: Mapping[str, tuple[tuple[Predicate | None, Getter | None], ...]]
    exit_traits: tuple[str, ...]
    exit_slots: tuple[int, ...]
    goal: GoalPlan | None
    holdout_bp: int
    roles: tuple[str, ...]
    recipient_limit: int
    first: str
    steps: Mapping[str, StepPlan]
    exit_conditions: tuple[ExitPlan, ...] = ()
    then_enroll: Mapping[str, str] = field(default_factory=dict)
    """By the reason of an exit: the journey that the subject is to enter then."""
    listening: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By event: the paths of the steps that wait for it, or begin to wait anew."""
    looking: frozenset[str] = frozenset()
    """The paths of the steps that wait for what is known of the subject: a condition, a date in a field."""
    exit_account_traits: tuple[str, ...] = ()
    key: Getter | None = None
    experiments: tuple[ExperimentPlan, ...] = ()
    by: str | None = None
    fallback: tuple[str, ...] = ()
    gate: GatePlan = OPEN_GATE
    rank: Rank = _unranked
    """The priority of its messages (:func:`workers.core.gate.plan.compile_rank`)."""
    rivals: frozenset[str] = frozenset()
    """Journeys that nobody is in at the same time."""
    evidence: tuple[EvidencePlan, ...] = ()
    """Conditions of the entry whose values templates show; empty where none does."""
    running: Running = RUNNING
    shadow: bool = False
    takes_entries: bool = True
    shadow_since_ms: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    """The version in force of each journey of the same subjects, by name: what its steps may enroll in."""

    def exits_on(self, event: str, properties: Mapping[str, Any]) -> bool:
        """Whether the event ends an enrollment, of whatever key."""
        return any(where is None or where(properties) for where, _ in self.exit_events.get(event, ()))

    def exit_keys(self, event: str, properties: Mapping[str, Any]) -> frozenset[str] | None:
        """The keys of the enrollments that the event ends; None: all."""
        matches = [
            match for where, match in self.exit_events.get(event, ()) if where is None or where(properties)
        ]
        if None in matches:
            return None
        keys = (key_text(match(properties)) for match in matches if match is not None)
        return frozenset(key for key in keys if key is not None)


@dataclass(frozen=True, slots=True, eq=False)
class EventPlan:
    """What an event concerns. Journeys are in the order of their priority, highest first, then by name.

    ``slots`` are plain windows. ``measures`` are all other slots that keep something of the event: they need
    its properties, in an account's row also who did it, and are written by
    ``workers.core.activity.slots.record``. ``scored``: some score counts it. ``waits`` are journeys with a
    step that listens for it. ``looks``: a condition that somebody waits for, or that ends a journey, may
    change with it. ``fills``: what it does to relationships with objects.
    """

    slots: tuple[Slot, ...] = ()
    measures: tuple[MeasureSlot, ...] = ()
    entries: tuple[JourneyPlan, ...] = ()
    exits: tuple[JourneyPlan, ...] = ()
    goals: tuple[JourneyPlan, ...] = ()
    scored: bool = False
    waits: tuple[JourneyPlan, ...] = ()
    looks: bool = False
    fills: tuple[FillPlan, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SegmentPlan:
    """A segment, compiled. ``uses`` are the segments that its conditions speak of.

    ``changing`` are those of its conditions that time alone may change.
    """

    name: str
    version: str
    static: bool
    require: tuple[CompiledCondition, ...]
    exclude: tuple[CompiledCondition, ...]
    uses: frozenset[str]
    changing: tuple[CompiledCondition, ...]

    @property
    def conditions(self) -> tuple[CompiledCondition, ...]:
        """All of them, whatever they decide."""
        return (*self.require, *self.exclude)

    @property
    def slots(self) -> frozenset[int] | None:
        """All that its conditions ask about; None: they ask about more than slots, or it is a list."""
        asked = [one.slots for one in self.conditions if one.slots is not None]
        if self.static or len(asked) < len(self.conditions):
            return None
        return frozenset[int]().union(*asked)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentsPlan:
    """All segments of users, or of accounts.

    ``ordered`` has those that others use before these; ``places`` says by its name where one stands there,
    and ``used_by`` where those stand that speak of it. ``by_event`` names the segments whose conditions an
    event's slots answer. ``version`` is a hash of them all; ``lineages`` has for each one of its definition
    and of those that it uses. ``told`` are those of accounts that members are told of: conditions of users
    name them.
    """

    version: str = ""
    ordered: tuple[SegmentPlan, ...] = ()
    places: Mapping[str, int] = field(default_factory=dict)
    used_by: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    by_event: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lineages: Mapping[str, str] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    by_slot: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    standing: tuple[int, ...] = ()
    plain: frozenset[str] = frozenset()


NO_SEGMENTS = SegmentsPlan()
NO_SCORES = ScorePlans({}, {}, frozenset())


@dataclass(frozen=True, slots=True, eq=False)
class SubjectPlan:
    """All that concerns users, or all that concerns accounts.

    ``trait_exits`` is keyed by the trait as exits name it, dots included; so is ``account_exits``, by traits
    of users' accounts.
    ``retentions_ms`` is the retention of each plain slot by its id. ``message_memory_ms`` is the longest time
    that a condition looks back for messages. ``measures`` are the slots that are not plain, by their ids;
    ``truths`` are to be followed (``workers.core.activity.slots.follow``) whenever traits change.
    ``segments``, ``scores`` and ``objects`` are those of subjects of this kind. ``slot_parts`` says what each
    slot for events is made of; its length stands last. ``entering`` is what makes candidates apart from
    events. ``holdout`` is the workspace's. ``told_scores`` are those that accounts choose members by.
    ``pinned`` are older versions, by journey and version, whose people finish them; ``moves`` by the same are
    for people who go on in another version. ``inside`` changes with whatever those inside are to be brought
    in line with; empty where that is nothing.
    """

    subject: SubjectType
    events: dict[str, EventPlan]
    trait_exits: dict[str, tuple[JourneyPlan, ...]]
    journeys: dict[str, JourneyPlan]
    retentions_ms: dict[int, int]
    message_memory_ms: int
    measures: Mapping[int, MeasureSlot] = field(default_factory=dict)
    truths: tuple[TruthSlot, ...] = ()
    segments: SegmentsPlan = NO_SEGMENTS
    scores: ScorePlans = NO_SCORES
    looked_at: frozenset[str] = frozenset()
    """The journeys whose people are looked at when anything about them changes: see ``core.watching``."""
    account_exits: Mapping[str, tuple[JourneyPlan, ...]] = field(default_factory=dict)
    objects: ObjectsPlan = NO_OBJECTS
    slot_parts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    entering: EntryPlans = NO_ENTRIES
    holdout: HoldoutPlan | None = None
    told_scores: frozenset[str] = frozenset()
    pinned: Mapping[tuple[str, str], JourneyPlan] = field(default_factory=dict)
    moves: Mapping[str, Mapping[str, Move]] = field(default_factory=dict)
    inside: str = ""
    shadows: Mapping[str, int] = field(default_factory=dict)
    """When each shadow began, by its name."""

    def version(self, journey: str, version: str) -> JourneyPlan | None:
        """A version of a journey if it is still in use, else the newest; None: there is no such journey."""
        return self.pinned.get((journey, version)) or self.journeys.get(journey)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A compiled workspace; ``version`` is a hash of all that it says. ``types`` are those of objects."""

    name: str
    version: str
    user: SubjectPlan
    account: SubjectPlan
    types: TypesPlan = NO_TYPES
    gate: GatePlan = OPEN_GATE
