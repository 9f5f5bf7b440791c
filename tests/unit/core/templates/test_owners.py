"""Who takes a lead."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.templates.owners import Owner, pick_owner, read_owners

NOW = int(datetime(2026, 12, 22, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000


def owners(*names: str) -> tuple[Owner, ...]:
    """Owners who are all here."""
    return tuple(Owner(name, {"id": name}) for name in names)


def test_accounts_are_spread_evenly() -> None:
    """Of 10,000 accounts each of eight owners has an eighth, within a tenth."""
    counts = Counter(
        pick_owner(owners(*"abcdefgh"), f"account-{number}", None, NOW).owner.id for number in range(10_000)
    )
    assert set(counts) == set("abcdefgh")
    assert all(1_125 <= count <= 1_375 for count in counts.values())


def test_who_leaves_gives_up_their_accounts_and_nobody_else_does() -> None:
    """Without any memory: the others keep all of theirs."""
    before, after = owners(*"abcdef"), owners(*"abcde")
    for number in range(1_000):
        account = f"account-{number}"
        was = pick_owner(before, account, None, NOW).owner.id
        if was != "f":
            assert pick_owner(after, account, None, NOW).owner.id == was


def test_who_joins_takes_over_no_account_that_was_given() -> None:
    """What is remembered holds as long as its owner is on the list."""
    for number in range(200):
        account = f"account-{number}"
        kept = pick_owner(owners("a", "b"), account, None, NOW).remember
        assert pick_owner(owners("a", "b", "c", "d"), account, kept, NOW).owner.id == kept


def test_who_is_away_is_stood_in_for_and_gets_the_account_back() -> None:
    """The memory is of the owner, not of who stood in."""
    away = ((NOW - DAY_MS, NOW + DAY_MS),)
    listed = (Owner("a", {}, away), *owners("b", "c"))
    picked = pick_owner(listed, "acme", "a", NOW)
    assert picked.owner.id in {"b", "c"}
    assert picked.remember == "a"
    assert pick_owner(listed, "acme", "a", NOW + DAY_MS).owner.id == "a"


def test_new_accounts_pass_who_is_away() -> None:
    """By a flag or by days; where all are away, one of them has it all the same."""
    listed = (Owner("a", {}, (), is_away=True), *owners("b"))
    for number in range(50):
        picked = pick_owner(listed, f"account-{number}", None, NOW)
        assert (picked.owner.id, picked.remember) == ("b", "b")
    assert pick_owner(listed[:1], "acme", None, NOW).owner.id == "a"


def test_who_left_is_replaced_for_good() -> None:
    """The new owner is remembered."""
    picked = pick_owner(owners("b"), "acme", "gone", NOW)
    assert (picked.owner.id, picked.remember) == ("b", "b")


@given(st.sets(st.text(min_size=1, max_size=5), min_size=1), st.text(max_size=20), st.text(max_size=5))
def test_somebody_on_the_list_is_picked(names: set[str], account: str, kept: str) -> None:
    """Whatever was remembered; and the same one again."""
    listed = owners(*sorted(names))
    picked = pick_owner(listed, account, kept, NOW)
    assert picked.owner in listed
    assert pick_owner(listed, account, picked.remember, NOW).owner == picked.owner
    assert pick_owner(tuple(reversed(listed)), account, kept, NOW) == picked


def test_a_list_is_read() -> None:
    """Plain ids, fields for templates, a flag, and days: the first away, the first back."""
    read = read_owners(
        [
            "7",
            8,
            {"id": 9, "name": "Ada", "slack": "U1", "away": True},
            {"id": "x", "away": [{"from": "2026-12-20", "back": "2026-12-23"}]},
        ]
    )
    assert [one.id for one in read] == ["7", "8", "9", "x"]
    assert read[2].fields == {"id": "9", "name": "Ada", "slack": "U1"}
    assert [one.is_here(NOW) for one in read] == [True, True, False, False]
    assert read[3].is_here(NOW + DAY_MS)
    assert read[3].is_here(NOW - 2 * DAY_MS - 1)
    assert not read[3].is_here(NOW - 2 * DAY_MS)


WRONG: list[tuple[Any, str]] = [
    ([], "a list of 1 to"),
    ("sales", "a list of 1 to"),
    ([{"name": "Ada"}], "owner 1 has no id"),
    (["a", None], "owner 2 has no id"),
    (["a", "a"], "same id"),
    ([{"id": "a", "away": "yes"}], "away is true, or a list"),
    ([{"id": "a", "away": [{"from": "2026-12-20"}]}], "the days `from` and `back`"),
    ([{"id": "a", "away": [{"from": "2026-12-20", "back": "2026-12-20"}]}], "the days"),
    ([{"id": "a", "away": [{"from": "2026-02-30", "back": "2026-12-20"}]}], "the days"),
    ([{"id": "a", "tags": ["x"]}], "texts, numbers or booleans"),
]


@pytest.mark.parametrize(("values", "detail"), WRONG)
def test_a_wrong_list_is_refused(values: Any, detail: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=detail):
        read_owners(values)
