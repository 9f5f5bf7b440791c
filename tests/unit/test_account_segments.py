"""Users are asked about segments of their account: the account tells its members, and journeys act on it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from schemas import wire
from schemas.workspace import Workspace
from tests.house.code import ROOT
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, HOUR, NOW, Cluster
from tests.unit.signals.kit import event
from tests.unit.signals.test_segments import Whole, group, identify
from tests.unit.test_engine_journeys import ended, mark, sent, until
from workers import telling
from workers.core.compile import compile_workspace
from workers.core.lint.workspace import lint
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.shell import EngineParts
from workers.state import TELLINGS, USERS, Profile
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from pathlib import Path

HIT = {
    "segment": "hit",
    "subject": "account",
    "require": [{"performed": "limit_hit", "at_least": 3, "within": "14d"}],
}
VIPS = {"segment": "vips", "subject": "account", "static": True}
IN_HIT: dict[str, Any] = {"account": {"in_segment": "hit"}}
STARTERS = {"segment": "starters", "require": [{"trait": "plan", "eq": "starter"}, IN_HIT]}
ENTRY = {"on": {"event": "limit"}, "require": [IN_HIT]}


def cluster_of(
    *steps: dict[str, Any], segments: tuple[dict[str, Any], ...] = (HIT,), **fields: Any
) -> Cluster:
    """Two partitions, one journey."""
    content = {
        "name": "w",
        "journeys": [journey(steps=list(steps) or [mark("after")], **fields)],
        "segments": list(segments),
    }
    cluster = Cluster(plan=compile_workspace(Workspace.model_validate(content)), partitions=2)
    assert partition_of(b"bolt", 2) != partition_of(b"u1", 2), "the account and its members are apart"
    return cluster


def hits(cluster: Cluster, *users: str, account: str = "bolt") -> None:
    """Each of the users hits the limit once for the account."""
    for user in users:
        cluster.track("limit_hit", userId=user, context={"groupId": account})
    cluster.settle()


def joins(cluster: Cluster, *users: str, account: str = "bolt") -> None:
    """These users join, one after the other."""
    for user in users:
        cluster.group(user, account)
    cluster.settle()


def told(cluster: Cluster) -> list[tuple[str, str, dict[str, bool]]]:
    """Whom accounts told what."""
    records = [one for one in cluster.of("scheduler") if isinstance(one, wire.AccountSegments)]
    return sorted(
        ((one.subject, one.account, one.segments) for one in records), key=lambda one: (one[0], one[1])
    )


def known(cluster: Cluster, user: str) -> dict[str, dict[str, bool]]:
    """What a user's row has of segments of accounts."""
    return cluster.profile(user).account_segments


def test_what_members_do_together_lets_another_member_in() -> None:
    """Three hits of three members: only then the event of a member who hit nothing enters."""
    cluster = cluster_of(entry=ENTRY)
    joins(cluster, "u1", "u2", "u3", "u4")
    hits(cluster, "u1", "u2")
    cluster.track("limit", userId="u4")
    cluster.settle()
    assert sent(cluster) == []
    hits(cluster, "u3")
    cluster.track("limit", userId="u4")
    cluster.settle()
    assert [one.person for one in cluster.messages()] == ["u4"]
    (decision,) = [
        one for one in cluster.of("decisions") if one.kind == "entry" and one.outcome == "enrolled"
    ]
    assert decision.values["account in_segment hit"] is True


def test_each_change_is_told_each_member_once() -> None:
    """A hit more is no news; leaving by time alone is."""
    cluster = cluster_of(entry=ENTRY)
    joins(cluster, "u1", "u2", "u3", "u3")
    assert told(cluster) == [(user, "bolt", {"hit": False}) for user in ("u1", "u2", "u3")]
    hits(cluster, "u1", "u2", "u3", "u1", "u2", "u3")
    assert len(told(cluster)) == 6
    cluster.later(13 * DAY)
    assert len(told(cluster)) == 6
    cluster.later(DAY)
    assert len(told(cluster)) == 9
    assert [known(cluster, user) for user in ("u1", "u2", "u3")] == [{"bolt": {"hit": False}}] * 3


