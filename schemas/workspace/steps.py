"""The steps of a journey as files write them. docs/journeys.md says what each does, with its edges."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003  pydantic reads the module's names at run time
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from schemas.workspace.base import (
    AsList,
    Duration,
    EventName,
    Identifier,
    Model,
    described,
    refuse,
    tag_of,
)
from schemas.workspace.comparisons import Where  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.conditions import Condition  # noqa: TC001  as above
from schemas.workspace.llm import Llm  # noqa: TC001  as above
from schemas.workspace.sends import Send, Variants, Weight, add_up
from schemas.workspace.updates import Update  # noqa: TC001  as above
from schemas.workspace.waits import MAX_AWAITED, Heard, Match, Wait

MAX_STEPS: Final = 200
"""Steps of a journey, those inside others included."""

MAX_DEPTH: Final = 8
"""How deep conditions, and steps, may be nested."""

MAX_PARTS: Final = 10
"""Parts that run side by side in one step."""

MAX_TIMES: Final = 100
"""Rounds of one loop."""

MAX_ROUNDS: Final = 1_000
"""Rounds of a loop and those it is inside, multiplied."""


class StepModel(Model):
    """What every step may say."""

    id: Identifier | None = Field(
        None, description="A name that stays when steps are added around it: who is at the step stays there."
    )


class SendStep(StepModel):
    """Sends a message, unless the gate says no, and goes on.

    With ``variants`` the subject gets always the same one, by a hash of the experiment's name and the
    subject; the template reads it as ``message.variant``.
    """

    send: Send
    variants: Variants | None = Field(None, description="Names with their weights: {short: 50, long: 50}.")
    experiment: Identifier | None = Field(
        None,
        description="Steps of one experiment choose alike; without it each step chooses for itself.",
    )
    by: Literal["subject", "account"] = Field("subject", description="account: all of an account alike.")
    chosen_by: Identifier | None = Field(
        None, description="The id of an llm step that chooses the variant, instead of chance."
    )

    @model_validator(mode="after")
    def _is_one_experiment(self) -> Self:
        if self.variants is None and (self.experiment is not None or self.by != "subject"):
            refuse("variants", "experiment and by are about variants: name them, as {short: 50, long: 50}")
        if self.chosen_by is not None:
            self._is_chosen()
        elif self.variants is not None:
            add_up(variant.weight for variant in self.variants.values())
        return self

    def _is_chosen(self) -> None:
        if self.variants is None:
            refuse("variants", "chosen_by is about variants: name them, as {short: {}, long: {}}")
        if self.experiment is not None or self.by != "subject":
            refuse("variants", "experiment and by are about chance, and chosen_by is none: leave them out")
        if any(variant.weight for variant in self.variants.values()):
            refuse("variants", "variants that an llm step chooses have no weights: {short: {}, long: {}}")


class WaitStep(StepModel):
    """Waits for a time. A day is 24 hours; the next step runs when the time is over, not before."""

    wait: Wait


class WaitUntil(Model):
    """A condition and how long to wait for it at most."""

    when: Condition
    timeout: Duration


class WaitUntilStep(StepModel):
    """Goes on as soon as a condition is true, at once where it is already; after the timeout in any case."""

    wait_until: WaitUntil
    timed_out: Steps = Field((), description="What runs where the condition did not become true in time.")


class Awaited(Heard):
    """One of several events, and the steps that run where it comes first."""

    steps: Steps = ()


class WaitFor(Model):
    """An event, or the first of several, and how long to wait for it at most."""

    event: EventName | None = None
    where: Where | None = None
    match: Match | None = None
    first_of: Annotated[tuple[Awaited, ...], AsList, Field(min_length=1, max_length=MAX_AWAITED)] | None = (
        Field(None, description="Several events; the steps of the one that comes first run.")
    )
    timeout: Duration
    since: Literal["step", "entry"] = Field(
        "step", description="What counts: what happens from this step on, or from the entry on."
    )
    restart_on: Heard | None = Field(
        None, description="The timeout begins anew each time this event comes meanwhile."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.event is None) is (self.first_of is None):
            refuse("wait_for", "wait_for names one event, or several with their steps in first_of")
        if self.event is None and (self.where is not None or self.match is not None):
            refuse("wait_for", "where and match stand beside each event of first_of")
        return self

    def awaited(self) -> tuple[Awaited, ...]:
        """The events, each with its steps."""
        if self.first_of is not None:
            return self.first_of
        assert self.event is not None, "one of both is there"
        return (Awaited.model_construct(event=self.event, where=self.where, match=self.match, steps=()),)


class WaitForStep(StepModel):
    """Waits for an event; goes on with the steps of the one that comes first, or after the timeout."""

    wait_for: WaitFor
    timed_out: Steps = Field((), description="What runs where none of the events came in time.")


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


class BranchStep(StepModel):
    """Takes the first arm whose condition is true; afterwards the journey goes on after the branch."""

    branch: Annotated[tuple[BranchArm, ...], AsList, Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _otherwise_is_last(self) -> Self:
        if not isinstance(self.branch[0], Arm):
            refuse("branch", "a branch begins with an arm that has `when`")
        if any(isinstance(arm, Otherwise) for arm in self.branch[:-1]):
            refuse("branch", "otherwise is the last arm of a branch: what follows it could never be taken")
        return self


class SplitArm(Model):
    """One way of a split: its name, its share and its steps; without steps it goes on after the split."""

    name: Identifier
    weight: Weight
    steps: Steps = ()


class SplitStep(StepModel):
    """Divides subjects by chance, always alike: by a hash of the experiment's name and the subject."""

    split: Annotated[tuple[SplitArm, ...], AsList, Field(min_length=2, max_length=20)]
    experiment: Identifier | None = Field(
        None,
        description="Steps of one experiment choose alike; without it each step chooses for itself.",
    )
    by: Literal["subject", "account"] = Field("subject", description="account: all of an account alike.")

    @model_validator(mode="after")
    def _is_everybody(self) -> Self:
        names = [share.name for share in self.split]
        if len(set(names)) < len(names):
            refuse("split", "each way of a split has a name of its own")
        add_up(share.weight for share in self.split)
        return self


