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
    TemplateName,
    described,
    refuse,
    tag_of,
)
from schemas.workspace.comparisons import Where  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.conditions import Condition, Conditions, MeasureCondition, children

MAX_STEPS: Final = 200
"""Steps of a journey, those inside branches included."""

MAX_CONDITIONS: Final = 200
"""Conditions of a journey, those inside others included."""

MAX_DEPTH: Final = 8
"""How deep conditions, and branches, may be nested."""

_PROPERTIES: Final = "properties."

SendChannel: TypeAlias = Literal["in_app", "email"]
"""The channels that a step can send over."""


class OnEvent(Model):
    """A product event of the subject; in an account's journey, of any member."""

    event: EventName
    where: Where | None = None


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

    on: OnEvent
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


class ExitChange(Model):
    """The value of a trait of the subject changed, also from or to nothing."""

    changed: Path


class ExitEvent(OnEvent):
    """A product event of the subject; in an account's journey, of any member."""


def _exit_tag(value: Any) -> str | None:
    return tag_of(value, ("changed", "event"))


def _is_exit(value: Any) -> Any:
    if _exit_tag(value) is None:
        refuse("exit", f"an exit is {{event: NAME}} or {{changed: TRAIT}}; not {described(value)}")
    return value


class Exit(Model):
    """What ends an enrollment at once, also during a wait."""

    when: Annotated[
        Annotated[ExitEvent, Tag("#event")] | Annotated[ExitChange, Tag("#changed")],
        Discriminator(_exit_tag),
        BeforeValidator(_is_exit),
    ]


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


class Send(Model):
    """One message: a channel and its template."""

    in_app: TemplateName | None = None
    email: TemplateName | None = None
    once: Literal["user"] | None = Field(None, description="user: this template reaches a person once, ever.")

    @model_validator(mode="after")
    def _one_channel(self) -> Self:
        if (self.in_app is None) is (self.email is None):
            refuse("send", "send has exactly one of in_app, email: the name of a template")
        return self

    @property
    def channel(self) -> SendChannel:
        """The channel it goes over."""
        return "in_app" if self.in_app is not None else "email"

    @property
    def template(self) -> str:
        """The name of the template."""
        return self.in_app or self.email or ""


class SendStep(Model):
    """Sends a message, unless the gate says no, and goes on."""

    send: Send


class WaitStep(Model):
    """Waits for a time. A day is 24 hours; the next step runs when the time is over, not before."""

    wait: Duration


class Arm(Model):
    """One way of a branch, taken when its condition is true."""

    when: Condition
    steps: Steps = Field(min_length=1)


class Otherwise(Model):
    """The way of a branch when no condition is true; without it the journey goes on after the branch."""

    otherwise: Steps = Field(min_length=1)


def _arm_tag(value: Any) -> str | None:
    return tag_of(value, ("when", "otherwise"))


def _is_arm(value: Any) -> Any:
    if _arm_tag(value) is None:
        refuse("branch", f"a branch has arms {{when, steps}} and {{otherwise}}; not {described(value)}")
    return value


BranchArm: TypeAlias = Annotated[
    Annotated[Arm, Tag("#when")] | Annotated[Otherwise, Tag("#otherwise")],
    Discriminator(_arm_tag),
    BeforeValidator(_is_arm),
]


class BranchStep(Model):
    """Takes the first arm whose condition is true; afterwards the journey goes on after the branch."""

    branch: Annotated[tuple[BranchArm, ...], AsList, Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _otherwise_is_last(self) -> Self:
        if not isinstance(self.branch[0], Arm):
            refuse("branch", "a branch begins with an arm that has `when`")
        if any(isinstance(arm, Otherwise) for arm in self.branch[:-1]):
            refuse("branch", "otherwise is the last arm of a branch: what follows it could never be taken")
        return self


STEP_KEYS: Final = ("send", "wait", "branch")


def _step_tag(value: Any) -> str | None:
    return tag_of(value, STEP_KEYS)


def _is_step(value: Any) -> Any:
    if _step_tag(value) is None:
        refuse("step", f"a step is one of {', '.join(STEP_KEYS)}; this is {described(value)}")
    return value


Step: TypeAlias = Annotated[
    Annotated[SendStep, Tag("#send")]
    | Annotated[WaitStep, Tag("#wait")]
    | Annotated[BranchStep, Tag("#branch")],
    Discriminator(_step_tag),
    BeforeValidator(_is_step),
]
"""One step, told by its key."""

Steps: TypeAlias = Annotated[tuple[Step, ...], AsList, Field(max_length=MAX_STEPS)]

Arm.model_rebuild()
Otherwise.model_rebuild()
BranchStep.model_rebuild()


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
        if self.subject == "user" and any(is_about_members(condition) for condition in self.conditions()):
            refuse("condition", "members are counted in an account's journey (subject: account)")
        return self

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if sum(1 for _ in self.all_steps()) > MAX_STEPS:
            refuse("steps", f"a journey has at most {MAX_STEPS} steps, those inside branches included")
        if sum(1 for _ in self.conditions()) > MAX_CONDITIONS:
            refuse("conditions", f"a journey has at most {MAX_CONDITIONS} conditions, nested ones included")
        if _steps_depth(self.steps) > MAX_DEPTH or _conditions_depth(self.top_conditions()) > MAX_DEPTH:
            refuse("depth", f"conditions and branches are nested at most {MAX_DEPTH} deep")
        return self

    def all_steps(self) -> Iterator[Step]:
        """Every step, those inside branches after the branch itself."""
        return _walk_steps(self.steps)

    def top_conditions(self) -> tuple[Condition, ...]:
        """The conditions that stand alone: of the entry and of branches."""
        arms = [arm for step in self.all_steps() if isinstance(step, BranchStep) for arm in step.branch]
        return (
            *self.entry.require,
            *self.entry.exclude,
            *(arm.when for arm in arms if isinstance(arm, Arm)),
        )

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


def inner_steps(arm: Arm | Otherwise) -> tuple[Step, ...]:
    """The steps of an arm of a branch."""
    return arm.steps if isinstance(arm, Arm) else arm.otherwise


def _walk_steps(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step, BranchStep):
            for arm in step.branch:
                yield from _walk_steps(inner_steps(arm))


def _steps_depth(steps: tuple[Step, ...]) -> int:
    inner = [
        1 + _steps_depth(inner_steps(arm))
        for step in steps
        if isinstance(step, BranchStep)
        for arm in step.branch
    ]
    return max(inner, default=0)


def _conditions_depth(conditions: tuple[Condition, ...]) -> int:
    return max((1 + _conditions_depth(children(condition)) for condition in conditions), default=0)
