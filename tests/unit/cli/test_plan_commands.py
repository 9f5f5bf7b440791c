"""``brimful plan`` on files: what it says, to people and machines, and how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from workers.cli.plan import cli
from workers.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)


def event(name: str, hour: float = 0, /, *, library: str = "web", user: str = "u", **properties: Any) -> Any:
    """A track event so many hours after the begin."""
    return {
        "type": "track",
        "messageId": "m",
        "timestamp": (BEGIN + timedelta(hours=hour)).isoformat(),
        "userId": user,
        "event": name,
        "properties": properties,
        "context": {"library": {"name": library, "version": "1.0"}},
    }


def stream(tmp_path: Path, *events: Any) -> Path:
    """A file of events."""
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in events))
    return path


def plan(tmp_path: Path, text: str) -> Path:
    """A plan's file."""
    path = tmp_path / "tracking_plan.yaml"
    path.write_text(text)
    return path


def run(*arguments: object) -> Result:
    """A command with its outcome; what it raised is raised."""
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


STRICT = """\
on_violation: dead_letter
unknown_events: flag
events:
  paid: {properties: {amount: {type: number, required: true}}}
  old: {deprecated: true}
"""


def test_what_infer_writes_check_finds_nothing_in(tmp_path: Path) -> None:
    """The first thing that everybody tries."""
    events = [event("paid", user=f"u{n}", amount=n, method="ab"[n % 2]) for n in range(40)]
    path, out = stream(tmp_path, *events), tmp_path / "plan.yaml"
    assert run("infer", "--file", path, "--out", out).exit_code == 0
    assert "paid:   # 40 seen" in out.read_text()
    assert "method: {type: string, enum: [a, b], required: true}   # 40 of 40" in out.read_text()
    assert run("infer", "--file", path).stdout == out.read_text()
    result = run("check", out, "--file", path)
    assert (result.exit_code, result.stdout) == (
        0,
        "40 event(s), 0 not as planned, 0 of them for dead-letters\n",
    )


def test_infer_writes_over_no_file_and_proposes_nothing_from_nothing(tmp_path: Path) -> None:
    """A plan that people worked on is not lost."""
    path, out = stream(tmp_path), plan(tmp_path, "version: 7\n")
    assert run("infer", "--file", path, "--out", out).exit_code == 2
    assert out.read_text() == "version: 7\n"
    with pytest.raises(Misconfigured, match="there is no event"):
        run("infer", "--file", path)


def test_check_tells_each_violation_by_event_and_producer(tmp_path: Path) -> None:
    """With its number and first place; exit code 1, and never a value."""
    secret = "ada@example.com"
    path = stream(
        tmp_path,
        event("paid", amount=1),
        event("paid", amount=secret),
        event("paid", amount=secret),
        event("paid", library="ios"),
        event("free", note=secret),
        event("old"),
        {"type": "track"},
    )
    result = run("check", plan(tmp_path, STRICT), "--file", path)
    assert result.exit_code == 1
    aside = "  -> dead letter"
    assert result.stdout.splitlines() == [
        "free  from web/1.0",
        "          1  unknown_event     the event is not in the plan; first: line 5",
        "paid  from ios/1.0",
        f"          1  required_missing  properties.amount is required; first: line 4{aside}",
        "paid  from web/1.0",
        f"          2  type_mismatch     properties.amount is string, not number; first: line 2{aside}",
        "old: deprecated, and came 1 time(s)",
        "6 event(s), 4 not as planned, 3 of them for dead-letters",
    ]
    assert result.stderr == (
        "no event: Object missing required field `messageId`: 1 record(s), the first at line 7\n"
    )
    assert secret not in result.output


def test_check_for_machines_is_one_object(tmp_path: Path) -> None:
    """The same facts."""
    path = stream(tmp_path, event("paid"), event("old"), {"type": "track"})
    result = run("check", plan(tmp_path, STRICT), "--file", path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "records": 3,
        "no_events": [{"reason": "Object missing required field `messageId`", "count": 1, "first": "line 3"}],
        "events": 2,
        "violating": 1,
        "dead_letter": 1,
        "deprecated": {"old": 1},
        "violations": [
            {
                "event": "paid",
                "producer": "web/1.0",
                "rule": "required_missing",
                "property": "amount",
                "detail": "properties.amount is required",
                "dead_letter": True,
                "first": "line 1",
                "count": 1,
            }
        ],
    }


