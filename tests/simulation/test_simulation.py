"""A thousand seeds of the real applications under faults; and that a seed is the whole truth of its run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

from tests.simulation.actions import Fault, Produced
from tests.simulation.many import run_many
from tests.simulation.report import report
from tests.simulation.scenario import scenario
from tests.simulation.shrink import problems_of, shrunk
from tests.simulation.world import Run, run

SEEDS = 1_000
EVENTS = "product-events"


def test_every_check_holds_for_every_seed() -> None:
    """What must hold of messages, journeys and counts holds, whatever happens; else the trace is told."""
    failed = run_many(range(SEEDS), os.cpu_count() or 1)
    if failed:
        seed, problems = next(iter(failed.items()))
        drawn = scenario(seed)
        small = shrunk(drawn, next(iter(problems)))
        told = report(small, problems_of(small), len(drawn.actions))
        raise AssertionError(f"{len(failed)} of {SEEDS} seeds failed: {sorted(failed)}\n{told}")


def fingerprint(left: Run) -> str:
    """A hash of all that was ever written, with its time and place."""
    digest = hashlib.sha256()
    for topic in left.log.topics():
        for one in left.log.committed(topic):
            digest.update(
                repr((topic, one.partition, one.offset, one.timestamp, one.key, one.value)).encode()
            )
    return digest.hexdigest()


def test_a_seed_is_the_same_run_in_every_process() -> None:
    """Whatever the hashes of texts in it: what failed elsewhere fails here."""
    script = (
        "from tests.simulation.test_simulation import fingerprint\n"
        "from tests.simulation.scenario import scenario\n"
        "from tests.simulation.world import run\n"
        "print(*(fingerprint(run(scenario(seed))) for seed in range(6)))\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(told) == 1


def test_a_failing_run_is_made_smaller_and_told() -> None:
    """A run with a mistake in it comes down to few actions; its report has the seed, trace and command."""
    drawn = scenario(1)
    bad = next(action for action in drawn.actions if isinstance(action, Produced) and action.topic == EVENTS)
    sent_without_note = drawn.only(
        (*drawn.actions[:40], replace(bad, value=b"not json"), *drawn.actions[40:])
    )
    problems = problems_of(sent_without_note)
    assert list(problems) == ["only_bad_records_are_put_aside"]
    small = shrunk(sent_without_note, "only_bad_records_are_put_aside")
    assert len(small.actions) == 1
    told = report(small, problems, len(sent_without_note.actions))
    assert "seed 1\n" in told
    assert "not json" in told
    assert "python -m tests.simulation --seed 1" in told


def test_a_run_visits_what_it_is_meant_to() -> None:
    """Among the first seeds are crashes at steps, zombies, edits, unknown outcomes, exits and erasures."""
    seen = set()
    for seed in range(25):
        left = run(scenario(seed))
        seen |= {text.split()[0] for _, text in left.trace if " after step " in text}
        seen |= {action.what for action in left.scenario.actions if isinstance(action, Fault)}
        seen |= {topic for topic in left.log.topics() if left.log.committed(topic)}
        seen |= {
            one for one in ("worker_stopped_during_call", "event: upgraded", "erase") if _is_said(left, one)
        }
    assert seen >= {
        *(
            "crash_at",
            "zombie",
            "commit_fails",
            "edit",
            "stall",
            "clock",
            "rebalance",
            "compact",
            "publish",
            "word",
        ),
        *("conversions", "segments", "feeds", "messages.email", "account-traits", "engagement"),
        *("worker_stopped_during_call", "event: upgraded", "erase"),
    }


def _is_said(left: Run, text: str) -> bool:
    """Whether a delivery, a decision or a request says so."""
    topics = ("deliveries", "decisions", "scheduler")
    return any(
        f'"{text}"'.encode() in (one.value or b"") for topic in topics for one in left.log.committed(topic)
    )
