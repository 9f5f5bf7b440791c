"""Which account was the present one at an offset, from the changes that are kept."""

from __future__ import annotations

import pytest

from workers.core.activity.acted_for import TURNS_MAX, UNKNOWN, ActedFor, account_at, change

TURNS = [(3, "acme"), (5, "bolt"), (9, None)]


@pytest.mark.parametrize(
    ("offset", "account"),
    [(0, None), (2, None), (3, "acme"), (4, "acme"), (5, "bolt"), (8, "bolt"), (9, None), (99, None)],
)
def test_a_change_is_from_its_offset_on(offset: int, account: str | None) -> None:
    """Before the first one there was no account."""
    assert account_at(TURNS, offset) == account


@pytest.mark.parametrize(
    ("changes", "turns"),
    [
        ([(1, "acme"), (2, "bolt")], [(1, "acme"), (2, "bolt")]),
        ([(1, "acme"), (1, "bolt")], [(1, "bolt")]),  # at one offset the last counts
        ([(1, "acme"), (2, "bolt"), (2, "acme")], [(1, "acme")]),  # and may be none at all
        ([(1, "acme"), (1, None)], []),
    ],
)
def test_what_is_kept_of_changes(changes: list[tuple[int, str | None]], turns: list[tuple[int, str]]) -> None:
    """No more than tells the account at each offset."""
    row = ActedFor()
    for offset, account in changes:
        change(row, offset, account)
    assert row.turns == turns


def test_of_many_changes_the_last_are_kept() -> None:
    """What was the account before is not known then, which is not the same as none."""
    row = ActedFor()
    for offset in range(3 * TURNS_MAX):
        change(row, offset, f"account-{offset % 2}")
    assert len(row.turns) == TURNS_MAX
    last = 3 * TURNS_MAX - 1
    assert account_at(row.turns, last) == f"account-{last % 2}"
    first = last - TURNS_MAX + 2
    assert account_at(row.turns, first) == f"account-{first % 2}"
    assert account_at(row.turns, first - 1) == UNKNOWN
