"""Plain Faust: one agent, one record at a time, 21 daily counts per user in a RocksDB table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faust
import msgspec

from tests.bench.peers.options import parser
from tests.bench.peers.progress import report

if TYPE_CHECKING:
    import argparse

DAY_MS = 86_400_000


class Event(msgspec.Struct):
    """The part of a product event that is counted."""

    event: str


def build(args: argparse.Namespace) -> faust.App:
    """The application: read, count, emit at the threshold."""
    app = faust.App(
        args.name,
        broker=f"kafka://{args.bootstrap}",
        store="rocksdb://",
        datadir=args.state_dir,
        topic_partitions=args.partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        processing_guarantee="at_least_once",
        key_serializer="raw",
        value_serializer="raw",
        producer_linger=0.02,
    )
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes}
    source = app.topic(args.topic, **raw)
    output = app.topic(args.output_topic, **raw)
    days = app.Table("days", partitions=args.partitions, options={"driver": "rocksdict"}, **raw)
    decode = msgspec.json.Decoder(Event).decode
    unpack = msgspec.msgpack.Decoder(dict[int, int]).decode
    pack = msgspec.msgpack.Encoder().encode
    processed = 0

    @app.agent(source)
    async def count(stream: Any) -> None:
        nonlocal processed
        async for event in stream.events():
            if decode(event.value).event == "api_called":
                day = int(event.message.timestamp * 1000) // DAY_MS
                row = days.get(event.key)
                counts = unpack(row) if row is not None else {}
                counts[day] = counts.get(day, 0) + 1
                oldest = max(counts) - args.days
                if min(counts) <= oldest:
                    counts = {d: n for d, n in counts.items() if d > oldest}
                days[event.key] = pack(counts)
                if sum(counts.values()) == args.threshold:
                    await output.send(key=event.key, value=b"%d" % args.threshold)
            processed += 1

    report(lambda: processed)
    return app


def main() -> None:
    """Run until SIGTERM."""
    app = build(parser().parse_args())
    faust.Worker(app, loglevel="WARN").execute_from_commandline()


if __name__ == "__main__":
    main()