class Part(Model):
    """Steps that run beside others."""

    steps: Steps = Field(min_length=1)


class ParallelStep(StepModel):
    """Runs parts side by side; goes on when all have come to their end, or (``any``) when the first has."""

    parallel: Annotated[tuple[Part, ...], AsList, Field(min_length=2, max_length=MAX_PARTS)]
    join: Literal["all", "any"] = Field("all", description="any: the other parts are given up then.")


class Repeat(Model):
    """Steps that run again, at most so often; ``until`` is asked before each round."""

    times: Annotated[int, Field(ge=1, le=MAX_TIMES)]
    until: Condition | None = Field(None, description="No further round once this is true.")
    steps: Steps = Field(min_length=1)


class RepeatStep(StepModel):
    """Runs its steps again and again, within a bound."""

    repeat: Repeat


class UpdateStep(StepModel):
    """Sets traits, as an identify call would; what follows from them follows before the next step."""

    update: Update


class EnrollStep(StepModel):
    """Asks for the subject to enter another journey, whose own conditions decide; and goes on."""

    enroll: Identifier


class ExitStep(StepModel):
    """Ends the journey here, with a reason."""

    exit: Identifier


class LlmStep(StepModel):
    """Asks a language model, waits for what it says, and goes on with that or with the fallback.

    Its ``id`` is required: conditions (``llm: ID, is: LABEL``), sends (``chosen_by: ID``) and templates
    (``llm.ID``) know what came of it by that.
    """

    llm: Llm

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        if self.id is None:
            refuse("id", "an llm step has an id: what comes of it is known by that name")
        return self


STEP_KEYS: Final = (
    "send",
    "wait",
    "wait_until",
    "wait_for",
    "branch",
    "split",
    "parallel",
    "repeat",
    "update",
    "enroll",
    "exit",
    "llm",
)


def _step_tag(value: Any) -> str | None:
    return tag_of(value, STEP_KEYS)


