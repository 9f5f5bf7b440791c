"""Where a shadow and the version in force went apart over one subject, each with the reason that is known.

Runs of the two are paired by the time of their entry. A shadow holds no message at the gate: it says at once
what it would send, and goes on. So what follows a message that the version in force held may come later
there, and is no difference; nor is what lies so near to the edges of the span that the other's half of it may
lie beyond.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from workers.core.shadows.history import Attempt, History, Run, Span

Kind: TypeAlias = Literal[
    "entered_only_in_shadow",
    "entered_only_in_running",
    "entry_time",
    "holdout",
    "variant",
    "message_only_in_shadow",
    "message_only_in_running",
    "message_changed",
    "message_time",
    "recipients",
    "exit",
    "goal",
]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

NO_CANDIDATE: Final = "no candidate"
"""Nothing that happened made the other version look at the subject."""


class Difference(NamedTuple):
    """One difference over a subject. ``what`` names the message, experiment or goal; empty where none.

    ``reason`` groups alike ones and holds no id. ``shadow_ms`` and ``running_ms`` are when it happened in
    each; None where it did not.
    """

    kind: Kind
    enrollment: str
    what: str
    reason: str
    shadow_ms: int | None
    running_ms: int | None


class Compared(NamedTuple):
    """A run of the shadow beside the one of the version in force; one of them may be missing."""

    shadow: Run | None
    running: Run | None
    differences: tuple[Difference, ...]
    messages: int
    """How many messages either sent: one that both sent counts once."""


def compare(shadow: History, running: History, span: Span) -> list[Compared]:
    """All runs of a subject that can be judged, in pairs."""
    found = []
    for ours, theirs in _paired(shadow.runs, running.runs, span.tolerance_ms):
        if ours is not None and theirs is not None:
            found.append(_both(ours, theirs, span))
        elif ours is not None and span.is_certain(ours.entered_ms):
            why = _why_not_entered(running, ours.entered_ms, span)
            one = Difference("entered_only_in_shadow", ours.enrollment, "", why, ours.entered_ms, None)
            found.append(Compared(ours, None, (one,), len(ours.sent)))
        elif theirs is not None and span.is_certain(theirs.entered_ms):
            why = _why_not_entered(shadow, theirs.entered_ms, span)
            one = Difference("entered_only_in_running", theirs.enrollment, "", why, None, theirs.entered_ms)
            found.append(Compared(None, theirs, (one,), len(theirs.sent)))
    return found


def _paired(
    shadows: Sequence[Run], runnings: Sequence[Run], tolerance_ms: int
) -> Iterator[tuple[Run | None, Run | None]]:
    """Runs of one entry, found by its time; of those left, the first with the first."""
    free = list(runnings)
    left = []
    for ours in shadows:
        near = [one for one in free if abs(one.entered_ms - ours.entered_ms) <= tolerance_ms]
        if near:
            theirs = min(near, key=lambda one: abs(one.entered_ms - ours.entered_ms))
            free.remove(theirs)
            yield ours, theirs
        else:
            left.append(ours)
    yield from zip_longest(left, free)


def _why_not_entered(other: History, at_ms: int, span: Span) -> str:
    near = [one for one in other.declined if abs(one[0] - at_ms) <= span.tolerance_ms]
    if not near:
        return NO_CANDIDATE
    return f"declined: {min(near, key=lambda one: abs(one[0] - at_ms))[1]}"


def _both(shadow: Run, running: Run, span: Span) -> Compared:
    pair = _Pair(shadow, running, span)
    pair.entries()
    pair.arms()
    messages = pair.messages()
    pair.ends()
    return Compared(shadow, running, tuple(pair.found), messages)


class _Pair:
    """A run of each; ``found`` gathers where they differ."""

    def __init__(self, shadow: Run, running: Run, span: Span) -> None:
        self.found: list[Difference] = []
        self._shadow = shadow
        self._running = running
        self._span = span

    def entries(self) -> None:
        """When they began, and whether the subject was held out."""
        ours, theirs = self._shadow, self._running
        if abs(ours.entered_ms - theirs.entered_ms) > self._span.tolerance_ms:
            later = "later" if ours.entered_ms > theirs.entered_ms else "earlier"
            self._note("entry_time", "", f"{later} in the shadow", ours.entered_ms, theirs.entered_ms)
        if ours.holdout is not theirs.holdout:
            side = "shadow" if ours.holdout else "running version"
            self._note("holdout", "", f"held out in the {side} only", ours.entered_ms, theirs.entered_ms)

    def arms(self) -> None:
        """Variants and ways that both were given."""
        for name in sorted(self._shadow.arms.keys() & self._running.arms.keys()):
            ours, theirs = self._shadow.arms[name], self._running.arms[name]
            if ours != theirs:
                self._note("variant", name, f"shadow: {ours}, running: {theirs}", None, None)

    def messages(self) -> int:
        """What each sent; how many messages either sent.

        The same message at one time is the same; then what one step sends, and the same at whatever time.
        """
        ours, theirs = self._shadow.sent, self._running.sent
        pairs = _take_pairs(
            ours, theirs, lambda mine, other: _is_same(mine, other) and self._is_at_once(mine, other)
        )
        pairs += _take_pairs(
            ours, theirs, lambda mine, other: (mine.channel, mine.step) == (other.channel, other.step)
        )
        pairs += _take_pairs(ours, theirs, _is_same)
        for mine, other in pairs:
            if not _is_same(mine, other):
                reason = f"shadow: {_text(mine)}, running: {_text(other)}"
                self._note("message_changed", mine.name, reason, mine.at_ms, other.at_ms)
                continue
            self._when(mine, other)
            self._who(mine, other)
        for mine in ours:
            if self._would_have_come(mine):
                why = _why_not_sent(mine, self._running)
                self._note("message_only_in_shadow", mine.name, why, mine.at_ms, None)
        for other in theirs:
            if self._span.is_certain(other.at_ms):
                why = _why_not_sent(other, self._shadow)
                self._note("message_only_in_running", other.name, why, None, other.at_ms)
        return len(pairs) + len(ours) + len(theirs)

    def ends(self) -> None:
        """How each ended, and whether it reached its goal."""
        ours, theirs = self._shadow.exit, self._running.exit
        ours_ms, theirs_ms = (one.at_ms if one is not None else None for one in (ours, theirs))
        if self._shadow.left != self._running.left:
            # A message that is held keeps the run open in the version in force alone.
            waits = theirs is None and any(one.is_held for one in self._running.attempts)
            if self._is_certain(ours_ms, theirs_ms) and not waits:
                reason = f"shadow: {_left(self._shadow)}, running: {_left(self._running)}"
                self._note("exit", "", reason, ours_ms, theirs_ms)
        elif ours_ms is not None and theirs_ms is not None and not self._is_same_time(ours_ms, theirs_ms):
            later = "later" if ours_ms > theirs_ms else "earlier"
            reason = f"{later} in the shadow, {self._shadow.left}"
            self._note("exit", "", reason, ours_ms, theirs_ms)
        goals = (self._shadow.goal_ms, self._running.goal_ms)
        if (goals[0] is None) is not (goals[1] is None) and self._is_certain(*goals):
            side = "shadow" if goals[0] is not None else "running version"
            self._note("goal", "", f"reached in the {side} only", *goals)

    def _when(self, ours: Attempt, theirs: Attempt) -> None:
        if not self._is_same_time(ours.at_ms, theirs.at_ms):
            later = "later" if ours.at_ms > theirs.at_ms else "earlier"
            self._note("message_time", ours.name, f"{later} in the shadow", ours.at_ms, theirs.at_ms)
            return
        if self._held_before(theirs.at_ms):
            return  # it came at another time to the gate, which may have another answer
        if ours.held_for != theirs.held_for:
            reason = f"shadow: {_hold(ours)}, running: {_hold(theirs)}"
        elif ours.held_until_ms is not None and theirs.held_until_ms is not None:
            if self._is_same_time(ours.held_until_ms, theirs.held_until_ms):
                return
            reason = f"{_hold(ours)} until another time"
        else:
            return
        released = (ours.held_until_ms or ours.at_ms, theirs.held_until_ms or theirs.at_ms)
        self._note("message_time", ours.name, reason, *released)

    def _who(self, ours: Attempt, theirs: Attempt) -> None:
        if ours.recipients is None or theirs.recipients is None or ours.recipients == theirs.recipients:
            return
        # What each member's gate decided about the request is recorded a moment after it.
        if self._span.is_certain(theirs.at_ms):
            numbers = (ours.recipients.number, theirs.recipients.number)
            other = "other members" if numbers[0] == numbers[1] else "{} and {} members".format(*numbers)
            self._note("recipients", ours.name, f"shadow and running: {other}", ours.at_ms, theirs.at_ms)

    def _would_have_come(self, ours: Attempt) -> bool:
        """Whether the running version would have come to a message of the shadow within the span.

        Not where a message stands at the gate that it asked for before, nor where earlier ones held it up.
        """
        if any(one.is_held and one.at_ms <= ours.at_ms for one in self._running.sent):
            return False
        return self._is_certain(ours.at_ms)

    def _is_at_once(self, ours: Attempt, theirs: Attempt) -> bool:
        return self._is_same_time(ours.at_ms, theirs.at_ms)

    def _is_same_time(self, ours_ms: int, theirs_ms: int) -> bool:
        """By the clock, or counted from the entry; after a hold the running version may be later."""
        tolerance_ms = self._span.tolerance_ms
        by_clock = theirs_ms - ours_ms
        by_entry = by_clock - (self._running.entered_ms - self._shadow.entered_ms)
        if self._held_before(theirs_ms):
            return max(by_clock, by_entry) >= -tolerance_ms
        return min(abs(by_clock), abs(by_entry)) <= tolerance_ms

    def _held_before(self, theirs_ms: int) -> bool:
        """Whether the running version held a message that it came to earlier."""
        return any(one.held_ms for one in self._running.attempts if one.at_ms < theirs_ms)

    def _is_certain(self, *instants: int | None) -> bool:
        """Whether none of what happened lies at an edge of the span, also if it was held back until then."""
        held_ms = sum(one.held_ms for one in self._running.attempts)
        return all(
            self._span.is_certain(at_ms) and at_ms + held_ms < self._span.until_ms - self._span.tolerance_ms
            for at_ms in instants
            if at_ms is not None
        )

    def _note(
        self, kind: Kind, what: str, reason: str, shadow_ms: int | None, running_ms: int | None
    ) -> None:
        self.found.append(Difference(kind, self._running.enrollment, what, reason, shadow_ms, running_ms))


def _take_pairs(
    ours: list[Attempt], theirs: list[Attempt], alike: Callable[[Attempt, Attempt], bool]
) -> list[tuple[Attempt, Attempt]]:
    """Messages of both that are alike, in their order; they are taken out of the lists."""
    pairs = []
    for mine in list(ours):
        other = next((one for one in theirs if alike(mine, one)), None)
        if other is not None:
            ours.remove(mine)
            theirs.remove(other)
            pairs.append((mine, other))
    return pairs


def _is_same(ours: Attempt, theirs: Attempt) -> bool:
    return (ours.channel, ours.template, ours.variant) == (theirs.channel, theirs.template, theirs.variant)


def _why_not_sent(sent: Attempt, other: Run) -> str:
    """Why another run did not send what this one did."""
    tried = [one for one in other.attempts if not one.is_sent]
    alike = [one for one in tried if (one.channel, one.template) == (sent.channel, sent.template)]
    alike = alike or [one for one in tried if (one.channel, one.step) == (sent.channel, sent.step)]
    if alike:
        one = alike[0]
        if one.is_held:
            return f"{_hold(one)} when it ended, {other.left}"
        after = f" after it was {_hold(one)}" if one.held_for is not None else ""
        return f"{one.outcome}: {one.reason}{after}"
    return "its steps did not come to it" if other.left is None else f"it had ended, {other.left}"


def _hold(one: Attempt) -> str:
    return f"held for {one.held_for}" if one.held_for is not None else "at once"


def _text(one: Attempt) -> str:
    return one.template if one.variant is None else f"{one.template} ({one.variant})"


def _left(run: Run) -> str:
    return run.left or "still inside"
