"""Segments as files write them: who belongs to a group of users or of accounts, at every instant."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003  pydantic reads the module's names at run time
from typing import Final, Self

from pydantic import Field, model_validator

from schemas.fields import SubjectType  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.base import Identifier, Model, refuse
from schemas.workspace.conditions import Condition, Conditions, SegmentCondition, children

MAX_CONDITIONS: Final = 200
"""Conditions of a segment, those inside others included."""


class Segment(Model):
    """A group of users, or of accounts, entered and left the moment that its conditions come to be so.

    A subject is in a dynamic segment while all of ``require`` and none of ``exclude`` is true; missing is not
    true. A segment with ``static: true`` has no conditions: it is a list that is kept from outside.
    """

    segment: Identifier
    title: str | None = Field(None, max_length=200, description="The name that people see.")
    subject: SubjectType = "user"
    static: bool = Field(default=False, description="A list, filled by upload or API instead of conditions.")
    require: Conditions = ()
    exclude: Conditions = ()

    @model_validator(mode="after")
    def _is_one_of_two_kinds(self) -> Self:
        has_conditions = bool(self.require or self.exclude)
        if self.static and has_conditions:
            refuse("segment", "a static segment is a list: it has neither require nor exclude")
        if not self.static and not self.require:
            refuse("segment", "require says who belongs to it; a list that is uploaded has static: true")
        if len(list(self.conditions())) > MAX_CONDITIONS:
            refuse("segment", f"a segment has at most {MAX_CONDITIONS} conditions")
        return self

    def top_conditions(self) -> tuple[Condition, ...]:
        """Those of ``require`` and ``exclude``."""
        return (*self.require, *self.exclude)

    def conditions(self) -> Iterator[Condition]:
        """All conditions, those inside others included."""
        waiting = list(self.top_conditions())
        while waiting:
            condition = waiting.pop()
            yield condition
            waiting.extend(children(condition))

    def uses(self) -> frozenset[str]:
        """The segments that its conditions speak of."""
        return frozenset(one.in_segment for one in self.conditions() if isinstance(one, SegmentCondition))
