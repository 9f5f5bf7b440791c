"""How many are inside each step of each version of each journey, as of the last committed transactions.

Told from the engine's changelog, which holds every row of everybody: exact, without a count that could drift,
and whether workers run or not. It takes as long as reading the changelog does: some seconds per million rows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from workers.core.journeys.releases import Cell
from workers.errors import Misconfigured
from workers.reading.topics import read_topic
from workers.state import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from workers.reading.topics import Found
    from workers.settings import Settings

CHANGELOG = "brimful-engine-changelog"


def count_inside(rows: Iterable[Found]) -> Counter[Cell]:
    """Where people and accounts are, from the rows of a changelog, deletions included."""
    where: dict[bytes, tuple[Cell, ...]] = {}
    tables = {TABLES[kind].progress.prefix: (kind, TABLES[kind].progress) for kind in TABLES}
    for row in rows:
        known = tables.get(row.key[:1]) if row.key else None
        if known is None or row.key is None:
            continue
        kind, table = known
        progress = table.decode(row.value) if row.value else None
        cells = tuple(
            Cell(kind, held.journey, held.version, tuple(sorted(place.step for place in held.places)))
            for held in (progress.enrollments if progress is not None else ())
            if held.is_active
        )
        if cells:
            where[row.key] = cells
        else:
            where.pop(row.key, None)
    return Counter(cell for cells in where.values() for cell in cells)


def read_inside(settings: Settings, progress: Callable[[int, int], None]) -> Mapping[Cell, int]:
    """Where people and accounts are now; nobody is anywhere where no engine ever ran.

    Raises:
        Retryable: no broker answers.
    """
    options = {"bootstrap.servers": settings.kafka, **settings.librdkafka()}
    try:
        return count_inside(read_topic(options, settings.topic(CHANGELOG), None, progress, deletions=True))
    except Misconfigured:
        return {}
