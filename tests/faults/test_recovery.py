"""What a restart finds may be worse than a missing batch: damaged files, zombies, timers that were firing."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from schemas.topics import load_topics
from tests.faults import outcome as reading
from tests.faults.cluster import START_S, Worker, come_to_rest, until
from tests.faults.history import LATER_MS, NOW_MS, history, publish
from workers.stream.admin import apply_topics
from workers.stream.transaction import Step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.faults.outcome import Outcome

pytestmark = pytest.mark.kafka

SEED = 31
PARTITIONS = 4
PAST = history(seed=SEED, users=80, uses=30)
LATE_LOAD = history(seed=SEED + 1, users=80, uses=10).phases[1]
"""Counted while the timers of all the phases before fire."""

RESTORE_KILLS = 5
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Sequences = dict[str, dict[bytes, list[str]]]
"""For each output topic the records of each key, in their order."""


@pytest.fixture(scope="module")
def right(
    kafka: str, kafka_session: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, Sequences]:
    """The outcome of the history, undisturbed."""
    prefix = f"recovery-right-{kafka_session[:8]}."
    worker = _worker(kafka, prefix, tmp_path_factory.mktemp("right"))
    try:
        worker.start()
        _live_through(worker, PAST.phases)
        _late(worker)
    finally:
        worker.kill()
    found = _end(kafka, prefix)
    assert len(found[1]["messages.email"]) > 10, "timers fired"
    assert len(found[1]["dead-letters"]) > 0, "bad records were put aside"
    assert len(found[1]["conversions"]) > 0, "goals were reached"
    return found


def test_damaged_files_are_rebuilt_from_the_changelog(
    kafka: str, topic_prefix: str, tmp_path: Path, right: tuple[Outcome, Sequences]
) -> None:
    """A cut file, flipped bytes, a missing manifest and an empty CURRENT: each heals without a person."""
    worker = _worker(kafka, topic_prefix, tmp_path)
    try:
        worker.start()
        _live_through(worker, PAST.phases[:2])
        worker.stop()
        for number, damage in enumerate((_cut, _flip, _lose_manifest, _empty_current)):
            damage(next(tmp_path.rglob(f"*brimful-engine/p{number}")))
        before = len(_log(worker))
        worker.start()
        _live_through(worker, PAST.phases[2:])
        told = _log(worker)[before:]
        _late(worker)
    finally:
        worker.kill()

    healed = {
        int(number)
        for line in told.splitlines()
        if "store.broken" in line or "StoreBroken" in line
        for number in re.findall(r"partition=(\d+)", line)
    }
    assert healed == {0, 1, 2, 3}, told
    assert _differences(_end(kafka, topic_prefix), right) == []


def test_a_zombie_that_wakes_inside_a_batch_changes_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path, right: tuple[Outcome, Sequences]
) -> None:
    """It sleeps with a batch decided until another owns its partitions: it may not commit that."""
    zombie = _worker(kafka, topic_prefix, tmp_path, 0)
    heir = _worker(kafka, topic_prefix, tmp_path, 1)
    try:
        zombie.start()
        _live_through(zombie, PAST.phases[:1])
        zombie.stop()
        publish(kafka, f"{topic_prefix}product-events", PAST.phases[1])
        zombie.start(die_at=(Step.DECIDE.value, 6), sleeps=True)  # in the middle of its load
        until(lambda: _sleeps(zombie), START_S, "sleeping worker")
        heir.start()
        come_to_rest([heir], PARTITIONS)
        assert "Fenced" not in _log(zombie), "it did not wake by itself"
        zombie.signal(signal.SIGCONT)
        until(lambda: "Fenced" in _log(zombie), START_S, "refused zombie")
        zombie.stop()
        _live_through(heir, PAST.phases[2:])
        _late(heir)
    finally:
        zombie.kill()
        heir.kill()

    assert _differences(_end(kafka, topic_prefix), right) == []


def test_kills_while_timers_fire_change_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path, right: tuple[Outcome, Sequences]
) -> None:
    """After two days away everything is due at once, and the worker dies at each step of firing it."""
    worker = _worker(kafka, topic_prefix, tmp_path)
    try:
        worker.start()
        _live_through(worker, PAST.phases)
        worker.stop()
        _set_clock(worker, LATER_MS)
        publish(kafka, f"{topic_prefix}product-events", LATE_LOAD)
        for step in Step:
            if step is Step.COMMIT:
                worker.forget()
            worker.start(die_at=(step.value, 1))
            assert worker.wait(START_S) == -signal.SIGKILL, f"seed {SEED}\n{worker.tail()}"
        worker.start()
        come_to_rest([worker], PARTITIONS)
        worker.stop()
    finally:
        worker.kill()

    assert _differences(_end(kafka, topic_prefix), right) == []


def test_kills_during_restores_change_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path, right: tuple[Outcome, Sequences]
) -> None:
    """Killed at any moment of its start, its files deleted every other time, it still ends up right."""
    chance = random.Random(SEED)  # noqa: S311 - the seed is the test's own
    worker = _worker(kafka, topic_prefix, tmp_path)
    unready = 0
    try:
        worker.start()
        _live_through(worker, PAST.phases[:1])
        publish(kafka, f"{topic_prefix}product-events", PAST.phases[1])
        for number in range(RESTORE_KILLS):
            worker.kill()
            if number % 2:
                worker.forget()
            said = len(_log(worker))
            worker.start(slow_s=0.2)
            until(lambda said=said: "KernelApp" in _log(worker)[said:], START_S, "starting worker")  # type: ignore[misc]
            time.sleep(chance.uniform(0.0, 0.6))
            unready += not worker.ready()
        worker.kill()
        worker.start()
        come_to_rest([worker], PARTITIONS)
        _live_through(worker, PAST.phases[2:])
        _late(worker)
    finally:
        worker.kill()

    assert unready > 0, f"no kill hit a start (seed {SEED})"
    assert _differences(_end(kafka, topic_prefix), right) == []


def _worker(bootstrap: str, prefix: str, folder: Path, number: int = 0) -> Worker:
    apply_topics(bootstrap, load_topics(), prefix=prefix, partitions=PARTITIONS)
    return Worker(bootstrap, prefix, folder, number, PARTITIONS)


def _live_through(worker: Worker, phases: Iterable[list[tuple[bytes, bytes]]]) -> None:
    for phase in phases:
        publish(worker.order.bootstrap, f"{worker.order.prefix}product-events", phase)
        come_to_rest([worker], PARTITIONS)


def _late(worker: Worker) -> None:
    """Stop, and come back two days later to due timers and more events."""
    worker.stop()
    _set_clock(worker, LATER_MS)
    publish(worker.order.bootstrap, f"{worker.order.prefix}product-events", LATE_LOAD)
    worker.start()
    come_to_rest([worker], PARTITIONS)
    worker.stop()


def _set_clock(worker: Worker, now_ms: int) -> None:
    assert now_ms >= NOW_MS
    worker.order = msgspec.structs.replace(worker.order, now_ms=now_ms)


def _log(worker: Worker) -> str:
    return _COLOUR.sub("", (worker.folder / "log.txt").read_text(errors="replace"))


def _sleeps(worker: Worker) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(worker.pid)], check=True, capture_output=True, text=True
    )
    return state.stdout.startswith("T")


# -- damage to one closed database


def _tables(store: Path) -> list[Path]:
    found = sorted(store.glob("*.sst"))
    assert found, f"nothing was flushed to {store.name}"
    return found


def _cut(store: Path) -> None:
    for table in _tables(store):
        content = table.read_bytes()
        table.write_bytes(content[: len(content) // 2])


def _flip(store: Path) -> None:
    for table in _tables(store):
        content = bytearray(table.read_bytes())
        content[:64] = bytes(byte ^ 0xFF for byte in content[:64])
        table.write_bytes(content)


def _lose_manifest(store: Path) -> None:
    for manifest in store.glob("MANIFEST-*"):
        manifest.unlink()


def _empty_current(store: Path) -> None:
    (store / "CURRENT").write_bytes(b"")


# -- comparison


def _end(bootstrap: str, prefix: str) -> tuple[Outcome, Sequences]:
    found: Sequences = {}
    for topic in reading.OUTPUTS:
        keys = found.setdefault(topic, {})
        for _, key, value in reading.read(bootstrap, prefix + topic, PARTITIONS):
            keys.setdefault(key or b"", []).append(reading._unprefixed(value, prefix))
    return reading.outcome(bootstrap, prefix, PARTITIONS), found


def _differences(found: tuple[Outcome, Sequences], right: tuple[Outcome, Sequences]) -> list[str]:
    """Every row, timer and record that differs, with the order of each key's records; at most 20."""
    told = [f"seed {SEED}, {line}" for line in _unequal("row", found[0].rows, right[0].rows)]
    for topic, records in right[1].items():
        told += _unequal(topic, found[1][topic], records)
    told += _unequal("account-events", dict(found[0].to_accounts), dict(right[0].to_accounts))
    return told[:20]


def _unequal(what: str, found: dict[Any, Any], right: dict[Any, Any]) -> list[str]:
    keys = sorted(found.keys() | right.keys(), key=repr)
    return [
        f"{what} {key!r}: {found.get(key)!r} instead of {right.get(key)!r}"
        for key in keys
        if found.get(key) != right.get(key)
    ]
