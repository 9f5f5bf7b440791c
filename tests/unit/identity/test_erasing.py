"""A person who asks to be forgotten, and the person next to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, HOUR, NOW, Cluster
from workers.identity.erasing import MARK_KEPT_MS
from workers.state import ERASED
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = {"performed": "limit", "at_least": 1, "within": "21d"}
WAITING = journey(
    "waiting",
    entry={"on": {"event": "limit"}, "require": [WINDOW], "again": "always"},
    steps=[{"send": {"in_app": "banner"}}, {"wait": "1d"}, {"send": {"email": "letter"}}],
)
OF_ACCOUNTS = journey("expansion", subject="account", entry={"on": {"event": "limit"}, "require": [WINDOW]})
PERSON, VISITOR, FORMER, NEIGHBOUR = "user-1", "visitor-1", "former-1", "user-10"


def lived() -> Cluster:
    """A person with traits, windows, a running journey, an account and former ids; and their neighbour."""
    cluster = Cluster(WAITING, OF_ACCOUNTS)
    for person in (PERSON, NEIGHBOUR):
        cluster.identify(person, email=f"{person}@example.com", role="owner")
        cluster.group(person, "acme", role="owner")
        cluster.track("limit", userId=person)
        opened = wire.Engagement(
            id="e", type="opened", person=person, message_id="m", channel="email", at_ms=NOW
        )
        cluster.send("engagement", person, wire.encode(opened))
    cluster.identify(PERSON, VISITOR)
    cluster.alias(FORMER, PERSON)
    cluster.settle()
    return cluster


@pytest.mark.parametrize("named", [PERSON, VISITOR, FORMER])
def test_nothing_that_names_the_person_is_left(named: str) -> None:
    """Whichever of their ids they are asked for by: rows, timers, memberships, words where an id went."""
    cluster = lived()
    assert len(cluster.mentions(f"{PERSON}@")) == 1
    cluster.erase(named)
    cluster.settle()
    for one in (PERSON, VISITOR, FORMER):
        assert cluster.tables_of(one) == set()
    for text in (VISITOR, FORMER, f"{PERSON}@"):
        assert cluster.mentions(text) == []
    assert {told.subject for told in cluster.waiting().values()} <= {NEIGHBOUR, "acme"}
    assert cluster.profile("acme", account=True).members == {NEIGHBOUR: "owner"}


def test_the_person_next_to_them_is_untouched() -> None:
    """Row for row, also where one id is the beginning of the other."""
    cluster, undisturbed = lived(), lived()
    cluster.erase(PERSON)
    cluster.settle()
    for table in ("activity", "progress", "profile"):
        assert getattr(cluster, table)(NEIGHBOUR) == getattr(undisturbed, table)(NEIGHBOUR)
    cluster.later(DAY)
    assert [one.person for one in cluster.messages() if one.channel == "email"] == [NEIGHBOUR]


def test_every_place_answers_and_names_the_others() -> None:
    """Who waits for the end of an erasure knows how many answers there must be."""
    cluster = lived()
    cluster.erase(PERSON)
    cluster.settle()
    answers = [one for one in cluster.of("identity") if isinstance(one, wire.PersonErased)]
    assert {(one.subject, one.place, one.account) for one in answers} == {
        (PERSON, "state", None),
        (VISITOR, "state", None),
        (FORMER, "state", None),
        (PERSON, "account", "acme"),
    }
    (whole,) = (one for one in answers if one.subject == PERSON and one.place == "state")
    assert (set(whole.ids), whole.accounts) == ({VISITOR, FORMER}, ["acme"])
    assert whole.rows >= 5
    assert {one.request for one in answers} == {"r"}


def test_the_senders_are_told_by_records_without_a_value() -> None:
    """In each channel's topic, behind all that was sent to the person."""
    cluster = lived()
    cluster.erase(PERSON)
    cluster.settle()
    for topic in ("messages.email", "messages.in_app"):
        held = cluster.log[topic, partition_of(PERSON.encode(), 3)]
        assert [record.value for record in held if record.key == PERSON.encode()][-1] is None


def test_an_account_can_be_named_that_the_person_does_not_name() -> None:
    """The account's row lists them, their own row was lost."""
    cluster = lived()
    cluster.rows[partition_of(PERSON.encode(), 3)].pop(b"a" + PERSON.encode())
    cluster.erase(PERSON, accounts=["acme"])
    cluster.settle()
    assert cluster.profile("acme", account=True).members == {NEIGHBOUR: "owner"}


