"""Tasks: work that nobody waits for, such as looking at everybody after a workspace with other segments came.

All partitions of a process take turns on one loop, and an event needs several turns to come through. So a
task is done in slices of about ``SLICE_S``, one partition at a time, and after each slice the process is left
to events and timers for as long again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE_S = 0.02
"""How long a slice is meant to take."""

_FIRST_ROWS = 50
"""What a slice of a task looks at before it is known how long a row takes."""

_LEAST_ROWS, _MOST_ROWS = 10, 2_000
"""Fewer do not pay for a transaction; after many cheap rows as many dear ones may come."""


class Task(msgspec.Struct, frozen=True):
    """Work for the background: a logic has subclasses, which say what is left to do.

    It lives in memory only: what has to be done after a crash, ``opened`` finds in the state.
    """


class Done(NamedTuple):
    """What became of a slice: how many rows it looked at, and what remains of the task, or None."""

    rows: int
    rest: Task | None


class Background:
    """When the partitions of one process may work on tasks, and on how much at once."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._free_s = 0.0
        self._rows: dict[type[Task], int] = {}

    def wait_s(self) -> float:
        """How long until the next slice may begin; 0: now."""
        return max(0.0, self._free_s - self._monotonic_s())

    def rows(self, task: Task) -> int:
        """How many rows the next slice of such a task may look at."""
        return self._rows.get(type(task), _FIRST_ROWS)

    def took(self, task: Task, rows: int, seconds: float) -> None:
        """Take note of a slice that is done: the next begins no sooner than after as long a pause."""
        self._free_s = self._monotonic_s() + seconds
        before = self.rows(task)
        if 2 * rows >= before and seconds > 0:
            self._rows[type(task)] = rows_in_slice(before, rows, seconds)


def rows_in_slice(before: int, rows: int, seconds: float) -> int:
    """How many rows the next slice looks at, after ``rows`` took ``seconds``; at most twice ``before``."""
    return int(max(_LEAST_ROWS, min(rows * SLICE_S / seconds, 2 * before, _MOST_ROWS)))
