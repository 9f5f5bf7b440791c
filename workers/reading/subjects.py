"""Where one subject stands, read from the one partition of the engine's changelog that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.reading.changelogs import CHANGELOG, read_rows
from workers.standing import subject_item
from workers.state import IDENTITIES, TABLES
from workers.stream.admin import partitions_of
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.fields import SubjectType
    from workers.core.plan import SubjectPlan
    from workers.settings import Settings
    from workers.stream.tables import Table


def read_standing(
    settings: Settings,
    kind: SubjectType,
    subject: str,
    plan: SubjectPlan | None,
    now_ms: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any] | None:
    """Where a subject stands as of the last committed transaction; None: nothing is kept of it.

    Of an id that was merged, what the one has that it went into, with ``merged_from``. ``progress`` is told
    how many records are read and of how many, every few thousand; what it raises ends the reading.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    into, row = read_row(settings, kind, TABLES[kind].progress, subject, progress)
    if not row:
        return None
    merged = {} if into == subject else {"merged_from": subject}
    return merged | subject_item(kind, TABLES[kind].progress.decode(row), plan, now_ms)


def read_row(
    settings: Settings,
    kind: SubjectType,
    table: Table[Any],
    subject: str,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[str, bytes | None]:
    """The id that a subject goes by now that ids were merged, and its row of ``table``; None or empty: none.

    Raises as :func:`read_standing`.
    """
    partitions = partitions_of(settings.kafka, settings.topic(CHANGELOG), settings.librdkafka())
    seen = set[str]()
    while True:
        seen.add(subject)
        key = subject.encode()
        keys = {table.key(key), IDENTITIES.key(key)}
        only = (partition_of(key, partitions),)
        found = read_rows(settings, (table.prefix, IDENTITIES.prefix), only, progress)
        rows = {stored_key: value for stored_key, value in found if stored_key in keys}
        identity = rows.get(IDENTITIES.key(key)) if kind == "user" else None
        into = IDENTITIES.decode(identity).merged_into if identity else None
        if into is None or into in seen:
            return subject, rows.get(table.key(key))
        subject = into
