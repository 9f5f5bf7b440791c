"""What one version of a journey did with one subject in a span of time, told by its decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from workers.core.gate.verdict import OF_ACCOUNT
from workers.core.journeys.recipients import Recipients, recipients_of, told_recipients

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas import wire

SENT: Final = frozenset({"send", "would_send", "request", "would_request"})
"""Outcomes of a message that went out, or would have if nobody were held out and nothing were a shadow."""

ENROLLED: Final = "enrolled"
DECLINED: Final = "declined"
NO_RECIPIENT: Final = "no_recipient"


@dataclass(frozen=True, slots=True)
class Span:
    """The half-open time that is compared. ``tolerance_ms``: what lies no further apart is at one time."""

    since_ms: int
    until_ms: int
    tolerance_ms: int = 60_000

    def is_certain(self, at_ms: int) -> bool:
        """Whether what happened then would have happened within the span in the other version too."""
        return self.since_ms + self.tolerance_ms <= at_ms < self.until_ms - self.tolerance_ms


@dataclass(slots=True)
class Attempt:
    """A message that a step wanted to send at ``at_ms``.

    ``outcome`` is that of its last decision; ``defer`` while the gate holds it. ``held_for`` and
    ``held_until_ms`` say why and until when it was held at first; a shadow holds nothing, and says what it
    would do. ``held_ms`` is for how long it really was. ``recipients`` are the members of an account that
    were asked, where that is known.
    """

    step: str
    channel: str
    template: str
    variant: str | None
    at_ms: int
    outcome: str
    reason: str | None = None
    held_for: str | None = None
    held_until_ms: int | None = None
    held_ms: int = 0
    recipients: Recipients | None = None

    @property
    def is_sent(self) -> bool:
        """Whether it went out, or would have."""
        return self.outcome in SENT

    @property
    def is_held(self) -> bool:
        """Whether nothing is decided about it yet."""
        return self.outcome == "defer"

    @property
    def name(self) -> str:
        """The message, for people."""
        return f"{self.channel} {self.template}"


@dataclass(slots=True)
class Run:
    """An enrollment that began within the span, with what came of it there.

    ``arms`` are the variants and the ways of splits that it was given, by what was assigned.
    """

    enrollment: str
    subject_type: str
    entered_ms: int
    holdout: bool
    attempts: list[Attempt] = field(default_factory=list)
    arms: dict[str, str] = field(default_factory=dict)
    exit: wire.Decision | None = None
    goal_ms: int | None = None
    asked: dict[str, set[str]] = field(default_factory=dict)
    """By the step of an account's journey: the members whose gates have decided about its message."""

    @property
    def left(self) -> str | None:
        """How it ended; None where it goes on."""
        if self.exit is None:
            return None
        return self.exit.outcome if self.exit.reason is None else self.exit.reason

    @property
    def sent(self) -> list[Attempt]:
        """The messages that it sent, or still holds, in order."""
        return [one for one in self.attempts if one.is_sent or (one.is_held and self.exit is None)]


@dataclass(slots=True)
class History:
    """What a version did with a subject: its runs in order, and when and why entries were declined."""

    runs: list[Run] = field(default_factory=list)
    declined: list[tuple[int, str]] = field(default_factory=list)


def history(decisions: Iterable[wire.Decision], span: Span, version: str | None) -> History:
    """What the decisions of one version on one subject tell, given in the order of their time.

    Enrollments that began before the span, or (``version`` not None) in another version, are left out with
    all that came of them; of an account's journey, ``decisions`` are also those on its members.
    """
    found = History()
    by_id: dict[str, Run] = {}
    for one in decisions:
        if not span.since_ms <= one.at_ms < span.until_ms:
            continue
        if one.kind == "entry":
            _enter(found, by_id, one, version)
        elif (run := by_id.get(one.enrollment or "")) is not None:
            _note(run, one)
    for run in found.runs:
        _count_recipients(run)
    return found


def _enter(found: History, by_id: dict[str, Run], one: wire.Decision, version: str | None) -> None:
    if one.outcome == DECLINED:
        found.declined.append((one.at_ms, one.reason or ""))
    elif one.outcome == ENROLLED and one.enrollment and version in (None, one.version):
        run = Run(one.enrollment, one.subject_type, one.at_ms, bool(one.holdout))
        by_id[one.enrollment] = run
        found.runs.append(run)


def _note(run: Run, one: wire.Decision) -> None:
    if one.subject_type != run.subject_type:
        if one.kind == "send" and one.step is not None:
            run.asked.setdefault(one.step, set()).add(one.subject)
        return
    match one.kind:
        case "send":
            _attempt(run, one)
        case "assignment":
            run.arms[f"{one.values.get('experiment')} {one.values.get('assigned')}"] = one.outcome
        case "split":
            run.arms[str(one.values.get("experiment"))] = one.variant or ""
        case "exit":
            run.exit = one
        case "goal":
            run.goal_ms = one.at_ms
        case _:
            return


def _attempt(run: Run, one: wire.Decision) -> None:
    if one.reason == "already_sent":
        return  # the step ran again; what it sent stands
    if one.reason == NO_RECIPIENT:
        asked = _latest(run.attempts, one.step)
        if asked is not None:
            asked.outcome, asked.reason = one.outcome, one.reason
        return
    values, step = one.values, one.step or ""
    template = str(values.get("template", ""))
    held = _latest(run.attempts, step)
    if held is not None and held.is_held and held.template == template:
        held.outcome, held.reason, held.held_ms = one.outcome, one.reason, one.at_ms - held.at_ms
        return
    recipients = told_recipients(values)
    outcome, reason = one.outcome, one.reason
    if recipients is not None and not recipients.number:
        outcome, reason = "skip", NO_RECIPIENT  # as the running version says it
    waits_for, until_ms = values.get("waits for"), values.get("until_ms")
    is_held = isinstance(waits_for, str) and waits_for != OF_ACCOUNT and isinstance(until_ms, int)
    run.attempts.append(
        Attempt(
            step,
            str(values.get("channel", "")),
            template,
            one.variant,
            one.at_ms,
            outcome,
            reason,
            held_for=waits_for if is_held else None,
            held_until_ms=until_ms if is_held else None,
            recipients=recipients,
        )
    )


def _latest(attempts: Sequence[Attempt], step: str | None) -> Attempt | None:
    return next((one for one in reversed(attempts) if one.step == step), None)


def _count_recipients(run: Run) -> None:
    """What was really asked of an account's members is told by their own decisions."""
    for one in run.attempts:
        if one.recipients is None and one.step in run.asked:
            one.recipients = recipients_of(run.asked[one.step])
