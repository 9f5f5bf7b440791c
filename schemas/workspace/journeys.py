"""Journeys as files write them: who enters, what they get, when they leave, what counts as success."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003  pydantic reads the module's names at run time
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

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
from schemas.workspace.conditions import (
    CONDITION_KEYS,
    Condition,
    Conditions,
    MeasureCondition,
    children,
)
from schemas.workspace.objects import OnObject
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


class OnEvent(Model):
    """A product event of the subject; in an account's journey, of any member."""

    event: EventName
    where: Where | None = None


def _on_tag(value: Any) -> str | None:
    return tag_of(value, ("event", "object"))


def _is_on(value: Any) -> Any:
    if _on_tag(value) is None:
        refuse(
            "on",
            f"an entry is on {{event: NAME}} or on a change of an {{object: TYPE}}; not {described(value)}",
        )
    return value


On: TypeAlias = Annotated[
    Annotated[OnEvent, Tag("#event")] | Annotated[OnObject, Tag("#object")],
    Discriminator(_on_tag),
    BeforeValidator(_is_on),
]
"""What makes a subject a candidate, told by its key."""


class ReEntry(Model):
    """A subject may enter again this long after it last entered."""

    after: Duration


def _again(value: Any) -> Any:
    if not isinstance(value, (dict, ReEntry)) and value not in ("never", "always"):
        refuse("again", f"again is never, always, or {{after: 30d}}; not {described(value)}")
    return value


def _again_tag(value: Any) -> str:
    return "#after" if isinstance(value, (dict, ReEntry)) else "#word"


class Entry(Model):
    """Who enters: on an event, if all of ``require`` and none of ``exclude`` is true."""

    on: On
    require: Conditions = ()
    exclude: Conditions = ()
    again: Annotated[
        Annotated[Literal["never", "always"], Tag("#word")] | Annotated[ReEntry, Tag("#after")],
        Discriminator(_again_tag),
        BeforeValidator(_again),
    ] = Field("never", description="Whether who once entered may enter again; never while still inside.")

    def again_after_ms(self) -> int | None:
        """Milliseconds from one entry to the next that is allowed; None where none is."""
        if isinstance(self.again, ReEntry):
            return self.again.after
        return 0 if self.again == "always" else None


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
    """A product event of the subject; in an account's journey, of any member."""


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
    """The event that counts as success within a time after entry, once per enrollment, exited or not."""

    event: EventName
    where: Where | None = None
    within: Duration
    revenue: Path | None = Field(None, description="Property with the amount: properties.NAME.")

    @model_validator(mode="after")
    def _revenue_is_a_property(self) -> Self:
        if self.revenue is not None and not self.revenue.startswith(_PROPERTIES):
            refuse("revenue", f"revenue is a property of the event: properties.NAME; not {self.revenue!r}")
        return self

    def revenue_path(self) -> str | None:
        """The path of the amount inside the event's properties."""
        return self.revenue.removeprefix(_PROPERTIES) if self.revenue else None


class Recipients(Model):
    """Which members of the account get its messages: those with one of the roles, in the order of the roles.

    Where no member's role is known, all members do.
    """

    role: Identifiers
    limit: int = Field(10, ge=1, le=100, description="At most this many members.")


class Journey(Model):
    """One file of ``journeys/``."""

    journey: Identifier
    subject: SubjectType = Field(description="Who goes through it: each user alone, or each account as one.")
    tags: Annotated[tuple[Identifier, ...], AsList, Field(max_length=20)] = ()
    priority: int = Field(0, ge=0, le=1000, description="Which journey goes first when several want to.")
    entry: Entry
    exit: Annotated[tuple[Exit, ...], AsList, Field(max_length=20)] = ()
    goal: Goal | None = None
    holdout: Share = Field(0, description="Share of those eligible who get no messages, for comparison.")
    recipients: Recipients | None = Field(None, description="Which members; for journeys of accounts.")
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
    """Whether a condition asks for a trait of the account of a user."""
    return "account" in type(condition).model_fields


def is_about_members(condition: Condition) -> bool:
    """Whether a condition counts distinct members of an account."""
    return isinstance(condition, MeasureCondition) and condition.members is not None


def _conditions_depth(conditions: tuple[Condition, ...]) -> int:
    return max((1 + _conditions_depth(children(condition)) for condition in conditions), default=0)