def _is_step(value: Any) -> Any:
    if _step_tag(value) is None:
        refuse("step", f"a step is one of {', '.join(STEP_KEYS)}; this is {described(value)}")
    return value


Step: TypeAlias = Annotated[
    Annotated[SendStep, Tag("#send")]
    | Annotated[WaitStep, Tag("#wait")]
    | Annotated[WaitUntilStep, Tag("#wait_until")]
    | Annotated[WaitForStep, Tag("#wait_for")]
    | Annotated[BranchStep, Tag("#branch")]
    | Annotated[SplitStep, Tag("#split")]
    | Annotated[ParallelStep, Tag("#parallel")]
    | Annotated[RepeatStep, Tag("#repeat")]
    | Annotated[UpdateStep, Tag("#update")]
    | Annotated[EnrollStep, Tag("#enroll")]
    | Annotated[ExitStep, Tag("#exit")]
    | Annotated[LlmStep, Tag("#llm")],
    Discriminator(_step_tag),
    BeforeValidator(_is_step),
]
"""One step, told by its key."""

Steps: TypeAlias = Annotated[tuple[Step, ...], AsList, Field(max_length=MAX_STEPS)]

_RECURSIVE: Final[tuple[type[Model], ...]] = (
    *(WaitUntilStep, Awaited, WaitFor, WaitForStep, Arm, Otherwise, BranchStep),
    *(SplitArm, SplitStep, Part, ParallelStep, Repeat, RepeatStep),
)
for _model in _RECURSIVE:
    _model.model_rebuild()

Location: TypeAlias = tuple[str | int, ...]


def blocks(step: Step) -> tuple[tuple[Location, tuple[Step, ...]], ...]:  # noqa: PLR0911  one per kind
    """The lists of steps directly inside a step, each with the way to it in the file."""
    match step:
        case BranchStep():
            return tuple(
                (("branch", at, "steps"), arm.steps)
                if isinstance(arm, Arm)
                else (("branch", at, "otherwise"), arm.otherwise)
                for at, arm in enumerate(step.branch)
            )
        case SplitStep():
            return tuple((("split", at, "steps"), share.steps) for at, share in enumerate(step.split))
        case ParallelStep():
            return tuple((("parallel", at, "steps"), part.steps) for at, part in enumerate(step.parallel))
        case RepeatStep():
            return ((("repeat", "steps"), step.repeat.steps),)
        case WaitUntilStep():
            return ((("timed_out",), step.timed_out),)
        case WaitForStep():
            first_of = step.wait_for.first_of or ()
            arms = tuple(
                (("wait_for", "first_of", at, "steps"), one.steps) for at, one in enumerate(first_of)
            )
            return (*arms, (("timed_out",), step.timed_out))
        case _:
            return ()


def conditions_of(step: Step) -> tuple[tuple[Location, Condition], ...]:
    """The conditions that a step asks itself, each with the way to it in the file."""
    match step:
        case BranchStep():
            return tuple(
                (("branch", at, "when"), arm.when)
                for at, arm in enumerate(step.branch)
                if isinstance(arm, Arm)
            )
        case WaitUntilStep():
            return ((("wait_until", "when"), step.wait_until.when),)
        case RepeatStep() if step.repeat.until is not None:
            return ((("repeat", "until"), step.repeat.until),)
        case _:
            return ()


def walk(steps: tuple[Step, ...], location: Location = ()) -> Iterator[tuple[Location, Step]]:
    """Every step with its place, those inside a step after the step itself."""
    for index, step in enumerate(steps):
        place = (*location, index)
        yield place, step
        for inner, held in blocks(step):
            yield from walk(held, (*place, *inner))


def depth(steps: tuple[Step, ...]) -> int:
    """How deep steps are inside others; 0 where none are."""
    inner = [1 + depth(held) for step in steps for _, held in blocks(step) if held]
    return max(inner, default=0)


def rounds(steps: tuple[Step, ...]) -> int:
    """How often a step may run at most: the times of the loops around it, multiplied."""
    found = [
        (step.repeat.times if isinstance(step, RepeatStep) else 1) * rounds(held)
        for step in steps
        for _, held in blocks(step)
    ]
    return max(found, default=1)
