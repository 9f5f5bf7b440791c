"""Exits on request in the engine: one subject, a segment, all; so many a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from tests.unit.signals.kit import DAY, NOW, event
from tests.unit.signals.test_batches import PAYING, people
from tests.unit.signals.whole_kit import BANNER, WholeEngine, entered_on, identify
from workers.signals.batches import RUNS

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = 60_000
STAY = entered_on({"event": "came"}, steps=[{"wait": "1d"}, BANNER])


def came(user: str, at: int = 0) -> dict[str, Any]:
    """The event that enrols."""
    return event(user=user, event="came", messageId=f"came-{user}-{at}")


def request(subject: str = "u1", reason: str | None = None) -> wire.ExitRequest:
    """Somebody asks."""
    return wire.ExitRequest(
        id="r1", journey="play", subject_type="user", subject=subject, reason=reason, at_ms=NOW
    )


def batch(rate: int = 1_000, segment: str | None = None, reason: str | None = None) -> wire.ExitBatch:
    """Somebody asks it of many."""
    return wire.ExitBatch(
        id="r2", journey="play", subject_type="user", segment=segment, rate=rate, reason=reason, at_ms=NOW
    )


def exits(engine: WholeEngine) -> list[tuple[str, str | None]]:
    """Who left, and why."""
    return [(one.subject, one.reason) for one in engine.decisions if one.kind == "exit"]


def test_who_is_asked_to_leave_gets_no_message_any_more(tmp_path: Path) -> None:
    """Also not when the time of the next step comes."""
    engine = WholeEngine(tmp_path, journeys=[STAY])
    engine.events(came("u1"), came("u2"))
    engine.hears(request(reason="asked by phone"))
    engine.hears(request(reason="asked by phone"))
    engine.waits(NOW + 2 * DAY)
    assert exits(engine)[0] == ("u1", "request: asked by phone")
    assert [one.subject for one in engine.decisions if one.kind == "exit"].count("u1") == 1
    assert {one.person for one in engine.messages} == {"u2"}


def test_people_of_a_journey_that_is_gone_can_leave(tmp_path: Path) -> None:
    """One, and all."""
    engine = WholeEngine(tmp_path, journeys=[STAY])
    engine.events(came("u1"), came("u2"))
    engine.publish(journeys=[entered_on({"event": "other"}, "other")])
    engine.hears(request())
    engine.hears(batch())
    engine.waits(NOW + MINUTE)
    assert exits(engine) == [("u1", "request"), ("u2", "request")]


def test_all_who_were_inside_leave_and_who_comes_meanwhile_stays(tmp_path: Path) -> None:
    """At the rate, and one request begins one run."""
    engine = WholeEngine(tmp_path, journeys=[STAY])
    engine.events(*(came(f"u{at:03}") for at in range(30)), identify("nobody"))
    engine.waits(NOW + 10)
    engine.hears(batch(rate=10, reason="wrong price"))
    engine.hears(batch(rate=10, reason="wrong price"))
    engine.waits(NOW + 1_500)
    assert 10 <= len(exits(engine)) <= 20
    engine.events(came("u000", 1), came("u029x"))
    engine.waits(NOW + MINUTE)
    assert exits(engine) == [(f"u{at:03}", "request: wrong price") for at in range(30)]
    assert engine.enrolled()[-2:] == ["u000", "u029x"]


def test_of_a_segment_only_its_members_leave(tmp_path: Path) -> None:
    """Also those whom no journey holds are looked at without harm."""
    engine = WholeEngine(tmp_path, segments=[PAYING], journeys=[STAY])
    engine.events(identify("u1", plan="pro"), identify("u3", plan="pro"), came("u1"), came("u2"))
    engine.hears(batch(segment="paying"))
    engine.waits(NOW + MINUTE)
    assert exits(engine) == [("u1", "request")]


def test_a_run_goes_on_where_it_was_when_the_worker_died(tmp_path: Path) -> None:
    """Nobody is left inside."""
    engine = WholeEngine(tmp_path, journeys=[STAY])
    engine.events(*(came(f"u{at:03}") for at in range(25)))
    engine.hears(batch(rate=10))
    engine.waits(NOW + 1_000)
    engine.restart()
    engine.waits(NOW + MINUTE)
    assert sorted(who for who, _ in exits(engine)) == [f"u{at:03}" for at in range(25)]


@pytest.mark.parametrize("number", [1, 3])
def test_nobody_inside_is_no_error(tmp_path: Path, number: int) -> None:
    """A run over nobody ends at once, and keeps no one's key."""
    engine = WholeEngine(tmp_path, journeys=[STAY])
    people(engine, number)
    engine.hears(batch())
    engine.hears(request("u0000"))
    engine.waits(NOW + MINUTE)
    assert exits(engine) == []
    ((_, row),) = engine.store.scan(RUNS.prefix)
    run = RUNS.decode(row)
    assert (run.done_ms is not None, run.cursor, run.looked) == (True, b"", 0)
