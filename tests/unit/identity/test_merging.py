"""Two ids that turn out to be one person, case by case."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, HOUR, NOW, Cluster
from workers.core.activity.acted_for import ActedFor
from workers.core.activity.row import Activity
from workers.core.consent import Consents
from workers.core.devices import Devices
from workers.core.engaged import EngagementRow
from workers.core.gate.held import HeldRequests
from workers.core.journeys.progress import Progress
from workers.identity import places
from workers.state import ENGAGEMENT, Identity, Profile
from workers.stream.partitioner import partition_of

WINDOW = {"performed": "limit", "at_least": 3, "within": "21d"}
COUNTING = journey("counting", entry={"on": {"event": "limit"}, "require": [WINDOW]})
WAITING = journey(
    "waiting",
    entry={"on": {"event": "limit"}, "require": [{**WINDOW, "at_least": 1}], "again": "always"},
    steps=[{"send": {"in_app": "banner", "once": "user"}}, {"wait": "1d"}, {"send": {"email": "letter"}}],
)
OF_ACCOUNTS = journey(
    "expansion",
    subject="account",
    recipients={"role": ["owner", "admin"], "limit": 5},
    entry={"on": {"event": "limit"}, "require": [{**WINDOW, "at_least": 1}], "again": "always"},
)
VISITOR, USER, OTHER = "visitor-1", "user-1", "user-2"


def test_the_ids_of_these_tests_live_in_different_partitions() -> None:
    """Else nothing would have to be handed over."""
    assert len({partition_of(one.encode(), 3) for one in (VISITOR, USER)}) == 2


def test_what_a_visitor_did_counts_for_the_user_they_turn_out_to_be() -> None:
    """Also what happened between the identify call and the handing over; and nothing stays behind."""
    cluster = Cluster(COUNTING)
    cluster.track("limit", anonymousId=VISITOR)
    cluster.settle()
    cluster.identify(USER, VISITOR)
    cluster.track("limit", anonymousId=VISITOR)
    cluster.settle()
    cluster.track("limit", userId=USER, anonymousId=VISITOR)
    cluster.settle()
    assert cluster.times(USER) == [NOW] * 3
    assert [one.person for one in cluster.messages()] == [USER]
    assert cluster.tables_of(VISITOR) == {"identities"}


def test_a_merge_by_itself_starts_nothing() -> None:
    """Three in the window are enough for an entry; that the third came by a merge is no event."""
    cluster = Cluster(COUNTING)
    for _ in range(2):
        cluster.track("limit", anonymousId=VISITOR)
    cluster.track("limit", userId=USER)
    cluster.settle()
    before = len(cluster.of("decisions"))
    cluster.identify(USER, VISITOR)
    cluster.settle()
    assert len(cluster.times(USER)) == 3
    assert len(cluster.of("decisions")) == before
    assert cluster.messages() == []


def test_a_late_event_of_the_visitor_counts_once_for_the_user() -> None:
    """However often it comes, and though it is another partition's by now."""
    cluster = Cluster(COUNTING)
    cluster.identify(USER, VISITOR)
    cluster.settle()
    late = cluster.track("limit", anonymousId=VISITOR)
    cluster.produce(late)
    cluster.settle()
    cluster.produce(late)
    cluster.settle()
    assert cluster.times(USER) == [NOW]


def test_a_repeated_event_never_overtakes_the_merge_that_knows_it() -> None:
    """The user's partition reads events before anything else, and still counts what was counted once."""
    cluster = Cluster(COUNTING)
    first = cluster.track("limit", anonymousId=VISITOR)
    cluster.identify(USER, VISITOR)
    theirs, mine = (partition_of(one.encode(), 3) for one in (VISITOR, USER))
    cluster.turn(theirs)
    cluster.turn(mine, topics=("product-events",))
    cluster.turn(theirs, topics=("scheduler",))
    cluster.produce(first)
    cluster.turn(theirs, topics=("product-events",))
    for topic in ("product-events", "scheduler"):
        cluster.turn(mine, topics=(topic,))
    cluster.settle()
    assert cluster.times(USER) == [NOW]


def test_the_same_pair_is_asked_for_once() -> None:
    """SDKs send identify at every page; a known pair costs a look-up and no record."""
    cluster = Cluster(COUNTING)
    for _ in range(3):
        cluster.identify(USER, VISITOR)
        cluster.settle()
    assert len([one for one in cluster.of("scheduler") if isinstance(one, wire.MergeRequest)]) == 1
    assert len(cluster.of("identity")) == 1


