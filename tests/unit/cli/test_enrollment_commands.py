"""``brimful enrollments`` and ``brimful timers``: what they find in rows that an engine wrote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from schemas import wire
from tests.unit.signals.kit import DAY, NOW, event
from tests.unit.signals.whole_kit import BANNER, WholeEngine, entered_on, identify
from workers.cli import enrollments as enrollment_commands
from workers.cli import timers as timer_commands
from workers.core.compile import compile_workspace
from workers.core.gate.held import timer_id
from workers.core.journeys.progress import Progress, Waiting
from workers.reading import enrollments, subjects, timers
from workers.reading.changelogs import Kept
from workers.state import IDENTITIES, USERS, Identity
from workers.stream.decide import TIMER_RETRY_MS
from workers.stream.store import TIMER, timer_row
from workers.timers import TimerPayload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from typer import Typer

    from schemas.workspace import Workspace

HOUR = 3_600_000

PLAY = entered_on(
    {"event": "came"},
    holdout="0%",
    steps=[
        {"id": "pause", "wait": "1d"},
        {"id": "hear", "wait_for": {"event": "bought", "timeout": "3d"}},
        {"id": "grow", "wait_until": {"when": {"trait": "plan", "eq": "pro"}, "timeout": "3d"}},
        BANNER,
    ],
)
OTHER = entered_on({"event": "other"}, "other")
TEAM = entered_on({"event": "came"}, "team", subject="account")

Rows = dict[bytes, bytes]


def came(user: str, name: str = "came") -> dict[str, Any]:
    """The event that enrols."""
    return event(user=user, event=name, messageId=f"{name}-{user}")


class Clock:
    """Stands where the engine does."""

    def __init__(self, engine: WholeEngine) -> None:
        self._engine = engine

    def now_ms(self) -> int:
        """The engine's time."""
        return self._engine.now_ms


@pytest.fixture
def engine(tmp_path: Path) -> WholeEngine:
    """Three people: u1 waits for an event, u2 for time, u3 is in another journey."""
    made = WholeEngine(tmp_path, journeys=[PLAY, OTHER])
    made.events(came("u1"))
    made.waits(NOW + DAY)
    made.events(came("u2"), came("u3", "other"))
    return made