def test_a_wait_ends_and_an_exit_acts_when_the_account_crosses() -> None:
    """At the instant, with nothing that the person did."""
    leave = [{"when": {"not": {"account": {"in_segment": "hit", "if_missing": "pass"}}}}]
    waiting = cluster_of(until(IN_HIT), mark("after"))
    inside = cluster_of({"wait": "30d"}, mark("after"), exit=leave)
    joins(waiting, "u1", "u2")
    joins(inside, "u1", "u2")
    hits(inside, "u1", "u1", "u1")
    for cluster in (waiting, inside):
        cluster.track("limit", userId="u2")
        cluster.settle()
        cluster.later(HOUR)
        assert (sent(cluster), ended(cluster)) == ([], [])
    hits(waiting, "u1", "u1", "u1")
    assert sent(waiting) == ["after"]
    inside.later(14 * DAY - HOUR - 1)
    assert ended(inside) == []
    inside.later(1)
    ((outcome, reason),) = ended(inside)
    assert outcome == "exited"
    assert "account in_segment hit" in str(reason)


def test_a_branch_asks_the_account_of_the_entry() -> None:
    """Whichever account the user acts for since."""
    branch = {"branch": [{"when": IN_HIT, "steps": [mark("hit")]}]}
    cluster = cluster_of({"wait": "1d"}, branch, mark("end"))
    joins(cluster, "u1")
    joins(cluster, "u1", account="acme")
    hits(cluster, "u1", "u1", "u1")
    cluster.track("limit", userId="u1", context={"groupId": "bolt"})
    cluster.settle()
    cluster.later(HOUR)
    hits(cluster, "u1", account="acme")
    cluster.later(DAY)
    assert sent(cluster) == ["hit", "end"]
    assert known(cluster, "u1") == {"bolt": {"hit": True}, "acme": {"hit": False}}


def test_a_new_member_whose_call_makes_the_account_cross_is_told_once() -> None:
    """Its traits come with the call."""
    large = {"segment": "large", "subject": "account", "require": [{"trait": "seats", "gte": 9}]}
    entry = {"on": {"event": "limit"}, "require": [{"account": {"in_segment": "large"}}]}
    cluster = cluster_of(segments=(large,), entry=entry)
    joins(cluster, "u1")
    cluster.group("u2", "bolt", seats=9)
    cluster.settle()
    assert told(cluster) == [
        ("u1", "bolt", {"large": False}),
        ("u1", "bolt", {"large": True}),
        ("u2", "bolt", {"large": True}),
    ]


def test_a_segment_may_be_sustained() -> None:
    """Since the account told."""
    lasting = {"sustained": IN_HIT, "for": "7d"}
    cluster = cluster_of(entry={"on": {"event": "limit"}, "require": [lasting]})
    joins(cluster, "u1", "u2")
    hits(cluster, "u1", "u1", "u1")
    for days, templates in ((6, []), (1, ["after"])):
        cluster.later(days * DAY)
        cluster.track("limit", userId="u2")
        cluster.settle()
        assert sent(cluster) == templates


def test_who_joins_is_told_and_who_leaves_knows_nothing_more() -> None:
    """Also who comes back."""
    cluster = cluster_of(entry=ENTRY)
    joins(cluster, "u1")
    hits(cluster, "u1", "u1", "u1")
    joins(cluster, "u3")
    assert known(cluster, "u3") == {"bolt": {"hit": True}}
    cluster.group("u3", "bolt", remove=True)
    cluster.settle()
    assert known(cluster, "u3") == {}
    cluster.later(20 * DAY)
    assert known(cluster, "u3") == {}
    joins(cluster, "u3")
    assert known(cluster, "u3") == {"bolt": {"hit": False}}


def test_a_merged_id_brings_what_it_knew_and_an_erased_one_leaves_nothing() -> None:
    """The account tells the new id at once; the erased one is in no row any more."""
    cluster = cluster_of(entry=ENTRY)
    joins(cluster, "u1", "guest")
    hits(cluster, "u1", "u1", "u1")
    cluster.alias("guest", "ada")
    while cluster.activity("ada") is None or not cluster.profile("ada").account_segments:
        moved = [cluster.turn(number, 1) for number in (0, 1)]
        assert any(moved), "the rows never came"
        assert ("ada", "bolt", {"hit": True}) not in told(cluster), "the account was not asked yet"
    assert known(cluster, "ada") == {"bolt": {"hit": True}}
    cluster.settle()
    assert ("ada", "bolt", {"hit": True}) in told(cluster)
    cluster.later(14 * DAY)
    assert known(cluster, "ada") == {"bolt": {"hit": False}}
    cluster.erase("ada", accounts=["bolt"])
    cluster.settle()
    assert cluster.row(USERS.profiles, "ada") is None
    hits(cluster, "u1", "u1", "u1")
    assert cluster.row(USERS.profiles, "ada") is None