def test_on_a_shared_device_history_stays_and_what_comes_goes_to_who_identified_last() -> None:
    """As Braze has it: the next user gets the device's new events, and never those of the one before."""
    cluster = Cluster(COUNTING)
    for user in (USER, OTHER, USER):
        cluster.track("limit", anonymousId=VISITOR)
        cluster.settle()
        cluster.identify(user, VISITOR)
        cluster.settle()
    cluster.track("limit", anonymousId=VISITOR)
    cluster.settle()
    assert (len(cluster.times(USER)), len(cluster.times(OTHER))) == (3, 1)
    assert cluster.identity(USER).sources == [VISITOR]
    assert cluster.identity(OTHER).sources == []


def test_an_id_that_comes_by_two_ways_stays_the_persons() -> None:
    """Word that it left one id arrives after it came by another: both are the same person by then."""
    cluster = Cluster(COUNTING)
    cluster.alias(VISITOR, OTHER)
    cluster.settle()
    cluster.identify(USER, VISITOR)
    cluster.settle()
    cluster.alias(OTHER, USER)
    cluster.settle()
    released = wire.Released(id="r", subject=OTHER, source=VISITOR, into=USER, at_ms=NOW)
    cluster.send("scheduler", OTHER, wire.encode(released))
    cluster.settle()
    assert set(cluster.identity(USER).sources) == {VISITOR, OTHER}


def test_identify_does_not_merge_somebody_who_is_known() -> None:
    """An anonymousId that is really a user's id is a producer's mistake: two people must not become one."""
    cluster = Cluster(COUNTING)
    cluster.identify(OTHER, VISITOR)
    cluster.track("limit", userId=OTHER)
    cluster.settle()
    cluster.identify(USER, OTHER)
    cluster.settle()
    assert cluster.root(OTHER) == OTHER
    assert cluster.times(OTHER) == [NOW]
    assert cluster.identity(USER) == Identity()


def test_an_alias_merges_two_known_users() -> None:
    """It says so explicitly; with all ids that either had."""
    cluster = Cluster(COUNTING)
    cluster.identify(OTHER, VISITOR)
    cluster.track("limit", userId=OTHER)
    cluster.settle()
    cluster.alias(OTHER, USER)
    cluster.settle()
    cluster.track("limit", anonymousId=VISITOR)
    cluster.settle()
    assert len(cluster.times(USER)) == 2
    assert set(cluster.identity(USER).sources) == {VISITOR, OTHER}


@pytest.mark.parametrize("together", [True, False])
def test_two_ids_that_are_each_said_to_be_the_other_end_as_one(together: bool) -> None:
    """At the same moment, or one after the other: no record goes round for ever, nothing is counted twice."""
    cluster = Cluster(COUNTING)
    cluster.track("limit", userId=USER)
    cluster.track("limit", userId=OTHER)
    cluster.settle()
    cluster.alias(USER, OTHER)
    if not together:
        cluster.settle()
    cluster.alias(OTHER, USER)
    cluster.settle()
    root = cluster.root(USER)
    assert cluster.root(OTHER) == root
    assert cluster.times(root) == [NOW, NOW]


def test_an_id_is_not_merged_into_itself() -> None:
    """Segment's libraries alias a user to itself now and then."""
    cluster = Cluster(COUNTING)
    cluster.alias(USER, USER)
    cluster.identify(USER, USER)
    cluster.settle()
    assert cluster.identity(USER) == Identity()


def test_a_running_journey_goes_on_under_the_new_id() -> None:
    """Its timer moves, the ids of its messages do not; the letter goes to the user's address, once."""
    cluster = Cluster(WAITING)
    cluster.track("limit", anonymousId=VISITOR)
    cluster.settle()
    (before,) = cluster.progress(VISITOR).enrollments  # type: ignore[union-attr]
    cluster.later(HOUR)
    cluster.identify(USER, VISITOR, email="u@example.com")
    cluster.settle()
    (after,) = cluster.progress(USER).enrollments  # type: ignore[union-attr]
    assert after == before
    assert {told.subject for told in cluster.waiting().values()} == {USER}
    cluster.later(DAY)
    assert [(one.template, one.person, one.to) for one in cluster.messages() if one.channel == "email"] == [
        ("letter", USER, "u@example.com")
    ]
    assert cluster.waiting() == {}


