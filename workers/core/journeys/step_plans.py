"""Steps, compiled: what each needs to know to run, and the paths it may go on to.

``next`` is the path that follows; None: the journey is over. Besides the steps of the file there are two
that close others: ``PATH.join`` where parts come together, ``PATH.again`` at the end of a round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from workers.core.gate.plan import NO_RULES, SendRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.fields import LlmTask
    from schemas.slots import SlotRules
    from schemas.workspace.sends import SendChannel
    from workers.core.conditions.comparisons import Getter, Predicate
    from workers.core.conditions.compiled import CompiledCondition
    from workers.core.facts import Moment

    Until: TypeAlias = Callable[[Moment, int], int | str]
    Read: TypeAlias = Callable[[Moment], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Who gets what by chance: each arm with its name, the basis points it ends at, and what it stands for.

    ``experiment`` and the subject (``by_account``: the account) decide, and nothing else.
    """

    experiment: str
    by_account: bool
    arms: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class SendStepPlan:
    """Sends a message. ``variants``: their arms stand for templates.

    ``chosen_by`` is the LLM step that chooses among ``chosen``, templates by variant, where one does.
    """

    path: str
    next: str | None
    channel: SendChannel
    template: str
    once: bool
    variants: Choice | None = None
    rules: SendRules = NO_RULES
    chosen_by: str | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class WaitStepPlan:
    """Goes on at an instant: ``until(moment, since_ms)``, with ``since_ms`` when the step was reached.

    Instead of an instant it may give the reason to end the journey. ``follows``: a field says when, so that
    it may change meanwhile.
    """

    path: str
    next: str | None
    until: Until
    follows: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class WaitUntilStepPlan:
    """Goes on to ``next`` once the condition is true, to ``timed_out`` after the timeout."""

    path: str
    next: str | None
    condition: CompiledCondition
    timeout_ms: int
    timed_out: str | None


@dataclass(frozen=True, slots=True, eq=False)
class HeardPlan:
    """An event that is listened for. ``match``: readers of its property and of the trigger's it must equal.

    ``target`` is where it leads. ``slot_id`` is the window that remembers it until the enrolment; None where
    none does.
    """

    event: str
    where: Predicate | None
    match: tuple[tuple[Getter, Getter], ...]
    target: str | None = None
    slot_id: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class WaitForStepPlan:
    """Goes on to the target of the first event that comes, to ``timed_out`` after the timeout.

    ``since_entry``: what came since the entry counts, else what comes from this step on. ``restart``: the
    event at which the timeout begins anew.
    """

    path: str
    awaited: tuple[HeardPlan, ...]
    timeout_ms: int
    timed_out: str | None
    since_entry: bool
    restart: HeardPlan | None


@dataclass(frozen=True, slots=True, eq=False)
class BranchStepPlan:
    """Goes on to the first arm whose condition is true, else to ``otherwise`` (None: the journey is over)."""

    path: str
    arms: tuple[tuple[CompiledCondition, str], ...]
    otherwise: str | None


@dataclass(frozen=True, slots=True, eq=False)
class SplitStepPlan:
    """Goes on to the target of the arm that chance chose; ``targets`` by name."""

    path: str
    choice: Choice
    targets: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, eq=False)
class ParallelStepPlan:
    """Runs ``parts``, each from its first path on."""

    path: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class JoinStepPlan:
    """Where the parts of a step come together. ``inside`` are all paths of its parts, and its own.

    ``on_first``: the first that comes goes on alone; otherwise the last one goes on.
    """

    path: str
    next: str | None
    inside: frozenset[str]
    on_first: bool


@dataclass(frozen=True, slots=True, eq=False)
class RepeatStepPlan:
    """Begins a round at ``body``, at most ``times`` and while ``until`` is not true; then goes on.

    ``inside`` are all paths of a round.
    """

    path: str
    next: str | None
    body: str
    times: int
    until: CompiledCondition | None
    inside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class AgainStepPlan:
    """The end of a round: goes back to the loop at ``loop``."""

    path: str
    loop: str


@dataclass(frozen=True, slots=True, eq=False)
class UpdateStepPlan:
    """Sets traits of the subject, and of the account of a user: readers by name."""

    path: str
    next: str | None
    traits: Mapping[str, Read] = field(default_factory=dict)
    account: Mapping[str, Read] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class EnrollStepPlan:
    """Asks for the subject to enter another journey."""

    path: str
    next: str | None
    journey: str


@dataclass(frozen=True, slots=True, eq=False)
class ExitStepPlan:
    """Ends the journey."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class LlmStepPlan:
    """Asks a model and waits for its answer, at most ``timeout_ms``.

    ``options`` are the approved labels or variants (None: a text that keeps ``rules``); ``data`` reads what
    the model is shown, by name, of the moment and of the event that was waited for last.
    """

    path: str
    next: str | None
    connection: str
    model: str | None
    task: LlmTask
    instruction: str
    options: Mapping[str, str] | None
    rules: SlotRules | None
    data: Mapping[str, Callable[[Moment, Mapping[str, Any]], Any]]
    timeout_ms: int
    fallback: str
    in_shadow: bool = False


StepPlan: TypeAlias = (
    SendStepPlan
    | WaitStepPlan
    | WaitUntilStepPlan
    | WaitForStepPlan
    | BranchStepPlan
    | SplitStepPlan
    | ParallelStepPlan
    | JoinStepPlan
    | RepeatStepPlan
    | AgainStepPlan
    | UpdateStepPlan
    | EnrollStepPlan
    | ExitStepPlan
    | LlmStepPlan
)
