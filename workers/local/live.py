"""The live view of a run: where the replay is, what has happened, what happened just now, where to look.

On a terminal it is a screen that redraws itself; elsewhere (a pipe, a log file) the same lines are printed as
they come, and one line of counts at every tenth of the replay. It is told everything by calls, from any
thread, and reads nothing by itself.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from workers.local.demo.lines import CHANNELS, HOUR_MS, Line, Tally, line_for, moment, span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from rich.console import RenderableType

    from workers.local.demo.replay import Progress

REFRESH_PER_S = 4  # more is not readable, and costs the workers their processor
RATE_S = 5.0  # the window over which events/s is taken
LINES_KEPT = 200  # more than any terminal shows
CHROME_LINES = 9  # rows of the screen that are not recent lines; addresses come on top
COLOURS = {
    "eligible": "cyan",
    "sent": "green",
    "not_sent": "yellow",
    "converted": "bold magenta",
    "exit": "dim",
    "note": "bold",
}


class LiveView:
    """Shows a run. Use it as a context manager: leaving it gives the terminal back, whatever happened."""

    def __init__(
        self,
        *,
        links: Mapping[str, str],
        details: Mapping[str, dict[str, Any]] | None = None,
        console: Console | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``links``: names and addresses to show. ``details``: properties of goal events by message id."""
        self._links = dict(links)
        self._details = details or {}
        self._console = console or Console()
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._lines: deque[Line] = deque(maxlen=LINES_KEPT)
        self._rates: deque[tuple[float, int]] = deque()
        self._progress: Progress | None = None
        self._told_tenth = -1
        self._live: Live | None = None
        self.tally = Tally()

    def on_record(self, topic: str, record: dict[str, Any]) -> None:
        """Takes one record of scheduler, decisions, deliveries or conversions (name without prefix)."""
        line = line_for(topic, record, self._details)
        with self._lock:
            self.tally.add(topic, record)
            if line is not None:
                self._say(line)

    def on_progress(self, progress: Progress) -> None:
        """Takes the state of the replay."""
        with self._lock:
            self._progress = progress
            self._measure(progress.sent)
            tenth = int(progress.percent // 10)
            if self._live is None and tenth > self._told_tenth:
                self._told_tenth = tenth
                self._print(f"{moment(progress.at_ms)}  {progress.percent:3.0f} %  {self._counts()}")

    def note(self, text: str) -> None:
        """Shows a line of the program's own, such as what it waits for."""
        with self._lock:
            at_ms = self._progress.at_ms if self._progress is not None else 0
            self._say(Line(at_ms, "note", text))

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._screen,
                console=self._console,
                refresh_per_second=REFRESH_PER_S,
                screen=False,
            )
            self._live.start()
        else:
            for name, address in self._links.items():
                self._print(f"{name}: {address}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        else:
            with self._lock:
                self._print(f"end: {self._counts()}")

    def _say(self, line: Line) -> None:
        self._lines.append(line)
        if self._live is None:
            self._print(_worded(line))

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _measure(self, sent: int) -> None:
        now_s = self._monotonic_s()
        self._rates.append((now_s, sent))
        while now_s - self._rates[0][0] > RATE_S:
            self._rates.popleft()

    def _rate(self) -> float:
        """Events per second over the last 5 s; 0 before two measurements."""
        if not self._rates:
            return 0.0
        (from_s, before), (until_s, now) = self._rates[0], self._rates[-1]
        return (now - before) / (until_s - from_s) if until_s > from_s else 0.0

    def _counts(self) -> str:
        sent = self._progress.sent if self._progress is not None else 0
        tally = self.tally
        return (
            f"{sent} events, {tally.eligible} eligible, {len(tally.waiting)} waiting, "
            f"{_by_channel(tally.sent)} sent, {tally.converted} converted"
        )

    def _screen(self) -> RenderableType:
        """What the terminal shows now."""
        with self._lock:
            room = max(3, self._console.height - CHROME_LINES - len(self._links))
            recent = list(self._lines)[-room:]
            parts: list[RenderableType] = [self._header(), self._numbers(), Text()]
            parts += [_coloured(line) for line in recent]
            parts.append(Text())
            parts += [_link(name, address) for name, address in self._links.items()]
            parts.append(Text("Ctrl-C stops", style="dim"))
            return Group(*parts)

    def _header(self) -> RenderableType:
        progress = self._progress
        if progress is None:
            return Text("Brimful is starting", style="bold")
        grid = Table.grid(padding=(0, 2))
        late = f"{span(progress.behind_ms)} behind" if progress.behind_ms >= HOUR_MS else ""
        bar = ProgressBar(total=100, completed=progress.percent, width=40)
        grid.add_row(Text(moment(progress.at_ms), style="bold"), bar, f"{progress.percent:.0f} %", late)
        return grid

    def _numbers(self) -> RenderableType:
        sent = self._progress.sent if self._progress is not None else 0
        total = self._progress.total if self._progress is not None else 0
        tally = self.tally
        grid = Table.grid(padding=(0, 3))
        grid.add_row("events published", f"{sent:,} of {total:,}", "events/s", f"{self._rate():,.0f}")
        grid.add_row("eligible", f"{tally.eligible:,}", "waiting", f"{len(tally.waiting):,}")
        grid.add_row("sent", _by_channel(tally.sent), "not sent", f"{tally.not_sent.total():,}")
        grid.add_row("converted", f"{tally.converted:,}", "revenue", f"{tally.revenue:+,.0f}")
        return grid


def _worded(line: Line) -> str:
    return f"{moment(line.at_ms)}  {line.text}" if line.at_ms else line.text


def _coloured(line: Line) -> Text:
    return Text(_worded(line), style=COLOURS.get(line.kind, ""), no_wrap=True, overflow="ellipsis")


def _link(name: str, address: str) -> Text:
    return Text.assemble((f"{name:<10}", "dim"), (address, f"underline link {address}"))


def _by_channel(sent: Mapping[str, int]) -> str:
    """``3 e-mail, 5 in-app message``; ``0`` for none."""
    return (
        ", ".join(f"{count} {CHANNELS.get(channel, channel)}" for channel, count in sorted(sent.items()))
        or "0"
    )
