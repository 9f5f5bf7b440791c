"""Recipients by score: accounts know their members' points, roughly, and write to those with the most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from tests.unit.signals.kit import DAY, NOW, event
from tests.unit.signals.whole_kit import BANNER, WholeEngine, group
from workers.core.journeys.recipients import SCORED_MAX, Member, MemberScores, choose, learn, points_of
from workers.state import MEMBER_SCORES

if TYPE_CHECKING:
    from pathlib import Path

USE = {
    "score": "use",
    "subject": "user",
    "half_life": "7d",
    "contributions": [{"event": "used", "points": 10}],
}


def team(tmp_path: Path, **recipients: Any) -> WholeEngine:
    """A team of a boss, an admin and two others, whose account enters on a limit."""
    journey = {
        "journey": "play",
        "subject": "account",
        "entry": {"on": {"event": "limit"}, "again": "always"},
        "recipients": recipients,
        "steps": [BANNER],
    }
    engine = WholeEngine(tmp_path, scores=[USE], journeys=[journey])
    roles = {"boss": "owner", "adam": "admin", "ann": "admin", "zoe": "member"}
    engine.events(*(group(user, "a1", role=role) for user, role in roles.items()))
    return engine


def used(engine: WholeEngine, user: str, times: int, at_ms: int = NOW) -> None:
    """Someone uses the product so often."""
    engine.events(*(event("used", user, at_ms, context={"groupId": "a1"}) for _ in range(times)))


def written_to(engine: WholeEngine) -> list[str]:
    """Who gets the message of a limit that is reached now."""
    engine.messages.clear()
    engine.events(event("limit", "boss", engine.now_ms, context={"groupId": "a1"}))
    return [one.person for one in engine.messages]


@pytest.mark.parametrize(
    ("recipients", "expected"),
    [
        ({"by": "use", "limit": 2}, ["zoe", "ann"]),
        ({"role": "admin", "by": "use"}, ["ann", "adam"]),
        ({"role": ["owner", "admin"], "by": "use", "limit": 2}, ["boss", "ann"]),
        ({"role": "admin"}, ["adam", "ann"]),
        ({"role": "buyer", "by": "use", "fallback": ["champions"], "limit": 1}, ["zoe"]),
        ({"role": "buyer", "fallback": ["everyone"], "limit": 2}, ["adam", "ann"]),
        ({"role": "buyer"}, []),
    ],
    ids=str,
)
def test_recipients_by_role_and_score(
    tmp_path: Path, recipients: dict[str, Any], expected: list[str]
) -> None:
    """Roles in their order, in each the one with the most points first; then what the fallback says."""
    engine = team(tmp_path, **recipients)
    used(engine, "ann", 3)
    used(engine, "zoe", 5)
    assert written_to(engine) == expected


def test_points_fade_at_the_account_too(tmp_path: Path) -> None:
    """Who used the product much last month is behind who used it a little today; nobody tells of time."""
    engine = team(tmp_path, by="use", limit=1)
    used(engine, "zoe", 5)
    engine.waits(NOW + 28 * DAY)
    used(engine, "ann", 1, engine.now_ms)
    assert written_to(engine) == ["ann"]


def test_it_is_told_as_often_as_a_score_grows_by_a_tenth(tmp_path: Path) -> None:
    """A busy member costs the account a few records, not one for each event."""
    engine = team(tmp_path, by="use")
    engine.looped = False
    used(engine, "zoe", 400)
    asked = [wire.decode_scheduler(one.value or b"") for topic, one in engine.kept if topic == "scheduler"]
    told = [one for one in asked if isinstance(one, wire.MemberScore)]
    assert 20 < len(told) < 50


def test_an_account_that_is_joined_later_hears_of_the_score(tmp_path: Path) -> None:
    """Of what the member did before."""
    engine = team(tmp_path, by="use")
    used(engine, "new", 4)
    engine.events(group("new", "a2"))
    stored = engine.store.get(MEMBER_SCORES.key(b"a2"))
    assert stored is not None
    assert MEMBER_SCORES.decode(stored).held["use"]["new"][1] == pytest.approx(40)


def test_a_member_who_is_erased_is_forgotten_by_the_account(tmp_path: Path) -> None:
    """The points with the name."""
    engine = team(tmp_path, by="use")
    used(engine, "zoe", 5)
    engine.hears(wire.Erase(id="e1", request="r1", subject="zoe", accounts=["a1"], reason="asked", at_ms=NOW))
    stored = engine.store.get(MEMBER_SCORES.key(b"a1"))
    assert stored is not None
    assert "zoe" not in MEMBER_SCORES.decode(stored).held["use"]


def told_of(user: str, fading: float, at_ms: int = NOW) -> wire.MemberScore:
    """What a member's partition tells."""
    return wire.MemberScore(
        id="m", subject="a1", user=user, score="use", standing=0.0, fading=fading, at_ms=at_ms
    )


def test_of_many_members_those_with_the_most_points_are_kept() -> None:
    """The row stays small; news that comes late changes nothing."""
    row = MemberScores()
    for number in range(SCORED_MAX + 20):
        learn(row, told_of(f"u{number}", float(number)), 7 * DAY, NOW)
    assert len(row.held["use"]) == SCORED_MAX
    assert "u19" not in row.held["use"]
    learn(row, told_of("u50", 0.0, NOW - 1), 7 * DAY, NOW)
    assert points_of(row, "use", 7 * DAY, NOW + 7 * DAY)["u50"] == pytest.approx(25)


def test_of_equal_points_the_ids_decide() -> None:
    """Whatever order the members come in."""
    members = [Member("b", "admin"), Member("a", "admin"), Member("c", None)]
    for order in (members, members[::-1]):
        assert choose(order, ("admin",), 5, {"a": 1.0, "b": 1.0}) == ("a", "b")
