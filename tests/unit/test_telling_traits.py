"""Large accounts tell their members their traits in turns: everybody hears what is newest, and ends by it."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.identity.kit import NOW, Cluster
from workers import telling_traits
from workers.signals import accounts
from workers.state import TRAIT_ROUNDS
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAVING = journey(
    entry={"on": {"event": "limit"}},
    steps=[{"wait": "30d"}, {"send": {"in_app": "after"}}],
    exit=[{"when": {"changed": {"account": "plan"}}}],
)
USERS = [f"u{number}" for number in range(10)]
HOME = partition_of(b"bolt", 3)


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Three members to a transaction."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(telling_traits, "TOLD_AT_ONCE", 3)
        yield


def inside(users: list[str] = USERS) -> Cluster:
    """All of them are in the account, and in the journey about it."""
    cluster = Cluster(LEAVING)
    for user in users:
        cluster.group(user, "bolt", plan="starter")
    cluster.settle()
    for user in users:
        cluster.track("limit", userId=user)
    cluster.settle()
    return cluster


def says(cluster: Cluster, number: int = 0, **traits: Any) -> None:
    """A system tells what the account is like; nothing moves yet."""
    cluster.now_ms += 1
    told = wire.AccountTraits(
        id=f"t{number}", account="bolt", traits=traits, source="billing", at_ms=cluster.now_ms
    )
    cluster.send("account-traits", "bolt", wire.encode(told))


def heard(cluster: Cluster) -> Counter[str]:
    """How often each member was told that a trait has another value."""
    records = [one for one in cluster.of("scheduler") if isinstance(one, wire.AccountFacts) and one.changed]
    return Counter(one.subject for one in records)


def known(cluster: Cluster, users: list[str] = USERS) -> list[dict[str, Any] | None]:
    """What the members' rows have of the account."""
    return [cluster.profile(user).accounts.get("bolt") for user in users]


def ended(cluster: Cluster) -> Counter[str]:
    """Who left the journey by a change of the account, how often."""
    return Counter(
        one.subject for one in cluster.of("decisions") if one.kind == "exit" and one.reason is not None
    )


def test_so_many_members_are_told_in_a_transaction_and_each_once() -> None:
    """And the journey ends for each, in the turn in which they hear of it."""
    cluster = inside()
    before = heard(cluster)
    says(cluster, plan="pro")
    for most in (3, 6, 9, 10):
        assert cluster.turn(HOME, topics=("account-traits",))
        assert (heard(cluster) - before).total() == most
        assert (cluster.row(TRAIT_ROUNDS, "bolt") is None) is (most == 10)
    cluster.settle()
    assert heard(cluster) - before == Counter(USERS)
    assert known(cluster) == [{"plan": "pro"}] * 10
    assert ended(cluster) == Counter(USERS)
    assert not any("telling" in payload.enrollment for payload in cluster.waiting().values())


def test_what_changes_meanwhile_lets_the_round_go_on_from_where_it_is() -> None:
    """Nobody who has not been told yet waits for longer; who was told before is told what is new."""
    cluster = inside()
    before = heard(cluster)
    says(cluster, 1, plan="pro")
    cluster.turn(HOME, topics=("account-traits",))
    says(cluster, 2, seats=5)
    cluster.turn(HOME, topics=("account-traits",))
    assert heard(cluster) - before == Counter(USERS[:6]), "the timer of the round went first"
    cluster.settle()
    assert heard(cluster) - before == Counter(USERS) + Counter(USERS[:6])
    assert known(cluster) == [{"plan": "pro", "seats": 5}] * 10
    assert ended(cluster) == Counter(USERS)


def test_an_account_that_changes_all_the_time_keeps_nobody_waiting() -> None:
    """In as many turns as a round has, all have heard of the first change."""
    cluster = inside()
    for number in range(4):
        says(cluster, number, plan="pro", seats=number)
        cluster.turn(HOME, topics=("account-traits",))
    assert set(heard(cluster)) >= set(USERS)
    cluster.settle()
    assert known(cluster) == [{"plan": "pro", "seats": 3}] * 10
    assert ended(cluster) == Counter(USERS)