def test_what_happened_before_brings_nobody_back() -> None:
    """Late events, a request of an account, an entry on its way: dropped, and nothing is recorded of them."""
    cluster = lived()
    before = cluster.now_ms
    cluster.later(HOUR)
    cluster.erase(PERSON)
    cluster.settle()
    decisions = len(cluster.of("decisions"))
    cluster.now_ms, later = before, cluster.now_ms
    cluster.track("limit", userId=PERSON)
    cluster.identify(PERSON, email="again@example.com")
    cluster.now_ms = later + HOUR
    request = wire.MessageRequest(
        id="q",
        request="q",
        subject=PERSON,
        account="acme",
        journey="expansion",
        version="v",
        enrollment="e",
        step="0",
        message=wire.RequestedMessage(channel="in_app", template="banner", tags=[]),
        context=wire.MessageContext(user={}, account={}, event={}),
        at_ms=before,
    )
    cluster.send("scheduler", PERSON, wire.encode(request))
    cluster.settle()
    assert cluster.tables_of(PERSON) == set()
    assert len(cluster.of("decisions")) == decisions
    assert cluster.registry.get_sample_value("brimful_events_total", {"outcome": "erased"}) == 2


def test_who_comes_back_later_is_somebody_new() -> None:
    """Without `suppress` an erasure is not a ban."""
    cluster = lived()
    cluster.erase(PERSON)
    cluster.settle()
    cluster.later(HOUR)
    cluster.track("limit", userId=PERSON)
    cluster.settle()
    assert cluster.times(PERSON) == [cluster.now_ms]
    assert cluster.profile(PERSON).traits == {}


def test_a_suppressed_person_stays_away_until_the_time_is_over() -> None:
    """Nothing is counted and nobody is built up anew; afterwards the mark itself goes."""
    cluster = lived()
    cluster.erase(PERSON, suppress_until_ms=NOW + 90 * DAY)
    cluster.later(60 * DAY)
    cluster.track("limit", userId=PERSON)
    cluster.settle()
    assert cluster.tables_of(PERSON) == set()
    cluster.later(31 * DAY)
    cluster.track("limit", userId=PERSON)
    cluster.settle()
    assert cluster.times(PERSON) == [cluster.now_ms]


def test_the_mark_of_an_erased_person_names_nobody_and_goes() -> None:
    """Its key is a keyed hash; it is removed when nothing of before can come any more."""
    cluster = lived()
    cluster.erase(PERSON)
    cluster.settle()
    marks = [key for rows in cluster.rows for key in rows if key.startswith(ERASED.prefix)]
    assert len(marks) == 3
    assert all(len(key) == 17 for key in marks)
    cluster.later(MARK_KEPT_MS)
    assert not [key for rows in cluster.rows for key in rows if key.startswith(ERASED.prefix)]


def _merge_under_way(cluster: Cluster) -> None:
    cluster.identify(PERSON, "visitor-2")
    cluster.turn(partition_of(PERSON.encode(), 3))


def _chain_under_way(cluster: Cluster) -> None:
    cluster.identify("user-5", "visitor-2")
    cluster.settle()
    cluster.alias("user-5", PERSON)
    cluster.turn(partition_of(PERSON.encode(), 3), topics=("product-events",))


@pytest.mark.parametrize("begin", [_merge_under_way, _chain_under_way])
@pytest.mark.parametrize("one_by_one", [True, False])
def test_an_erasure_reaches_ids_that_are_still_on_their_way(
    begin: Callable[[Cluster], None], one_by_one: bool
) -> None:
    """Rows of a merge under way are dropped where they arrive, and the ids in them are erased too."""
    cluster = lived()
    cluster.track("limit", anonymousId="visitor-2")
    cluster.track("limit", userId="user-5")
    cluster.settle()
    begin(cluster)
    cluster.erase(PERSON)
    cluster.settle(1 if one_by_one else 10**9)
    assert cluster.tables_of("visitor-2") == set()
    assert cluster.tables_of(PERSON) == set()
    assert begin is _merge_under_way or cluster.tables_of("user-5") == set()
    assert cluster.mentions(f"{PERSON}@") == []


def test_erasing_again_and_erasing_a_stranger_are_answered_alike() -> None:
    """A request may be repeated, and may name somebody who was never here."""
    cluster = lived()
    for person in (PERSON, PERSON, "nobody"):
        cluster.erase(person)
        cluster.settle()
    answers = [one for one in cluster.of("identity") if isinstance(one, wire.PersonErased)]
    assert [one.rows for one in answers if one.subject == "nobody"] == [0]


def test_somebody_known_is_not_erased_with_who_was_taken_for_them() -> None:
    """A merge that was refused leaves two people, and one request to erase erases one of them."""
    cluster = lived()
    cluster.identify(PERSON, NEIGHBOUR)
    cluster.identify(NEIGHBOUR, "visitor-9")
    cluster.settle()
    neighbours = cluster.root(NEIGHBOUR)
    cluster.erase("nobody")
    cluster.settle()
    assert cluster.activity(neighbours) is not None
