"""Messages that wait at the gate, in a whole engine: accounts that are asked, merges, erasure, withdrawal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from tests.unit.core.kit import journey, plan_of
from tests.unit.identity.kit import DAY, HOUR, NOW, Cluster
from workers.cli.suppressions import entry, read_people
from workers.core.engaged import address_hash
from workers.core.gate.held import HELD_MAX_BYTES, HeldRequests, merge_held
from workers.core.gate.verdict import GRANT_VALID_MS
from workers.state import ENGAGEMENT, GRANTS, HELD_REQUESTS
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable

NIGHT = NOW + 13 * HOUR
"""22:20 in UTC, where NOW is 09:20."""
QUIET = [{"from": "22:00", "to": "08:00", "channel": ["in_app", "email"]}]
PEOPLE = ("ada", "bob", "cyd")


def team(**fields: Any) -> dict[str, Any]:
    """A journey of accounts that an upgrade ends."""
    return journey(
        "team",
        subject="account",
        recipients={"role": "owner", "limit": 5},
        tags=["expansion"],
        exit=[{"when": {"event": "upgraded"}}],
        **fields,
    )


def cluster_of(*journeys: dict[str, Any], people: Iterable[str] = PEOPLE, **messages: Any) -> Cluster:
    """An engine whose people all own the account acme."""
    cluster = Cluster(plan=plan_of(*journeys, **messages))
    for person in people:
        cluster.identify(person, email=f"{person}@example.com")
        cluster.group(person, "acme", role="owner")
    cluster.settle()
    return cluster


def sends(cluster: Cluster) -> list[tuple[str, str | None]]:
    """Outcome and reason of the decisions on messages to people, in no order."""
    decisions = [one for one in cluster.of("decisions") if one.kind == "send" and one.subject_type == "user"]
    return sorted((one.outcome, one.reason or "") for one in decisions)


def over_night(cluster: Cluster) -> None:
    """Ten hours, in which whatever is due happens when it is."""
    for _ in range(20):
        cluster.later(HOUR // 2)


def exists(cluster: Cluster) -> bool:
    """Whether anybody's message is held."""
    return any(cluster.row(HELD_REQUESTS, person) is not None for person in PEOPLE)


def test_what_an_account_asks_for_at_night_goes_out_in_the_morning() -> None:
    """To each member at their own minute, with one decision that says so."""
    cluster = cluster_of(team(), quiet_hours=QUIET)
    cluster.now_ms = NIGHT
    cluster.track("limit", userId="ada")
    cluster.settle()
    assert sends(cluster) == [("defer", "quiet_hours")] * 3
    cluster.later(9 * HOUR)
    assert cluster.messages() == []
    cluster.later(2 * HOUR)
    assert {one.person for one in cluster.messages()} == set(PEOPLE)
    assert sends(cluster) == [("defer", "quiet_hours")] * 3 + [("send", "")] * 3
    assert not exists(cluster)


def test_who_upgrades_over_night_gets_nothing_in_the_morning() -> None:
    """The account has left its journey: what is held for its members is dropped."""
    cluster = cluster_of(team(), quiet_hours=QUIET)
    cluster.now_ms = NIGHT
    cluster.track("limit", userId="ada")
    cluster.settle()
    cluster.track("upgraded", userId="bob")
    over_night(cluster)
    assert cluster.messages() == []
    assert [one for one in sends(cluster) if one[0] == "drop"] == [("drop", "withdrawn")] * 3
    assert not exists(cluster)


def test_a_request_that_an_exit_overtakes_is_withdrawn() -> None:
    """The member's partition stands still; when it reads the request, the account has left."""
    cluster = cluster_of(team(), people=("ada",))
    mine, theirs = (partition_of(one, 3) for one in (b"ada", b"acme"))
    assert mine != theirs, "else nothing would be on its way"
    cluster.track("limit", userId="ada")
    cluster.turn(mine)
    cluster.turn(theirs)
    cluster.turn(theirs)
    cluster.now_ms += HOUR
    cluster.track("upgraded", userId="ada")
    cluster.turn(mine, topics=("product-events",))
    cluster.turn(theirs)
    cluster.settle()
    assert cluster.messages() == []
    assert sends(cluster) == [("drop", "withdrawn")]


def test_a_journey_that_came_to_its_end_withdraws_nothing() -> None:
    """Its last message may be held for days, and is still meant."""
    cluster = cluster_of(team(), quiet_hours=QUIET, max_hold="6d")
    cluster.now_ms = NIGHT
    cluster.track("limit", userId="ada")
    over_night(cluster)
    assert len(cluster.messages()) == 3


