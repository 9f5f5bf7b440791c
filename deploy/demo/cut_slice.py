# ruff: noqa: INP001 - a script, run by path
"""Cuts the bundled demo history out of the tables that ``generate.sh`` exports.

    python deploy/demo/cut_slice.py EXPORT_DIR workers/local/demo/data/crm5_slice.jsonl.gz

``EXPORT_DIR`` holds ``events.csv`` (account_id, user_id, event_time, event_type_name, event_value),
``subscriptions.csv`` and ``accounts.csv``, each with a header line. The cut is a rule, not a list of names:

1. Seven weeks from the midnight ``--start``, the default being six weeks after the source begins, so that
   accounts are in the middle of their months and renewals begin at once.
2. Accounts with use in those weeks that are never on the top plan in them (they have nothing to upgrade to)
   and have at most ``--largest`` events (so that no single account fills the screen).
3. Of these, all that move to a larger plan within the weeks, and the first ``--others`` by id that do not.

**The slice is chosen to be lively. It is not representative**: upgrades are over-represented by rule 3,
so no rate or uplift computed on it says anything about the source, let alone about real customers.

Allowances that are part-used at the start are counted from the full history by the code of the demo itself
and kept as ``opening`` lines. The same tables always give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from workers.local.demo.history import History, Subscription, Use, day_ms, dump_history
from workers.local.demo.quotas import Quotas

ABOUT = {
    "source": "fightchurn 1.2.0 (PyPI), simulation crm5, init_customers=150, random_seed=11, six months",
    "licence": "MIT, Copyright 2020 Carl Gold",
    "notice": "Simulated data. Chosen to be lively, not representative: see deploy/demo/cut_slice.py",
}
LICENCE_FILE = (
    "LICENSE-fightchurn.txt"  # beside the target; its text also goes into the file, to travel with it
)
TOP_PLAN = "premier"


def read_uses(path: Path) -> list[Use]:
    """All events of the export, in time order; events of one second keep the order of the file."""
    with path.open(newline="") as file:
        uses = [
            Use(
                int(datetime.fromisoformat(row["event_time"]).replace(tzinfo=UTC).timestamp()) * 1000,
                int(row["account_id"]),
                int(row["user_id"]),
                row["event_type_name"],
                float(row["event_value"]) if row["event_value"] else None,
            )
            for row in csv.DictReader(file)
        ]
    return sorted(uses, key=lambda use: use.at_ms)


def read_subscriptions(path: Path) -> list[Subscription]:
    """All subscription rows of the export."""
    with path.open(newline="") as file:
        return [
            Subscription(
                int(row["account_id"]),
                row["product"],
                date.fromisoformat(row["start_date"]),
                date.fromisoformat(row["end_date"]),
                float(row["mrr"]),
                int(float(row["quantity"])),
                row["units"],
            )
            for row in csv.DictReader(file)
        ]


def read_countries(path: Path) -> dict[int, str | None]:
    """The country of each account, None where the source has none."""
    with path.open(newline="") as file:
        return {int(row["id"]): row["country"] or None for row in csv.DictReader(file)}


def chosen_accounts(
    uses: list[Use], rows: list[Subscription], span_ms: tuple[int, int], *, largest: int, others: int
) -> set[int]:
    """The accounts that rules 2 and 3 of the module's description pick."""
    start_ms, end_ms = span_ms
    events = Counter(use.account for use in uses if start_ms <= use.at_ms < end_ms)
    plans = [row for row in rows if row.units == "users" and row.start_ms < end_ms and row.end_ms > start_ms]
    top = {row.account for row in plans if row.plan == TOP_PLAN}
    fit = {account for account, count in events.items() if count <= largest and account not in top}
    by_end = {(row.account, row.end): row for row in rows if row.units == "users"}
    upgraded = {
        row.account
        for row in plans
        if row.start_ms >= start_ms
        and (before := by_end.get((row.account, row.start))) is not None
        and row.quantity > before.quantity
    }
    return (fit & upgraded) | set(sorted(fit - upgraded)[:others])


def cut(export: Path, start: date | None, weeks: int, *, largest: int, others: int) -> History:
    """The slice; ``start`` None means six weeks after the first event's day."""
    uses, rows = read_uses(export / "events.csv"), read_subscriptions(export / "subscriptions.csv")
    first = datetime.fromtimestamp(uses[0].at_ms / 1000, UTC).date()
    start_ms = day_ms(start or first + timedelta(weeks=6))
    end_ms = start_ms + weeks * 7 * 86_400_000
    accounts = chosen_accounts(uses, rows, (start_ms, end_ms), largest=largest, others=others)
    kept = tuple(row for row in rows if row.account in accounts)
    quotas = Quotas(kept, (), start_ms)
    for use in uses:
        if use.account in accounts and use.at_ms < start_ms:
            quotas.record(use)
    countries = read_countries(export / "accounts.csv")
    return History(
        start_ms,
        end_ms,
        {account: countries[account] for account in sorted(accounts)},
        tuple(row for row in kept if row.start_ms < end_ms and row.end_ms >= start_ms),
        quotas.openings(start_ms),
        tuple(use for use in uses if use.account in accounts and start_ms <= use.at_ms < end_ms),
    )


def main() -> None:
    """Reads the arguments, cuts, writes."""
    parser = argparse.ArgumentParser(description="Cut the demo history out of the exported tables.")
    parser.add_argument("export", type=Path, help="folder with the three exported tables")
    parser.add_argument("target", type=Path, help="the file to write, *.jsonl.gz")
    parser.add_argument("--start", type=date.fromisoformat, help="first day, YYYY-MM-DD")
    parser.add_argument("--weeks", type=int, default=7)
    parser.add_argument("--largest", type=int, default=4000, help="most events an account may have")
    parser.add_argument("--others", type=int, default=28, help="accounts to keep that do not upgrade")
    options = parser.parse_args()
    history = cut(
        options.export, options.start, options.weeks, largest=options.largest, others=options.others
    )
    licence = (options.target.parent / LICENCE_FILE).read_text()
    text = dump_history(history, {**ABOUT, "licence_text": licence})
    options.target.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{len(history.countries)} accounts, {len(history.uses)} events -> {options.target}")  # noqa: T201


if __name__ == "__main__":
    main()
