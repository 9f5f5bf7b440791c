"""When a process works on tasks, and on how much of them at once."""

from __future__ import annotations

import pytest

from workers.stream.background import SLICE_S, Background, Task, rows_in_slice


class Looking(Task, frozen=True):
    """A task."""

    at: int


class Other(Task, frozen=True):
    """A task of another kind."""


def test_after_a_slice_the_process_is_left_to_others_for_as_long_again() -> None:
    """Whichever partition had it: half of the loop's time is the most that tasks take."""
    now_s = 100.0
    background = Background(lambda: now_s)
    assert background.wait_s() == 0
    background.took(Looking(1), 50, 0.03)
    assert background.wait_s() == pytest.approx(0.03)
    now_s += 0.03
    assert background.wait_s() == pytest.approx(0)


@pytest.mark.parametrize(
    ("before", "rows", "seconds", "after"),
    [
        (50, 50, SLICE_S, 50),  # as meant
        (50, 50, SLICE_S * 2, 25),  # dear rows: fewer
        (50, 50, SLICE_S / 1.5, 75),  # cheap ones: more,
        (50, 50, SLICE_S / 100, 100),  # but at most twice as many,
        (2_000, 2_000, SLICE_S / 2, 2_000),  # and never more than that
        (50, 50, 1.0, 10),  # very dear ones: not fewer than pay for a transaction
    ],
)
def test_a_slice_looks_at_as_many_rows_as_fit_its_time(
    before: int, rows: int, seconds: float, after: int
) -> None:
    """By what the last one took."""
    assert rows_in_slice(before, rows, seconds) == after


def test_each_kind_of_task_has_rows_of_its_own_price() -> None:
    """And a slice that found few rows says nothing of what many take."""
    background = Background(lambda: 0.0)
    first = background.rows(Looking(1))
    background.took(Looking(1), first, SLICE_S * 2)
    assert background.rows(Looking(2)) == first // 2
    assert background.rows(Other()) == first
    background.took(Looking(2), 1, SLICE_S * 2)
    assert background.rows(Looking(3)) == first // 2
