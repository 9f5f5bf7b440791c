"""One id becomes another: the rows are handed over in one record, and taken over in one transaction.

The partition of the person asks (:func:`workers.identity.places.link`). The partition of the other id takes
its rows out and leaves word where they went (:func:`give`). The record that carries them follows that word
from id to id until one stands for itself, and is merged there (:func:`take`). Nothing is decided on the way.

When ids were merged in a circle, a record comes to an id again that it has passed. The least id of the circle
then stands for itself again: each record that goes round finds the same, whatever the order.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from schemas import wire
from workers.acted_for import note, turns_of
from workers.core.activity.acted_for import UNKNOWN, ActedFor
from workers.core.consent import TRAIT, known
from workers.core.consent import merge as merge_consents
from workers.core.devices import Devices
from workers.core.devices import merge as merge_devices
from workers.core.engaged import EngagementRow, merge_engagement
from workers.core.gate.held import HELD, HeldRequests, merge_held, timer_id
from workers.core.ids import stable_id
from workers.core.journeys.moving import realign
from workers.core.journeys.progress import Progress
from workers.core.merge import merge_activity, merge_progress, merge_traits
from workers.errors import Refused
from workers.identity.places import Rows, is_erased, move_member, take_out
from workers.relations import join
from workers.shell import Subject
from workers.state import (
    ACTED_FOR,
    CONSENTS,
    DEVICES,
    ENGAGEMENT,
    HELD_REQUESTS,
    IDENTITIES,
    USERS,
    Identity,
    Profile,
)
from workers.timers import TimerPayload, encode_payload

if TYPE_CHECKING:
    from typing import Any

    from workers.core.activity.row import Activity
    from workers.core.consent import Consents
    from workers.shell import EngineParts
    from workers.stream.tables import Table
    from workers.stream.view import View

PACKED_MAX_BYTES: Final = 800_000
"""Rows handed over, in base64; with the rest of the record it stays below the kernel's limit of 900,000."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[bytes, bytes]).decode


def give(asked: wire.MergeRequest, view: View, parts: EngineParts, now_ms: int, offset: int) -> None:
    """Take the rows of ``asked.subject`` out, leave word where they went, and send them there.

    ``offset`` is that of the partition's next product event; so it is in :func:`take`.

    An id that is another person's by now (a shared device) keeps its history there; only what it does from
    now on is the new person's. Someone who is known, because ids came into them, is merged by an alias
    alone; someone who was erased since is not merged at all. Asking again changes nothing.

    Raises:
        Refused: the rows are too large for a record; the id then stays by itself.
    """
    source, into = asked.subject, asked.into
    key = source.encode()
    identity = view.table(IDENTITIES).get(key) or Identity()
    if into in (source, identity.merged_into) or into in identity.sources:
        return
    known = asked.cause == "identify" and identity.sources
    if known or is_erased(view, parts, key, asked.at_ms, now_ms):
        _release(view, parts, into, source, source, now_ms)
        parts.metrics.merge("refused")
        return
    if identity.merged_into is not None:
        _release(view, parts, identity.merged_into, source, into, now_ms)
        parts.metrics.merge("redirected")
    subject = Subject("user", key, view, parts)
    memberships = subject.memberships
    acted_for, since = identity.acted_for, offset
    if identity.merged_into is None:
        present = subject.accounts[-1] if subject.accounts else None
        acted_for, since = [*turns_of(view, key, present), (offset, UNKNOWN)], identity.since
    rows, _ = take_out(key, view)
    packed = base64.b64encode(_encode(rows)).decode()
    if len(packed) > PACKED_MAX_BYTES:
        raise Refused(
            "too_large", f"the state to merge would take {len(packed)} bytes: the id stays by itself"
        )
    view.table(IDENTITIES).put(key, Identity(merged_into=into, acted_for=acted_for, since=since))
    merged = wire.Merged(
        id=asked.id,
        subject=into,
        source=source,
        path=[source],
        rows=packed,
        requested_at_ms=asked.at_ms,
        at_ms=now_ms,
    )
    view.send(parts.topics("scheduler"), into.encode(), wire.encode(merged))
    subject.forget(memberships, now_ms)
    parts.metrics.merge("given")


def take(merged: wire.Merged, view: View, parts: EngineParts, now_ms: int, offset: int) -> None:
    """Merge the rows into those of ``merged.subject``, or send them on to where that id went.

    Of someone who was erased since the merge was asked for, nothing is taken.
    """
    person = merged.subject
    key = person.encode()
    identities = view.table(IDENTITIES)
    identity = identities.get(key) or Identity()
    following = identity.merged_into
    if following is not None and not _stands_again(person, merged.path):
        parts.metrics.merge("passed_on")
        onward = replace(merged, subject=following, path=[*merged.path, person])
        view.send(parts.topics("scheduler"), following.encode(), wire.encode(onward))
        return
    if is_erased(view, parts, key, merged.requested_at_ms, now_ms):
        _erase_too(merged, view, parts, now_ms)
        return
    if following is not None:
        if identity.acted_for:
            # From here on the id acts for itself again; meanwhile it did for whom it went to.
            view.table(ACTED_FOR).put(key, ActedFor([*identity.acted_for, (offset, None)]))
        identity.merged_into, identity.acted_for = None, []
        identities.put(key, identity)
        _tell(view, parts, person, person, now_ms)
    _merge_rows(merged, identity, view, parts, now_ms, offset)
    parts.metrics.merge("taken")


