"""Objects as files write them: products, bundles, plans and the like, and how people come to have them.

A relationship is of one of two kinds, told by what fills it:

- **counted** (``does: add`` and ``take_back``): what was bought, viewed, put on a list. It holds while more
  was added than taken back.
- **with a status** (``does: set`` and ``end``): subscriptions and the like. The latest event decides, by
  when it happened; it holds until it ends.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from schemas.fields import SubjectType  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.base import (
    AsList,
    EventName,
    Identifier,
    Model,
    Path,
    Share,
    described,
    refuse,
)
from schemas.workspace.comparisons import Where  # noqa: TC001  pydantic reads it at run time
from schemas.workspace.values import Scalar  # noqa: TC001  pydantic reads it at run time

MAX_ATTRIBUTES: Final = 50
MAX_KEPT: Final = 500
"""Most objects of one relationship that a subject's row keeps."""

MAX_KEPT_IN_ALL: Final = 1_000
"""Most objects of all relationships of a subject together: at some 100 bytes each, and at most 16 dated lines
of 40 bytes, a row stays below what Kafka takes and what a merge hands over."""

PlainType: TypeAlias = Literal["string", "number", "boolean", "date", "list"]


class Reference(Model):
    """An attribute that names other objects: ``{object: collection}`` one, ``{objects: product}`` a list."""

    object_: Identifier | None = Field(None, alias="object")
    objects: Identifier | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.object_ is None) is (self.objects is None):
            refuse("attribute", "an attribute names objects by exactly one of object (one), objects (a list)")
        return self

    @property
    def type(self) -> str:
        """The type of the objects."""
        return self.object_ or self.objects or ""


def _attribute_tag(value: Any) -> str:
    return "#reference" if isinstance(value, (dict, Reference)) else "#plain"


AttributeType: TypeAlias = Annotated[
    Annotated[PlainType, Tag("#plain")] | Annotated[Reference, Tag("#reference")],
    Discriminator(_attribute_tag),
]
"""``string``, ``number``, ``boolean``, ``date``, ``list``, or a reference to other objects."""

AttributeName: TypeAlias = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^.\s]+$")]


def _paths(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Paths: TypeAlias = Annotated[
    tuple[Path, ...],
    BeforeValidator(_paths),
    Field(min_length=1, max_length=5),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One path, or several of which the first that is there counts."""

Does: TypeAlias = Literal["add", "take_back", "set", "end"]


class Fill(Model):
    """What one event does to a relationship.

    Without ``each`` the event speaks of one object, by ``id`` in its properties; with it of those in the
    list, by ``id`` in each item. Where no ``id`` is named, or the list or the id is not there, it speaks of
    all that has its ``key``: of the whole order.
    """

    event: EventName
    where: Where | None = None
    does: Does = "add"
    each: Paths | None = Field(None, description="The property with the list of items.")
    id: Paths | None = Field(None, description="The object's id, in the item or the event's properties.")
    quantity: Path | None = Field(
        None, description="How much; where it is not there, 1 is added, and all is taken back."
    )
    key: Paths | None = Field(
        None, description="The order, or the subscription, that it belongs to: an id in the properties."
    )
    status: Identifier | None = Field(None, description="The status that it has from then on.")

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        counted = self.does in {"add", "take_back"}
        if counted and self.status is not None:
            refuse("status", "a status goes with does: set or end")
        if not counted and self.quantity is not None:
            refuse("quantity", "a quantity goes with does: add or take_back")
        if self.does == "set" and self.status is None:
            refuse("status", "does: set says which status: status: active")
        if self.does == "add" and self.id is None:
            refuse("id", "does: add says what: id: product_id")
        if self.id is None and self.key is None:
            refuse("id", "say of what: id, or key for all of an order or subscription")
        if self.each is not None and self.id is None:
            refuse("each", "each names a list of items: say where an item's id is")
        return self

    @property
    def status_set(self) -> str:
        """The status that it has from then on; ``ended`` where ``does: end`` names none."""
        return self.status or "ended"

    @property
    def counted(self) -> bool:
        """Whether it counts, rather than to set a status."""
        return self.does in {"add", "take_back"}


class Relationship(Model):
    """One way in which objects of a type are related to users, or to accounts."""

    of: SubjectType = Field("user", description="Whose: each user's, or the account's of those who act.")
    filled_by: Annotated[tuple[Fill, ...], AsList, Field(min_length=1, max_length=20)]
    keep: int = Field(100, ge=1, le=MAX_KEPT, description="At most so many objects of a subject.")
    single: bool = Field(
        default=False, description="Only the newest counts: the last bought, the present plan."
    )

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if len({fill.counted for fill in self.filled_by}) > 1:
            refuse("filled_by", "a relationship either counts (add, take_back) or has a status (set, end)")
        if not any(fill.does in {"add", "set"} for fill in self.filled_by):
            refuse("filled_by", "nothing begins it: an event with does: add or set is needed")
        if not any(fill.does in {"add", "set"} and fill.id is not None for fill in self.filled_by):
            refuse("filled_by", "what begins it says of which object: id")
        return self

    @property
    def counted(self) -> bool:
        """Whether it counts, rather than to have a status."""
        return self.filled_by[0].counted

    def statuses(self) -> frozenset[str]:
        """The statuses that it may have."""
        return frozenset(fill.status_set for fill in self.filled_by if not fill.counted)


class ObjectType(Model):
    """One file of ``objects/``: a type of objects, with its attributes and relationships."""

    object_: Identifier = Field(alias="object")
    title: str | None = Field(None, max_length=200, description="The name that people see.")
    attributes: dict[AttributeName, AttributeType] = Field(
        default_factory=dict, max_length=MAX_ATTRIBUTES, description="What is known of an object."
    )
    relationships: dict[Identifier, Relationship] = Field(default_factory=dict, max_length=20)

    @property
    def object(self) -> str:
        """The type's name, as the field is called in the file."""
        return self.object_

    def references(self) -> dict[str, Reference]:
        """The attributes that name other objects."""
        return {name: kind for name, kind in self.attributes.items() if isinstance(kind, Reference)}


class OnObject(Model):
    """A change of an object that is related to the subject: back in stock, a lower price.

    It changed when the value is another than the one that was known; to become known for the first time, or
    unknown, is no change. ``where`` compares attributes as they are now.
    """

    object_: Identifier = Field(alias="object")
    relationship: Identifier
    changed: AttributeName
    from_: Scalar | None = Field(None, alias="from", description="Only from this value.")
    to: Scalar | None = Field(None, description="Only to this value.")
    moved: Literal["up", "down"] | None = Field(None, description="Only a number that rose, or fell.")
    by: Share | None = Field(None, description="Only by at least this share of the value before.")
    where: Where | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.from_ is not None and self.from_ == self.to and type(self.from_) is type(self.to):
            refuse("changed", f"from and to are both {described(self.from_)}: that is no change")
        if self.by is not None and self.moved is None:
            refuse("by", "say in which direction: moved: up or moved: down")
        return self
