"""What has to be true of the gate, seen from outside: by messages, their decisions and what people said."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from schemas import wire
from schemas.workspace.gate import WEEKDAYS
from schemas.workspace.steps import SendStep
from tests.simulation.step_paths import steps_by_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from schemas.workspace import Cap, Exclusive, Hours
    from tests.simulation.evidence import Evidence
    from tests.simulation.evidence_gate import Sent


def caps_of_people_are_never_exceeded(found: Evidence) -> Iterator[str]:
    """However messages come: of those that a cap counts, nobody gets more within its time than it says."""
    caps = [cap for cap in found.gate.rules.caps if cap.of == "person"]
    for person, sent in found.gate.sent_by_person.items():
        if person in found.entangled:
            continue
        for cap in caps:
            yield from _exceeded(f"{person}", cap, _counted(found, cap, sent), found.gate.zone_of(person))


def caps_of_accounts_are_never_exceeded(found: Evidence) -> Iterator[str]:
    """The same for the messages to all members of an account, as of when the account granted them."""
    caps = [cap for cap in found.gate.rules.caps if cap.of == "account"]
    if not caps:
        return
    granted = {one.message: record.order for record, one in found.gate.answers if one.granted and one.counted}
    by_account: dict[str, list[tuple[int, Sent]]] = defaultdict(list)
    for sent in found.gate.sent:
        if sent.message.account is not None and sent.message.person not in found.entangled:
            order = granted.get(sent.message.id, sent.record.order)
            by_account[sent.message.account].append((order, sent))
    for account, members in by_account.items():
        ordered = [sent for _, sent in sorted(members, key=lambda one: one[0])]
        for cap in caps:
            times = [
                (one.message.requested_at_ms, one.message.template)
                for one in _that_count(found, cap, ordered)
            ]
            yield from _exceeded(f"account {account}", cap, times, found.gate.workspace_zone)


def _counted(found: Evidence, cap: Cap, sent: Sequence[Sent]) -> list[tuple[int, str]]:
    return [(one.decision.at_ms, one.message.template) for one in _that_count(found, cap, sent)]


def _that_count(found: Evidence, cap: Cap, sent: Iterable[Sent]) -> Iterator[Sent]:
    for one in sent:
        message = one.message
        is_one = (
            (not cap.channel or message.channel in cap.channel)
            and (not cap.tag or not set(cap.tag).isdisjoint(message.tags))
            and (not cap.journey or message.journey in cap.journey)
        )
        if is_one and "caps" not in found.gate.exempt(message.tags):
            yield one


def _exceeded(whose: str, cap: Cap, counted: list[tuple[int, str]], zone: ZoneInfo | None) -> Iterator[str]:
    """``counted`` are (when, what) in the order of the decisions, between which clocks may go back."""
    for at, (at_ms, what) in enumerate(counted):
        since_ms = _since_ms(cap, at_ms, zone)
        if since_ms is None:
            return
        before = sum(1 for earlier_ms, _ in counted[:at] if earlier_ms >= since_ms)
        if before >= cap.max:
            yield f"{whose} got {what} at {at_ms} as number {before + 1} of at most {cap.max} in {cap.within}"


def _since_ms(cap: Cap, at_ms: int, zone: ZoneInfo | None) -> int | None:
    """When the time begins that a cap counts; None where the zone is not known."""
    if isinstance(cap.within, int):
        return at_ms - cap.within + 1
    if zone is None:
        return None
    today = datetime.fromtimestamp(at_ms / 1000, zone).date()
    first = {
        "today": today,
        "this_week": today - timedelta(days=today.weekday()),
        "this_month": today.replace(day=1),
    }[cap.within]
    return int(datetime(first.year, first.month, first.day, tzinfo=zone).timestamp() * 1000)


def quiet_hours_are_never_broken(found: Evidence) -> Iterator[str]:
    """No message is let out in the quiet hours of its channel, by the clock on the person's wall."""
    for sent in found.gate.sent:
        message = sent.message
        zone = found.gate.zone_of(message.person)
        if (
            zone is None
            or "quiet_hours" in found.gate.exempt(message.tags)
            or message.person in found.entangled
        ):
            continue
        for hours in found.gate.rules.quiet_hours:
            if message.channel in hours.channel and _is_inside(hours, sent.decision.at_ms, zone):
                shown = datetime.fromtimestamp(sent.decision.at_ms / 1000, zone)
                yield f"{message.person} got {message.template} at {shown:%a %H:%M} {zone.key}"


def windows_are_kept(found: Evidence) -> Iterator[str]:
    """A message with a window is let out in it."""
    for sent in found.gate.sent:
        message = sent.message
        journey, zone = found.stable.get(message.journey), found.gate.zone_of(message.person)
        if journey is None or zone is None or message.person in found.entangled:
            continue
        step = steps_by_path(journey).get(message.step)
        window = (step.send.window or journey.window) if isinstance(step, SendStep) else None
        if window and not any(_is_inside(one, sent.decision.at_ms, zone) for one in window):
            yield f"{message.person} got {message.template} of {message.journey} outside of its window"