@pytest.mark.parametrize("changes_back", [False, True])
def test_many_members_are_told_in_turns(monkeypatch: pytest.MonkeyPatch, changes_back: bool) -> None:
    """So many to a transaction, each once; what changes meanwhile begins the round anew."""
    monkeypatch.setattr(telling, "TOLD_AT_ONCE", 3)
    cluster = cluster_of(
        entry=ENTRY, segments=(HIT, VIPS), exit=[{"when": {"account": {"in_segment": "vips"}}}]
    )
    users = [f"u{number}" for number in range(10)]
    joins(cluster, *users)
    before = len(told(cluster))
    home = partition_of(b"bolt", 2)
    for member in (True, False) if changes_back else (True,):
        entry = wire.ListEntry(
            id="l", subject_type="account", subject="bolt", segment="vips", member=member, at_ms=NOW
        )
        cluster.send("scheduler", "bolt", wire.encode(entry))
        cluster.turn(home)
        assert len(told(cluster)) - before == (3 if member else 3 + 3 + 3)
        assert cluster.row(TELLINGS, "bolt") is not None
    cluster.settle()
    assert len(told(cluster)) - before == (3 + 3 + 10 if changes_back else 10)
    assert cluster.row(TELLINGS, "bolt") is None
    expected = {"bolt": {"hit": False, "vips": not changes_back}}
    assert [known(cluster, user) for user in users] == [expected] * 10


def test_a_profile_of_before_knows_no_segments() -> None:
    """Rows without the field are read as they are."""
    stored = msgspec.msgpack.encode([{"plan": "pro"}, {"bolt": {}}, {}])
    assert msgspec.msgpack.decode(stored, type=Profile) == Profile({"plan": "pro"}, {"bolt": {}})


# -- segments of users, and workspaces that come anew


NUDGE = journey("nudge", entry={"on": {"segment": "starters"}}, steps=[{"wait": "1d"}])


def changes(engine: Whole) -> list[tuple[str, str, str]]:
    """Who crossed what."""
    return [one[:3] for one in engine.told]


def test_the_starters_of_an_account_that_hit_the_limit_enter_together(tmp_path: Path) -> None:
    """The sentence: a starter user of an account that hit the limit three times in 14 days."""
    engine = Whole(tmp_path, HIT, STARTERS, journeys=[NUDGE])
    engine.events(*(group(user, "acme") for user in ("u1", "u2", "u3")))
    engine.events(identify("u1", plan="starter"), identify("u2", plan="starter"), identify("u3", plan="pro"))
    engine.events(*(event("limit_hit", user="u3") for _ in range(2)))
    assert engine.told == []
    engine.events(event("limit_hit", user="u3"))
    assert changes(engine) == [
        ("acme", "hit", "entered"),
        ("u1", "starters", "entered"),
        ("u2", "starters", "entered"),
    ]
    assert [inside(engine, user) for user in ("u1", "u2", "u3")] == [1, 1, 0]
    engine.waits(NOW + 14 * DAY)
    assert [(one[0], one[2], one[3]) for one in engine.told[3:]] == [
        ("acme", "left", NOW + 14 * DAY),
        ("u1", "left", NOW + 14 * DAY),
        ("u2", "left", NOW + 14 * DAY),
    ]


def inside(engine: Whole, user: str) -> int:
    """How many enrollments a user has had."""
    stored = engine.store.get(USERS.progress.key(user.encode()))
    return 0 if stored is None else len(USERS.progress.decode(stored).enrollments)


def test_a_question_that_is_new_is_answered_to_all_and_lets_nobody_in(tmp_path: Path) -> None:
    """Accounts that were in the segment long before tell their members; only the definition is new."""
    engine = Whole(tmp_path, HIT)
    engine.events(*(group(user, "acme", plan="x") for user in ("u1", "u2")), identify("u1", plan="starter"))
    engine.events(*(event("limit_hit", user="u2") for _ in range(3)))
    assert profile(engine, "u1").account_segments == {}
    engine.publish(HIT, STARTERS, journeys=[NUDGE])
    assert profile(engine, "u1").account_segments == {"acme": {"hit": True}}
    assert ("u1", "starters", "entered") in changes(engine)
    assert inside(engine, "u1") == 0
    engine.events(identify("u2", plan="starter"))
    assert inside(engine, "u2") == 1
    engine.publish(HIT)
    assert profile(engine, "u1").account_segments == {"acme": {}}


