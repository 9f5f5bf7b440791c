"""Two ids turn out to be one person: how the state rows of both become one. Pure, and nothing is triggered.

``mine`` is always the row of the id that stays, ``theirs`` that of the id that goes. Merging the same rows
again changes nothing but counts of folded buckets, so each row is merged once: the engine sees to that.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from workers.core.activity import slots, windows
from workers.core.activity.row import ACCOUNTS_MAX, DUPLICATE_HORIZON_MS, SEEN_MAX, Activity
from workers.core.journeys.progress import ACTIVE_MAX, KEYS_MAX, Enrollment, Progress
from workers.core.journeys.shadowing import merge_shadows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.activity.slots import MeasureSlot

CONSENT: Final = "consent"
"""The trait whose refusals survive a merge, whoever made them."""

MERGED: Final = "merged"
"""``end_reason`` of an enrollment that ended because the person was in its journey under both ids."""

_ID_BYTES = 8
_NEVER_MS = 0


def merge_windows(mine: bytes | None, theirs: bytes | None, now_ms: int, retention_ms: int) -> bytes | None:
    """The window with the occurrences of both: exact up to 128, folded buckets of the same start summed."""
    if mine is None or theirs is None:
        return mine if theirs is None else theirs
    floor_ms = now_ms - retention_ms
    both = [windows.decode(window, retention_ms) for window in (mine, theirs)]
    buckets: dict[int, int] = {}
    for start_ms, held in (bucket for window in both for bucket in window.buckets):
        if start_ms > floor_ms:
            buckets[start_ms] = buckets.get(start_ms, 0) + held
    singles = sorted(at_ms for window in both for at_ms in window.singles if at_ms > floor_ms)
    base_ms = min([*buckets, *singles[:1]], default=floor_ms)
    offsets = [at_ms - base_ms for at_ms in singles]
    folded = sorted((start_ms - base_ms, held) for start_ms, held in buckets.items())
    if folded:
        # What is older than one side's last bucket is older than the 128 that this side keeps singly.
        late = bisect_left(offsets, folded[-1][0])
        folded = windows._fold(folded, offsets[:late], base_ms, retention_ms)  # noqa: SLF001 - the same codec
        offsets = offsets[late:]
    return windows._settle(base_ms, folded, offsets, floor_ms, retention_ms)  # noqa: SLF001 - the same codec


def merge_activity(
    mine: Activity,
    theirs: Activity,
    retentions_ms: Mapping[int, int],
    now_ms: int,
    measures: Mapping[int, MeasureSlot] | None = None,
) -> Activity:
    """One row of what both did lately; ``retentions_ms`` and ``measures`` are the plan's, by slot id.

    Slots that the plan has no more are kept from ``mine`` alone: nobody asks for them. Ids seen
    by either are known to both. ``theirs`` are the earlier accounts: the present one stays the present one.
    """
    held = dict(mine.windows)
    for slot_id, window in theirs.windows.items():
        retention_ms = retentions_ms.get(slot_id)
        if retention_ms is not None:
            merged = merge_windows(held.get(slot_id), window, now_ms, retention_ms)
            assert merged is not None, "theirs is there"
            held[slot_id] = merged
        elif measures is not None and slot_id in measures:
            value = slots.merge(measures[slot_id], held.get(slot_id), window, now_ms)
            if value is not None:
                held[slot_id] = value
    known = set(mine.accounts)
    accounts = [*(one for one in theirs.accounts if one not in known), *mine.accounts]
    row = Activity(windows=held, accounts=accounts[-ACCOUNTS_MAX:])
    row.acted_ms = mine.acted_ms if mine.accounts else theirs.acted_ms
    row.seen_since_ms, row.seen, row.seen_before = _merge_seen(mine, theirs, now_ms)
    return row


def merge_traits(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The traits of ``mine``, and of ``theirs`` those that are missing. A refused consent stays refused."""
    merged = {**theirs, **mine}
    if CONSENT in mine and CONSENT in theirs:
        merged[CONSENT] = _merge_consent(mine[CONSENT], theirs[CONSENT])
    return merged


def merge_latest(mine: Mapping[str, int], theirs: Mapping[str, int]) -> dict[str, int]:
    """When last, by kind: the later of both."""
    return {kind: max(mine.get(kind, _NEVER_MS), theirs.get(kind, _NEVER_MS)) for kind in {**mine, **theirs}}


