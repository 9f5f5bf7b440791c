"""Journeys as files write them: who enters, what they get, when they leave, what counts as success."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003  pydantic reads the module's names at run time
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from schemas.fields import EditPolicy, SubjectType  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.base import (
    AsList,
    Duration,
    EventName,
    Identifier,
    Identifiers,
    Model,
    Path,
    Share,
    described,
    refuse,
    tag_of,
)
from schemas.workspace.comparisons import Where  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.conditions import CONDITION_KEYS, Condition, MeasureCondition, children
from schemas.workspace.entries import Entry, OnEvent, property_path
from schemas.workspace.gate import HoursList  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.steps import (
    MAX_DEPTH,
    MAX_ROUNDS,
    MAX_STEPS,
    Step,
    Steps,
    conditions_of,
    depth,
    rounds,
    walk,
)

MAX_CONDITIONS: Final = 200
"""Conditions of a journey, those inside others included."""

_PROPERTIES: Final = "properties."


class TraitOfAccount(Model):
    """A trait of the user's account."""

    account: Path


def _changed_tag(value: Any) -> str:
    return "#account" if isinstance(value, (dict, TraitOfAccount)) else "#own"


class ExitChange(Model):
    """The value of a trait of the subject changed, also from or to nothing.

    ``changed: TRAIT`` is a trait of its own; ``changed: {account: TRAIT}`` one of the account that a user's
    enrollment is about.
    """

    changed: Annotated[
        Annotated[Path, Tag("#own")] | Annotated[TraitOfAccount, Tag("#account")],
        Discriminator(_changed_tag),
    ]

    @property
    def trait(self) -> str | None:
        """The subject's own trait; None where it is the account's."""
        return None if isinstance(self.changed, TraitOfAccount) else self.changed

    @property
    def account_trait(self) -> str | None:
        """The trait of the user's account; None where it is the subject's own."""
        return self.changed.account if isinstance(self.changed, TraitOfAccount) else None


class ExitEvent(OnEvent):
    """A product event of the subject; in an account's journey, of any member.

    With ``match`` it ends the one enrollment whose key is that property of the event; without, all that the
    subject has in the journey.
    """

    match: Path | None = Field(None, description="The property that holds the key: properties.NAME.")

    def match_path(self) -> str | None:
        """The path of the key inside the event's properties; None: whatever the key."""
        return None if self.match is None else property_path("match", self.match)


def _exit_tag(value: Any) -> str | None:
    named = tag_of(value, ("changed", "event"))
    return named or (None if tag_of(value, CONDITION_KEYS) is None else "#condition")


def _is_exit(value: Any) -> Any:
    if not isinstance(value, Model) and _exit_tag(value) is None:
        refuse(
            "exit",
            "an exit is {event: NAME}, {changed: TRAIT}, {changed: {account: TRAIT}} or a condition (one of "
            f"{', '.join(CONDITION_KEYS)}); not {described(value)}",
        )
    return value


class Then(Model):
    """What follows an exit."""

    enroll: Identifier = Field(description="The journey that the subject is to enter, if its entry allows.")


class Exit(Model):
    """What ends an enrollment at once, also during a wait: an event, a change, a condition that is true."""

    when: Annotated[
        Annotated[ExitEvent, Tag("#event")]
        | Annotated[ExitChange, Tag("#changed")]
        | Annotated[Condition, Tag("#condition")],
        Discriminator(_exit_tag),
        BeforeValidator(_is_exit),
    ]
    then: Then | None = None


