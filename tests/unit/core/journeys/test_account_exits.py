"""How a file says that an account's trait ends a user's journey, and when a trait has changed."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import Journey
from tests.unit.core.kit import journey, plan_of
from workers.core.journeys.account_exits import changed_of_account


def exits(changed: Any, **fields: Any) -> dict[str, Any]:
    """A journey that ends on a change."""
    return journey(exit=[{"when": {"changed": changed}}], **fields)


def test_an_exit_names_a_trait_of_the_user_or_of_the_account() -> None:
    """A name alone is the subject's own."""
    plan = plan_of(exits("plan"), journey("b", exit=[{"when": {"changed": {"account": "plan"}}}]))
    assert {trait: [one.name for one in ends] for trait, ends in plan.user.trait_exits.items()} == {
        "plan": ["upsell"]
    }
    assert {trait: [one.name for one in ends] for trait, ends in plan.user.account_exits.items()} == {
        "plan": ["b"]
    }


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        (exits({"account": "plan"}, subject="account"), "write `changed: TRAIT`"),
        (exits({"user": "plan"}), "account"),
        (exits({"account": ""}), "account"),
        (exits(7), "7"),
        (journey(exit=[{"when": {"become": "x"}}]), "changed: {account: TRAIT}"),
    ],
)
def test_what_an_exit_cannot_say_is_refused(plain: dict[str, Any], says: str) -> None:
    """With what it can say."""
    with pytest.raises(ValueError, match=r"\w") as refused:
        Journey.model_validate(plain)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("told", "before", "after", "changed"),
    [
        (["plan"], {"plan": "free"}, {"plan": "pro"}, ("plan",)),
        (["plan"], {"plan": "free"}, {}, ("plan",)),
        (["plan"], {}, {"plan": "pro"}, ("plan",)),
        (["plan"], {"plan": "pro"}, {"plan": "pro"}, ()),
        (["seats"], {"plan": "free"}, {"plan": "pro"}, ()),  # not known before, and no news
        (["limits"], {"limits": {"seats": 3}}, {"limits": {"seats": 4}}, ("limits.seats",)),
        (["limits"], {"limits": {"calls": 3}}, {"limits": {"calls": 4}}, ()),
        (["lim"], {"limits": {"seats": 3}}, {"limits": {"seats": 4}}, ()),  # a name is a whole name
    ],
)
def test_a_trait_has_changed_where_the_account_says_so_and_its_value_differs(
    told: list[str], before: dict[str, Any], after: dict[str, Any], changed: tuple[str, ...]
) -> None:
    """Also from or to nothing, and inside an object."""
    plan = plan_of(
        journey("a", exit=[{"when": {"changed": {"account": one}}} for one in ("plan", "limits.seats")])
    )
    assert changed_of_account(plan.user, told, before, after) == changed
