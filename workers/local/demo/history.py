"""The bundled history: accounts, subscriptions and product use, read from one compact file.

The file is JSON lines, gzipped. The first line is a header: where the data comes from, its licence, and
the interval ``[start_ms, end_ms)`` it covers. Every later line is an array that begins with its kind:

=================  ==================================================================================
``account``        account, country (or null)
``subscription``   account, product, start (ISO date), end (ISO date), mrr, quantity, units
``opening``        account, units, used, reached: the state of an allowance at ``start_ms``
``use``            seconds since the line before, account, user, index into ``event_types``[, value]
=================  ==================================================================================

``deploy/demo/cut_slice.py`` writes it; the licence of the source stands beside the file.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

BUNDLED = "crm5_slice.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One row of the source's subscriptions: ``quantity`` of ``units`` from ``start`` until before ``end``.

    ``units`` is ``users`` for the plan itself (its seats); add-ons carry what they allow a month.
    """

    account: int
    product: str
    start: date
    end: date
    mrr: float
    quantity: int
    units: str

    @property
    def plan(self) -> str:
        """The plan's name without its billing rhythm: ``starter`` of ``starter_mthly``."""
        return self.product.split("_", 1)[0]

    @property
    def start_ms(self) -> int:
        """First instant of the row, UTC."""
        return day_ms(self.start)

    @property
    def end_ms(self) -> int:
        """First instant after the row, UTC."""
        return day_ms(self.end)


@dataclass(frozen=True, slots=True)
class Opening:
    """How far an allowance was used when the history begins, within the month that is then running.

    ``reached`` is the highest threshold in percent that was already reported: 0, 80 or 100.
    """

    account: int
    units: str
    used: int
    reached: int


@dataclass(frozen=True, slots=True)
class Use:
    """One thing a user did: an event type of the source, with its value where the source has one."""

    at_ms: int
    account: int
    user: int
    event_type: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """A stretch ``[start_ms, end_ms)`` of a product's history, in time order."""

    start_ms: int
    end_ms: int
    countries: dict[int, str | None]
    subscriptions: tuple[Subscription, ...]
    openings: tuple[Opening, ...]
    uses: tuple[Use, ...]


def day_ms(day: date) -> int:
    """Midnight UTC of ``day``."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def load_history(path: Path | None = None) -> History:
    """The history in ``path``, by default the bundled one. Raises ``Misconfigured`` naming file and line."""
    source = path if path is not None else files(__package__).joinpath("data", BUNDLED)
    name = path.name if path is not None else BUNDLED
    try:
        text = gzip.decompress(source.read_bytes()).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"demo history {name}: {error}; cut it again with deploy/demo/cut_slice.py"
        ) from error
    return parse_history(text, name)


def parse_history(text: str, name: str) -> History:
    """The history in the unzipped ``text``; ``name`` is for messages. Raises ``Misconfigured``."""
    number = 0
    try:
        rows = [json.loads(line) for line in text.splitlines()]
        header, number = rows[0], 1
        parsed: dict[str, list[Any]] = {"subscription": [], "opening": [], "use": []}
        countries: dict[int, str | None] = {}
        at_ms: int = header["start_ms"]
        types: list[str] = header["event_types"]
        for row in rows[1:]:
            number += 1
            kind, fields = row[0], row[1:]
            if kind == "use":
                at_ms += fields[0] * 1000
                parsed[kind].append(Use(at_ms, fields[1], fields[2], types[fields[3]], *fields[4:]))
            elif kind == "account":
                countries[fields[0]] = fields[1]
            elif kind == "subscription":
                parsed[kind].append(_subscription(fields))
            else:
                parsed[kind].append(Opening(*fields))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Misconfigured(f"demo history {name}, line {number + (number == 0)}: {error!r}") from error
    return History(
        header["start_ms"],
        header["end_ms"],
        countries,
        tuple(parsed["subscription"]),
        tuple(parsed["opening"]),
        tuple(parsed["use"]),
    )


def dump_history(history: History, about: dict[str, str]) -> str:
    """The text that ``parse_history`` reads back; ``about`` (source, licence, …) goes into the header."""
    types = sorted({use.event_type for use in history.uses})
    index = {name: position for position, name in enumerate(types)}
    header = {**about, "start_ms": history.start_ms, "end_ms": history.end_ms, "event_types": types}
    rows: list[list[Any]] = [["account", account, country] for account, country in history.countries.items()]
    rows += [
        [
            "subscription",
            s.account,
            s.product,
            s.start.isoformat(),
            s.end.isoformat(),
            s.mrr,
            s.quantity,
            s.units,
        ]
        for s in history.subscriptions
    ]
    rows += [["opening", o.account, o.units, o.used, o.reached] for o in history.openings]
    last_ms = history.start_ms
    for use in history.uses:
        value = [] if use.value is None else [use.value]
        rows.append(
            ["use", (use.at_ms - last_ms) // 1000, use.account, use.user, index[use.event_type], *value]
        )
        last_ms = use.at_ms
    lines = [json.dumps(header), *(json.dumps(row, separators=(",", ":")) for row in rows)]
    return "\n".join(lines) + "\n"


def _subscription(fields: list[Any]) -> Subscription:
    account, product, start, end, *rest = fields
    return Subscription(account, product, date.fromisoformat(start), date.fromisoformat(end), *rest)
