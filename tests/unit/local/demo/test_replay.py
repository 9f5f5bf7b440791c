"""The replay against a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from workers.clock import FixedClock
from workers.local.demo.history import History, load_history
from workers.local.demo.mapping import DemoEvent, Message
from workers.local.demo.replay import BATCH_MAX, STEP_S, Progress, Replay, speed_for, stamped

HISTORY = History(1_000_000, 1_100_000, {}, (), (), ())
START_MS = 1_700_000_000_000


def event(offset_ms: int, name: str = "search") -> DemoEvent:
    """An event so long after the history's start."""
    return DemoEvent(HISTORY.start_ms + offset_ms, {"type": "track", "event": name, "userId": "user-1-0"})


class Bench:
    """A replay with everything around it: a clock that only a pause moves, and what was sent and told."""

    def __init__(self, *events: DemoEvent, takes_ms: int = 0) -> None:
        """``takes_ms``: how long each publish takes."""
        self.clock = FixedClock(START_MS)
        self.stop = asyncio.Event()
        self.sent: list[tuple[int, list[Message]]] = []
        self.told: list[Progress] = []
        self.takes_ms = takes_ms
        self.replay = Replay(
            HISTORY,
            events,
            clock=self.clock,
            start_ms=START_MS,
            publish=self.publish,
            on_progress=self.told.append,
        )

    async def publish(self, messages: list[Message]) -> None:
        """Keeps what was sent, and when."""
        self.sent.append((self.clock.time_ms - START_MS, messages))
        self.clock.time_ms += self.takes_ms

    async def pause(self, seconds: float) -> None:
        """Lets the clock run instead of waiting."""
        self.clock.time_ms += max(1, round(seconds * 1000))

    async def run(self) -> Progress:
        """Runs to the end."""
        return await self.replay.run(self.stop, self.pause)


async def test_each_event_is_sent_when_the_clock_reaches_its_time_and_never_before() -> None:
    """In order, at its own moment, with the clock's time as its timestamp."""
    bench = Bench(event(0, "a"), event(250, "b"), event(250, "c"), event(900, "d"))
    last = await bench.run()
    sent = [(at_ms, [message["event"] for message in messages]) for at_ms, messages in bench.sent]
    assert sent == [(0, ["a"]), (250, ["b", "c"]), (900, ["d"])]
    assert bench.sent[1][1][0]["timestamp"] == "2023-11-14T22:13:20.250Z"
    assert (last.sent, last.total, last.done, last.percent) == (4, 4, True, 100.0)


async def test_a_slow_receiver_makes_the_replay_late_and_it_catches_up_in_order() -> None:
    """What became due meanwhile goes out at once, in batches of at most 100, nothing left out."""
    events = [event(offset) for offset in range(0, 2500, 10)]
    bench = Bench(*events, takes_ms=2000)
    await bench.run()
    sizes = [len(messages) for _, messages in bench.sent]
    assert sum(sizes) == len(events)
    assert max(sizes) == BATCH_MAX
    stamps = [message["timestamp"] for _, messages in bench.sent for message in messages]
    assert stamps == sorted(stamps)
    assert max(progress.behind_ms for progress in bench.told) > 0


async def test_progress_is_told_at_least_ten_times_a_second_also_when_nothing_happens() -> None:
    """A quiet night of the history still moves the date on the screen."""
    bench = Bench(event(0), event(5000))
    await bench.run()
    times = [progress.at_ms for progress in bench.told]
    assert times == sorted(times)
    assert max(b - a for a, b in itertools.pairwise(times)) <= STEP_S * 1000
    assert any(0 < progress.percent < 100 for progress in bench.told)
    assert all(progress.behind_ms == 0 for progress in bench.told)


async def test_a_stop_ends_the_replay_between_two_batches() -> None:
    """Nothing is sent after it, and the last progress says how far it came."""
    bench = Bench(event(0), event(200), event(400))

    async def stop_then_pause(seconds: float) -> None:
        if len(bench.sent) == 2:
            bench.stop.set()
        await bench.pause(seconds)

    last = await bench.replay.run(bench.stop, stop_then_pause)
    assert len(bench.sent) == 2
    assert (last.sent, last.done) == (2, False)


async def test_the_default_pause_ends_when_a_stop_is_asked_for() -> None:
    """Ctrl-C does not wait for the next event: the far event is never sent."""
    bench = Bench(event(10_000_000))
    running = asyncio.create_task(bench.replay.run(bench.stop))
    await asyncio.sleep(0)
    bench.stop.set()
    assert (await running).sent == 0


async def test_what_the_receiver_raises_ends_the_replay() -> None:
    """An event that could not be sent is not passed over."""
    bench = Bench(event(0))

    async def refuse(_messages: list[Message]) -> None:
        raise ConnectionError("no")

    replay = Replay(
        HISTORY,
        [event(0)],
        clock=bench.clock,
        start_ms=START_MS,
        publish=refuse,
        on_progress=bench.told.append,
    )
    with pytest.raises(ConnectionError):
        await replay.run(bench.stop, bench.pause)
    assert replay.progress().sent == 0


def test_a_stamped_message_has_no_sent_at_for_a_gateway_to_correct_by() -> None:
    """At this speed a correction by the request's duration would move events by minutes."""
    message = stamped(event(0), START_MS - HISTORY.start_ms)
    assert "sentAt" not in message
    assert message["timestamp"] == "2023-11-14T22:13:20.000Z"


def test_the_default_speed_shows_the_bundled_history_in_two_and_a_half_minutes() -> None:
    """Seven weeks in 150 s."""
    history = load_history()
    assert (history.end_ms - history.start_ms) / speed_for(history) == pytest.approx(150_000)
