# ruff: noqa: INP001 - a script, run by path
"""Writes the whole of the tables that ``generate.sh`` exports as Segment events, by the demo's own mapping.

    python deploy/demo/segment_events.py EXPORT_DIR events.ndjson.gz

``EXPORT_DIR`` is that of ``cut_slice.py``; ``events.parquet`` with the same columns may stand in for
``events.csv`` (needs pyarrow). The output is NDJSON in time order, one ``product-events`` record a line, and
a function of the tables alone. It is what ``docs/propensity.md`` measures the propensity on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cut_slice import read_countries, read_subscriptions, read_uses

from workers.local.demo.history import History, Use
from workers.local.demo.mapping import demo_events


def read_parquet_uses(path: Path) -> list[Use]:
    """As ``read_uses`` of ``cut_slice.py``, from Parquet; milliseconds are kept."""
    from pyarrow import parquet  # noqa: PLC0415 - only this kind of file needs it

    uses: list[Use] = []
    columns: Any = parquet.ParquetFile(path)
    for batch in columns.iter_batches():
        for row in batch.to_pylist():
            at = row["event_time"].replace(tzinfo=UTC)
            at_ms = int(at.timestamp() * 1000)
            uses.append(
                Use(at_ms, row["account_id"], row["user_id"], row["event_type_name"], row["event_value"])
            )
    return sorted(uses, key=lambda use: (use.at_ms, use.account, use.user, use.event_type))


def history_of(export: Path) -> History:
    """Everything in the tables, from the midnight before the first event to the midnight after the last."""
    parquet = export / "events.parquet"
    uses = read_parquet_uses(parquet) if parquet.exists() else read_uses(export / "events.csv")
    day_ms = 86_400_000
    return History(
        uses[0].at_ms // day_ms * day_ms,
        (uses[-1].at_ms // day_ms + 1) * day_ms,
        read_countries(export / "accounts.csv"),
        tuple(read_subscriptions(export / "subscriptions.csv")),
        (),
        tuple(uses),
    )


def main() -> None:
    """Reads the arguments, maps, writes."""
    parser = argparse.ArgumentParser(description="Write the exported tables as Segment events.")
    parser.add_argument("export", type=Path, help="folder with the three exported tables")
    parser.add_argument("target", type=Path, help="the file to write, *.ndjson.gz")
    options = parser.parse_args()
    count = 0
    with gzip.GzipFile(options.target, "wb", compresslevel=5, mtime=0) as file:
        for event in demo_events(history_of(options.export)):
            at = datetime.fromtimestamp(event.at_ms / 1000, UTC)
            stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = json.dumps({"timestamp": stamp, **event.message}, separators=(",", ":"))
            file.write(line.encode() + b"\n")
            count += 1
    print(f"{count} events -> {options.target}")  # noqa: T201


if __name__ == "__main__":
    main()
