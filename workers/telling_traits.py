"""An account tells its members its traits: all of them when one has another value, and whoever joins.

So many members go into one transaction, and a timer that is due at once goes on with the next, in the circle
of their ids. What changes before all were told lets the round go on until it comes by where it was: each
member hears of what is newest, and none waits for longer because of what changes meanwhile.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final

from schemas import wire
from workers.core.ids import stable_id
from workers.state import ACCOUNTS, TRAIT_ROUNDS, TraitRound
from workers.timers import TELLING_TRAITS, TimerPayload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.shell import EngineParts
    from workers.stream.view import View

TOLD_AT_ONCE: Final = 1_000
"""Members of an account that one transaction tells; a record holds all traits."""


def changed(
    key: bytes, names: Iterable[str], message_id: str, view: View, parts: EngineParts, now_ms: int
) -> bool:
    """These traits of an account have other values: tell its members. Whether all were told at once."""
    unfinished = view.table(TRAIT_ROUNDS).get(key)
    if unfinished is None:
        return _tell_next(TraitRound(sorted(names), message_id, now_ms), key, view, parts, now_ms)
    together = sorted({*unfinished.changed, *names})
    until = unfinished.after
    view.table(TRAIT_ROUNDS).put(key, TraitRound(together, message_id, now_ms, after=until, until=until))
    return False


def go_on(key: bytes, view: View, parts: EngineParts, now_ms: int) -> None:
    """Tell the next members."""
    unfinished = view.table(TRAIT_ROUNDS).get(key)
    if unfinished is not None:
        _tell_next(unfinished, key, view, parts, now_ms)


def introduce(
    key: bytes, members: Iterable[str], message_id: str, view: View, parts: EngineParts, now_ms: int
) -> None:
    """Tell members who have just joined, or whose id is another.

    Who was a member under another id may not have been told yet of what the others are being told.
    """
    unfinished = view.table(TRAIT_ROUNDS).get(key)
    names = unfinished.changed if unfinished is not None else []
    _tell(members, TraitRound(names, message_id, now_ms), key, view, parts)


def _tell_next(going: TraitRound, key: bytes, view: View, parts: EngineParts, now_ms: int) -> bool:
    profile = view.table(ACCOUNTS.profiles).get(key)
    waiting, wrapped = _waiting(profile.members if profile is not None else {}, going)
    _tell(waiting[:TOLD_AT_ONCE], going, key, view, parts)
    account, table = key.decode(), view.table(TRAIT_ROUNDS)
    timer_id = bytes.fromhex(stable_id("telling_traits", account))
    if len(waiting) <= TOLD_AT_ONCE:
        if table.get(key) is not None:
            table.delete(key)
            view.cancel_timer(timer_id)
        return True
    last = waiting[TOLD_AT_ONCE - 1]
    has_wrapped = going.has_wrapped or last in wrapped
    going = TraitRound(going.changed, going.message_id, going.at_ms, last, going.until, has_wrapped)
    table.put(key, going)
    view.set_timer(timer_id, now_ms, encode_payload(TimerPayload("account", account, TELLING_TRAITS)))
    return False


def _waiting(members: Iterable[str], going: TraitRound) -> tuple[list[str], frozenset[str]]:
    """Who is to be told next, one more than are told at once, and which of them stand after the wrap."""
    most, after, until = TOLD_AT_ONCE + 1, going.after, going.until
    if going.has_wrapped:
        return nsmallest(most, (user for user in members if after < user <= until)), frozenset()
    first = nsmallest(most, (user for user in members if user > after))
    wrapped = nsmallest(most - len(first), (user for user in members if user <= until))
    return first + wrapped, frozenset(wrapped)


def _tell(members: Iterable[str], going: TraitRound, key: bytes, view: View, parts: EngineParts) -> None:
    profile = view.table(ACCOUNTS.profiles).get(key)
    traits: Mapping[str, Any] = profile.traits if profile is not None else {}
    account, topic = key.decode(), parts.topics("scheduler")
    for user in members:
        facts = wire.AccountFacts(
            id=stable_id("facts", account, user, going.message_id),
            subject=user,
            account=account,
            facts=dict(traits),
            changed=going.changed or None,
            at_ms=going.at_ms,
        )
        view.send(topic, user.encode(), wire.encode(facts))