def test_a_change_that_ends_the_journey_withdraws_what_is_held() -> None:
    """As an event would, also after the journey has come to its end."""
    leaving = {**team(), "exit": [{"when": {"changed": "plan"}}]}
    cluster = cluster_of(leaving, quiet_hours=QUIET)
    cluster.group("ada", "acme", plan="starter")
    cluster.settle()
    cluster.now_ms = NIGHT
    cluster.track("limit", userId="ada")
    cluster.settle()
    cluster.group("ada", "acme", plan="pro")
    over_night(cluster)
    assert cluster.messages() == []
    assert [one for one in sends(cluster) if one[0] == "drop"] == [("drop", "withdrawn")] * 3


@pytest.mark.parametrize("on_cap", ["skip", "drop", "exit", "defer"])
def test_an_account_never_gets_more_than_its_cap(on_cap: str) -> None:
    """Three members, one instant, room for two."""
    steps = [{"send": {"in_app": "banner"}}, {"wait": "1h"}]
    cap = {"max": 2, "within": "1d", "of": "account", "on_cap": on_cap}
    cluster = cluster_of(journey(steps=steps), caps=[cap])
    for person in PEOPLE:
        cluster.track("limit", userId=person)
    cluster.settle()
    assert len(cluster.messages()) == 2
    others = [one for one in sends(cluster) if one[0] != "send"]
    assert others == [(on_cap, "account_cap")]
    assert len(cluster.row(GRANTS, "acme").messages) == 2
    cluster.later(2 * DAY)
    assert len(cluster.messages()) == (3 if on_cap == "defer" else 2)


def test_what_was_granted_and_not_sent_gives_its_room_back() -> None:
    """Consent is withdrawn while the account is asked."""
    cap = {"max": 1, "within": "1d", "of": "account"}
    cluster = cluster_of(journey(), caps=[cap])
    mine = partition_of(b"ada", 3)
    cluster.track("limit", userId="ada")
    cluster.turn(mine)
    cluster.turn(mine)
    cluster.identify("ada", consent=False)
    cluster.turn(mine)
    cluster.settle()
    assert sends(cluster) == [("skip", "no_consent")]
    assert cluster.row(GRANTS, "acme") is None
    cluster.track("limit", userId="bob")
    cluster.settle()
    assert [one.person for one in cluster.messages()] == ["bob"]


def test_a_grant_that_is_old_when_it_comes_is_asked_for_again() -> None:
    """The person's partition stood still for an hour: what the account said then says nothing of now."""
    cap = {"max": 1, "within": "1d", "of": "account"}
    cluster = cluster_of(journey(), caps=[cap])
    mine = partition_of(b"ada", 3)
    cluster.track("limit", userId="ada")
    cluster.turn(mine)
    cluster.turn(mine)
    for number in {0, 1, 2} - {mine}:
        cluster.turn(number)
    cluster.now_ms += GRANT_VALID_MS + 1
    cluster.settle()
    (message,) = cluster.messages()
    assert message.requested_at_ms == cluster.now_ms
    assert len(cluster.row(GRANTS, "acme").messages) == 1


def test_members_of_a_held_out_account_are_decided_and_get_nothing() -> None:
    """What they would have had is known one by one, as of those who are treated."""
    cluster = cluster_of(team(holdout="100%"))
    cluster.track("limit", userId="ada")
    cluster.settle()
    assert cluster.messages() == []
    assert sends(cluster) == [("would_send", "")] * 3


def test_merged_people_have_one_count_and_one_held_message() -> None:
    """Two ids with two messages each are one person with four; what both wait for comes once."""
    solo = journey(entry={"on": {"event": "solo"}, "again": "always"})
    cluster = cluster_of(solo, team(), quiet_hours=QUIET, caps=[{"max": 2, "within": "7d"}])
    for person in ("ada", "bob"):
        cluster.track("solo", userId=person)
        cluster.settle()
    cluster.now_ms = NIGHT
    cluster.track("limit", userId="cyd")
    cluster.settle()
    cluster.alias("ada", "bob")
    cluster.settle()
    assert cluster.row(HELD_REQUESTS, "ada") is None
    assert len(cluster.row(HELD_REQUESTS, "bob").requests) == 1
    over_night(cluster)
    assert sorted(one.person for one in cluster.messages()) == ["ada", "bob", "cyd"]
    assert ("skip", "cap") in sends(cluster)


