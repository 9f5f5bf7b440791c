"""Conditions on objects: which ones are related to the subject, and what an object is like."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from schemas.workspace.base import MAX_LIST, Identifier, Identifiers, Model, Path, described, refuse
from schemas.workspace.comparisons import Comparison, NumberComparison, bare
from schemas.workspace.spans import BoundedSpan  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.values import FieldRef

MAX_RELATED = 1_000_000
MAX_ID_BYTES = 256
"""Longest id of an object, in UTF-8: it is a part of keys."""


def _object_id(value: Any) -> str:
    """An id is a text; a file may write a whole number, as producers do."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text.encode()) <= MAX_ID_BYTES:
        refuse("id", f"an object's id is a text of at most {MAX_ID_BYTES} bytes; not {described(value)}")
    return text


def _ids_tag(value: Any) -> str:
    return "#field" if isinstance(value, (dict, FieldRef)) else "#ids"


def _ids(value: Any) -> tuple[str, ...]:
    some = value if isinstance(value, (list, tuple)) else (value,)
    if not 0 < len(some) <= MAX_LIST:
        refuse("id", f"1 to {MAX_LIST} ids are expected")
    return tuple(map(_object_id, some))


_Ids: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_ids),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]

ObjectIds: TypeAlias = Annotated[
    Annotated[_Ids, Tag("#ids")] | Annotated[FieldRef, Tag("#field")], Discriminator(_ids_tag)
]
"""One id, a list of them, or a field that holds one or a list."""

Attributes: TypeAlias = Annotated[
    dict[Path, Annotated[Comparison, BeforeValidator(bare)]], Field(min_length=1, max_length=20)
]
"""Comparisons of an object's attributes, all of which must be true. ``collection.tier`` leads on to the
object that the attribute ``collection`` names."""


def _at_most_after_least(least: int | None, most: int | None) -> None:
    if least is not None and most is not None and least > most:
        refuse("related", f"no count is at_least {least} and at_most {most}")


class Related(Model):
    """Which objects: of a type, related in a way, with attributes that compare so.

    Without ``relationship`` any way counts, and an object that is related in two ways counts once. Without
    ``status`` those whose relation has not ended count.
    """

    object_: Identifier = Field(alias="object")
    relationship: Identifier | None = None
    id: ObjectIds | None = Field(None, description="These objects alone.")
    status: Identifiers | None = Field(None, description="Those with one of these statuses, ended or not.")
    quantity: NumberComparison | None = Field(None, description="How much of each, what was given back off.")
    where: Attributes | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.status is not None and self.quantity is not None:
            refuse("related", "a relationship has statuses or quantities: ask for one of them")
        return self


class RelatedCondition(Model):
    """How many objects are related to the subject. Without a number it is ``at_least: 1``.

    ``within``: only what was bought (or what else the relationship is) in the span, and of a relationship
    with statuses those that got their status in it. Missing where attributes that are not known decide.
    """

    related: Related
    within: BoundedSpan | None = None
    at_least: int | None = Field(None, ge=1, le=MAX_RELATED)
    at_most: int | None = Field(None, ge=0, le=MAX_RELATED)

    @model_validator(mode="after")
    def _is_satisfiable(self) -> Self:
        _at_most_after_least(self.at_least, self.at_most)
        return self

    def bounds(self) -> tuple[int, int | None]:
        """The smallest and the largest number that is true; None without an upper limit."""
        if self.at_least is None and self.at_most is None:
            return 1, None
        return self.at_least or 0, self.at_most


def _one_id(value: Any) -> Any:
    if isinstance(value, tuple) and len(value) != 1:
        refuse("id", "one object is meant: one id, or a field that holds it")
    return value


class ObjectCondition(Model):
    """What one object is like, whether it is related to the subject or not.

    ``{object: product, id: {property: product_id}, where: {in_stock: true}}``. Missing where the field does
    not hold an id, where nothing is known of the object, and where an attribute is missing.
    """

    object_: Identifier = Field(alias="object")
    id: Annotated[ObjectIds, AfterValidator(_one_id)]
    where: Attributes
