"""Quix Streams, exactly once: its own sliding window, or 21 daily counts per user in its state by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quixstreams import Application

from tests.bench.peers.options import parser
from tests.bench.peers.progress import report

if TYPE_CHECKING:
    import argparse

DAY_MS = 86_400_000


def count_by_hand(threshold: int, window_days: int) -> Any:
    """A stateful step: the value ``[newest day, counts of the days up to it, newest first]`` per user."""

    def step(_value: Any, _key: Any, timestamp: int, _headers: Any, state: Any) -> int | None:
        day = timestamp // DAY_MS
        row = state.get("days")
        if row is None:
            row = [day, [0] * window_days]
        newest, counts = row
        if day > newest:
            moved = min(day - newest, window_days)
            counts = [0] * moved + counts[: window_days - moved]
            newest = day
        if newest - day < window_days:
            counts[newest - day] += 1
        state.set("days", [newest, counts])
        return threshold if sum(counts) == threshold else None

    return step


def build(args: argparse.Namespace) -> Application:
    """The application: read, count by the chosen method, emit at the threshold."""
    processed = 0

    def on_processed(_topic: str, _partition: int, _offset: int) -> None:
        nonlocal processed
        processed += 1

    app = Application(
        broker_address=args.bootstrap,
        consumer_group=args.name,
        auto_offset_reset="earliest",
        state_dir=Path(args.state_dir),
        processing_guarantee="exactly-once",
        on_message_processed=on_processed,
        producer_extra_config={"compression.type": "lz4"},
        loglevel="WARNING",
    )
    source = app.topic(args.topic, key_deserializer="str", value_deserializer="json")
    output = app.topic(args.output_topic, key_serializer="str", value_serializer="json")
    called = app.dataframe(source).filter(lambda value: value["event"] == "api_called")
    if args.method == "sliding":
        window = called.sliding_window(timedelta(days=args.days), grace_ms=timedelta(hours=1)).count()
        reached = window.current().filter(lambda result: result["value"] == args.threshold)
    else:
        counted = called.apply(count_by_hand(args.threshold, args.days), stateful=True, metadata=True)
        reached = counted.filter(lambda count: count is not None)
    reached.to_topic(output)
    report(lambda: processed)
    return app


def main() -> None:
    """Run until SIGTERM."""
    options = parser()
    options.add_argument("--method", choices=("sliding", "state"), required=True)
    build(options.parse_args()).run()


if __name__ == "__main__":
    main()