def release(released: wire.Released, view: View, parts: EngineParts) -> None:
    """Forget that an id is this person's; should they come together again, it is asked for again.

    Where the id went is this very person, by another of their ids, it stays theirs.
    """
    identities = view.table(IDENTITIES)
    identity = identities.get(released.subject.encode())
    if identity is None:
        return
    if identity.merged_into is not None:
        onward = replace(released, subject=identity.merged_into)
        view.send(parts.topics("scheduler"), onward.subject.encode(), wire.encode(onward))
        return
    if released.into == released.subject or released.into in identity.sources:
        return
    identity.sources = [source for source in identity.sources if source != released.source]
    identity.asked.pop(released.source, None)
    identities.put(released.subject.encode(), identity)


def _stands_again(person: str, path: list[str]) -> bool:
    """Whether the record was here before, so that it has come full circle, and the person stands for all.

    The person's own rows come first: whatever passed through here later is behind them on every way.
    """
    return person in path and person == min(path[path.index(person) :])


def _erase_too(merged: wire.Merged, view: View, parts: EngineParts, now_ms: int) -> None:
    """Ids and accounts that come with rows of an erased person are theirs; nobody else knows of them."""
    rows = _decode(base64.b64decode(merged.rows))
    theirs: Identity = _row(rows, IDENTITIES) or Identity()
    activity: Activity | None = _row(rows, USERS.activity)
    came: dict[str, str | None] = {**dict.fromkeys(theirs.sources), **theirs.asked}
    came[merged.source] = [*merged.path, merged.subject][1]
    for source, into in came.items():
        record = wire.Erase(
            id=stable_id("erase", merged.id, source),
            request=merged.id,
            subject=source,
            because_of=merged.subject,
            only_if_merged_into=into,
            accounts=[],
            at_ms=now_ms,
        )
        view.send(parts.topics("scheduler"), source.encode(), wire.encode(record))
    for account in activity.accounts if activity is not None else ():
        move_member(view, parts, account, merged.source, None, now_ms)


def _merge_rows(
    merged: wire.Merged, identity: Identity, view: View, parts: EngineParts, now_ms: int, offset: int
) -> None:
    key = merged.subject.encode()
    rows = _decode(base64.b64decode(merged.rows))
    activity = _row(rows, USERS.activity)
    if activity is not None:
        _merge_activity(activity, merged, view, parts, now_ms, offset)
    profile = _row(rows, USERS.profiles)
    _merge_consents(_row(rows, CONSENTS), profile, key, view)
    if profile is not None:
        _merge_profile(profile, key, view)
    progress = _row(rows, USERS.progress)
    if progress is not None:
        _merge_progress(progress, merged.subject, view, now_ms)
    engagement = _row(rows, ENGAGEMENT)
    if engagement is not None:
        mine = view.table(ENGAGEMENT).get(key) or EngagementRow()
        view.table(ENGAGEMENT).put(key, merge_engagement(mine, engagement))
    devices = _row(rows, DEVICES)
    if devices is not None:
        view.table(DEVICES).put(key, merge_devices(view.table(DEVICES).get(key) or Devices(), devices))
    held = _row(rows, HELD_REQUESTS)
    if held is not None:
        _merge_held(held, merged.subject, view)
    relations = _row(rows, USERS.relations)
    if relations is not None:
        join(relations, key, view, parts)
    subject = Subject("user", key, view, parts)
    # What brought others in line with the versions in force, the end of a pause say, may have passed them by.
    subject.take(realign(subject.plan, subject.progress, now_ms), now_ms)
    subject.follow(now_ms, now_ms)
    subject.join(_row(rows, USERS.scores), _row(rows, USERS.memberships), now_ms)
    theirs: Identity = _row(rows, IDENTITIES) or Identity()
    _merge_identity(theirs, identity, merged, view)
    if merged.source != merged.subject:
        _tell(view, parts, merged.source, merged.subject, now_ms)
        return
    for source, into in theirs.asked.items():
        # While these rows went round, word that the id is not ours may have passed them by: it comes again.
        again = wire.MergeRequest(
            id=stable_id("merge", source, into, merged.id),
            subject=source,
            into=into,
            cause="identify",
            at_ms=merged.requested_at_ms,
        )
        view.send(parts.topics("scheduler"), source.encode(), wire.encode(again))


