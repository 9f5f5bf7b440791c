"""What may happen in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

START_MS = 1_773_480_000_000
"""When every run begins, by the clock of the log."""

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True)
class Produced:
    """A producer writes a record. ``partition`` None: the key's. ``note`` says what is odd about it."""

    at_ms: int
    topic: str
    key: str | None
    value: bytes | None
    partition: int | None = None
    note: str = ""

    def __str__(self) -> str:
        place = "" if self.partition is None else f" into partition {self.partition}"
        note = f" ({self.note})" if self.note else ""
        text = (self.value or b"").decode(errors="backslashreplace")
        return f"produced {self.topic} {self.key}{place}{note}: {text}"


@dataclass(frozen=True)
class Fault:
    """Something goes wrong, or an operator does it: ``what`` is a method of ``Faults``, with arguments."""

    at_ms: int
    what: str
    given: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"fault {self.what} " + " ".join(f"{name}={value}" for name, value in self.given.items())


Action: TypeAlias = Produced | Fault
