"""A failing run for people: what is wrong, what happened in order of time, and how to see it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from schemas import wire
from tests.simulation.actions import START_MS
from tests.simulation.world import run
from workers.signals.account_events import decode

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from workers.simulate.log import Record

HIDDEN = ("identity", "feeds")
"""Topics whose records a trace leaves out; all else is there."""


def report(scenario: Scenario, problems: dict[str, list[str]], of: int) -> str:
    """What is wrong with a run, and its trace. ``of``: how many actions the run had before it was shrunk."""
    lines = [f"seed {scenario.seed}"]
    lines += [f"  {check}: {problem}" for check, found in problems.items() for problem in found[:5]]
    lines.append(f"workspace ({len(scenario.versions.loaded)} versions, {scenario.partitions} partitions):")
    for version, loaded in enumerate(scenario.versions.loaded):
        plain = [one.model_dump(mode="json", exclude_unset=True) for one in loaded.workspace.journeys]
        lines += [f"  {version}: {msgspec.json.encode(one).decode()}" for one in plain]
    lines.append(f"trace ({len(scenario.actions)} of {of} actions are left):")
    lines += [f"  {_time(at_ms)} {text}" for at_ms, text in trace(scenario)]
    lines.append(f"again: python -m tests.simulation --seed {scenario.seed}")
    return "\n".join(lines)


def trace(scenario: Scenario) -> list[tuple[int, str]]:
    """Faults, records and calls of a run, in the order of true time (ms)."""
    try:
        left = run(scenario)
    except Exception:  # noqa: BLE001 - the trace of a run that raises is its actions
        return [(action.at_ms, str(action)) for action in scenario.actions]
    sent = {(record.topic, record.partition, record.offset): action for action, record in left.sent}
    lines = [(at_ms, 0, text) for at_ms, text in left.trace]
    lines += [
        (one.at_ms, 0, f"provider accepted {one.message_id[:8]} for {one.person}")
        for one in left.provider.taken
    ]
    for topic in left.log.topics():
        if topic.endswith("-changelog") or topic in HIDDEN:
            continue
        for record in left.log.committed(topic):
            action = sent.get((topic, record.partition, record.offset))
            text = str(action) if action is not None else f"{topic}/{record.partition}: {_text(record)}"
            lines.append((record.timestamp, record.order, text))
    return [(at_ms, text) for at_ms, _, text in sorted(lines)]


def _text(record: Record) -> str:
    if record.topic == "account-events":
        return " ".join(map(str, decode(record.value or b"")))
    if record.topic == "decisions":
        one = wire.decode_decision(record.value or b"")
        about = f"{one.subject} {one.journey} {one.kind} {one.outcome} {one.reason or ''}"
        return f"{about} {(one.enrollment or '')[:8]} step={one.step} at={_time(one.at_ms)}"
    return f"{(record.key or b'').decode()} {(record.value or b'').decode(errors='backslashreplace')[:300]}"


def _time(at_ms: int) -> str:
    """Time since the beginning: days, hours, minutes, seconds."""
    seconds, ms = divmod(at_ms - START_MS, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}:{minutes:02}:{seconds:02}.{ms:03}"
