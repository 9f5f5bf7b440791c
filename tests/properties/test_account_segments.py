"""What members know of their account's segments, against all that happened in a list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import wire
from schemas.workspace import Workspace
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, NOW, Cluster
from workers.core.compile import compile_workspace

USERS = ("u1", "u2", "ada")
ACCOUNTS = ("acme", "bolt")
HIT = {
    "segment": "hit",
    "subject": "account",
    "require": [{"performed": "limit_hit", "at_least": 2, "within": "14d"}],
}
VIPS = {"segment": "vips", "subject": "account", "static": True}
ASKING = journey(
    entry={
        "on": {"event": "limit"},
        "require": [{"account": {"in_segment": "hit"}}],
        "exclude": [{"account": {"in_segment": "vips"}}],
    }
)
PLAN = compile_workspace(
    Workspace.model_validate({"name": "w", "journeys": [ASKING], "segments": [HIT, VIPS]})
)

Kind: TypeAlias = Literal["joins", "leaves", "hits", "listed", "unlisted", "waits"]
Step: TypeAlias = tuple[Kind, str, str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("joins", "leaves", "hits", "listed", "unlisted", "waits", "hits", "joins")),
        st.sampled_from(USERS),
        st.sampled_from(ACCOUNTS),
        st.integers(1, 9),
    ),
    max_size=25,
)


@dataclass
class Reference:
    """All that happened, and what follows from it."""

    now_ms: int = NOW
    members: set[tuple[str, str]] = field(default_factory=set)
    hits: list[tuple[str, int]] = field(default_factory=list)
    vips: set[str] = field(default_factory=set)

    def take(self, step: Step) -> None:
        """Note it; who is not in an account does nothing for it."""
        kind, user, account, days = step
        if kind == "joins":
            self.members.add((user, account))
        elif kind == "leaves":
            self.members.discard((user, account))
        elif kind == "hits" and (user, account) in self.members:
            self.hits.append((account, self.now_ms))
        elif kind == "listed":
            self.vips.add(account)
        elif kind == "unlisted":
            self.vips.discard(account)
        elif kind == "waits":
            self.now_ms += days * DAY

    def known(self) -> dict[tuple[str, str], dict[str, bool]]:
        """What each member knows of each of its accounts."""
        return {
            (user, account): {
                "hit": sum(1 for one, at in self.hits if one == account and at > self.now_ms - 14 * DAY) > 1,
                "vips": account in self.vips,
            }
            for user, account in self.members
        }


@settings(max_examples=80)
@given(STEPS, st.sampled_from((1, 10**9)))
def test_members_know_what_follows_from_all_that_happened(steps: list[Step], most: int) -> None:
    """At every instant; and nobody is told anything twice."""
    cluster, reference = Cluster(plan=PLAN, partitions=2), Reference()
    told: Counter[tuple[str, str]] = Counter()
    for step in steps:
        before = reference.known()
        reference.take(step)
        _act(cluster, step, reference)
        cluster.settle(most)
        after = reference.known()
        assert _known(cluster) == after
        records = [one for one in cluster.of("scheduler") if isinstance(one, wire.AccountSegments)]
        by_now = Counter((one.subject, one.account) for one in records)
        assert by_now - told == Counter(one for one in after if before.get(one) != after[one])
        told = by_now
    assert cluster.dead == []


def _act(cluster: Cluster, step: Step, reference: Reference) -> None:
    kind, user, account, _ = step
    if kind == "joins":
        cluster.group(user, account)
    elif kind == "leaves":
        cluster.group(user, account, remove=True)
    elif kind == "hits" and (user, account) in reference.members:
        cluster.track("limit_hit", userId=user, context={"groupId": account})
    elif kind in ("listed", "unlisted"):
        entry = wire.ListEntry(
            id="l",
            subject_type="account",
            subject=account,
            segment="vips",
            member=kind == "listed",
            at_ms=cluster.now_ms,
        )
        cluster.send("scheduler", account, wire.encode(entry))
    elif kind == "waits":
        cluster.now_ms = reference.now_ms


def _known(cluster: Cluster) -> dict[tuple[str, str], dict[str, bool]]:
    return {
        (user, account): segments
        for user in USERS
        for account, segments in cluster.profile(user).account_segments.items()
    }
