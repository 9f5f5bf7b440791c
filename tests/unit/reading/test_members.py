"""What rows of the state tell of whom somebody acted for at an offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from workers.core.activity.acted_for import UNKNOWN, ActedFor
from workers.reading.members import Members
from workers.state import ACTED_FOR, IDENTITIES, USERS, Identity, Profile

if TYPE_CHECKING:
    from workers.stream.tables import Table

USER = b"user-1"
ONE = (USERS.profiles, USER, Profile(joined={"acme": 5}))
SEVERAL = (ACTED_FOR, USER, ActedFor([(5, "acme"), (8, "bolt"), (9, None)]))
BACK = (ACTED_FOR, USER, ActedFor([(5, "acme"), (8, None), (9, "acme")]))
LONG = (ACTED_FOR, USER, ActedFor([(0, UNKNOWN), (8, "bolt")]))
OLD = (USERS.profiles, USER, Profile(accounts={"acme": {}}))
OLDER = (USERS.profiles, USER, Profile(joined={"acme": 5, "bolt": 7}))
DEVICE = (IDENTITIES, b"device", Identity("user-1", acted_for=[(2, "carl"), (6, UNKNOWN)]))
SHARED = (IDENTITIES, b"device", Identity("user-1", acted_for=[(2, "carl"), (6, UNKNOWN)], since=8))
OLD_DEVICE = (IDENTITIES, b"device", Identity("user-1"))
CHAIN = (IDENTITIES, b"device", Identity("user-0", acted_for=[(6, UNKNOWN)]))
LINK = (IDENTITIES, b"user-0", Identity("user-1", acted_for=[(7, UNKNOWN)]))


def members(*rows: tuple[Table[Any], bytes, Any], accounts: bool = True) -> Members:
    """Of these rows."""
    found = Members(accounts=accounts)
    for table, key, row in rows:
        found.take(table.key(key), table.encode(row))
    return found


@pytest.mark.parametrize(
    ("rows", "who", "accounts"),
    [
        ((), "user-1", [None] * 10),
        ((ONE,), "user-1", [None] * 5 + ["acme"] * 5),
        ((SEVERAL,), "user-1", [None] * 5 + ["acme"] * 3 + ["bolt", None]),
        ((SEVERAL, OLD), "user-1", [None] * 5 + ["acme"] * 3 + ["bolt", None]),
        ((LONG,), "user-1", [UNKNOWN] * 8 + ["bolt"] * 2),
        ((OLD,), "user-1", [UNKNOWN] * 10),  # it says not since when
        ((OLDER,), "user-1", [UNKNOWN] * 10),  # nor when which was the present one
        ((DEVICE,), "device", [None] * 2 + ["carl"] * 4 + [None] * 4),
        ((DEVICE, ONE), "device", [None] * 2 + ["carl"] * 4 + ["acme"] * 4),
        ((DEVICE, BACK), "device", [None] * 2 + ["carl"] * 4 + ["acme"] * 4),
        ((DEVICE, SEVERAL), "device", [None] * 2 + ["carl"] * 4 + [UNKNOWN] * 4),
        ((DEVICE, LONG), "device", [None] * 2 + ["carl"] * 4 + [UNKNOWN] * 4),
        ((SHARED, ONE), "device", [None] * 2 + ["carl"] * 4 + [UNKNOWN] * 2 + ["acme"] * 2),
        ((OLD_DEVICE, ONE), "device", ["acme"] * 10),
        ((CHAIN, LINK, ONE), "device", [None] * 6 + ["acme"] * 4),
    ],
)
def test_the_account_at_an_offset(rows: Any, who: str, accounts: list[str | None]) -> None:
    """From 0 to 9; of a merged id until it went, and then that of the person, who must have had one alone."""
    found = members(*rows)
    assert [found.account_at(who, offset) for offset in range(10)] == accounts


@pytest.mark.parametrize(
    ("rows", "account"),
    [((), None), ((ONE,), "acme"), ((BACK,), "acme"), ((SEVERAL,), None), ((LONG,), None), ((OLD,), None)],
)
def test_the_one_account_of_somebody(rows: Any, account: str | None) -> None:
    """Who has ever acted for several has none; nor who may have."""
    assert members(*rows).only_account("user-1") == account


def test_the_last_word_of_a_row_counts() -> None:
    """Rows come in the order in which they were written, and go."""
    found = members(ONE, DEVICE)
    assert not found.has_been_in_none("user-1", 5)
    assert found.has_been_in_none("user-1", 4)
    assert not found.has_been_in_none("device", 2)
    for table, key in ((USERS.profiles, USER), (IDENTITIES, b"device")):
        found.take(table.key(key), None)
    assert found.account_at("user-1", 9) is None
    assert found.account_at("device", 3) is None


def test_where_accounts_have_no_windows_only_ids_are_remembered() -> None:
    """There may be millions of users, and nothing of theirs is asked for."""
    found = members(ONE, SHARED, accounts=False)
    assert found.account_at("user-1", 9) is None
    assert found.since("device") == 8


def test_ids_that_lead_in_a_circle_lead_to_nobody() -> None:
    """As they do for a moment, while the rows of both are on their way."""
    found = members(
        (IDENTITIES, b"a", Identity("b", acted_for=[(0, UNKNOWN)])),
        (IDENTITIES, b"b", Identity("a", acted_for=[(0, UNKNOWN)])),
    )
    assert found.account_at("a", 3) is None