@pytest.mark.parametrize("hits_needed", [3, 1])
def test_what_an_account_tells_before_the_sweep_came_to_it_lets_nobody_in(
    tmp_path: Path, hits_needed: int
) -> None:
    """Users were looked at already: the question is new (3), or the account's segment is another (1)."""
    before = () if hits_needed == 3 else (STARTERS,)
    engine = Whole(tmp_path, HIT, *before, journeys=[NUDGE] if before else [])
    engine.events(group("u1", "acme"), identify("u1", plan="starter"))
    engine.events(*(event("limit_hit") for _ in range(hits_needed)))
    other = {**HIT, "require": [{"performed": "limit_hit", "at_least": hits_needed, "within": "14d"}]}
    content = {"name": "w", "segments": [other, STARTERS], "journeys": [NUDGE]}
    plan = compile_workspace(Workspace.model_validate(content))
    metrics = SignalMetrics(CollectorRegistry())
    engine.logic = EngineLogic(0, EngineParts(plan, 1, lambda name: name, metrics))
    notices = [one for one in engine.logic.opened(engine.store) if getattr(one, "kind", None) == "user"]
    assert bool(notices) is (hits_needed == 3), "where the question is new, users are swept"
    engine.waiting.begin(notices)
    engine._work()
    engine.events(group("u2", "acme", size=5))
    assert changes(engine)[-1] == ("u1", "starters", "entered")
    assert inside(engine, "u1") == 0


def test_a_definition_takes_nobodys_entry_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is still to be told of a crossing when definitions become others is told, and enters."""
    monkeypatch.setattr(telling, "TOLD_AT_ONCE", 1)
    engine = Whole(tmp_path, HIT, STARTERS, VIPS, journeys=[NUDGE])
    for user in ("u1", "u2"):
        engine.events(group(user, "acme"), identify(user, plan="starter"))
    engine.events(*(event("limit_hit") for _ in range(3)))
    assert [inside(engine, user) for user in ("u1", "u2")] == [1, 0]
    asking = {"segment": "asking", "require": [{"account": {"in_segment": "vips"}}]}
    engine.publish(HIT, STARTERS, VIPS, asking, journeys=[NUDGE])
    engine.waits(NOW)
    assert [inside(engine, user) for user in ("u1", "u2")] == [1, 1]
    assert profile(engine, "u2").account_segments == {"acme": {"hit": True, "vips": False}}


def profile(engine: Whole, user: str) -> Profile:
    """A user's profile."""
    stored = engine.store.get(USERS.profiles.key(user.encode()))
    assert stored is not None
    found: Profile = USERS.profiles.decode(stored)
    return found


def test_another_definition_moves_members_and_lets_nobody_in(tmp_path: Path) -> None:
    """The account enters because fewer hits are enough now."""
    engine = Whole(tmp_path, HIT, STARTERS, journeys=[NUDGE])
    engine.events(group("u1", "acme"), identify("u1", plan="starter"), event("limit_hit"))
    fewer = {**HIT, "require": [{"performed": "limit_hit", "at_least": 1, "within": "14d"}]}
    engine.publish(fewer, STARTERS, journeys=[NUDGE])
    assert changes(engine)[-1] == ("u1", "starters", "entered")
    assert inside(engine, "u1") == 0


def test_a_user_of_several_accounts_is_in_segments_by_the_present_one(tmp_path: Path) -> None:
    """They are entered and left as the user changes over."""
    engine = Whole(tmp_path, HIT, STARTERS)
    engine.events(identify("u1", plan="starter"), group("u1", "bolt"), group("u1", "acme"))
    engine.events(*(event("limit_hit", context={"groupId": "acme"}) for _ in range(3)))
    engine.events(event("limit_hit", context={"groupId": "bolt"}, at_ms=NOW))
    engine.events(event("limit_hit", context={"groupId": "acme"}, at_ms=NOW))
    mine = [one[2] for one in changes(engine) if one[0] == "u1"]
    assert mine == ["entered", "left", "entered"]


def test_the_example_of_the_page_is_a_workspace() -> None:
    """Both files of docs/segments.md that say the sentence, and lint finds nothing in them."""
    page = (ROOT / "docs" / "segments.md").read_text(encoding="utf-8")
    _, section = page.split("## Of the account of a user")
    blocks = re.findall(r"```yaml\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    segments = [YAML(typ="safe", pure=True).load(block) for block in blocks]
    workspace = Workspace.model_validate({"name": "w", "segments": segments})
    assert [one.subject for one in workspace.segments] == ["account", "user"]
    assert lint(workspace) == []
    assert compile_workspace(workspace).account.segments.told == {"limit_hit_3x"}
