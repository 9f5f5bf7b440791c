"""What an erasure waits for, and how its report recognises a person."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from schemas.topics import DAY_MS
from workers.erasure.answers import Answers
from workers.erasure.proof import Names
from workers.erasure.request import gone_by
from workers.settings import Settings
from workers.state import USERS, Profile

MAILS, BANNERS = "p.messages.email", "p.messages.in_app"


def answer(subject: str, app: str = "engine", place: str = "state", **fields: Any) -> wire.PersonErased:
    """One place has forgotten somebody."""
    plain: dict[str, Any] = {"request": "r", "ids": [], "accounts": [], "rows": 1, "at_ms": 1}
    return wire.PersonErased(id="i", subject=subject, app=app, place=place, **(plain | fields))


def waiting() -> Answers:
    """A request of which nothing is heard yet."""
    return Answers("r", "ada", (MAILS, BANNERS))


def test_an_erasure_waits_for_every_id_account_and_channel() -> None:
    """Each answer of the engine names what answers next; at the end nothing is missing."""
    answers = waiting()
    assert answers.missing == [("engine", "state", "ada")]
    assert answers.add(answer("ada", ids=["visitor"], accounts=["acme"]))
    assert answers.missing == [
        ("engine", "state", "visitor"),
        ("engine", "account acme", "ada"),
        ("senders", MAILS, "ada"),
        ("senders", BANNERS, "ada"),
    ]
    for more in (answer("visitor"), answer("ada", place="account", account="acme")):
        assert answers.add(more)
    for one in ("ada", "visitor"):
        for topic in (MAILS, BANNERS):
            assert answers.add(answer(one, "senders", topic, request=None))
    assert answers.missing == []
    assert answers.ids == ["ada", "visitor"]


@pytest.mark.parametrize(
    "other",
    [
        answer("ada", request="another"),  # of a request before or beside this one
        answer("bob", "senders", MAILS, request=None),  # of somebody else
        wire.PersonMerged(id="i", subject="ada", into="bob", at_ms=1),
    ],
)
def test_what_is_no_answer_to_the_request_is_not_taken(other: wire.IdentityRecord) -> None:
    """Several people are erased at the same time, on the same topic."""
    answers = waiting()
    assert not answers.add(other)
    assert answers.missing == [("engine", "state", "ada")]


def test_an_id_that_turned_out_to_be_somebody_elses_has_no_senders_to_wait_for() -> None:
    """A merge that had been asked for and did not come about."""
    answers = waiting()
    answers.add(answer("ada", ids=["neighbour"]))
    answers.add(answer("neighbour", place="somebody else"))
    assert not [place for place in answers.missing if place[2] == "neighbour"]


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        (b"pada", None, True),  # the key of a state row
        (b"ada", b"{}", True),  # the key of a feed
        (b"padam", b"", False),
        (b"Pacme", USERS.profiles.encode(Profile(members={"ada": "owner"})), True),
        (b"Pacme", USERS.profiles.encode(Profile(members={"adam": "owner"})), False),
        (b"adam", b'{"person":"ada"}', True),
        (b"adam", b'{"person":"adam"}', False),
    ],
)
def test_a_person_is_recognised_in_keys_and_values_and_nobody_else(
    key: bytes, value: bytes | None, named: bool
) -> None:
    """Whole ids, never the beginning of another's."""
    assert Names(["ada"]).are_in(key, value) is named


def test_the_report_says_when_each_topic_has_forgotten() -> None:
    """State within a day, records with their segments."""
    by = {one["topic"]: one["at_ms"] for one in gone_by(Settings(topic_prefix="p."), 0)}
    assert by["p.brimful-engine-changelog"] == by["p.feeds"] == DAY_MS
    assert by["p.product-events"] == 31 * DAY_MS
    assert "p.workspace" not in by
