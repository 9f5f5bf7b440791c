"""What people do with messages: counted once, and only what people do."""

from __future__ import annotations

from typing import Any

from schemas import wire
from tests.unit.identity.kit import NOW
from tests.unit.test_engine_journeys import cluster_of, engaged, enter, mark, sent
from workers.core.engaged import SEEN_MAX
from workers.state import ENGAGEMENT

CLICKED = {"wait_for": {"event": "email_clicked", "timeout": "3d"}}


def waiting() -> Any:
    """Somebody whose journey waits for a click."""
    cluster = cluster_of(CLICKED, mark("clicked"))
    enter(cluster)
    return cluster


def test_what_a_machine_did_counts_for_nothing() -> None:
    """A link scanner is no reader: no count, no time, and no journey goes on."""
    cluster = waiting()
    cluster.send("engagement", "u1", engaged(1, prefetch=True, at_ms=NOW))
    cluster.settle()
    row = cluster.row(ENGAGEMENT, "u1")
    assert (row.count, row.last_ms, sent(cluster)) == ({}, {}, [])
    cluster.send("engagement", "u1", engaged(2, at_ms=NOW))
    cluster.settle()
    assert (cluster.row(ENGAGEMENT, "u1").count, sent(cluster)) == ({"email:clicked": 1}, ["clicked"])


def test_what_is_told_twice_counts_once() -> None:
    """Providers repeat themselves; a signed callback can be replayed."""
    cluster = waiting()
    for number in (1, 1, 2, 1):
        cluster.send("engagement", "u1", engaged(number, at_ms=NOW))
        cluster.settle()
    row = cluster.row(ENGAGEMENT, "u1")
    assert (row.count, row.seen) == ({"email:clicked": 2}, ["e1", "e2"])


def test_only_the_latest_ids_are_kept() -> None:
    """A row has a bound, whatever somebody clicks."""
    cluster = waiting()
    for number in range(SEEN_MAX + 5):
        cluster.send("engagement", "u1", engaged(number, at_ms=NOW))
    cluster.settle()
    row = cluster.row(ENGAGEMENT, "u1")
    assert (len(row.seen), row.seen[0]) == (SEEN_MAX, "e5")


def test_a_click_says_which_link_it_was() -> None:
    """A condition may ask for it."""
    cluster = cluster_of({"wait_for": {**CLICKED["wait_for"], "where": {"link": 2}}}, mark("third"))
    enter(cluster)
    for number in (1, 2):
        cluster.send("engagement", "u1", engaged(number, link=number, at_ms=NOW))
        cluster.settle()
    assert sent(cluster) == ["third"]
    assert wire.decode_engagement(engaged(2, link=2)).link == 2
