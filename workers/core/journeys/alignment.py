"""Which step of a journey's new version is which step of the old one.

A step is found again by its id where both versions have it; else by what it says, in its order among its
siblings; else, between two steps that were found again, by its kind: a wait that became shorter is the same
wait.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.workspace import (
    Arm,
    BranchStep,
    LlmStep,
    ParallelStep,
    RepeatStep,
    SplitStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence

    from schemas.workspace import Journey, Step

_WAITS = (WaitStep, WaitUntilStep, WaitForStep)


@dataclass(frozen=True, slots=True)
class Alignment:
    """The paths in the new version by those in the old one; None: the step is gone.

    ``beside`` is the same for what else is known by a step's path: where parts come together and rounds end
    (:mod:`workers.core.journeys.step_plans`), and events that came before the step that waits for them, as
    :mod:`workers.core.journeys.waits` keeps them. ``longer_ms`` says by how much a wait became longer (below
    0: shorter), by its old path; None: that depends on whom one asks, so the step is to be asked again.
    """

    steps: dict[str, str | None] = field(default_factory=dict)
    beside: dict[str, str | None] = field(default_factory=dict)
    longer_ms: dict[str, int | None] = field(default_factory=dict)

    def changed(self) -> dict[str, str | None]:
        """The steps, and what is beside them, whose path is another one."""
        return {old: new for old, new in (self.steps | self.beside).items() if old != new}


class Inside(NamedTuple):
    """A list of steps inside a step: what its paths begin with, what tells it from others, and its kind."""

    prefix: str
    key: Hashable
    kind: str
    steps: Sequence[Step]


def align(old: Journey, new: Journey, moves: Mapping[str, str]) -> Alignment:
    """Find the steps of a version again in the next.

    ``moves``, by the old step's path or id, are for steps that are gone; a value is a path or an id of the
    new version, and one that does not exist is passed over.
    """
    before, after = paths(old), paths(new)
    named = {path for path, step in before.items() if step.id is not None and path in after}
    aligner = _Aligner(named)
    for path in named:
        aligner.pair(path, before[path], path, after[path])
    aligner.siblings(old.steps, "", new.steps, "")
    aligned = aligner.aligned
    known = after.keys() | {end for path, step in after.items() for end in _ends(path, step)}
    for path, step in before.items():
        successor = aligned.steps.setdefault(path, None)
        if successor is not None:
            if (longer_ms := _longer_ms(step, after[successor])) != 0:
                aligned.longer_ms[path] = longer_ms
            continue
        aligned.beside.update(dict.fromkeys((*_ends(path, step), *_events(path, step)), None))
        wanted = moves.get(path)
        if wanted is not None:
            aligned.steps[path] = wanted if wanted in known else None
    return aligned


def paths(journey: Journey) -> dict[str, Step]:
    """Every step by its path (:mod:`workers.core.plan`)."""
    return dict(_walk(journey.steps, ""))


def _walk(steps: Sequence[Step], prefix: str) -> Iterator[tuple[str, Step]]:
    for index, step in enumerate(steps):
        path = _path(step, prefix, index)
        yield path, step
        for inside in _inside(step, path):
            yield from _walk(inside.steps, inside.prefix)


def _path(step: Step, prefix: str, index: int) -> str:
    return step.id or f"{prefix}{index}"


def _inside(step: Step, path: str) -> list[Inside]:  # noqa: PLR0911  one per kind
    """The lists of steps inside a step, with paths as in :mod:`workers.core.journeys.compile_steps`."""
    match step:
        case BranchStep():
            return [
                Inside(
                    f"{path}.{at}.",
                    _said(arm.model_dump(mode="json", include={"when"})),
                    "",
                    arm.steps if isinstance(arm, Arm) else arm.otherwise,
                )
                for at, arm in enumerate(step.branch)
            ]
        case SplitStep():
            return [Inside(f"{path}.{at}.", arm.name, "", arm.steps) for at, arm in enumerate(step.split)]
        case ParallelStep():
            return [
                Inside(f"{path}.{at}.", _said(part.model_dump(mode="json")), "", part.steps)
                for at, part in enumerate(step.parallel)
            ]
        case RepeatStep():
            return [Inside(f"{path}.", "", "", step.repeat.steps)]
        case WaitUntilStep():
            return [Inside(f"{path}.0.", "", "timed out", step.timed_out)]
        case WaitForStep():
            awaited = step.wait_for.awaited()
            arms = [
                Inside(f"{path}.{at}.", key, "", awaited[at].steps)
                for at, key in enumerate(_events(path, step).values())
            ]
            return [*arms, Inside(f"{path}.{len(arms)}.", "", "timed out", step.timed_out)]
        case _:
            return []


def _ends(path: str, step: Step) -> tuple[str, ...]:
    """The paths of what closes a step."""
    if isinstance(step, ParallelStep):
        return (f"{path}.join",)
    return (f"{path}.again",) if isinstance(step, RepeatStep) else ()


def _events(path: str, step: Step) -> dict[str, Hashable]:
    """What the events are kept by that a step waits for, and what each of them is."""
    if not isinstance(step, WaitForStep):
        return {}
    return {
        f"{path}#{at}": _said(one.model_dump(mode="json", include={"event", "where", "match"}))
        for at, one in enumerate(step.wait_for.awaited())
    }


class _Aligner:
    """Finds steps; ``named`` are the ids that both versions have."""

    def __init__(self, named: Collection[str]) -> None:
        self.aligned = Alignment()
        self._named = named

    def siblings(self, old: Sequence[Step], prefix: str, new: Sequence[Step], new_prefix: str) -> None:
        """Find steps of one list in another."""
        marks, new_marks = ([self._mark(step) for step in steps] for steps in (old, new))
        kinds, new_kinds = ([self._kind(step) for step in steps] for steps in (old, new))
        for at, to in _pairs(marks, new_marks, kinds, new_kinds):
            self.pair(_path(old[at], prefix, at), old[at], _path(new[to], new_prefix, to), new[to])

    def pair(self, path: str, old: Step, new_path: str, new: Step) -> None:
        """Take one step for another, and look inside both."""
        if path in self.aligned.steps:
            return
        self.aligned.steps[path] = new_path
        self.aligned.beside.update(dict.fromkeys(_ends(path, old)))
        if type(old) is type(new):
            self.aligned.beside.update(zip(_ends(path, old), _ends(new_path, new), strict=True))
        places = {event: place for place, event in _events(new_path, new).items()}
        self.aligned.beside.update({place: places.get(event) for place, event in _events(path, old).items()})
        inner, new_inner = _inside(old, path), _inside(new, new_path)
        for one, other in _lists(inner, new_inner):
            self.siblings(one.steps, one.prefix, other.steps, other.prefix)

    def _mark(self, step: Step) -> Hashable:
        if step.id is not None and step.id in self._named:
            return ("id", step.id)
        return _said(step.model_dump(mode="json", exclude_defaults=True, exclude={"id"}))

    def _kind(self, step: Step) -> Hashable:
        # What has its id in both versions is found by that alone.
        return ("id", step.id) if step.id is not None and step.id in self._named else type(step).__name__


def _lists(old: Sequence[Inside], new: Sequence[Inside]) -> Iterator[tuple[Inside, Inside]]:
    """Lists inside a step that are for the same, in whatever order; of those left, ones of the same kind."""
    free = list(new)
    left = []
    for one in old:
        same = next((other for other in free if (other.kind, other.key) == (one.kind, one.key)), None)
        if same is None:
            left.append(one)
        else:
            free.remove(same)
            yield one, same
    for one in left:
        like = next((other for other in free if other.kind == one.kind), None)
        if like is not None:
            free.remove(like)
            yield one, like


def _pairs(
    old: Sequence[Hashable],
    new: Sequence[Hashable],
    old_kinds: Sequence[Hashable],
    new_kinds: Sequence[Hashable],
) -> Iterator[tuple[int, int]]:
    """Places in both lists that hold the same; between those, places of the same kind, in their order."""
    for what, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            yield from zip(range(start, end), range(new_start, new_end), strict=True)
            continue
        free = list(range(new_start, new_end))
        for at in range(start, end):
            to = next((one for one in free if new_kinds[one] == old_kinds[at]), None)
            if to is not None:
                yield at, to
                free = [one for one in free if one > to]


def _longer_ms(old: Step, new: Step) -> int | None:
    """By how much a wait became longer; None: only the new step can say, of each who waits."""
    if isinstance(old, WaitStep) and isinstance(new, WaitStep):
        if isinstance(old.wait, int) and isinstance(new.wait, int):
            return new.wait - old.wait
        return 0 if old.wait == new.wait else None
    if isinstance(old, WaitForStep) and isinstance(new, WaitForStep):
        return new.wait_for.timeout - old.wait_for.timeout
    if isinstance(old, WaitUntilStep) and isinstance(new, WaitUntilStep):
        return 0 if old.wait_until == new.wait_until else None
    if isinstance(old, LlmStep) and isinstance(new, LlmStep):
        return new.llm.timeout - old.llm.timeout
    return None if isinstance(old, _WAITS) and isinstance(new, _WAITS) else 0


def _said(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
