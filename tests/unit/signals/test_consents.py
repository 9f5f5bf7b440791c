"""Consent through the engine: traits, links, complaints, lists; merged, erased, asked before a message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import wire
from schemas.workspace import Journey, Segment, Workspace
from tests.unit.core.kit import MAIL, journey
from tests.unit.identity.kit import HOUR, NOW, Cluster
from workers.cli.consent import changes
from workers.core.compile import compile_workspace
from workers.core.consent import Choice, Consents
from workers.state import CONSENTS

USER, VISITOR = "user-1", "visitor-1"
MAILING = journey("mailing", entry={"on": {"event": "limit"}, "again": "always"}, steps=[MAIL])
ASKING = journey(
    "asking",
    entry={
        "on": {"event": "limit"},
        "require": [{"consent": {"channel": "email", "topic": "news"}}],
        "again": "always",
    },
)


def says(cluster: Cluster, consent: Any, at_ms: int = NOW, user: str = USER) -> None:
    """An identify call with the trait, as its producer dates it."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    traits = {"consent": consent, "email": "u@example.com"}
    cluster.produce({"type": "identify", "userId": user, "traits": traits, "timestamp": moment})
    cluster.settle()


def did(cluster: Cluster, kind: Any, channel: Any = "email", at_ms: int = NOW) -> None:
    """The person did something with a message."""
    record = wire.Engagement(
        id=f"{kind}-{at_ms}", type=kind, person=USER, message_id="m", channel=channel, at_ms=at_ms
    )
    cluster.send("engagement", USER, wire.encode(record))
    cluster.settle()


def gets_mail(cluster: Cluster) -> bool:
    """Whether the next message reaches them."""
    before = len(cluster.messages())
    cluster.track("limit", userId=USER)
    cluster.settle()
    return len(cluster.messages()) > before


def choices(cluster: Cluster, user: str = USER) -> dict[str, Choice]:
    """What is kept."""
    held: Consents | None = cluster.row(CONSENTS, user)
    return held.choices if held is not None else {}


@pytest.mark.parametrize(
    ("kind", "channel", "allowed"),
    [
        ("unsubscribed", "email", False),
        ("complained", "email", False),
        ("clicked", "email", True),
        ("unsubscribed", "sms", True),  # STOP is for the channel it came over
    ],
)
def test_who_unsubscribes_or_complains_gets_no_more(kind: str, channel: str, allowed: bool) -> None:
    """At once, whatever the trait said before."""
    cluster = Cluster(MAILING)
    says(cluster, {"email": True}, NOW - HOUR)
    did(cluster, kind, channel)
    assert gets_mail(cluster) is allowed


def test_a_late_record_undoes_no_newer_choice() -> None:
    """An SDK that was offline sends what was true yesterday; a report of a mail server comes days later."""
    cluster = Cluster(MAILING)
    did(cluster, "unsubscribed")
    says(cluster, {"email": True}, NOW - HOUR)
    assert not gets_mail(cluster)
    cluster.now_ms += 2 * HOUR
    says(cluster, {"email": True}, NOW + HOUR)
    did(cluster, "unsubscribed", at_ms=NOW + HOUR - 1)
    assert gets_mail(cluster)
    assert choices(cluster) == {"email": Choice(True, NOW + HOUR, "identify")}


def test_a_null_says_nothing() -> None:
    """A synchronisation that does not know sends null for everybody."""
    cluster = Cluster(MAILING)
    did(cluster, "unsubscribed", at_ms=NOW - HOUR)
    says(cluster, {"email": None})
    says(cluster, None)
    assert not gets_mail(cluster)


def test_what_comes_from_a_list_counts_by_when_it_was_said() -> None:
    """And a moment that has not come yet is now."""
    cluster = Cluster(MAILING)
    says(cluster, {}, NOW - HOUR)
    for state, at_ms in (("opted_out", NOW - 2), ("opted_in", NOW - 3)):
        (change,) = changes([USER], state, "email", None, "list", at_ms)  # type: ignore[arg-type]
        cluster.send("scheduler", USER, wire.encode(change))
    cluster.settle()
    assert not gets_mail(cluster)
    (change,) = changes([USER], "opted_in", "email", None, "list", NOW + 10 * HOUR)
    cluster.send("scheduler", USER, wire.encode(change))
    cluster.settle()
    assert choices(cluster)["email"] == Choice(True, NOW, "list")


def test_a_journey_may_ask_for_a_topic() -> None:
    """Missing where nothing was said; a refusal of the channel is one of its topics."""
    cluster = Cluster(ASKING)
    cluster.track("limit", userId=USER)
    says(cluster, {"email": {"news": True}})
    cluster.track("limit", userId=USER)
    cluster.settle()
    did(cluster, "unsubscribed", at_ms=NOW + 1)
    cluster.track("limit", userId=USER)
    cluster.settle()
    reasons = [one.reason for one in cluster.of("decisions") if one.kind == "entry"]
    assert [reason and reason.split(":")[0] for reason in reasons] == ["missing", None, "require"]


def test_a_segment_follows_consent() -> None:
    """Entered and left in the transaction that records the word."""
    reachable = {"segment": "reachable", "require": [{"consent": {"channel": "email"}}]}
    models = (Journey.model_validate(MAILING),)
    segments = (Segment.model_validate(reachable),)
    cluster = Cluster(plan=compile_workspace(Workspace(name="w", journeys=models, segments=segments)))
    says(cluster, {"email": True})
    did(cluster, "unsubscribed", at_ms=NOW)
    assert [one.change for one in cluster.of("segments")] == ["entered", "left"]


@pytest.mark.parametrize(
    ("mine", "theirs", "allowed"),
    [
        ((True, NOW - 1), (False, NOW - 2), True),  # the later word is the person's
        ((True, NOW - 2), (False, NOW - 1), False),
        ((True, NOW - 1), (False, NOW - 1), False),  # at one moment the refusal
        ((False, NOW - 1), (True, NOW - 1), False),
        (None, (False, NOW - 1), False),
    ],
)
def test_two_ids_of_one_person_have_one_consent(
    mine: tuple[bool, int] | None, theirs: tuple[bool, int], allowed: bool
) -> None:
    """Of both, the later word."""
    cluster = Cluster(MAILING)
    if mine is not None:
        says(cluster, {"email": mine[0]}, mine[1])
    says(cluster, {"email": theirs[0]}, theirs[1], user=VISITOR)
    cluster.alias(VISITOR, USER)
    cluster.settle()
    assert choices(cluster, VISITOR) == {}
    assert gets_mail(cluster) is allowed


def test_a_word_about_an_id_that_was_merged_is_the_persons() -> None:
    """Whether it comes from a link in a mail that the old id got, or from a list."""
    cluster = Cluster(MAILING)
    says(cluster, {}, NOW - HOUR)
    cluster.alias(VISITOR, USER)
    cluster.settle()
    (change,) = changes([VISITOR], "opted_out", "email", None, "list", NOW)
    cluster.send("scheduler", VISITOR, wire.encode(change))
    cluster.settle()
    assert choices(cluster) == {"email": Choice(False, NOW, "list")}


def test_erasing_a_person_erases_what_they_said() -> None:
    """The row is theirs like any other."""
    cluster = Cluster(MAILING)
    says(cluster, {"email": False})
    assert choices(cluster)
    cluster.erase(USER)
    cluster.settle()
    assert choices(cluster) == {}
