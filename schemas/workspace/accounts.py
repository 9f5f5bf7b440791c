"""Conditions of users about their account: what the account tells its members, its traits and segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from schemas.workspace.base import (
    Identifier,
    Model,
    Path,
    refuse,
)
from schemas.workspace.comparisons import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterable


class AccountTrait(Comparison):
    """A trait of the account."""

    trait: Path


class AccountCondition(Model):
    """Compares a trait of the user's account."""

    account: AccountTrait


class AccountSegment(Model):
    """A segment of accounts."""

    in_segment: Identifier
    if_missing: Literal["pass", "fail"] | None = Field(
        None, description="What it means that the account has not told yet; without it `missing`."
    )


class AccountSegmentCondition(Model):
    """Whether the user's account is in a segment of accounts; missing until the account has told.

    An account tells its members when it enters or leaves the segment, and those who join.
    """

    account: AccountSegment


def names_segment(value: Any) -> bool:
    """Whether a condition, as a file has it or read already, is an :class:`AccountSegmentCondition`."""
    asked = value.get("account") if isinstance(value, dict) else None
    return isinstance(value, AccountSegmentCondition) or (isinstance(asked, dict) and "in_segment" in asked)


def refuse_unknown_of_account(value: Any, kinds: Iterable[str]) -> None:
    """Say the way where a file asks of a user's account what only the account's own conditions can.

    ``kinds`` are the keys of all conditions.
    """
    asked = value.get("account") if isinstance(value, dict) else None
    if not isinstance(asked, dict) or "trait" in asked or "in_segment" in asked:
        return
    kind = next((one for one in kinds if one in asked), None)
    if kind is not None:
        refuse(
            "account",
            f"members know traits and segments of their account: put `{kind}` into the conditions of a "
            f"segment with `subject: account`, and ask `account: {{in_segment: NAME}}`",
        )