class Goal(Model):
    """The event that counts as success within a time after entry, once per enrollment, exited or not.

    ``match`` as in an exit: the event is credited to the enrollment of that key.
    """

    event: EventName
    where: Where | None = None
    within: Duration
    match: Path | None = Field(None, description="The property that holds the key: properties.NAME.")
    revenue: Path | None = Field(None, description="Property with the amount: properties.NAME.")

    @model_validator(mode="after")
    def _revenue_is_a_property(self) -> Self:
        if self.revenue is not None and not self.revenue.startswith(_PROPERTIES):
            refuse("revenue", f"revenue is a property of the event: properties.NAME; not {self.revenue!r}")
        return self

    def match_path(self) -> str | None:
        """The path of the key inside the event's properties; None: whatever the key."""
        return None if self.match is None else property_path("match", self.match)

    def revenue_path(self) -> str | None:
        """The path of the amount inside the event's properties."""
        return self.revenue.removeprefix(_PROPERTIES) if self.revenue else None


class Recipients(Model):
    """Which members of the account get its messages: those with one of the roles, in the order of the roles.

    ``by`` is a score of users: of one role those with more points come first; without ``role`` the members
    with the most points (champions) are meant. Where no member's role is known, all members are of the role.
    Where nobody is found, ``fallback`` is tried in its order.
    """

    role: Identifiers | None = None
    by: Identifier | None = Field(None, description="A score of users: who has more points comes first.")
    limit: int = Field(10, ge=1, le=100, description="At most this many members.")
    fallback: Annotated[tuple[Literal["champions", "everyone"], ...], AsList, Field(max_length=2)] = Field(
        (), description="Who is written to where nobody has one of the roles."
    )

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        if self.role is None and self.by is None:
            refuse("recipients", "say which members: role, by (a score), or both")
        if "champions" in self.fallback and self.by is None:
            refuse("fallback", "champions are those with the most points: say by which score, by: SCORE")
        return self


PRIORITY_FIELDS: Final = (_PROPERTIES, "traits.", "account.")
"""Where the number of a priority may lie: in the trigger, in the subject, in the user's account."""

PRIORITY_MAX: Final = 1000


def _priority(value: Any) -> Any:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= PRIORITY_MAX
    named = isinstance(value, str) and value.startswith(PRIORITY_FIELDS) and not value.endswith(".")
    if not fits and not named:
        refuse(
            "priority",
            f"a priority is a whole number from 0 to {PRIORITY_MAX}, or a field: properties.NAME (of the "
            f"trigger), traits.NAME, account.NAME; not {described(value)}",
        )
    return value


Priority: TypeAlias = Annotated[
    int | str,
    BeforeValidator(_priority),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": PRIORITY_MAX},
                {"type": "string", "pattern": r"^(properties|traits|account)\..+$"},
            ]
        }
    ),
]


