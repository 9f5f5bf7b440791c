"""``python -m tests.simulation``: one seed with its trace, or many of them over the cores."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from tests.simulation.many import run_many
from tests.simulation.report import report, trace
from tests.simulation.scenario import scenario
from tests.simulation.shrink import problems_of, shrunk

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: every check held. 1: one did not; its seed, and with ``--seed`` its trace, are printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=main.__doc__)
    parser.add_argument("--seed", type=int, help="this one alone, shrunk and with its trace if it fails")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many, from --from on")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--trace", action="store_true", help="with --seed: the whole run, also of one that passes"
    )
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return _one(given.seed, whole=given.trace)
    started = time.monotonic()
    failed = run_many(range(given.first, given.first + given.seeds), given.processes)
    for seed, problems in failed.items():
        sys.stdout.write(
            f"seed {seed}: " + "; ".join(f"{name}: {found[0]}" for name, found in problems.items()) + "\n"
        )
    took_s = time.monotonic() - started
    sys.stdout.write(f"{given.seeds} seeds, {len(failed)} failed, {took_s:.0f} s\n")
    if failed:
        sys.stdout.write(f"see one: python -m tests.simulation --seed {min(failed)}\n")
    return int(bool(failed))


def _one(seed: int, *, whole: bool) -> int:
    drawn = scenario(seed)
    problems = problems_of(drawn)
    if whole:
        sys.stdout.write("\n".join(f"{at_ms} {text}" for at_ms, text in trace(drawn)) + "\n")
    if not problems:
        sys.stdout.write(f"seed {seed}: every check held ({len(drawn.actions)} actions)\n")
        return 0
    small = drawn if whole else shrunk(drawn, next(iter(problems)))
    sys.stdout.write(report(small, problems_of(small), len(drawn.actions)) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