def _merge_activity(
    theirs: Activity, merged: wire.Merged, view: View, parts: EngineParts, now_ms: int, offset: int
) -> None:
    table, key, plan = view.table(USERS.activity), merged.subject.encode(), parts.plan.user
    mine, row = table.get(key), theirs
    if mine is not None:
        row = merge_activity(mine, theirs, plan.retentions_ms, now_ms, plan.measures)
    table.put(key, row)
    note(view, key, _present(mine), _present(row), offset)
    if merged.source != merged.subject:
        for account in theirs.accounts:
            into = merged.subject if account in row.accounts else None
            move_member(view, parts, account, merged.source, into, now_ms)


def _present(row: Activity | None) -> str | None:
    return row.accounts[-1] if row is not None and row.accounts else None


def _merge_consents(theirs: Consents | None, profile: Profile | None, key: bytes, view: View) -> None:
    """Before the profiles are merged: who has no row has what their own trait says."""
    table, mine = view.table(CONSENTS), view.table(USERS.profiles).get(key)
    traits = mine.traits if mine is not None else {}
    their_traits = profile.traits if profile is not None else {}
    one = merge_consents(
        known(table.get(key), traits.get(TRAIT)),
        known(theirs, their_traits.get(TRAIT)),
    )
    if one.choices:
        table.put(key, one)


def _merge_profile(theirs: Profile, key: bytes, view: View) -> None:
    """Traits of both, and what both know of accounts; of one that both know, as the one who stays has it.

    Since when it acts for its own account stays; the other id's offsets are of another partition.
    """
    mine = view.table(USERS.profiles).get(key) or Profile()
    traits = merge_traits(mine.traits, theirs.traits)
    activity = view.table(USERS.activity).get(key)
    in_accounts = activity.accounts if activity is not None else ()
    known = {**theirs.accounts, **mine.accounts}
    accounts = {account: facts for account, facts in known.items() if account in in_accounts}
    told = {**theirs.account_segments, **mine.account_segments}
    told = {account: segments for account, segments in told.items() if account in in_accounts}
    one = Profile(traits, accounts, account_segments=told, joined=mine.joined)
    view.table(USERS.profiles).put(key, one)


def _merge_progress(theirs: Progress, person: str, view: View, now_ms: int) -> None:
    """Journeys go on where they were, their timers with them."""
    table, key = view.table(USERS.progress), person.encode()
    mine = table.get(key) or Progress(person)
    one = merge_progress(mine, theirs, now_ms)
    table.put(key, one)
    going = {held.id: held for held in one.enrollments if held.is_active}
    for held in mine.enrollments:
        if held.timer_id is not None and held.id not in going:
            view.cancel_timer(bytes.fromhex(held.timer_id))
    for held in theirs.enrollments:
        still = going.get(held.id)
        if still is not None and still.timer_id is not None and still.due_ms is not None:
            payload = encode_payload(TimerPayload("user", person, still.id))
            view.set_timer(bytes.fromhex(still.timer_id), still.due_ms, payload)


def _merge_held(theirs: HeldRequests, person: str, view: View) -> None:
    """Messages that wait at the gate go on waiting under the person's id; what both have is held once."""
    table, key = view.table(HELD_REQUESTS), person.encode()
    mine = table.get(key) or HeldRequests()
    table.put(key, merge_held(mine, theirs, person))
    progress = view.table(USERS.progress).get(key) or Progress(person)
    for message in theirs.requests.keys() - mine.requests.keys():
        waiting = progress.held_message(message)
        assert waiting is not None, "what is held stands in both rows"
        payload = encode_payload(TimerPayload("user", person, f"{HELD}{message}"))
        view.set_timer(bytes.fromhex(timer_id(person, message)), waiting.until_ms, payload)


def _merge_identity(theirs: Identity, mine: Identity, merged: wire.Merged, view: View) -> None:
    """The ids that came into the other are this person's too."""
    came = dict.fromkeys((*mine.sources, *theirs.sources, merged.source))
    came.pop(merged.subject, None)
    asked = {
        source: into
        for source, into in {**theirs.asked, **mine.asked}.items()
        if source not in came and source != merged.subject
    }
    if came or asked:
        view.table(IDENTITIES).put(
            merged.subject.encode(), Identity(None, list(came), asked, since=mine.since)
        )


def _release(view: View, parts: EngineParts, person: str, source: str, into: str, now_ms: int) -> None:
    released = wire.Released(
        id=stable_id("released", person, source, str(now_ms)),
        subject=person,
        source=source,
        into=into,
        at_ms=now_ms,
    )
    view.send(parts.topics("scheduler"), person.encode(), wire.encode(released))


def _tell(view: View, parts: EngineParts, source: str, person: str, now_ms: int) -> None:
    """Tell those who keep data of their own; the senders move the feed."""
    told = wire.PersonMerged(
        id=stable_id("merged", source, person, str(now_ms)), subject=source, into=person, at_ms=now_ms
    )
    view.send(parts.topics("identity"), source.encode(), wire.encode(told))


def _row(rows: Rows, table: Table[Any]) -> Any:
    stored = rows.get(table.prefix)
    return None if stored is None else table.decode(stored)
