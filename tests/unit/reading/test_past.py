"""For which account an event of the past counts that names none: the one that the engine had its user in."""

from __future__ import annotations

from typing import Any

from schemas.workspace import Workspace
from tests.unit.cli.backfill_kit import Changing
from tests.unit.cli.test_backfill import asking
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY
from tests.unit.reading.test_archive import line
from workers.cli.backfill import untold
from workers.core.activity.acted_for import TURNS_MAX
from workers.stream.partitioner import partition_of

USER, OTHER = "user-1", "visitor-2"  # of two partitions
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
    """A user of whom a workspace asks later for which account they did what; a second apart each.

    ``said`` is what the command says of those of whom nobody tells.
    """

    def __init__(self) -> None:
        self.cluster = Changing(asking("14d"))
        self.said: list[str] = []

    def group(self, account: str, user: str = USER, **traits: Any) -> Told:
        """A group call."""
        self.cluster.group(user, account, **traits)
        return self._passed()

    def limit(self, account: str | None = None, user: str = USER) -> Told:
        """Something that accounts will be asked about; without ``account`` it says none."""
        self.cluster.track("limit", userId=user, context={"groupId": account} if account else None)
        return self._passed()

    def acts(self, account: str) -> Told:
        """Something that nobody asks about, ever, for an account."""
        self.cluster.track("opened", userId=USER, context={"groupId": account})
        return self._passed()

    def merged(self, source: str, into: str) -> Told:
        """An id is said to be another."""
        self.cluster.alias(source, into)
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
        self.said = untold(cluster.past())
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


def test_whom_somebody_acts_for_hangs_on_no_definition() -> None:
    """So a definition that is published later finds the same as one that was there from the start."""
    told = Told().group("acme").group("bolt").acts("acme").trim().limit().acts("bolt").limit()
    assert told.counted() == {"acme": 1, "bolt": 1}


def test_what_comes_late_makes_nothing_the_present_account() -> None:
    """As the engine has it, also where what was earlier has left the topic."""
    told = Told().group("acme").group("bolt").limit("acme").trim()
    late_ms = told.cluster.now_ms - 1_500
    named = {"userId": USER, "type": "page", "context": {"groupId": "bolt"}}
    told.cluster.send("product-events", USER, line(9, late_ms, **named))
    assert told.limit().counted() == {"acme": 1}


def test_who_has_left_all_accounts_is_in_none() -> None:
    """Though every call has left the topic."""
    told = Told().group("acme").group("bolt").group("acme", remove=True).limit()
    assert told.group("bolt", remove=True).trim().limit().counted() == {}


def test_of_who_changes_without_end_the_earlier_accounts_are_not_known() -> None:
    """The state keeps the last changes; the command says for how many events and users that is."""
    told = Told().group("acme").group("bolt").limit().limit()
    for _ in range(TURNS_MAX // 2):
        told.acts("acme").acts("bolt")
    assert told.limit().counted() == {"bolt": 1}
    assert [line.partition(":")[0] for line in told.said] == ["2 event(s) of 1 user(s) count for no account"]
    told = Told().limit().group("acme").limit()
    assert told.counted() == {"acme": 1}
    assert told.said == []


def test_a_merged_id_acted_for_its_own_account_before() -> None:
    """What it joined is in the rows of the person by then."""
    assert Told().group("acme", OTHER).limit(user=OTHER).merged(OTHER, USER).counted() == {"acme": 1}
    told = Told().group("acme", OTHER).trim().limit(user=OTHER).group("bolt").merged(OTHER, USER).limit()
    assert told.counted() == {"acme": 1, "bolt": 1}
    assert Told().limit(user=OTHER).group("acme").merged(OTHER, USER).counted() == {}


def test_a_worker_that_has_just_taken_over_knows_how_far_events_have_come() -> None:
    """The merge is the first thing that it does in the partition of the id that goes."""
    told = Told().group("acme", OTHER).limit(user=OTHER).group("bolt")
    for number in range(2):
        told.cluster.open(number, asking("14d"))
    assert partition_of(USER.encode(), 2) != partition_of(OTHER.encode(), 2)
    assert told.merged(OTHER, USER).counted() == {"acme": 1}


def test_an_account_that_came_with_a_merged_id_is_the_persons_from_then_on() -> None:
    """Not before: an event of theirs counted for nobody."""
    told = Told().limit().group("acme", OTHER).merged(OTHER, USER).trim().limit()
    assert told.counted() == {"acme": 1}
    assert Told().limit().group("acme", OTHER).merged(OTHER, USER).limit().counted() == {"acme": 1}


def test_what_a_merged_id_does_is_for_the_one_account_of_the_person() -> None:
    """Of a person of several the state does not tell at which of another partition's events they changed."""
    assert Told().group("acme").merged(OTHER, USER).limit(user=OTHER).counted() == {"acme": 1}
    assert Told().merged(OTHER, USER).limit(user=OTHER).counted() == {}
    told = Told().group("acme").group("bolt").merged(OTHER, USER).limit(user=OTHER)
    assert told.counted() == {}
    assert len(told.said) == 1


def test_an_id_that_stands_for_itself_again_was_somebody_else_meanwhile() -> None:
    """Ids that are each said to be the other end as the lesser one: it has its own account back."""
    told = Told().group("acme").limit()
    told.cluster.alias(USER, OTHER)
    told.cluster.alias(OTHER, USER)
    told.cluster.settle()
    assert told.cluster.root(USER) == USER
    assert told.limit().counted() == {"acme": 2}


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