def test_check_keeps_a_bounded_number_of_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond goes under one name, counted."""
    monkeypatch.setattr("workers.reading.plans.MAX_LINES", 2)
    path = stream(tmp_path, *(event(f"unknown {number}") for number in range(10)))
    lines = json.loads(run("check", plan(tmp_path, STRICT), "--file", path, "--json").stdout)["violations"]
    assert [(line["event"], line["count"]) for line in lines] == [
        ("(more)", 8),
        ("unknown 0", 1),
        ("unknown 1", 1),
    ]


def test_a_wrong_plan_is_named_with_its_place(tmp_path: Path) -> None:
    """Exit code 1."""
    result = run("check", plan(tmp_path, "events: {x: {kind: 1}}"), "--file", stream(tmp_path))
    assert result.exit_code == 1
    assert "tracking_plan.yaml:1:14: events.x.kind: not known here" in result.stderr


def weeks(**last_day: Any) -> list[Any]:
    """Two weeks of an hourly event with a plan, of which the last day is otherwise."""
    before = [event("paid", hour, amount=1, plan="a") for hour in range(13 * 24)]
    return before + [event("paid", 13 * 24 + hour, **last_day) for hour in range(24)]


def test_health_of_a_file_is_judged_at_its_end(tmp_path: Path) -> None:
    """A property that went null on the last day, an event that began on it, one that never came."""
    path = stream(tmp_path, *weeks(amount=1, plan=None), event("brand_new", 13 * 24 + 5))
    result = run("health", plan(tmp_path, "events: {paid: {}, never: {}}"), "--file", path)
    assert result.exit_code == 0
    shares = "has a value in 0% of 24 events, before in 100% of 312"
    assert result.stdout.splitlines() == [
        f"went_null    paid.plan  from web: {shares}; null in 100%",
        "new_unknown  brand_new  from web: not in the plan; 1 events, 1 of them lately",
        "never_seen   never: planned, and never seen",
        "3 finding(s) at 2026-03-15 23:59 UTC, from 337 record(s)",
    ]


def test_health_at_a_later_time_finds_what_stopped(tmp_path: Path) -> None:
    """With --strict it fails; for machines it is one object."""
    path, of = stream(tmp_path, *weeks(amount=1, plan="a")), plan(tmp_path, "events: {paid: {}}")
    assert run("health", of, "--file", path, "--strict").exit_code == 0
    late = ("--at", "2026-03-16T12:00:00Z", "--json")
    result = run("health", of, "--file", path, "--strict", *late)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert [one["kind"] for one in told["findings"]] == ["stopped"]
    assert told["at_ms"] == 1_773_662_400_000


def test_health_at_an_earlier_time_knows_nothing_of_what_came_later(tmp_path: Path) -> None:
    """A look back is what one would have seen then."""
    path = stream(tmp_path, *weeks(amount=1, plan=None), event("brand_new", 13 * 24 + 5))
    of = plan(tmp_path, "events: {paid: {}}")
    result = run("health", of, "--file", path, "--at", "2026-03-14T23:59:59Z")
    assert result.stdout == "0 finding(s) at 2026-03-14 23:59 UTC, from 337 record(s)\n"


def test_a_new_version_of_a_producer_is_no_other_producer(tmp_path: Path) -> None:
    """An upgrade of an SDK is not an event that stopped."""
    events = weeks(amount=1, plan="a")
    for one in events[200:]:
        one["context"]["library"]["version"] = "2.0"
    path, of = stream(tmp_path, *events), plan(tmp_path, "events: {paid: {}}")
    assert run("health", of, "--file", path).stdout.startswith("0 finding(s)")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("infer", "--file", "x", "--since", "7d"), "a file is read whole"),
        (("health", "PLAN", "--recent", "1 day"), "a duration is a whole number"),
        (("health", "PLAN", "--at", "yesterday"), "such as 2026-03-14T10:02:00Z"),
    ],
)
def test_a_wrong_option_is_explained(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2."""
    named = plan(tmp_path, "version: 1")
    result = run(*(named if part == "PLAN" else part for part in arguments))
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())
