"""Which step of a journey's new version is which step of the old one.

A step is found again by its id where both have one; else by what it says, in its order among its siblings;
else, between two steps that were found again, by its kind: a wait that became shorter is the same wait.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from schemas.workspace import BranchStep, WaitStep
from schemas.workspace.journeys import inner_steps

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from schemas.workspace import Journey, Step


@dataclass(frozen=True, slots=True)
class Alignment:
    """The paths in the new version by those in the old one; None: the step is gone.

    ``longer_ms`` says by how much a wait became longer (below 0: shorter), by its old path.
    """

    steps: dict[str, str | None] = field(default_factory=dict)
    longer_ms: dict[str, int] = field(default_factory=dict)

    def changed(self) -> dict[str, str | None]:
        """The steps whose path is another one."""
        return {old: new for old, new in self.steps.items() if old != new}


def align(old: Journey, new: Journey, moves: Mapping[str, str]) -> Alignment:
    """Find the steps of a version again in the next.

    ``moves``, by the old step's path or id, are for steps that are gone; a value is a path or an id of the
    new version, and one that does not exist is passed over.
    """
    aligned = Alignment()
    before, after = dict(_walk(old.steps, "")), dict(_walk(new.steps, ""))
    by_id = {named: path for path, step in after.items() if (named := _named(step)) is not None}
    _align(old.steps, "", new.steps, "", aligned)
    for path, step in before.items():
        named = _named(step)
        if named is not None and named in by_id:
            aligned.steps[path] = by_id[named]
        successor = aligned.steps.setdefault(path, None)
        if successor is None:
            wanted = moves.get(path) or moves.get(named or path)
            if wanted is not None:
                aligned.steps[path] = by_id.get(wanted, wanted if wanted in after else None)
        elif (longer_ms := _longer_ms(step, after[successor])) != 0:
            aligned.longer_ms[path] = longer_ms
    return aligned


def paths(journey: Journey) -> dict[str, Step]:
    """Every step by its path (:mod:`workers.core.plan`)."""
    return dict(_walk(journey.steps, ""))


def _walk(steps: Sequence[Step], prefix: str) -> Iterator[tuple[str, Step]]:
    for index, step in enumerate(steps):
        path = f"{prefix}{index}"
        yield path, step
        for label, _, inner in _inside(step):
            yield from _walk(inner, f"{path}.{label}.")


def _inside(step: Step) -> list[tuple[str, Hashable, Sequence[Step]]]:
    """The lists of steps inside a step: their part of the path, what tells them from others, the steps."""
    if not isinstance(step, BranchStep):
        return []
    return [
        (str(index), _said(arm.model_dump(mode="json", include={"when"})), inner_steps(arm))
        for index, arm in enumerate(step.branch)
    ]


def _align(
    old: Sequence[Step], old_prefix: str, new: Sequence[Step], new_prefix: str, into: Alignment
) -> None:
    marks, new_marks = [_mark(step) for step in old], [_mark(step) for step in new]
    kinds, new_kinds = [type(step).__name__ for step in old], [type(step).__name__ for step in new]
    for at, to in _pairs(marks, new_marks, kinds, new_kinds):
        old_path, new_path = f"{old_prefix}{at}", f"{new_prefix}{to}"
        into.steps[old_path] = new_path
        inner_old, inner_new = _inside(old[at]), _inside(new[to])
        keys, new_keys = [key for _, key, _ in inner_old], [key for _, key, _ in inner_new]
        for one, other in _pairs(keys, new_keys, [""] * len(keys), [""] * len(new_keys)):
            label, _, steps = inner_old[one]
            new_label, _, new_steps = inner_new[other]
            _align(steps, f"{old_path}.{label}.", new_steps, f"{new_path}.{new_label}.", into)


def _pairs(
    old: Sequence[Hashable], new: Sequence[Hashable], old_kinds: Sequence[str], new_kinds: Sequence[str]
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


def _mark(step: Step) -> Hashable:
    named = _named(step)
    return ("id", named) if named is not None else _said(step.model_dump(mode="json", exclude_defaults=True))


def _named(step: Step) -> str | None:
    named: Any = getattr(step, "id", None)
    return named if isinstance(named, str) else None


def _longer_ms(old: Step, new: Step) -> int:
    if isinstance(old, WaitStep) and isinstance(new, WaitStep):
        return new.wait - old.wait
    return 0


def _said(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