class Journey(Model):
    """One file of ``journeys/``."""

    journey: Identifier
    subject: SubjectType = Field(description="Who goes through it: each user alone, or each account as one.")
    tags: Annotated[tuple[Identifier, ...], AsList, Field(max_length=20)] = ()
    priority: Priority = Field(
        0,
        description="Which goes first: a number, or a field such as properties.margin; the highest wins.",
    )
    topic: Identifier | None = Field(None, description="What its messages are about, for consent.")
    window: HoursList | None = Field(None, description="Its messages go out in these hours only.")
    entry: Entry
    exit: Annotated[tuple[Exit, ...], AsList, Field(max_length=20)] = ()
    goal: Goal | None = None
    holdout: Share = Field(0, description="Share of those eligible who get no messages, for comparison.")
    recipients: Recipients | None = Field(None, description="Which members; for journeys of accounts.")
    experiments: Annotated[tuple[Identifier, ...], AsList, Field(max_length=20)] = Field(
        (), description="Experiments of the workspace that are assigned at the entry."
    )
    steps: Steps = Field(min_length=1)
    on_edit: EditPolicy = Field(
        "follow",
        description="Those inside when the file changes: follow (go on in the new version), pin, or drain.",
    )
    moves: dict[str, str] = Field(
        default_factory=dict,
        description="Where those at a step of the version before go on, by path: {'2': '3'}.",
    )
    shadow: bool = Field(False, description="Runs on live events; its sends are recorded, not delivered.")

    @model_validator(mode="after")
    def _fits_its_subject(self) -> Self:
        if self.subject == "account" and self.recipients is None:
            refuse("recipients", "an account's journey says which members get its messages: {role: ...}")
        if self.subject == "user" and self.recipients is not None:
            refuse("recipients", "recipients are for subject: account; a user's journey writes to the user")
        if self.subject == "account" and any(is_about_account(condition) for condition in self.conditions()):
            refuse("condition", "in an account's journey `trait` is the account's: leave out `account:`")
        if self.subject == "account" and any(
            isinstance(leaving.when, ExitChange) and leaving.when.account_trait for leaving in self.exit
        ):
            refuse("exit", "in an account's journey the traits are the account's: write `changed: TRAIT`")
        if self.subject == "user" and any(is_about_members(condition) for condition in self.conditions()):
            refuse("condition", "members are counted in an account's journey (subject: account)")
        return self

    @model_validator(mode="after")
    def _matches_a_key(self) -> Self:
        paths = [leaving.when.match_path() for leaving in self.exit if isinstance(leaving.when, ExitEvent)]
        paths += [] if self.goal is None else [self.goal.match_path()]
        if self.entry.key is None and any(path is not None for path in paths):
            refuse("match", "match is compared with the key of the entry: add key: properties.NAME to it")
        return self

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if sum(1 for _ in self.all_steps()) > MAX_STEPS:
            refuse("steps", f"a journey has at most {MAX_STEPS} steps, those inside others included")
        if rounds(self.steps) > MAX_ROUNDS:
            refuse("steps", f"loops inside loops run at most {MAX_ROUNDS} rounds, their times multiplied")
        if sum(1 for _ in self.conditions()) > MAX_CONDITIONS:
            refuse("conditions", f"a journey has at most {MAX_CONDITIONS} conditions, nested ones included")
        if depth(self.steps) > MAX_DEPTH or _conditions_depth(self.top_conditions()) > MAX_DEPTH:
            refuse("depth", f"conditions and steps are nested at most {MAX_DEPTH} deep")
        return self

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [step.id for step in self.all_steps() if step.id is not None]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            refuse("id", f"two steps have the id {twice[0]!r}: give one of them another")
        return self

    @property
    def fixed_priority(self) -> int:
        """The priority; 0 where it is a field, which is known of a subject only."""
        return self.priority if isinstance(self.priority, int) else 0

    def all_steps(self) -> Iterator[Step]:
        """Every step, those inside others after those."""
        return (step for _, step in walk(self.steps))

    def exit_conditions(self) -> tuple[Condition, ...]:
        """The conditions that end an enrollment, in their order."""
        return tuple(
            leaving.when for leaving in self.exit if not isinstance(leaving.when, (ExitEvent, ExitChange))
        )

    def top_conditions(self) -> tuple[Condition, ...]:
        """The conditions that stand alone: of the entry, of exits and of steps."""
        asked = (condition for step in self.all_steps() for _, condition in conditions_of(step))
        return (*self.entry.require, *self.entry.exclude, *self.exit_conditions(), *asked)

    def conditions(self) -> Iterator[Condition]:
        """Every condition, with those inside others."""
        stack = list(reversed(self.top_conditions()))
        while stack:
            condition = stack.pop()
            yield condition
            stack.extend(reversed(children(condition)))


def is_about_account(condition: Condition) -> bool:
    """Whether a condition asks for a trait or a segment of the account of a user."""
    return "account" in type(condition).model_fields


def is_about_members(condition: Condition) -> bool:
    """Whether a condition counts distinct members of an account."""
    return isinstance(condition, MeasureCondition) and condition.members is not None


def _conditions_depth(conditions: tuple[Condition, ...]) -> int:
    return max((1 + _conditions_depth(children(condition)) for condition in conditions), default=0)