def test_who_was_in_a_journey_under_both_ids_goes_on_in_the_one_entered_first() -> None:
    """The other ends without a decision; each message of it that is still to come would be one too many."""
    cluster = Cluster(WAITING)
    cluster.track("limit", anonymousId=VISITOR)
    cluster.settle()
    cluster.later(HOUR)
    cluster.produce({"type": "identify", "userId": USER, "traits": {"email": "u@example.com"}})
    cluster.track("limit", userId=USER)
    cluster.settle()
    decisions = len(cluster.of("decisions"))
    cluster.identify(USER, VISITOR)
    cluster.settle()
    assert len(cluster.of("decisions")) == decisions
    first, second = cluster.progress(USER).enrollments  # type: ignore[union-attr]
    assert (first.is_active, first.entered_at_ms) == (True, NOW)
    assert (second.end_reason, second.timer_id) == ("merged", None)
    cluster.later(2 * DAY)
    assert len([one for one in cluster.messages() if one.channel == "email"]) == 1


def test_what_either_id_received_counts_for_once() -> None:
    """The visitor saw the banner that may be seen once: the user does not see it again."""
    cluster = Cluster(WAITING)
    cluster.track("limit", anonymousId=VISITOR)
    cluster.settle()
    cluster.later(2 * DAY)
    cluster.identify(USER, VISITOR)
    cluster.settle()
    cluster.track("limit", userId=USER)
    cluster.settle()
    assert len([one for one in cluster.messages() if one.channel == "in_app"]) == 1


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_an_account_messages_a_person_once_however_many_ids_they_had(when: str) -> None:
    """Both ids are members; the merge comes before the request, while it is on its way, or after it."""
    cluster = Cluster(OF_ACCOUNTS)
    for one in ({"anonymousId": VISITOR}, {"userId": USER}):
        cluster.produce({"type": "group", **one, "groupId": "acme", "traits": {"role": "owner"}})
    cluster.settle()
    if when == "before":
        cluster.identify(USER, VISITOR)
        cluster.settle()
    cluster.track("limit", userId=USER)
    account, theirs, mine = (partition_of(one.encode(), 3) for one in ("acme", VISITOR, USER))
    if when == "between":
        cluster.turn(mine, topics=("product-events",))
        for _ in range(2):
            cluster.turn(account, topics=("account-events", "scheduler"))
        cluster.identify(USER, VISITOR)
        cluster.turn(mine, topics=("product-events",))
        waiting = cluster.log["scheduler", theirs]
        asked = [at for at, one in enumerate(waiting) if b"merge_request" in (one.value or b"")]
        waiting.insert(cluster.read["scheduler", theirs], waiting.pop(asked[0]))
    cluster.settle()
    people = {one.person for one in cluster.messages()}
    if when == "after":
        assert people == {VISITOR, USER}
        cluster.identify(USER, VISITOR)
        cluster.settle()
        assert len({one.id for one in cluster.progress(USER).messages}) == 1  # type: ignore[union-attr]
    else:
        assert [one.person for one in cluster.messages()] == [USER]


def test_memberships_follow_the_merge_with_their_roles() -> None:
    """The account has one member where it had two ids; what is known of the account stays known."""
    cluster = Cluster(OF_ACCOUNTS)
    cluster.produce(
        {
            "type": "group",
            "anonymousId": VISITOR,
            "groupId": "acme",
            "traits": {"role": "owner", "plan": "pro"},
        }
    )
    cluster.group(USER, "bolt", role="admin")
    cluster.settle()
    cluster.identify(USER, VISITOR)
    cluster.settle()
    assert cluster.profile("acme", account=True).members == {USER: "owner"}
    assert cluster.profile("bolt", account=True).members == {USER: "admin"}
    assert cluster.activity(USER).accounts == ["acme", "bolt"]  # type: ignore[union-attr]


def test_an_account_that_still_names_a_merged_id_learns_of_the_new_one() -> None:
    """Whatever the order of the topics was, the next thing that the account says mends it."""
    cluster = Cluster(OF_ACCOUNTS)
    cluster.identify(USER, VISITOR)
    cluster.settle()
    facts = wire.AccountFacts(id="f", subject=VISITOR, account="acme", facts={"plan": "pro"}, at_ms=NOW)
    cluster.send("scheduler", VISITOR, wire.encode(facts))
    cluster.settle()
    moved = [one for one in cluster.of("scheduler") if isinstance(one, wire.MemberMoved)]
    assert [(one.subject, one.user, one.into) for one in moved] == [("acme", VISITOR, USER)]


