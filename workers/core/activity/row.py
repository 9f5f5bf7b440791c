"""What a subject did lately: one row per user or account, with its windows and the ids seen.

The row carries everything that *every* event touches (windows, de-duplication, accounts), so that an
event costs one read and one write. Traits, enrollments and the like live in rows of their own, read
only when an event needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from xxhash import xxh3_64_digest

from workers.core.activity import slots as slot_values
from workers.core.activity import windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from workers.core.activity.slots import MeasureSlot

DUPLICATE_HORIZON_MS = 86_400_000
"""A message id seen again within 24 hours is the same message (design: as Segment does)."""

SEEN_MAX = 4_096
"""Ids kept per subject and half-horizon: 32 KiB. A subject that sends more has its horizon shortened,
never its row unbounded: the older half is given up first."""

ACCOUNTS_MAX = 50
"""Accounts of one user; beyond it the one that the user has not acted for the longest is left. Their traits
lie in one row, which stays below Kafka's limit at 18 kB each."""

_ID_BYTES = 8
_SEEN_BYTES_MAX = SEEN_MAX * _ID_BYTES
_FORGOTTEN_MS = 2 * DUPLICATE_HORIZON_MS


class Activity(msgspec.Struct, array_like=True, omit_defaults=False, gc=False):
    """State row of one subject.

    ``windows`` maps a slot id to what that slot keeps: of a ``workers.core.plan.Slot`` a window of
    :mod:`workers.core.activity.windows`, of other slots what :mod:`workers.core.activity.slots` says.
    ``seen`` and ``seen_before`` hold 8-byte hashes of message ids: ``seen`` since ``seen_since_ms``,
    ``seen_before`` from the period before it. Each period lasts 24 hours, so that an id is remembered
    for 24 to 48 hours. ``accounts`` are the ids of the accounts that a user belongs to, the one that the
    user acted for last at the end, and ``acted_ms`` is when that was (empty and 0 in an account's own row).
    """

    windows: dict[int, bytes] = msgspec.field(default_factory=dict)
    accounts: list[str] = msgspec.field(default_factory=list)
    seen_since_ms: int = 0
    seen: bytes = b""
    seen_before: bytes = b""
    acted_ms: int = 0


def is_duplicate(activity: Activity, message_id: str, now_ms: int) -> bool:
    """Whether ``message_id`` was seen in the last 24 hours; remembers it otherwise (changes ``activity``).

    ``now_ms`` is the time of processing: a replay months later is not a duplicate, a retry is.
    """
    digest = xxh3_64_digest(message_id.encode())
    age_ms = now_ms - activity.seen_since_ms
    seen = activity.seen
    if age_ms >= _FORGOTTEN_MS:
        # All that is remembered is older than the horizon: nothing came meanwhile.
        seen = b""
    # ``in`` tells "no" at the speed of memchr; only a "maybe" is looked at for its alignment.
    elif digest in seen and _contains(seen, digest):
        return True
    elif age_ms < DUPLICATE_HORIZON_MS:
        before = activity.seen_before
        if before and digest in before and _contains(before, digest):
            return True
        if len(seen) < _SEEN_BYTES_MAX:
            activity.seen = seen + digest
            return False
    activity.seen_before = seen
    activity.seen = digest
    activity.seen_since_ms = now_ms
    return False


def record(activity: Activity, slot_id: int, at_ms: int, now_ms: int, retention_ms: int) -> None:
    """Add an occurrence at ``at_ms`` to one window of the subject (changes ``activity``)."""
    held = activity.windows
    held[slot_id] = windows.add(held.get(slot_id), at_ms, now_ms, retention_ms)


def record_all(
    activity: Activity, slot_id: int, times_ms: Sequence[int], now_ms: int, retention_ms: int
) -> None:
    """As :func:`record`, for several occurrences in any order at once."""
    held = activity.windows
    held[slot_id] = windows.add_all(held.get(slot_id), times_ms, now_ms, retention_ms)


def measure(
    activity: Activity,
    slots: Iterable[MeasureSlot],
    at_ms: int,
    now_ms: int,
    properties: Mapping[str, Any],
    member: str | None,
) -> None:
    """Record an event in the slots that are not plain windows (changes ``activity``).

    ``member`` is the user who did it, for an account's row.
    """
    held = activity.windows
    for slot in slots:
        kept = slot_values.record(slot, held.get(slot.id), at_ms, now_ms, properties, member)
        if kept is not None:
            held[slot.id] = kept


def join_account(activity: Activity, account: str, at_ms: int) -> bool:
    """Make ``account`` one of the subject's, as was said at ``at_ms``; True where it is the present one now.

    It was before, or word of it comes late: then the present account stays, and the answer is False.
    """
    if account in activity.accounts:
        return act_for(activity, account, at_ms)
    if activity.accounts and at_ms < activity.acted_ms:
        activity.accounts.insert(-1, account)
        return False
    activity.accounts.append(account)
    activity.acted_ms = at_ms
    return True


def act_for(activity: Activity, account: str, at_ms: int) -> bool:
    """The subject acted for one of its accounts; True where that is another one than before."""
    accounts = activity.accounts
    if account not in accounts or at_ms < activity.acted_ms:
        return False
    activity.acted_ms = at_ms
    if accounts[-1] == account:
        return False
    accounts.remove(account)
    accounts.append(account)
    return True


def keep_only(activity: Activity, slot_ids: Iterable[int]) -> None:
    """Forget the windows that no definition needs any more."""
    wanted = set(slot_ids)
    activity.windows = {slot_id: held for slot_id, held in activity.windows.items() if slot_id in wanted}


def _contains(ids: bytes, digest: bytes) -> bool:
    found = ids.find(digest)
    while found >= 0:
        if found % _ID_BYTES == 0:
            return True
        found = ids.find(digest, found + 1)
    return False