@pytest.fixture
def call(engine: WholeEngine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """A command over the engine's rows, with its workspace: exit code and what it printed."""
    plan = compile_workspace(_workspace(engine))
    rows_of: Callable[[], Rows] = lambda: dict(engine.store.scan(b""))  # noqa: E731

    def read(
        _settings: Any, prefixes: Collection[bytes], only: Collection[int] | None = None, *_: Any
    ) -> Iterator[tuple[bytes, bytes]]:
        del only
        return (one for one in rows_of().items() if one[0][:1] in prefixes)

    for module in (enrollments, subjects, timers):
        monkeypatch.setattr(module, "read_rows", read)
    for module in (enrollment_commands, timer_commands):
        monkeypatch.setattr(module, "SystemClock", lambda: Clock(engine))
    monkeypatch.setattr(enrollment_commands, "plan_of", lambda *_: plan)
    monkeypatch.setattr(subjects, "partitions_of", lambda *_: 1)

    def run(commands: Typer, *words: str) -> tuple[int, str]:
        result = CliRunner().invoke(commands, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def _workspace(engine: WholeEngine) -> Workspace:
    from schemas.workspace import Workspace  # noqa: PLC0415

    return Workspace.model_validate({"name": "w", **engine.workspace})


def listed(call: Callable[..., tuple[int, str]], *words: str) -> list[dict[str, Any]]:
    """Items of the list, as other programs get them."""
    _, said = call(enrollment_commands.cli, "list", "--json", *words)
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def due(call: Callable[..., tuple[int, str]], *words: str) -> list[dict[str, Any]]:
    """Timers, as other programs get them."""
    _, said = call(timer_commands.cli, "--json", *words)
    return [json.loads(line) for line in said.splitlines()]


def test_who_has_stood_longest_comes_first(engine: WholeEngine, call: Any) -> None:
    """With where, since when, until when, and what for."""
    engine.waits(engine.now_ms + HOUR)
    first, second = sorted(listed(call, "--journey", "play"), key=lambda one: str(one["subject"]))
    assert [one["subject"] for one in listed(call, "--journey", "play")] in (["u1", "u2"], ["u2", "u1"])
    (position,) = first["positions"]
    assert (position["step"], position["waits_for"]) == ("hear", "event: bought")
    assert (position["since_ms"], first["due_ms"]) == (NOW + DAY, NOW + 4 * DAY)
    (position,) = second["positions"]
    assert (position["step"], position["waits_for"], second["due_ms"]) == ("pause", "time", NOW + 2 * DAY)
    assert (first["state"], first["holdout"], first["late_ms"]) == ("active", False, None)


@pytest.mark.parametrize(
    ("words", "subjects"),
    [
        ((), {"u1", "u2"}),
        (("--step", "hear"), {"u1"}),
        (("--step", "nowhere"), set()),
        (("--state", "ended"), {"u4"}),
        (("--state", "all"), {"u1", "u2", "u4"}),
        (("--subject-type", "account"), set()),
        (("--limit", "1", "--step", "pause"), {"u2"}),
    ],
)
def test_filters_choose(engine: WholeEngine, call: Any, words: tuple[str, ...], subjects: set[str]) -> None:
    """Each narrows what is listed."""
    engine.events(came("u4"))
    engine.hears(
        wire.ExitRequest(id="r", journey="play", subject_type="user", subject="u4", at_ms=engine.now_ms)
    )
    assert {one["subject"] for one in listed(call, "--journey", "play", *words)} == subjects


def test_the_table_counts_by_step(call: Any) -> None:
    """Also beyond what is shown."""
    code, said = call(enrollment_commands.cli, "list", "--journey", "play", "--limit", "1")
    assert code == 0
    assert "2 in play, by step:" in said
    assert sum(name in said for name in ("u1 ", "u2 ")) == 1


def test_who_waits_for_a_condition_is_told_which(engine: WholeEngine, call: Any) -> None:
    """In the words of the journey's file."""
    engine.waits(engine.now_ms + HOUR)
    engine.events(event("bought", "u1", engine.now_ms, messageId="b1"))
    (one,) = listed(call, "--journey", "play", "--step", "grow")
    assert one["positions"][0]["waits_for"] == "condition: trait plan eq pro"


def test_a_subject_shows_where_it_stands_everywhere(engine: WholeEngine, call: Any) -> None:
    """Journeys and the messages that count."""
    code, said = call(enrollment_commands.cli, "show", "u3", "--json")
    item = json.loads(said)
    assert (code, item["subject"], [one["journey"] for one in item["enrollments"]]) == (0, "u3", ["other"])
    assert [one["channel"] for one in item["received"]] == ["in_app"]
    code, said = call(enrollment_commands.cli, "show", "u3")
    assert "messages" in said
    assert "other" in said


def test_what_the_gate_holds_is_shown_with_its_reason(engine: WholeEngine, call: Any) -> None:
    """Of the journeys of the person, and of accounts that ask."""
    held = Waiting("m1", "e9", "team", (), NOW, NOW + HOUR, "quiet_hours", requested=True)
    row = USERS.progress.encode(Progress("u9", waiting=(held,)))
    timer = bytes.fromhex(timer_id("u9", "m1"))
    due_row = timer_row(NOW + HOUR, _payload("u9", "held m1"))
    put(engine, {USERS.progress.key(b"u9"): row, TIMER + timer: due_row})
    _, said = call(enrollment_commands.cli, "show", "u9")
    assert "quiet_hours" in said
    (item,) = due(call, "--due-before", "1h", "--journey", "team")
    assert (item["kind"], item["subject"], item["late_ms"]) == ("held message", "u9", DAY - HOUR)


def test_of_who_was_only_ever_refused_the_decisions_are_shown(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in no journey, and why is what one looks for; without any decision there is nothing."""
    refused = {"at_ms": NOW, "kind": "entry", "journey": "play", "outcome": "declined", "reason": "paused"}
    monkeypatch.setattr(enrollment_commands, "read_decisions", lambda *_: [refused])
    code, said = call(enrollment_commands.cli, "show", "nobody", "--decisions", "1h")
    assert code == 0
    assert "paused" in said
    monkeypatch.setattr(enrollment_commands, "read_decisions", lambda *_: [])
    assert call(enrollment_commands.cli, "show", "nobody", "--decisions", "1h")[0] == 1


def test_of_who_was_merged_the_other_id_is_shown(engine: WholeEngine, call: Any) -> None:
    """And that it was merged."""
    put(engine, {IDENTITIES.key(b"anon"): IDENTITIES.encode(Identity("u3"))})
    _, said = call(enrollment_commands.cli, "show", "anon", "--json")
    item = json.loads(said)
    assert (item["merged_from"], item["subject"]) == ("anon", "u3")


def test_of_whom_nothing_is_known_is_said_so(call: Any) -> None:
    """And scripts can tell."""
    assert call(enrollment_commands.cli, "show", "nobody") == (
        1,
        "nothing is kept of the journeys of user nobody\n",
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--due-before", "1h"), []),
        (("--due-before", "1d"), [("u2", "play", "pause"), ("u3", "other", "1")]),
        (("--due-before", "1d", "--journey", "play"), [("u2", "play", "pause")]),
        (("--due-before", "7d", "--journey", "play"), [("u2", "play", "pause"), ("u1", "play", "hear")]),
        (("--due-before", "7d", "--journey", "play", "--limit", "1"), [("u2", "play", "pause")]),
    ],
)
def test_timers_are_listed_in_order_of_time(call: Any, words: tuple[str, ...], found: list[Any]) -> None:
    """With whose they are, and the step that they take on."""
    items = due(call, *words)
    assert {one["kind"] for one in items} <= {"enrollment"}
    assert [one["due_ms"] for one in items] == sorted(one["due_ms"] for one in items)
    assert sorted((one["subject"], one["journey"], one["step"]) for one in items) == sorted(found)


@pytest.mark.parametrize(("later_ms", "kind"), [(TIMER_RETRY_MS, "put off"), (None, "no timer")])
def test_who_would_not_go_on_in_time_is_told(
    engine: WholeEngine, call: Any, later_ms: int | None, kind: str
) -> None:
    """A timer whose handler failed comes an hour later; one that is gone never comes."""
    (item,) = due(call, "--due-before", "1d", "--journey", "play")
    key = TIMER + bytes.fromhex(item["timer"])
    engine.sleeps(NOW + 2 * DAY)
    payload = _payload("u2", listed(call, "--journey", "play", "--step", "pause")[0]["enrollment"])
    put(engine, {key: None if later_ms is None else timer_row(engine.now_ms + later_ms, payload)})
    (item,) = due(call, "--due-before", "1m", "--journey", "play")
    assert (item["kind"], item["subject"], item["step"]) == (kind, "u2", "pause")


def test_segments_and_others_are_told_by_what_they_are(call: Any, engine: WholeEngine) -> None:
    """Timers of no journey have a kind too."""
    put(engine, {TIMER + b"s" * 16: timer_row(NOW, _payload("u1", "segments"))})
    assert [(one["kind"], one["subject"]) for one in due(call, "--due-before", "1s")] == [("segments", "u1")]


def test_of_a_key_the_newest_value_counts() -> None:
    """A changelog has older ones; what matches no more is not there."""
    kept = Kept()
    kept.put(b"e1", [("", "a", 2, "old")])
    kept.put(b"e2", [("", "a", 1, "other"), ("", "b", 3, "second")])
    kept.put(b"e1", [("", "b", 2, "new")])
    assert list(kept.items()) == ["other", "new", "second"]
    kept.put(b"e2", [])
    assert (list(kept.items()), kept.groups()) == (["new"], [("b", 1)])


def put(engine: WholeEngine, rows: dict[bytes, bytes | None]) -> None:
    """Write rows past the engine."""
    engine.store.write(rows, changelog_next=10_000, now_ms=engine.now_ms)


def _payload(subject: str, enrollment: str) -> bytes:
    return encode_payload(TimerPayload("user", subject, enrollment))


def test_somebody_who_is_known_but_in_no_journey_is_in_no_list(engine: WholeEngine, call: Any) -> None:
    """Names of journeys in other places of a row match nothing."""
    engine.events(identify("play", plan="play"))
    assert {one["subject"] for one in listed(call, "--journey", "play")} == {"u1", "u2"}
