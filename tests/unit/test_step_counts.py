"""How many stand at each step: exact whatever moves people, and told once per transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas import wire
from tests.unit.signals.kit import DAY, NOW, event
from tests.unit.signals.whole_kit import BANNER, WholeEngine, entered_on, group, identify
from workers.core.journeys.progress import Progress
from workers.state import ACCOUNTS, USERS
from workers.step_counts import STEP_COUNTS, StepCount, count
from workers.stream.decide import take_notices
from workers.stream.store import Timer
from workers.stream.view import View
from workers.timers import TimerPayload, encode_payload

if TYPE_CHECKING:
    from pathlib import Path

PLAY = entered_on(
    {"event": "came"},
    holdout="0%",
    exit=[{"when": {"changed": "plan"}}],
    steps=[
        {"id": "pause", "wait": "1d"},
        {
            "parallel": [
                {"steps": [{"id": "hear", "wait_for": {"event": "bought", "timeout": "3d"}}]},
                {"steps": [{"id": "rest", "wait": "2d"}]},
            ]
        },
        BANNER,
    ],
)


def came(user: str, name: str = "came") -> dict[str, Any]:
    """The event that enrols."""
    return event(user=user, event=name, messageId=f"{name}-{user}")


def kept(engine: WholeEngine) -> dict[bytes, int]:
    """The rows, without the mark that they are kept."""
    rows = {key[1:]: STEP_COUNTS.decode(row).number for key, row in engine.store.scan(STEP_COUNTS.prefix)}
    return {key: number for key, number in rows.items() if key}


def recounted(engine: WholeEngine) -> dict[bytes, int]:
    """The same from the rows of people and accounts."""
    users = [USERS.progress.decode(row) for _, row in engine.store.scan(USERS.progress.prefix)]
    accounts = [ACCOUNTS.progress.decode(row) for _, row in engine.store.scan(ACCOUNTS.progress.prefix)]
    return count(users, "user") | count(accounts, "account")


def test_who_moves_is_counted_where_they_went(tmp_path: Path) -> None:
    """Also at both parts of a parallel, and nowhere once they are out."""
    engine = WholeEngine(tmp_path, journeys=[PLAY])
    engine.events(came("u1"), came("u2"), came("u3"))
    assert engine.standing == {("play", "pause"): 3}
    engine.waits(NOW + DAY)
    assert engine.standing == {("play", "pause"): 0, ("play", "hear"): 3, ("play", "rest"): 3}
    engine.now_ms += 1
    engine.events(identify("u1", plan="pro"))
    assert engine.standing == {("play", "pause"): 0, ("play", "hear"): 2, ("play", "rest"): 2}
    assert kept(engine) == recounted(engine) != {}
    engine.waits(NOW + 9 * DAY)
    assert set(engine.standing.values()) == {0}
    assert kept(engine) == recounted(engine) == {}


@pytest.mark.parametrize("what", ["merged", "erased", "asked out"])
def test_whatever_takes_somebody_away_is_counted(tmp_path: Path, what: str) -> None:
    """The numbers are those of the rows, without anybody having to think of them."""
    engine = WholeEngine(tmp_path, journeys=[PLAY])
    engine.events(came("u1"), came("u2"))
    asked: Any = {
        "merged": event(user="u2", type="alias", event=None, previousId="u1"),
        "erased": wire.Erase(id="e", request="r", subject="u1", accounts=[], at_ms=NOW),
        "asked out": wire.ExitRequest(id="x", journey="play", subject_type="user", subject="u1", at_ms=NOW),
    }[what]
    engine.now_ms += 1
    if isinstance(asked, dict):
        engine.events(asked)
    else:
        engine.hears(asked)
    assert engine.standing == {("play", "pause"): 1}
    assert kept(engine) == recounted(engine) != {}


def test_accounts_are_counted_apart(tmp_path: Path) -> None:
    """They may be in a journey of the same name in another workspace."""
    team = entered_on({"event": "came"}, "team", subject="account", steps=[{"id": "pause", "wait": "1d"}])
    engine = WholeEngine(tmp_path, journeys=[team])
    engine.events(group("u1", "a1"), came("u1"))
    assert engine.standing == {("team", "pause"): 1}
    assert [key.split(b"\0")[0] for key in kept(engine)] == [b"account"]


def test_state_from_before_is_counted_once(tmp_path: Path) -> None:
    """With whatever was there of counts put right; afterwards nobody counts again."""
    engine = WholeEngine(tmp_path, journeys=[PLAY])
    engine.events(*(came(f"u{number}") for number in range(5)))
    wrong = {STEP_COUNTS.key(b"user\0gone\0v\0s"): STEP_COUNTS.encode(StepCount(7))}
    gone: dict[bytes, bytes | None] = {key: None for key, _ in engine.store.scan(STEP_COUNTS.prefix)}
    engine.store.write({**gone, **wrong}, changelog_next=99, now_ms=NOW)
    engine.standing.clear()
    engine.restart()
    assert engine.standing == {("play", "pause"): 5, ("gone", "s"): 0}
    assert kept(engine) == recounted(engine)
    engine.standing.clear()
    engine.restart()
    assert engine.standing == {}


def test_what_is_dropped_is_not_counted(tmp_path: Path) -> None:
    """A decision that raised leaves no trace: neither its rows nor its counts."""
    engine = WholeEngine(tmp_path, journeys=[PLAY])
    engine.events(came("u1"))
    view = View(engine.store.get)
    child = view.child()
    child.table(USERS.progress).put(b"u1", Progress("u1"))
    engine.logic.finish(view, NOW)
    assert view.outputs == []
    view.absorb(child)
    engine.logic.finish(view, NOW)
    assert [wire.decode_step_count(one.value or b"").number for one in view.outputs] == [0]
    take_notices(engine.logic, (), view, NOW)


def test_who_is_put_off_is_told_with_where_they_stand(tmp_path: Path) -> None:
    """A decision, so that whoever looks at the step or at the person sees it; of others there is none."""
    engine = WholeEngine(tmp_path, journeys=[PLAY])
    engine.events(came("u1"))
    engine.decisions.clear()
    row = engine.store.get(USERS.progress.key(b"u1"))
    assert row is not None
    (held,) = USERS.progress.decode(row).enrollments
    payload = encode_payload(TimerPayload("user", "u1", held.id))
    engine.logic.put_off(Timer(b"t" * 16, NOW + DAY, payload))
    engine.logic.put_off(Timer(b"t" * 16, NOW + DAY, encode_payload(TimerPayload("user", "u9", "none"))))
    engine.events(came("u2"))
    (told,) = [one for one in engine.decisions if one.kind == "problem"]
    assert (told.subject, told.journey, told.step) == ("u1", "play", "pause")
    assert (told.outcome, told.reason, told.enrollment) == ("put_off", "handler_error", held.id)