def _is_inside(hours: Hours, at_ms: int, zone: ZoneInfo) -> bool:
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    minute = local.hour * 60 + local.minute
    today, yesterday = WEEKDAYS[local.weekday()], WEEKDAYS[(local.weekday() - 1) % 7]
    if hours.from_ < hours.to:
        return today in hours.days and hours.from_ <= minute < hours.to
    return (today in hours.days and minute >= hours.from_) or (yesterday in hours.days and minute < hours.to)


def exclusive_tags_keep_others_away(found: Evidence) -> Iterator[str]:
    """After a message of one journey of an exclusive tag comes none of another within the time."""
    for rule in found.gate.rules.exclusive:
        for person, sent in found.gate.sent_by_person.items():
            if person in found.entangled:
                continue
            mine = [
                one
                for one in sent
                if rule.tag in one.message.tags and "exclusive" not in found.gate.exempt(one.message.tags)
            ]
            yield from _crowded(rule, person, mine)


def _crowded(rule: Exclusive, person: str, sent: list[Sent]) -> Iterator[str]:
    for at, one in enumerate(sent):
        for earlier in sent[:at]:
            near = earlier.decision.at_ms > one.decision.at_ms - rule.within
            if near and earlier.message.journey != one.message.journey:
                yield (
                    f"{person} got {one.message.template} of {one.message.journey} "
                    f"after one of {earlier.message.journey}, both {rule.tag}"
                )


def one_journey_at_a_time(found: Evidence) -> Iterator[str]:
    """Of a tag with ``one_journey`` nobody enters a journey while in another."""
    tags = {rule.tag for rule in found.gate.rules.exclusive if rule.one_journey}
    if not tags:
        return
    inside: dict[tuple[str, str], set[str]] = defaultdict(set)
    both = (*found.decisions("entry", "enrolled"), *found.decisions("exit"))
    for _, decision in sorted(both, key=lambda one: one[0].order):
        journey = found.stable.get(decision.journey)
        shared = tags.intersection(journey.tags) if journey is not None else set()
        if not shared or decision.subject in found.entangled or found.key_of(decision) != "":
            continue
        held = inside[decision.subject_type, decision.subject]
        if decision.kind == "exit":
            held.discard(decision.journey)
            continue
        rivals = {name for name in held if shared.intersection(found.stable[name].tags)}
        if rivals - {decision.journey}:
            yield f"{decision.subject} entered {decision.journey} while in {sorted(rivals)}"
        held.add(decision.journey)


def who_refused_is_left_alone(found: Evidence) -> Iterator[str]:
    """Who said no to a channel, and never said yes to anything, gets no message over it from then on."""
    for person, words in found.gate.consent_words.items():
        if person in found.entangled or any(word.opted_in is not False for word in words):
            continue
        refused = [word for word in words if word.topic is None]
        for sent in found.gate.sent_by_person.get(person, ()):
            message = sent.message
            if "consent" in found.gate.exempt(message.tags):
                continue
            if any(
                word.channel in (None, message.channel) and word.applied < sent.record.order
                for word in refused
            ):
                yield f"{person} got {message.template} over {message.channel} after they refused it"


def closed_channels_stay_closed(found: Evidence) -> Iterator[str]:
    """Who complained, or came on a list and was not taken off it, gets no message over the channel."""
    closed: dict[tuple[str, str], int] = {}
    lifted: set[tuple[str, str]] = set()
    for record, one in found.of("engagement"):
        applied = found.applied(record) if one.type == "complained" else None
        if applied is not None:
            closed.setdefault((one.person, one.channel), applied)
    for record, asked in found.of("scheduler"):
        if not isinstance(asked, wire.Suppress):
            continue
        place, applied = (asked.subject, asked.channel), found.applied(record)
        if not asked.suppressed:
            lifted.add(place)
        elif applied is not None:
            closed[place] = min(applied, closed.get(place, applied))
    for sent in found.gate.sent:
        place = (sent.message.person, sent.message.channel)
        after = place in closed and sent.record.order > closed[place]
        if after and place not in lifted and place[0] not in found.entangled:
            yield f"{place[0]} got {sent.message.template} over {place[1]}, which was closed to them"


CHECKS: tuple[Any, ...] = (
    caps_of_people_are_never_exceeded,
    caps_of_accounts_are_never_exceeded,
    quiet_hours_are_never_broken,
    windows_are_kept,
    exclusive_tags_keep_others_away,
    one_journey_at_a_time,
    who_refused_is_left_alone,
    closed_channels_stay_closed,
)
