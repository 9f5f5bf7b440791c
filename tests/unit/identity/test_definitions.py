"""Segments, scores and measures of two ids that turn out to be one person, and of one that is erased."""

from __future__ import annotations

from schemas import wire
from schemas.workspace import Workspace
from tests.unit.identity.kit import DAY, NOW, Cluster
from workers.core.compile import compile_workspace

VISITOR, USER = "visitor-1", "user-1"
CONTENT = {
    "name": "w",
    "segments": [
        {
            "segment": "spender",
            "require": [{"sum": "amount", "of": "bought", "within": "this_year", "gte": 100}],
        },
        {"segment": "beta", "static": True},
        {"segment": "invited", "require": [{"in_segment": "beta"}, {"trait": "plan", "eq": "pro"}]},
    ],
    "scores": [
        {
            "score": "pql",
            "subject": "user",
            "half_life": "7d",
            "contributions": [{"event": "bought", "points": 20}],
            "thresholds": {"hot": 40},
        }
    ],
}


PLAN = compile_workspace(Workspace.model_validate(CONTENT))


def told(cluster: Cluster) -> list[tuple[str, str, str]]:
    """Who came into which segment and who left it, in order of their subjects."""
    return sorted((one.subject, one.segment, one.change) for one in cluster.of("segments"))


def enlist(cluster: Cluster, person: str, *, member: bool = True) -> None:
    """Put someone on the list, or take them off."""
    entry = wire.ListEntry(
        id="l", subject_type="user", subject=person, segment="beta", member=member, at_ms=NOW
    )
    cluster.send("scheduler", person, wire.encode(entry))


def test_sums_scores_and_lists_come_together() -> None:
    """60 and 50 are enough for 100, two purchases for a score of 40; the place on the list stays."""
    cluster = Cluster(plan=PLAN)
    cluster.track("bought", anonymousId=VISITOR, properties={"amount": 60})
    enlist(cluster, VISITOR)
    cluster.track("bought", userId=USER, properties={"amount": 50})
    cluster.identify(USER, plan="pro")
    cluster.settle()
    assert told(cluster) == [(VISITOR, "beta", "entered")]
    assert cluster.of("scores") == []
    cluster.identify(USER, VISITOR)
    cluster.settle()
    assert told(cluster) == [
        (USER, "beta", "entered"),
        (USER, "invited", "entered"),
        (USER, "spender", "entered"),
        (VISITOR, "beta", "entered"),
        (VISITOR, "beta", "left"),
    ]
    (crossed,) = cluster.of("scores")
    assert (crossed.subject, crossed.direction, round(crossed.value)) == (USER, "up", 40)
    assert cluster.tables_of(VISITOR) == {"identities"}
    cluster.later(30 * DAY)
    assert [one.direction for one in cluster.of("scores")] == ["up", "down"]
    assert cluster.dead == []


def test_a_list_takes_in_the_person_that_an_id_became() -> None:
    """Whoever keeps the list may know the old id alone."""
    cluster = Cluster(plan=PLAN)
    cluster.track("bought", anonymousId=VISITOR, properties={"amount": 1})
    cluster.settle()
    cluster.identify(USER, VISITOR)
    cluster.settle()
    enlist(cluster, VISITOR)
    cluster.settle()
    assert told(cluster) == [(USER, "beta", "entered")]


def test_an_erased_person_leaves_their_segments() -> None:
    """Who follows them learns of it; no row and no timer is left."""
    cluster = Cluster(plan=PLAN)
    cluster.track("bought", userId=USER, properties={"amount": 500})
    cluster.track("bought", userId=USER, properties={"amount": 500})
    cluster.settle()
    assert told(cluster) == [(USER, "spender", "entered")]
    cluster.erase(USER)
    cluster.settle()
    assert told(cluster)[1:] == [(USER, "spender", "left")]
    assert cluster.tables_of(USER) == set()
    assert cluster.waiting() == {}
    assert cluster.mentions(USER) == []