def merge_progress(mine: Progress, theirs: Progress, now_ms: int) -> Progress:
    """One row of how far the person is: what either entered and received, the person has.

    All enrollments are kept under their ids, so that the ids of their messages stay what they were. Of those
    active in the same journey, of the same key, the one that was entered first goes on; the others end at
    once, without a word, as ``merged``. So do those beyond the most that a person may be in, latest first.
    """
    known = {held.id: held for held in (*theirs.enrollments, *mine.enrollments)}
    enrollments = sorted(known.values(), key=lambda held: (held.entered_at_ms, held.id))
    going: set[tuple[str, str]] = set()
    kept: list[Enrollment] = []
    for held in enrollments:
        if not held.is_active:
            kept.append(held)
        elif (held.journey, held.key) in going or len(going) >= ACTIVE_MAX:
            kept.append(held.ended(MERGED, now_ms))
        else:
            going.add((held.journey, held.key))
            kept.append(held)
    messages = {sent.id: sent for sent in (*theirs.messages, *mine.messages)}
    withheld = {sent.id: sent for sent in (*theirs.withheld, *mine.withheld)}
    ended = {held.id for held in kept if not held.is_active}
    waiting = {
        held.id: held
        for held in (*theirs.waiting, *mine.waiting)
        if held.requested or held.enrollment not in ended
    }
    return Progress(
        subject=mine.subject,
        enrollments=tuple(kept),
        entered=merge_latest(theirs.entered, mine.entered),
        messages=tuple(sorted(messages.values(), key=lambda sent: (sent.at_ms, sent.id))),
        once=tuple(dict.fromkeys((*theirs.once, *mine.once))),
        converted=merge_latest(theirs.converted, mine.converted),
        keys=_merge_keys(theirs.keys, mine.keys),
        left=_merge_keys(theirs.left, mine.left),
        withheld=tuple(sorted(withheld.values(), key=lambda sent: (sent.at_ms, sent.id))),
        waiting=tuple(sorted(waiting.values(), key=lambda held: held.id)),
        shadows=merge_shadows(mine.shadows, theirs.shadows),
    )


def _merge_keys(
    theirs: Mapping[str, Mapping[str, int]], mine: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """By journey the latest keys of both."""
    merged = {}
    for journey in {**theirs, **mine}:
        latest = merge_latest(theirs.get(journey, {}), mine.get(journey, {}))
        merged[journey] = dict(sorted(latest.items(), key=lambda one: (one[1], one[0]))[-KEYS_MAX:])
    return merged


def _merge_consent(mine: Any, theirs: Any) -> Any:
    """Whoever said no meant the person, not the device; what is not True is a no (see the gate)."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return {channel: _stricter(mine.get(channel), theirs.get(channel)) for channel in {**theirs, **mine}}
    if isinstance(mine, dict):
        return mine if theirs is None or theirs is True else theirs
    if isinstance(theirs, dict):
        return theirs if mine is None or mine is True else mine
    return _stricter(mine, theirs)


def _stricter(mine: Any, theirs: Any) -> Any:
    if mine is None or mine is True:
        return mine if theirs is None else theirs
    return mine


def _merge_seen(mine: Activity, theirs: Activity, now_ms: int) -> tuple[int, bytes, bytes]:
    """When the newer period began, and the ids of both periods.

    A new period begins, and all ids that either row still looks at are those before it: so each is
    remembered for 24 hours from now, which is at least as long as its own row would have.
    """
    if not theirs.seen and not theirs.seen_before:
        return mine.seen_since_ms, mine.seen, mine.seen_before
    ages_ms = [(row, now_ms - row.seen_since_ms) for row in (theirs, mine)]
    before = [row.seen_before for row, age_ms in ages_ms if age_ms < DUPLICATE_HORIZON_MS]
    fresh = [row.seen for row, age_ms in ages_ms if age_ms < 2 * DUPLICATE_HORIZON_MS]
    seen = _united(b"".join([*before, *fresh]))
    most = 2 * SEEN_MAX * _ID_BYTES
    return now_ms, b"", seen[-most:]


def _united(ids: bytes) -> bytes:
    each = (ids[at : at + _ID_BYTES] for at in range(0, len(ids), _ID_BYTES))
    return b"".join(dict.fromkeys(each))