def test_a_state_too_large_for_a_record_stays_where_it_is() -> None:
    """With a dead letter that says so; the person goes on under both ids, and nothing is lost."""
    cluster = Cluster(COUNTING)
    cluster.track("limit", anonymousId=VISITOR)
    for number in range(25):
        traits = {f"note-{number}": "x" * 30_000}
        cluster.produce({"type": "identify", "anonymousId": VISITOR, "traits": traits})
    cluster.settle()
    cluster.identify(USER, VISITOR)
    cluster.settle()
    ((reason, detail),) = cluster.dead
    assert reason == "too_large"
    assert "stays by itself" in detail
    assert cluster.times(VISITOR) == [NOW]
    assert cluster.root(VISITOR) == VISITOR


def test_ids_without_number_are_not_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that a whole school shares keeps the devices it has; further ones stay by themselves."""
    monkeypatch.setattr(places, "IDS_MAX", 2)
    cluster = Cluster(COUNTING)
    for number in range(4):
        cluster.identify(USER, f"device-{number}")
    cluster.settle()
    assert cluster.identity(USER).sources == ["device-0", "device-1"]
    assert cluster.registry.get_sample_value("brimful_merges_total", {"outcome": "refused"}) == 2


def test_engagement_of_a_merged_id_is_kept_of_the_person() -> None:
    """Opened before the merge and after it, under the id that the message was sent to."""
    cluster = Cluster(COUNTING)

    def opened(at_ms: int) -> None:
        one = wire.Engagement(
            id=f"e{at_ms}", type="opened", person=VISITOR, message_id="m", channel="email", at_ms=at_ms
        )
        cluster.send("engagement", VISITOR, wire.encode(one))
        cluster.settle()

    opened(NOW)
    cluster.identify(USER, VISITOR)
    cluster.settle()
    opened(NOW + 5)
    row = cluster.row(ENGAGEMENT, USER)
    assert (row.last_ms, row.count, sum(row.hours)) == ({"email:opened": NOW + 5}, {"email:opened": 2}, 2)
    assert cluster.row(ENGAGEMENT, VISITOR) is None


def test_the_next_message_goes_to_the_address_of_the_moment() -> None:
    """A changed e-mail address merges nobody; the letter of a running journey follows it."""
    cluster = Cluster(WAITING)
    cluster.identify(USER, email="old@example.com")
    cluster.identify(OTHER, email="old@example.com")
    cluster.track("limit", userId=USER)
    cluster.settle()
    cluster.identify(USER, email="new@example.com")
    cluster.settle()
    cluster.later(DAY)
    assert [one.to for one in cluster.messages() if one.channel == "email"] == ["new@example.com"]
    assert cluster.root(OTHER) == OTHER


def test_an_event_counts_for_the_account_it_names_else_for_the_latest() -> None:
    """A consultant works for two customers at once."""
    cluster = Cluster(OF_ACCOUNTS)
    cluster.group(USER, "acme")
    cluster.group(USER, "bolt")
    cluster.track("limit", userId=USER)
    cluster.track("limit", userId=USER, context={"groupId": "acme"})
    cluster.settle()
    assert len(cluster.times("acme", account=True)) == 1
    assert len(cluster.times("bolt", account=True)) == 1


def test_others_are_told_who_became_whom() -> None:
    """A warehouse joins the deliveries of both ids by this record."""
    cluster = Cluster(COUNTING)
    cluster.identify(USER, VISITOR)
    cluster.settle()
    (told,) = cluster.of("identity")
    assert (type(told), told.subject, told.into) == (wire.PersonMerged, VISITOR, USER)


ROWS: dict[type[Any], set[str]] = {
    Activity: {"windows", "accounts", "seen_since_ms", "seen", "seen_before", "acted_ms"},
    Profile: {"traits", "accounts", "members", "account_segments", "joined"},
    Progress: {
        "subject",
        "enrollments",
        "entered",
        "messages",
        "converted",
        "once",
        "keys",
        "left",
        "withheld",
        "waiting",
        "shadows",
    },
    Consents: {"choices"},
    EngagementRow: {"last_ms", "count", "hours", "suppressed", "seen"},
    Devices: {"devices"},
    HeldRequests: {"requests"},
    Identity: {"merged_into", "sources", "asked", "acted_for", "since"},
    ActedFor: {"turns"},
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_every_field_of_a_persons_rows_has_its_rule_for_a_merge(row: type[Any]) -> None:
    """Whoever adds one decides in `workers/core/merge.py` what two of them make, and adds it here."""
    assert {field.name for field in msgspec.structs.fields(row)} == ROWS[row]
