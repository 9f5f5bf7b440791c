"""An account tells its members which segments it is in: when that changes, and whoever joins.

Told are the segments that conditions of users name (``SegmentsPlan.told``), by one record to each member's
partition. So many members go into one transaction, and a timer that is due at once goes on with the next.
What changes before all were told begins the round anew: who has not been told hears of the newest alone.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from schemas import wire
from workers.core.ids import stable_id
from workers.state import ACCOUNTS, TELLINGS, Telling, is_by_definition, is_swept
from workers.timers import TELLING, TimerPayload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.core.plan import SubjectPlan
    from workers.core.segments import Memberships
    from workers.shell import EngineParts
    from workers.stream.view import View

TOLD_AT_ONCE: Final = 1_000
"""Members of an account that one transaction tells."""


def crossed(
    key: bytes, held: Memberships, now: Memberships, silent: bool, view: View, parts: EngineParts, now_ms: int
) -> None:
    """An account's row of memberships is another: tell its members, if that concerns what they are told.

    ``silent``: definitions are others.
    """
    if now.told == held.told:
        return
    by_definition = silent or _is_by_definition(key, held, now, parts.plan.account, view)
    unfinished = view.table(TELLINGS).get(key)
    if unfinished is not None:
        by_definition = by_definition and unfinished.by_definition
    _tell_from("", key, now.told, by_definition, view, parts, now_ms)


def go_on(key: bytes, view: View, parts: EngineParts, now_ms: int) -> None:
    """Tell the next members."""
    unfinished = view.table(TELLINGS).get(key)
    held = view.table(ACCOUNTS.memberships).get(key)
    if unfinished is not None:
        told = held.told if held is not None else {}
        _tell_from(unfinished.after, key, told, unfinished.by_definition, view, parts, now_ms)


def greet(key: bytes, members: Iterable[str], view: View, parts: EngineParts, now_ms: int) -> None:
    """Tell members who have just joined; nothing where the account has told nobody anything yet."""
    held = view.table(ACCOUNTS.memberships).get(key)
    if held is not None and held.told:
        _tell(members, key, held.told, False, view, parts, now_ms)


def _tell_from(
    after: str,
    key: bytes,
    told: dict[str, bool],
    by_definition: bool,
    view: View,
    parts: EngineParts,
    now_ms: int,
) -> None:
    profile = view.table(ACCOUNTS.profiles).get(key)
    members = profile.members if profile is not None else {}
    waiting = nsmallest(TOLD_AT_ONCE + 1, (user for user in members if user > after))
    _tell(waiting[:TOLD_AT_ONCE], key, told, by_definition, view, parts, now_ms)
    account, table = key.decode(), view.table(TELLINGS)
    timer_id = bytes.fromhex(stable_id("telling", account))
    if len(waiting) > TOLD_AT_ONCE:
        table.put(key, Telling(waiting[TOLD_AT_ONCE - 1], by_definition))
        view.set_timer(timer_id, now_ms, encode_payload(TimerPayload("account", account, TELLING)))
    elif table.get(key) is not None:
        table.delete(key)
        view.cancel_timer(timer_id)


def _tell(
    members: Iterable[str],
    key: bytes,
    told: dict[str, bool],
    by_definition: bool,
    view: View,
    parts: EngineParts,
    now_ms: int,
) -> None:
    account, topic = key.decode(), parts.topics("scheduler")
    for user in members:
        record = wire.AccountSegments(
            id=stable_id("account_segments", account, user, str(now_ms)),
            subject=user,
            account=account,
            segments=told,
            by_definition=by_definition or None,
            at_ms=now_ms,
        )
        view.send(topic, user.encode(), wire.encode(record))


def _is_by_definition(key: bytes, held: Memberships, now: Memberships, plan: SubjectPlan, view: View) -> bool:
    """Whether only other definitions explain what is told now and was not before."""
    changed = [name for name in {**held.told, **now.told} if held.told.get(name) != now.told.get(name)]
    swept = is_swept(view, "account", key, plan)
    return all(
        (name not in held.told and not swept) or is_by_definition(view, "account", key, plan, name)
        for name in changed
    )
