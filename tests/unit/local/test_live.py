"""The live view, on a terminal and without one."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from workers.local.demo.replay import Progress
from workers.local.live import LiveView

AT_MS = 1_773_482_520_000  # 14 Mar 2026 10:02 UTC
LINKS = {"mail": "http://127.0.0.1:1080"}
SENT = {"channel": "email", "person": "user-17", "template": "[bold]x", "outcome": "sent", "at_ms": AT_MS}


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        """Begins at 0."""
        self.now_s = 0.0

    def __call__(self) -> float:
        """The time set."""
        return self.now_s


def progress(sent: int, percent: float, behind_ms: int = 0) -> Progress:
    """A state of the replay."""
    return Progress(sent, 1000, AT_MS, percent, behind_ms, percent == 100)


def view(*, terminal: bool, clock: Clock | None = None, **options: Any) -> tuple[LiveView, io.StringIO]:
    """A view and what it writes."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, height=20, color_system=None)
    return LiveView(links=LINKS, console=console, monotonic_s=clock or Clock(), **options), output


def screen(live: LiveView) -> str:
    """The present screen as text."""
    console = Console(file=io.StringIO(), width=100, height=20, color_system=None)
    with console.capture() as capture:
        console.print(live._screen())
    return capture.get()


def test_without_a_terminal_every_line_is_printed_as_it_comes() -> None:
    """A log of a run has where to look, what happened, and the counts at the end; no control characters."""
    live, output = view(terminal=False)
    with live:
        live.on_record("deliveries", SENT)
    text = output.getvalue()
    assert text.splitlines() == [
        "mail: http://127.0.0.1:1080",
        "14 Mar 10:02  e-mail [bold]x sent to user-17",
        "end: 0 events, 0 eligible, 0 waiting, 1 e-mail sent, 0 converted",
    ]


def test_without_a_terminal_the_counts_are_printed_once_per_tenth_of_the_replay() -> None:
    """Not at each of its thousands of steps."""
    live, output = view(terminal=False)
    with live:
        for percent in range(101):
            live.on_progress(progress(percent * 10, float(percent)))
    lines = [line for line in output.getvalue().splitlines() if "%" in line]
    assert len(lines) == 11
    assert lines[-1].startswith("14 Mar 10:02  100 %  1000 events")


def test_the_screen_shows_date_counts_what_happened_and_where_to_look() -> None:
    """All of it, at once."""
    live, _ = view(terminal=True)
    live.on_progress(progress(500, 50.0, behind_ms=7_200_000))
    live.on_record("deliveries", SENT)
    live.on_record("conversions", {"subject": "acct-9", "revenue": 115.0, "converted_at_ms": AT_MS})
    text = screen(live)
    for part in ("14 Mar 10:02", "50 %", "2.0 h behind", "500 of 1,000", "1 e-mail", "+115"):
        assert part in text
    assert "e-mail [bold]x sent to user-17" in text
    assert "http://127.0.0.1:1080" in text
    assert "Ctrl-C stops" in text


def test_the_screen_never_grows_past_the_terminal() -> None:
    """The newest lines are kept, older ones leave; long ones are cut, not wrapped."""
    live, _ = view(terminal=True)
    live.on_progress(progress(1, 1.0))
    for number in range(500):
        live.on_record("deliveries", {**SENT, "person": f"user-{number}-" + "x" * 150})
    lines = screen(live).rstrip("\n").splitlines()
    assert len(lines) <= 20
    assert any("user-499-" in line for line in lines)
    assert not any("user-400-" in line for line in lines)


def test_the_rate_is_that_of_the_last_five_seconds() -> None:
    """A slow start is forgotten."""
    clock = Clock()
    live, _ = view(terminal=True, clock=clock)
    for now_s, sent in ((0.0, 0), (10.0, 0), (12.0, 800), (14.0, 1000)):
        clock.now_s = now_s
        live.on_progress(progress(sent, 10.0))
    assert live._rate() == pytest.approx(250)


def test_leaving_the_view_gives_the_terminal_back_also_after_ctrl_c() -> None:
    """The cursor is hidden on entry and shown again on leaving; the interrupt goes on to the caller."""
    live, output = view(terminal=True)

    def interrupted() -> None:
        with live:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    text = output.getvalue()
    assert text.index("\x1b[?25l") < text.index("\x1b[?25h")


def test_a_note_is_shown_among_the_lines() -> None:
    """What the program waits for stands where people look."""
    live, output = view(terminal=False)
    live.note("waiting for the gateway")
    assert output.getvalue() == "waiting for the gateway\n"
