"""What a person does with messages: when, how often, at which hour, and which channels are closed to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Mapping

HOURS: Final = 24
HOUR_COUNT_MAX: Final = 200
"""An hour that reaches it halves all hours: habits change, and the row stays small."""

BEST_HOUR_LEAST: Final = 3
"""Engagements below which no hour is called the best one."""

SUPPRESSIONS_MAX: Final = 50
"""Suppressions of one person; beyond it the oldest of a list is given up, never a bounce or a complaint."""

SEEN_MAX: Final = 64
"""Ids kept of a person's latest engagements: a provider that tells one again does so among these."""

ENGAGING: Final = frozenset({"opened", "clicked", "dismissed", "replied", "converted_link"})
"""What a person does; deliveries and bounces are a machine's."""

SUPPRESSING: Final = frozenset({"bounced", "complained"})
"""What closes a channel. To unsubscribe is to take consent away."""

_LISTED: Final = "list "


class Suppression(msgspec.Struct, array_like=True, frozen=True):
    """A channel is closed since ``at_ms``; with an address (its hash) as long as it is the person's."""

    at_ms: int
    address: str | None = None


class EngagementRow(msgspec.Struct, array_like=True):
    """State row of a person.

    ``last_ms`` by ``channel:type``, and how often, by the same. ``hours`` counts engagements by the hour
    of the day that the person's clock showed; empty before the first. ``suppressed`` by
    ``channel:reason``; reason is bounced, complained, or ``list NAME``. ``seen`` are the ids of the latest,
    so that one which is told twice counts once.
    """

    last_ms: dict[str, int] = msgspec.field(default_factory=dict)
    count: dict[str, int] = msgspec.field(default_factory=dict)
    hours: list[int] = msgspec.field(default_factory=list)
    suppressed: dict[str, Suppression] = msgspec.field(default_factory=dict)
    seen: list[str] = msgspec.field(default_factory=list)


NOTHING: Final = EngagementRow()
"""Of someone who never engaged. Not to be changed."""


def address_hash(address: str) -> str:
    """What an address is told by in suppressions; how it is written makes no difference."""
    return stable_id("address", address.strip().lower())


def engage(row: EngagementRow, channel: str, kind: str, at_ms: int, hour: int) -> None:
    """Count one engagement (changes ``row``); ``hour`` is what the person's clock showed then."""
    key = f"{channel}:{kind}"
    row.last_ms[key] = max(row.last_ms.get(key, 0), at_ms)
    row.count[key] = row.count.get(key, 0) + 1
    if kind in ENGAGING:
        row.hours = _halved(
            [count + (number == hour) for number, count in enumerate(row.hours or [0] * HOURS)]
        )


def suppress(row: EngagementRow, channel: str, reason: str, at_ms: int, address: str | None) -> None:
    """Close a channel (changes ``row``); ``address`` is a hash, None: whatever the address."""
    key = f"{channel}:{reason}"
    lists = [one for one in row.suppressed if f":{_LISTED}" in one and one != key]
    if len(row.suppressed) >= SUPPRESSIONS_MAX and lists:
        del row.suppressed[min(lists, key=lambda one: row.suppressed[one].at_ms)]
    row.suppressed[key] = Suppression(at_ms, address)


def lift(row: EngagementRow, channel: str, reason: str) -> None:
    """Open a channel again as far as ``reason`` had closed it (changes ``row``)."""
    row.suppressed.pop(f"{channel}:{reason}", None)


def listed(name: str) -> str:
    """The reason of those on an imported list."""
    return f"{_LISTED}{name}"


def suppressed_by(row: EngagementRow, channel: str, address: str | None) -> str | None:
    """Why a channel is closed to a person with that address, the oldest reason first; None: it is open."""
    if not row.suppressed:
        return None
    digest = address_hash(address) if address is not None else None
    found = [
        (one.at_ms, key.partition(":")[2])
        for key, one in row.suppressed.items()
        if key.startswith(f"{channel}:") and one.address in (None, digest)
    ]
    return min(found)[1] if found else None


def best_hour(row: EngagementRow) -> int | None:
    """The hour at which the person engages most, the earliest of several; None where too little is known."""
    if sum(row.hours) < BEST_HOUR_LEAST:
        return None
    return row.hours.index(max(row.hours))


def merge_engagement(mine: EngagementRow, theirs: EngagementRow) -> EngagementRow:
    """One row of what both did; what closes a channel to either closes it to the person."""
    kinds = {**mine.last_ms, **theirs.last_ms}
    suppressed: dict[str, Suppression] = {**theirs.suppressed, **mine.suppressed}
    for key in mine.suppressed.keys() & theirs.suppressed.keys():
        one, other = mine.suppressed[key], theirs.suppressed[key]
        address = one.address if one.address == other.address else None
        suppressed[key] = Suppression(max(one.at_ms, other.at_ms), address)
    hours = (
        [sum(pair) for pair in zip(mine.hours, theirs.hours, strict=True)]
        if mine.hours and theirs.hours
        else (mine.hours or theirs.hours)
    )
    return EngagementRow(
        {kind: max(mine.last_ms.get(kind, 0), theirs.last_ms.get(kind, 0)) for kind in kinds},
        _summed(mine.count, theirs.count),
        _halved(list(hours)),
        suppressed,
        [*theirs.seen, *mine.seen][-SEEN_MAX:],
    )


def _summed(mine: Mapping[str, int], theirs: Mapping[str, int]) -> dict[str, int]:
    return {kind: mine.get(kind, 0) + theirs.get(kind, 0) for kind in {**mine, **theirs}}


def _halved(hours: list[int]) -> list[int]:
    while max(hours, default=0) >= HOUR_COUNT_MAX:
        hours = [count // 2 for count in hours]
    return hours
