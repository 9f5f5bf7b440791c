"""Traits that a step sets."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from schemas.workspace.base import Model, Path, refuse
from schemas.workspace.values import FieldRef, Scalar

RESERVED_TRAITS: Final = ("consent", "role")
"""Traits that no step may set: who consents says so, and a role comes with the membership."""


class Now(Model):
    """The moment of the step, as ISO 8601 in UTC."""

    now: Literal[True]


def _value_tag(value: Any) -> str:
    if isinstance(value, Now) or (isinstance(value, dict) and "now" in value):
        return "#now"
    if value is None:
        return "#nothing"
    return "#field" if isinstance(value, (dict, FieldRef)) else "#value"


NewValue: TypeAlias = Annotated[
    Annotated[Scalar, Tag("#value")]
    | Annotated[FieldRef, Tag("#field")]
    | Annotated[Now, Tag("#now")]
    | Annotated[None, Tag("#nothing")],
    Discriminator(_value_tag),
]
"""A constant; a field by ``{trait: NAME}`` or the like; ``{now: true}``; null takes a trait away."""


def _may_be_set(traits: dict[str, Any]) -> dict[str, Any]:
    for name in traits:
        if name in RESERVED_TRAITS:
            refuse("trait", f"{name} is not for a step to set: {' and '.join(RESERVED_TRAITS)} are not")
        if "." in name:
            refuse("trait", f"a step sets a whole trait; {name!r} is a part of one")
    return traits


NewTraits: TypeAlias = Annotated[
    dict[Path, NewValue], Field(min_length=1, max_length=20), AfterValidator(_may_be_set)
]


class Update(Model):
    """Traits to set: of the subject, or of the account of a user."""

    traits: NewTraits | None = Field(None, description="Of the subject itself.")
    account: NewTraits | None = Field(None, description="Of the user's account.")

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if self.traits is None and self.account is None:
            refuse("update", "say what to set: traits (of the subject), account (of the user's account)")
        return self
