"""``python -m tests.replay EXPORT``: what ``test_account_limits`` compares, over a whole export.

``EXPORT`` holds ``subscriptions.csv``, ``accounts.csv`` and ``events.parquet`` or ``events.csv``, as
``deploy/demo/generate.sh`` writes them. 0 where both sides tell the same, 1 where they differ, with how; 2
where there is no such export. A million events take some two minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from tests.replay import by_sql, recorded
from tests.replay.test_account_limits import DEFINITIONS
from workers.local.demo.history import History, Subscription, Use

DAY_MS = 86_400_000


def main(folder: Path) -> int:
    """Compare, and say how it came out."""
    history = read(folder)
    told, expected = recorded.stays(history, DEFINITIONS), by_sql.stays(history)
    print(f"{len(history.uses):,} uses of {len(history.countries)} accounts")  # noqa: T201 - a command
    for definition in DEFINITIONS:
        name = definition["segment"]
        counts = [sum(stay.segment == name for stay in side) for side in (told, expected, told & expected)]
        print(f"{name}: engine {counts[0]}, SQL {counts[1]}, equal {counts[2]}")  # noqa: T201 - a command
    for stay in sorted(told ^ expected, key=lambda stay: stay.entered_ms)[:20]:
        print("only the engine:" if stay in told else "only SQL:", stay)  # noqa: T201 - a command
    return int(told != expected)


def read(folder: Path) -> History:
    """The export as a history that covers all its events."""
    database = duckdb.connect()
    events = next(path for path in (folder / "events.parquet", folder / "events.csv") if path.exists())
    rows = database.execute(
        f"SELECT epoch_ms(event_time::TIMESTAMP), account_id, user_id, event_type_name, event_value "  # noqa: S608 - a path of the operator's own
        f"FROM '{events}' ORDER BY ALL"
    ).fetchall()
    held = database.execute(
        f"SELECT account_id, product, start_date::DATE, end_date::DATE, mrr, quantity, units "  # noqa: S608 - the same
        f"FROM '{folder / 'subscriptions.csv'}'"
    ).fetchall()
    accounts = database.execute(f"SELECT id, country FROM '{folder / 'accounts.csv'}'").fetchall()  # noqa: S608 - the same
    return History(
        start_ms=rows[0][0] // DAY_MS * DAY_MS,
        end_ms=(rows[-1][0] // DAY_MS + 1) * DAY_MS,
        countries=dict(accounts),
        subscriptions=tuple(Subscription(*row) for row in held),
        openings=(),
        uses=tuple(Use(*row) for row in rows),
    )


def lacking(folder: Path) -> list[str]:
    """The files of an export that a folder does not have."""
    wanted = [("subscriptions.csv",), ("accounts.csv",), ("events.parquet", "events.csv")]
    return [" or ".join(names) for names in wanted if not any((folder / name).is_file() for name in names)]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python -m tests.replay EXPORT", file=sys.stderr)  # noqa: T201 - a command
        sys.exit(2)
    if missing := lacking(Path(sys.argv[1])):
        print(f"{sys.argv[1]} lacks {', '.join(missing)}", file=sys.stderr)  # noqa: T201 - a command
        sys.exit(2)
    sys.exit(main(Path(sys.argv[1])))