@pytest.mark.parametrize("into", ["a-first", "zz-last"])
def test_who_gets_another_id_during_a_round_is_not_passed_over(into: str) -> None:
    """Whether the round has come by the place of the new id or not: the change ends their journey, once."""
    cluster = inside()
    before = heard(cluster)
    says(cluster, plan="pro")
    cluster.turn(HOME, topics=("account-traits",))
    cluster.alias("u9", into)
    cluster.now_ms -= 1  # so the timer of the round is not due yet, as behind a batch
    cluster.settle()
    assert into in cluster.profile("bolt", account=True).members
    assert heard(cluster) - before == Counter([*USERS[:3], into])
    cluster.now_ms += 1
    cluster.settle()
    assert known(cluster, [*USERS[:9], into]) == [{"plan": "pro"}] * 10
    assert ended(cluster) == Counter([*USERS[:9], into])


def test_who_joins_during_a_round_is_told_at_once() -> None:
    """Not only when the round comes by; what is told for the first time is no change."""
    cluster = inside()
    says(cluster, plan="pro")
    cluster.turn(HOME, topics=("account-traits",))
    cluster.group("u99", "bolt")
    cluster.turn(partition_of(b"u99", 3), topics=("product-events",))
    cluster.turn(HOME, topics=("account-events",))
    told = [one for one in cluster.of("scheduler") if isinstance(one, wire.AccountFacts)]
    assert [one.facts for one in told if one.subject == "u99"] == [{"plan": "pro"}]
    cluster.settle()
    assert known(cluster, [*USERS, "u99"]) == [{"plan": "pro"}] * 11
    assert ended(cluster) == Counter(USERS)


def test_whom_a_full_account_does_not_keep_it_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither once nor later: what is told once goes stale. When somebody leaves there is room."""
    monkeypatch.setattr(accounts, "MEMBERS_MAX", 2)
    cluster = Cluster(LEAVING)
    for user in ("u1", "u2", "u3"):
        cluster.group(user, "bolt", plan="starter")
    cluster.settle()
    cluster.group("u3", "bolt", plan="pro")
    cluster.settle()
    assert known(cluster, ["u1", "u2", "u3"]) == [{"plan": "pro"}, {"plan": "pro"}, None]
    refused = cluster.registry.get_sample_value("brimful_members_refused_total")
    assert refused == 2
    cluster.group("u1", "bolt", remove=True)
    cluster.settle()
    cluster.group("u3", "bolt")
    cluster.settle()
    assert known(cluster, ["u2", "u3"]) == [{"plan": "pro"}] * 2


@given(
    st.integers(0, 2**32), st.lists(st.sampled_from(["say", "turn", "join", "leave", "merge"]), max_size=25)
)
def test_whatever_happens_meanwhile_all_know_what_is_newest(seed: int, happens: list[str]) -> None:
    """Changes, joins, leaves and merges at any moment of a round."""
    chance, cluster, users = random.Random(seed), inside(USERS[:7]), USERS[:7]  # noqa: S311 - repeatable
    merged = set[str]()
    for number, what in enumerate(happens):
        match what:
            case "say":
                says(cluster, number, plan=f"p{number}")
            case "turn":
                cluster.turn(chance.randrange(3), chance.choice([1, 10**9]))
            case "join":
                users = [*users, f"{chance.choice('atz')}{number}"]
                cluster.group(users[-1], "bolt")
            case "leave" if own := [user for user in users if user not in merged]:
                # Who leaves before the rows of another id came has not joined yet.
                users = [user for user in users if user != own[0]]
                cluster.group(own[0], "bolt", remove=True)
            case "merge" if users:
                old = users.pop(chance.randrange(len(users)))
                users = [*users, f"{chance.choice('atz')}{number}"]
                merged.add(users[-1])
                cluster.alias(old, users[-1])
    cluster.settle()
    newest = cluster.profile("bolt", account=True).traits
    assert set(cluster.profile("bolt", account=True).members) == set(users)
    assert known(cluster, users) == [newest] * len(users)
    assert cluster.row(TRAIT_ROUNDS, "bolt") is None


def test_rows_of_a_round_survive_storage() -> None:
    """What a successor reads is what was written."""
    row = TRAIT_ROUNDS.row_type(["plan"], "m", NOW, "u3", "u2", has_wrapped=True)
    assert msgspec.msgpack.decode(TRAIT_ROUNDS.encode(row)[1:], type=TRAIT_ROUNDS.row_type) == row
