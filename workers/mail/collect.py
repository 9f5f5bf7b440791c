"""From a place with mails to engagement records: each mail once, settled after it was kept."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from workers.mail.reports import Report, read_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.wire import Engagement
    from workers.mail.mailbox import Box

CHUNK: Final = 200
"""Mails between two acknowledgements."""


def collect(
    box: Box, keys: Sequence[bytes], keep: Callable[[Sequence[Engagement]], None], now_ms: int
) -> Counter[str]:
    """How many mails told of what: kinds of engagement, and why others told of nothing.

    ``keep`` returns when the records are kept, or raises; then the mails stay unread. Answers of people and
    machines (``no_report``), and reports without a claim of ours, are left to a person.
    """
    told: Counter[str] = Counter()
    chunk: list[tuple[str, Report | None, bool]] = []

    def flush() -> None:
        keep([report.record(now_ms) for _, report, _ in chunk if report is not None])
        for name, _, used in chunk:
            box.settle(name, used=used)
        chunk.clear()

    for name, raw in box.unread():
        found = read_report(raw, keys)
        if isinstance(found, Report):
            told[found.kind] += 1
            chunk.append((name, found, True))
        else:
            told[found.why] += 1
            chunk.append((name, None, found.why == "nothing_told"))
        if len(chunk) == CHUNK:
            flush()
    flush()
    return told
