"""A user in several accounts: which one counts, what one account's news ends, and what leaving ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import wire
from schemas.workspace import Journey, Segment, Workspace
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, HOUR, NOW, Cluster, _moment
from workers.core.activity.row import ACCOUNTS_MAX, Activity
from workers.core.compile import compile_workspace
from workers.state import ACTED_FOR, USERS, Profile
from workers.stream.partitioner import partition_of

RICH = {"account": {"trait": "acv", "gte": 5000}}
OF_RICH = journey(entry={"on": {"event": "limit"}, "require": [RICH]})
WAITING = journey(
    "waiting",
    entry={"on": {"event": "limit"}, "again": "always"},
    exit=[{"when": {"changed": {"account": "plan"}}}],
    steps=[
        {"wait": "1d"},
        {
            "branch": [
                {"when": RICH, "steps": [{"send": {"in_app": "rich"}}]},
                {"otherwise": [{"send": {"in_app": "poor"}}]},
            ]
        },
    ],
)
USER, OTHER = "user-1", "user-2"
SMALL, LARGE = "bolt", "acme"


def in_both(*journeys: dict[str, Any]) -> Cluster:
    """The user is in a large account and, since, in a small one, which is the present one."""
    cluster = Cluster(*journeys)
    told(cluster, LARGE, acv=9000, plan="starter")
    told(cluster, SMALL, acv=10, plan="starter")
    return cluster


def told(cluster: Cluster, account: str, user: str = USER, **traits: Any) -> None:
    """A group call, and all that it brings."""
    cluster.now_ms += 1
    cluster.group(user, account, **traits)
    cluster.settle()


def limit(cluster: Cluster, account: str | None = None, user: str = USER) -> None:
    """The user reaches a limit, for an account where one is named."""
    cluster.now_ms += 1
    more: dict[str, Any] = {} if account is None else {"context": {"groupId": account}}
    cluster.track("limit", userId=user, **more)
    cluster.settle()


def ends(cluster: Cluster) -> list[tuple[str | None, str | None]]:
    """Account and reason of each end of a journey."""
    return [(one.account, one.reason) for one in cluster.of("decisions") if one.kind == "exit"]


@pytest.mark.parametrize(
    ("named", "entered"),
    [
        (LARGE, [LARGE]),  # the event's own account
        (SMALL, []),
        (None, []),  # the one acted for last
        ("somebody-elses", []),  # an account that the user is not in names nothing
    ],
)
def test_an_entry_looks_at_the_account_that_the_event_is_about(named: str | None, entered: list[str]) -> None:
    """An upgrade offer for the one company must not be decided by the size of the other."""
    cluster = in_both(OF_RICH)
    limit(cluster, named)
    assert [one.account for one in cluster.messages()] == entered


def test_an_event_of_an_account_makes_it_the_present_one() -> None:
    """What follows without a name is about the account that the user acted for last."""
    cluster = in_both(OF_RICH)
    told(cluster, LARGE, plan="starter")
    told(cluster, SMALL)
    limit(cluster, LARGE)
    assert cluster.activity(USER).accounts == [SMALL, LARGE]  # type: ignore[union-attr]


def test_an_event_that_nobody_asks_about_makes_its_account_the_present_one_too() -> None:
    """Else whom somebody acts for would change with what is published; late ones change nothing."""
    cluster = in_both(OF_RICH)
    for account, late_ms, present in (
        ("somebody-elses", 0, SMALL),
        (LARGE, HOUR, SMALL),
        (LARGE, 0, LARGE),
        (LARGE, 0, LARGE),
    ):
        cluster.now_ms += 1
        at = _moment(cluster.now_ms - late_ms)
        cluster.produce({"type": "page", "userId": USER, "timestamp": at, "context": {"groupId": account}})
        cluster.settle()
        assert cluster.activity(USER).accounts[-1] == present  # type: ignore[union-attr]
    limit(cluster)
    assert [one.account for one in cluster.messages()] == [LARGE]


def test_the_state_keeps_from_which_event_on_an_account_was_the_present_one() -> None:
    """Of who is in one account in the row that is there anyway; a row of its own begins with the next one."""
    cluster = Cluster(OF_RICH)
    number = partition_of(USER.encode(), cluster.partitions)
    began = [len(cluster.log["product-events", number])]
    told(cluster, LARGE)
    told(cluster, LARGE)
    assert cluster.profile(USER).joined == {LARGE: began[0]}
    assert cluster.row(ACTED_FOR, USER) is None
    began.append(len(cluster.log["product-events", number]))
    told(cluster, SMALL)
    limit(cluster, SMALL)
    assert cluster.profile(USER).joined == {}
    assert cluster.row(ACTED_FOR, USER).turns == [(began[0], LARGE), (began[1], SMALL)]
    for account in (SMALL, LARGE):
        began.append(len(cluster.log["product-events", number]))
        told(cluster, account, remove=True)
    assert cluster.row(ACTED_FOR, USER).turns[2:] == [(began[2], LARGE), (began[3], None)]


def test_an_enrollment_keeps_its_account_whatever_the_user_does_since() -> None:
    """The branch a day later, and its template, look at the account of the entry."""
    cluster = in_both(WAITING)
    limit(cluster, LARGE)
    limit(cluster, SMALL)
    cluster.later(2 * DAY)
    (message,) = cluster.messages()
    assert (message.template, message.account) == ("rich", LARGE)
    assert message.context.account["acv"] == 9000


def test_a_user_in_two_accounts_gets_a_journey_once() -> None:
    """Others run it once per company and send it once per company: the same person then has it twice."""
    once = journey(entry={"on": {"event": "limit"}})
    cluster = in_both(once)
    limit(cluster, LARGE)
    limit(cluster, SMALL)
    assert [one.person for one in cluster.messages()] == [USER]
    assert [one.reason for one in cluster.of("decisions") if one.outcome == "declined"] == ["again"]


def test_a_segment_looks_at_the_present_account() -> None:
    """It is entered and left when the user changes over."""
    segment = Segment.model_validate({"segment": "rich", "require": [RICH]})
    models = (Journey.model_validate(journey()),)
    cluster = Cluster(plan=compile_workspace(Workspace(name="w", journeys=models, segments=(segment,))))
    told(cluster, LARGE, acv=9000)
    told(cluster, SMALL, acv=10)
    limit(cluster, LARGE)
    assert [one.change for one in cluster.of("segments")] == ["entered", "left", "entered"]


@pytest.mark.parametrize(
    ("entered_for", "changed", "ended"),
    [(LARGE, LARGE, [(LARGE, "changed: account plan")]), (LARGE, SMALL, []), (SMALL, LARGE, [])],
)
def test_a_trait_of_an_account_ends_the_journeys_about_that_account(
    entered_for: str, changed: str, ended: list[tuple[str, str]]
) -> None:
    """An upgrade of the one company says nothing about the other; another member may have told of it."""
    cluster = in_both(WAITING)
    limit(cluster, entered_for)
    told(cluster, changed, user=OTHER, plan="pro")
    assert ends(cluster) == ended
    cluster.later(2 * DAY)
    assert len(cluster.messages()) == 1 - len(ended)
    assert cluster.waiting() == {}


def test_a_trait_that_no_exit_watches_ends_nothing() -> None:
    """Nor does the same value said again."""
    cluster = in_both(WAITING)
    limit(cluster, LARGE)
    told(cluster, LARGE, user=OTHER, plan="starter", acv=9001)
    assert ends(cluster) == []


def test_what_is_told_for_the_first_time_is_no_change() -> None:
    """Who joins an account and acts at once is enrolled before it is known what the account is like."""
    cluster = Cluster(WAITING)
    cluster.group(OTHER, LARGE, plan="pro")
    cluster.settle()
    cluster.group(USER, LARGE, seats=3)
    cluster.track("limit", userId=USER)
    cluster.settle()
    assert cluster.profile(USER).accounts == {LARGE: {"plan": "pro", "seats": 3}}
    assert ends(cluster) == []


def test_facts_that_were_only_not_told_before_are_no_change() -> None:
    """Another workspace may have more told: nothing about the account is different for that."""
    cluster = in_both(WAITING)
    limit(cluster, LARGE)
    facts = wire.AccountFacts(id="f", subject=USER, account=LARGE, facts={"plan": "pro"}, at_ms=NOW)
    cluster.send("scheduler", USER, wire.encode(facts))
    cluster.settle()
    assert ends(cluster) == []


def test_leaving_an_account_ends_its_journeys_and_the_membership() -> None:
    """A group call with ``remove: true``, as Intercom has it. What is about the other account goes on."""
    cluster = in_both(WAITING, journey("other", entry={"on": {"event": "seen"}}, steps=[{"wait": "1d"}]))
    limit(cluster, LARGE)
    cluster.track("seen", userId=USER, context={"groupId": SMALL})
    cluster.settle()
    told(cluster, LARGE, remove=True)
    assert ends(cluster) == [(LARGE, "left_account")]
    assert cluster.profile(LARGE, account=True).members == {}
    assert "remove" not in cluster.profile(LARGE, account=True).traits
    assert cluster.profile(USER).accounts.keys() == {SMALL}
    assert cluster.activity(USER).accounts == [SMALL]  # type: ignore[union-attr]
    told(cluster, LARGE, user=OTHER, plan="pro")
    assert cluster.profile(USER).accounts.keys() == {SMALL}


def test_who_leaves_before_the_enrolment_does_not_enter() -> None:
    """Between eligible and enrolled lies a moment, and what happened in it counts."""
    cluster = in_both(WAITING)
    trigger = wire.Trigger(event="limit", message_id="m", at_ms=NOW, properties={})
    eligible = wire.Eligible(
        id="e",
        journey="waiting",
        version="v",
        subject_type="user",
        subject=USER,
        account="left-by-now",
        trigger=trigger,
        evidence={},
        at_ms=NOW,
    )
    cluster.send("scheduler", USER, wire.encode(eligible))
    cluster.settle()
    assert [one.reason for one in cluster.of("decisions")] == ["left_account"]


def test_a_change_between_eligible_and_enrolled_counts() -> None:
    """The upgrade that would have ended the journey keeps it from beginning."""
    cluster = in_both(WAITING)
    trigger = wire.Trigger(event="limit", message_id="m", at_ms=NOW, properties={})
    eligible = wire.Eligible(
        id="e",
        journey="waiting",
        version="v",
        subject_type="user",
        subject=USER,
        account=LARGE,
        trigger=trigger,
        evidence={"account trait plan": "free"},
        at_ms=NOW,
    )
    cluster.send("scheduler", USER, wire.encode(eligible))
    cluster.settle()
    assert [one.reason for one in cluster.of("decisions")] == ["exited"]


def test_the_accounts_of_a_user_are_bounded() -> None:
    """The one not acted for the longest is left, and forgets the member."""
    cluster = Cluster(WAITING)
    for number in range(ACCOUNTS_MAX + 1):
        told(cluster, f"account-{number:03}")
    assert len(cluster.activity(USER).accounts) == ACCOUNTS_MAX  # type: ignore[union-attr]
    assert cluster.profile("account-000", account=True).members == {}
    assert cluster.profile("account-001", account=True).members == {USER: ""}


def test_a_late_event_does_not_change_the_present_account() -> None:
    """An SDK that was offline tells what was, not what is."""
    cluster = in_both(WAITING)
    cluster.now_ms += 2 * HOUR
    told(cluster, SMALL)
    cluster.produce(
        {
            "type": "track",
            "event": "limit",
            "userId": USER,
            "context": {"groupId": LARGE},
            "timestamp": "2026-03-14T09:30:00Z",
        }
    )
    cluster.settle()
    assert cluster.activity(USER).accounts[-1] == SMALL  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([{"a": 1}, "acme", {"plan": "pro"}, {}], Profile({"a": 1}, {"acme": {"plan": "pro"}})),
        ([{}, None, {}, {"u1": "owner"}], Profile(members={"u1": "owner"})),
        ([{}, "acme", {}, {}], Profile()),  # the account had told nothing yet
    ],
)
def test_profiles_of_one_account_are_still_read(old: list[Any], new: Profile) -> None:
    """Rows of version 1 stay until they are written again."""
    assert USERS.profiles.decode(b"\x01" + msgspec.msgpack.encode(old)) == new


def test_rows_without_the_time_of_the_last_act_are_still_read() -> None:
    """The field stands at the end of the row, and any event makes an account of theirs the present one."""
    old = msgspec.msgpack.encode([{}, ["acme"], 0, b"", b""])
    assert msgspec.msgpack.decode(old, type=Activity) == Activity(accounts=["acme"])
