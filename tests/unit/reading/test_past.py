"""For which account an event of the past counts that names none: the one that the engine had its user in."""

from __future__ import annotations

from typing import Any

from schemas.workspace import Workspace
from tests.unit.cli.backfill_kit import Changing
from tests.unit.cli.test_backfill import asking
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY
from tests.unit.reading.test_archive import line

USER = "user-1"
OF_ACCOUNTS = Workspace.model_validate(
    {
        "name": "w",
        "journeys": [
            journey(
                subject="account",
                entry={"on": {"event": "never"}, "require": [{"performed": "limit", "within": "14d"}]},
            )
        ],
    }
)


class Told:
    """A user of whom a workspace asks later for which account they did what; a second apart each."""

    def __init__(self) -> None:
        self.cluster = Changing(asking("14d"))

    def group(self, account: str, **traits: Any) -> Told:
        """A group call."""
        self.cluster.group(USER, account, **traits)
        return self._passed()

    def limit(self, account: str | None = None) -> Told:
        """Something that accounts will be asked about; without ``account`` it says none."""
        self.cluster.track("limit", userId=USER, context={"groupId": account} if account else None)
        return self._passed()

    def trim(self) -> Told:
        """What came so far leaves the topic."""
        self.cluster.trim()
        return self

    def counted(self, *lines: bytes) -> dict[str, int]:
        """What each account has when all is backfilled; ``lines`` are of files."""
        cluster = self.cluster
        for number in range(2):
            cluster.open(number, OF_ACCOUNTS)
        if lines:
            cluster.backfill_files(list(lines))
        else:
            cluster.backfill()
        cluster.settle()
        counted = {name: len(cluster.times(name, account=True)) for name in ("acme", "bolt")}
        return {name: count for name, count in counted.items() if count}

    def _passed(self) -> Told:
        self.cluster.settle()
        self.cluster.now_ms += 1_000
        return self


def test_a_repeated_group_call_takes_nothing_from_before_it() -> None:
    """The call that made the user a member has left the topic; the state knows that it was there."""
    assert Told().group("acme").trim().limit().group("acme").limit().counted() == {"acme": 2}


def test_what_came_before_the_first_group_call_is_of_no_account() -> None:
    """Whether the topic still has its beginning or not."""
    assert Told().limit().group("acme").limit().counted() == {"acme": 1}
    assert Told().trim().limit().group("acme").limit().counted() == {"acme": 1}
    told = Told()
    told.cluster.track("limit", userId="user-2")
    assert told.limit().trim().limit().group("acme").limit().counted() == {"acme": 1}


def test_who_goes_to_another_account_was_in_the_one_before() -> None:
    """Though the user is in two accounts now, or has left the first."""
    assert Told().group("acme").trim().limit().group("bolt").limit().counted() == {"acme": 1, "bolt": 1}
    left = Told().group("acme").trim().limit().group("bolt").group("acme", remove=True).limit()
    assert left.counted() == {"acme": 1, "bolt": 1}


def test_who_leaves_an_account_does_nothing_for_it_any_more() -> None:
    """As the engine has it; who left a second time was not in it."""
    assert Told().group("acme").limit().group("acme", remove=True).limit().counted() == {"acme": 1}
    assert Told().group("acme").trim().limit().group("acme", remove=True).limit().counted() == {"acme": 1}
    assert Told().limit().group("acme", remove=True).limit().counted() == {}


def test_who_comes_back_was_gone_meanwhile() -> None:
    """The state knows the last time that the user joined; the topic has the leaving."""
    told = Told().group("acme").trim().limit().group("acme", remove=True).limit().group("acme").limit()
    assert told.counted() == {"acme": 2}


def test_of_several_accounts_it_is_known_which_one_was_the_present() -> None:
    """Though the calls that made it so have left the topic, and another one is the present one now."""
    told = Told().group("acme").group("bolt").trim().limit().limit("acme").limit()
    assert told.counted() == {"acme": 2, "bolt": 1}


def test_acting_for_an_account_counts_also_where_nobody_asks_about_the_event() -> None:
    """An event that only users are asked about says which of two accounts the user acts for."""
    both = Workspace.model_validate(
        {"name": "w", "journeys": [*OF_ACCOUNTS.journeys, asking("7d", "seen").journeys[0]]}
    )
    told = Told().group("acme").group("bolt")
    told.cluster.track("seen", userId=USER, context={"groupId": "acme"})
    told.limit()
    for number in range(2):
        told.cluster.open(number, both)
    told.cluster.backfill()
    told.cluster.settle()
    assert len(told.cluster.times("acme", account=True)) == 1


def test_who_has_one_account_acts_for_it_without_a_word() -> None:
    """So a late group call of another makes that the present one, in the engine as here."""
    told = Told().group("acme").limit("acme")
    late_ms = told.cluster.now_ms - 1_500
    told.cluster.send("product-events", USER, line(9, late_ms, userId=USER, type="group", groupId="bolt"))
    assert told.limit().counted() == {"acme": 1, "bolt": 1}


def test_files_know_the_account_of_what_stands_before_a_repeated_call() -> None:
    """The engine never saw the call that the files have; the one in the topic repeats it."""
    told = Told().limit().group("acme").limit()
    joined = line(1, told.cluster.now_ms - DAY, userId=USER, type="group", groupId="acme")
    assert told.counted(joined) == {"acme": 2}
