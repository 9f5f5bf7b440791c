"""What people answer to text messages reaches them: a number is an id of its person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.identity.kit import HOUR, NOW, Cluster
from workers.core.addresses import number_id
from workers.core.ids import stable_id
from workers.senders.news import _alias

if TYPE_CHECKING:
    from schemas.fields import ConsentState, EngagementType

NUMBER = "+14155552671"
TEXTING = journey(
    "texting", entry={"on": {"event": "limit"}, "again": "always"}, steps=[{"send": {"sms": "limit"}}]
)


def answers(cluster: Cluster, state: ConsentState) -> None:
    """STOP or START comes from the number."""
    cluster.now_ms += 1
    change = wire.ConsentChange(
        id=stable_id(state, str(cluster.now_ms)),
        subject=number_id(NUMBER),
        channel="sms",
        state=state,
        source="sms",
        at_ms=cluster.now_ms,
    )
    cluster.send("scheduler", change.subject, wire.encode(change))
    cluster.settle()


def was_sent_a_text(cluster: Cluster, user: str = "u1") -> None:
    """What the senders say when a text went to the number."""
    cluster.now_ms += HOUR
    cluster.send("product-events", user, _alias(user, number_id(NUMBER), cluster.now_ms))
    cluster.settle()


def gets_a_text(cluster: Cluster, user: str = "u1") -> bool:
    """Whether the next one goes out."""
    cluster.now_ms += HOUR
    before = len(cluster.of("messages.sms"))
    cluster.track("limit", userId=user)
    cluster.settle()
    return len(cluster.of("messages.sms")) > before


def agreed(*users: str) -> Cluster:
    """People who share a number and agreed to texts."""
    cluster = Cluster(TEXTING)
    for user in users:
        cluster.identify(user, phone=NUMBER, consent={"sms": True})
    cluster.settle()
    return cluster


def test_stop_and_start_from_a_number_are_its_persons_word() -> None:
    """From the first text on."""
    cluster = agreed("u1")
    assert gets_a_text(cluster)
    assert cluster.of("messages.sms")[-1].to == NUMBER
    was_sent_a_text(cluster)
    answers(cluster, "opted_out")
    assert not gets_a_text(cluster)
    answers(cluster, "opted_in")
    assert gets_a_text(cluster)


def test_a_stop_that_came_before_the_number_was_known_counts_as_well() -> None:
    """It waits at the number, and comes along."""
    cluster = agreed("u1")
    cluster.now_ms += 1
    answers(cluster, "opted_out")
    assert gets_a_text(cluster)
    was_sent_a_text(cluster)
    assert not gets_a_text(cluster)


def test_who_shares_a_number_stays_apart() -> None:
    """Its word is that of who had the last text; the two are not made one."""
    cluster = agreed("u1", "u2")
    was_sent_a_text(cluster, "u1")
    was_sent_a_text(cluster, "u2")
    answers(cluster, "opted_out")
    assert not gets_a_text(cluster, "u2")
    assert gets_a_text(cluster, "u1")


@pytest.mark.parametrize("kind", ["replied", "bounced"])
def test_an_answer_is_engagement_of_its_person(kind: EngagementType) -> None:
    """And a dead number closes the channel as long as it is theirs."""
    cluster = agreed("u1")
    was_sent_a_text(cluster)
    record = wire.Engagement(
        id="e",
        type=kind,
        person=number_id(NUMBER),
        message_id="SM1",
        channel="sms",
        at_ms=NOW,
    )
    cluster.send("engagement", record.person, wire.encode(record))
    cluster.settle()
    assert gets_a_text(cluster) is (kind == "replied")
    cluster.identify("u1", phone="+14155552672")
    cluster.settle()
    assert gets_a_text(cluster)
