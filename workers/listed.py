"""The words of lists of enrollments: what is asked for, how far a list is read, and a page of it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

STATES: Final = ("active", "ended", "all")


class Wanted(NamedTuple):
    """Which enrollments: of a journey, whose file may be gone; ``state`` is one of :data:`STATES`.

    ``step``: only those that stand at it, or stood there last.
    """

    journey: str
    state: str = "active"
    step: str | None = None


class Place(NamedTuple):
    """How far a list is read: the partition, and the id of the last enrollment that was given of it."""

    partition: int = 0
    after: str = ""


class Page(NamedTuple):
    """Some enrollments, in no order that means anything, and where the next ones are; None: there are none.

    ``read_ms`` is when the oldest of them was read.
    """

    items: list[dict[str, Any]]
    next: Place | None
    read_ms: int
