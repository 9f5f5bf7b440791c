"""Decisions come back a subject at a time, whatever lies between them in the topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from workers.errors import Misconfigured
from workers.reading.decisions import Decisions
from workers.reading.topics import Found

if TYPE_CHECKING:
    from collections.abc import Iterator


def decision(id_: str, subject: str, at_ms: int, journey: str = "upsell", **fields: Any) -> wire.Decision:
    """An entry, unless ``fields`` say something else."""
    plain: dict[str, Any] = {
        "kind": "entry",
        "subject_type": "user",
        "version": "v1",
        "outcome": "enrolled",
        "values": {},
    }
    return wire.Decision(id=id_, subject=subject, journey=journey, at_ms=at_ms, **(plain | fields))


def found(*decisions: wire.Decision) -> Iterator[Found]:
    """The records of a topic."""
    for number, one in enumerate(decisions):
        yield Found(0, number, wire.encode(one))


def gathered(*decisions: wire.Decision) -> list[tuple[str, list[str], list[str]]]:
    """Subject, and the ids of the shadow's and of the other's decisions."""
    told = Decisions("upsell")
    told.take(found(*decisions))
    return [
        (of.subject, [one.id for one in of.shadow], [one.id for one in of.running])
        for of in told.by_subject()
    ]


def test_each_subject_comes_once_with_both_sides_in_the_order_of_time() -> None:
    """Of one time in the order in which they were written; one that came twice counts once."""
    assert gathered(
        decision("4", "bob", 40),
        decision("2", "ada", 20),
        decision("3", "ada", 10, "upsell~shadow"),
        decision("5", "ada", 20),
        decision("2", "ada", 20, reason="again"),
        decision("1", "ada", 5),
    ) == [("ada", ["3"], ["1", "2", "5"]), ("bob", [], ["4"])]


def test_what_is_another_journeys_or_none_at_all_is_passed_over() -> None:
    """Also where its name begins alike; what cannot be read is counted."""
    told = Decisions("upsell")
    told.take(found(decision("1", "ada", 1, "upsell_2"), decision("2", "ada", 2, "other", reason="upsell")))
    told.take([Found(0, 0, b'{"journey":"upsell"')])
    assert list(told.by_subject()) == []
    assert (told.read, told.unreadable) == (0, 1)


def test_decisions_on_members_stand_with_their_account() -> None:
    """A person of two accounts is told of with each."""
    of_account = {"subject_type": "account"}
    of_member = {"kind": "send", "outcome": "send"}
    assert gathered(
        decision("1", "acme", 1, **of_account),
        decision("2", "ada", 2, account="acme", **of_member),
        decision("3", "ada", 3, account="beta", **of_member),
        decision("4", "acme", 4, "upsell~shadow", **of_account),
    ) == [("acme", ["4"], ["1", "2"]), ("beta", [], ["3"])]


def test_users_of_one_account_stay_apart_in_a_journey_of_users() -> None:
    """Their decisions name it too."""
    assert [one[0] for one in gathered(decision("1", "ada", 1, account="acme"), decision("2", "bob", 2))] == [
        "ada",
        "bob",
    ]


def test_a_journey_that_changed_its_kind_of_subject_is_refused() -> None:
    """There is nobody who could be in both."""
    with pytest.raises(Misconfigured, match="upsell is a journey of users in one version"):
        gathered(decision("1", "ada", 1), decision("2", "acme", 1, "upsell~shadow", subject_type="account"))