def test_erasure_takes_held_messages_and_their_timers() -> None:
    """Nothing of the person wakes in the morning."""
    cluster = cluster_of(team(), quiet_hours=QUIET, people=("ada",))
    cluster.now_ms = NIGHT
    cluster.track("limit", userId="ada")
    cluster.settle()
    assert exists(cluster)
    cluster.erase("ada")
    cluster.settle()
    assert not exists(cluster)
    assert [one for one in cluster.waiting().values() if one.subject == "ada"] == []
    cluster.later(DAY)
    assert cluster.messages() == []


def test_an_erased_persons_grant_goes_back() -> None:
    """The answer finds nobody, and the account counts nothing."""
    cap = {"max": 1, "within": "30d", "of": "account"}
    cluster = cluster_of(journey(), caps=[cap], people=("ada", "bob"))
    mine = partition_of(b"ada", 3)
    cluster.track("limit", userId="ada")
    cluster.turn(mine)
    cluster.turn(mine)
    cluster.erase("ada")
    cluster.turn(mine, topics=("scheduler",))
    cluster.settle()
    assert cluster.messages() == []
    assert cluster.row(GRANTS, "acme") is None


def test_a_list_closes_a_channel_and_opens_it_again() -> None:
    """As `brimful suppression` writes it; with an address only for that address."""
    cluster = cluster_of(journey(steps=[{"send": {"email": "mail"}}]), people=("ada",))

    def told(address: str, *, suppressed: bool) -> None:
        record = entry("esp", "email", "ada", address, cluster.now_ms, suppressed=suppressed)
        assert "ada@" not in wire.encode(record).decode()
        cluster.send("scheduler", "ada", wire.encode(record))
        cluster.track("limit", userId="ada")
        cluster.settle()

    told("old@example.com", suppressed=True)
    told("ADA@example.com", suppressed=True)
    told("", suppressed=False)
    assert sends(cluster) == [("send", ""), ("send", ""), ("skip", "suppressed")]


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("bounced", "suppressed"),
        ("complained", "suppressed"),
        ("unsubscribed", "no_consent"),
        ("opened", ""),
        ("soft_bounced", ""),
        ("deferred", ""),
    ],
)
def test_engagement_closes_channels(kind: Any, outcome: str) -> None:
    """A bounce the address, a complaint the channel; to unsubscribe takes consent away."""
    cluster = cluster_of(journey(steps=[{"send": {"email": "mail"}}]), people=("ada",))
    one = wire.Engagement(id="e", type=kind, person="ada", message_id="m", channel="email", at_ms=NOW)
    cluster.send("engagement", "ada", wire.encode(one))
    cluster.settle()
    cluster.track("limit", userId="ada")
    cluster.settle()
    assert [reason for _, reason in sends(cluster)] == [outcome]
    suppressed = cluster.row(ENGAGEMENT, "ada").suppressed
    addresses = {"bounced": address_hash("ada@example.com"), "complained": None}
    assert {key: held.address for key, held in suppressed.items()} == (
        {f"email:{kind}": addresses[kind]} if kind in addresses else {}
    )


def test_a_bounce_closes_the_address_that_it_names() -> None:
    """The person may have given another one since."""
    cluster = cluster_of(journey(steps=[{"send": {"email": "mail"}}]), people=("ada",))
    old = address_hash("old@example.com")
    one = wire.Engagement(
        id="e", type="bounced", person="ada", message_id="m", channel="email", at_ms=NOW, address=old
    )
    cluster.send("engagement", "ada", wire.encode(one))
    cluster.settle()
    cluster.track("limit", userId="ada")
    cluster.settle()
    assert [reason for _, reason in sends(cluster)] == [""]
    assert cluster.row(ENGAGEMENT, "ada").suppressed["email:bounced"].address == old


def test_people_of_a_list_are_read_with_their_addresses() -> None:
    """One a line; a line that says more is refused with its number."""
    assert list(read_people(["ada", "", "bob, b@example.com"])) == [("ada", ""), ("bob", "b@example.com")]
    with pytest.raises(Exception, match="line 2"):
        list(read_people(["ada", "a,b,c"]))


def test_requests_are_held_up_to_a_size() -> None:
    """And two rows that are merged keep what either holds, each under the new id."""
    context = wire.MessageContext(user={}, account={}, event={"text": "x" * HELD_MAX_BYTES})
    record = wire.MessageRequest(
        id="r", request="q", subject="ada", account="acme", journey="team", version="v", enrollment="e",
        step="0", message=wire.RequestedMessage(channel="in_app", template="banner", tags=[]),
        context=context, at_ms=NOW,
    )  # fmt: skip
    assert not HeldRequests().has_room(record)
    merged = merge_held(HeldRequests(), HeldRequests({"q": wire.encode(record)}), "bob")
    assert b'"subject":"bob"' in merged.requests["q"]
