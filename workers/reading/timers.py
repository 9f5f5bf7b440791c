"""Timers that are due, as the engine's changelog has them, and enrollments without the timer they need."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from workers.core.gate.held import HELD, timer_id
from workers.identity.erasing import lifts
from workers.reading.changelogs import Kept, read_rows
from workers.signals.batches import RUN, SCHEDULE
from workers.signals.objects import tells
from workers.standing import stands_at
from workers.state import TABLES
from workers.stream.decide import TIMER_RETRY_MS
from workers.stream.store import TIMER, Timer
from workers.timers import SCORES, SEGMENTS, TELLING, TELLING_TRAITS, decode_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schemas.fields import SubjectType
    from workers.settings import Settings

_U64 = Struct(">Q")

ENROLLMENT, NO_TIMER, PUT_OFF = "enrollment", "no timer", "put off"
KINDS = {
    SEGMENTS: "segments",
    SCORES: "scores",
    TELLING: "members told",
    TELLING_TRAITS: "members told",
    RUN: "batch run",
    SCHEDULE: "batch schedule",
}


def read_timers(
    settings: Settings,
    now_ms: int,
    until_ms: int,
    journey: str | None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[dict[str, Any]]:
    """Timers due at ``until_ms`` or before, in order of time, each with what it is for.

    Behind them those of enrollments that are due by then and whose timer is later, or is not there.
    ``progress`` is as that of :func:`read_rows`.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    kept = Kept()
    kinds: dict[bytes, SubjectType] = {tables.progress.prefix: kind for kind, tables in TABLES.items()}
    # One that was put off is due an hour after it failed.
    looked_ms = max(until_ms, now_ms + TIMER_RETRY_MS)
    for key, value in read_rows(settings, (TIMER, *kinds), None, progress):
        if key[:1] != TIMER:
            kept.put(key, _expected(kinds[key[:1]], value, until_ms) if value else ())
            continue
        due_ms = _U64.unpack_from(value)[0] if value else looked_ms + 1
        timer = Timer(key[1:], due_ms, value[8:])
        kept.put(key, [(key[1:].hex(), "", due_ms, _item(timer))] if due_ms <= looked_ms else ())
    for timer, owner in kept.pairs(TIMER):
        late = owner is not None and owner["kind"] == ENROLLMENT and owner["due_ms"] < timer["due_ms"]
        item = timer | _known(owner) | ({"kind": PUT_OFF} if late else {})
        if (late or timer["due_ms"] <= until_ms) and journey in (None, item["journey"]):
            yield item
    for prefix in kinds:
        for owner, timer in kept.pairs(prefix):
            if timer is None and owner["kind"] == ENROLLMENT and journey in (None, owner["journey"]):
                yield owner | {"kind": NO_TIMER}


def _item(timer: Timer) -> dict[str, Any]:
    """What a timer is for, as far as it says so itself."""
    item: dict[str, Any] = {"due_ms": timer.due_ms, "timer": timer.timer_id.hex(), "subject_type": None}
    item |= {"subject": None, "journey": None, "step": None}
    if lifts(timer):
        return item | {"kind": "erasure mark"}
    if tells(timer):
        return item | {"kind": "object told"}
    payload = decode_payload(timer.payload)
    if payload.enrollment in (RUN, SCHEDULE):
        return item | {"kind": KINDS[payload.enrollment]}
    kind = (
        "held message" if payload.enrollment.startswith(HELD) else KINDS.get(payload.enrollment, ENROLLMENT)
    )
    return item | {"kind": kind, "subject_type": payload.subject_type, "subject": payload.subject}


def _known(owner: dict[str, Any] | None) -> dict[str, Any]:
    """What the subject's row knows of a timer: its journey and step."""
    return {} if owner is None else {name: owner[name] for name in ("journey", "step")}


def _expected(kind: SubjectType, row: bytes, until_ms: int) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """The timers that a subject's row says there are: of its enrollments, and of what the gate holds."""
    progress = TABLES[kind].progress.decode(row)
    for held in progress.enrollments:
        if held.is_active and held.due_ms is not None and held.due_ms <= until_ms:
            item = {
                "due_ms": held.due_ms,
                "timer": held.timer_id,
                "subject_type": kind,
                "subject": progress.subject,
                "journey": held.journey,
                "step": " + ".join(stands_at(held)),
                "kind": ENROLLMENT,
            }
            yield held.timer_id or held.id, "", held.due_ms, item
    for one in progress.waiting:
        if one.requested and one.until_ms <= until_ms:
            item = {"due_ms": one.until_ms, "journey": one.journey, "step": None, "kind": "held message"}
            yield timer_id(progress.subject, one.id), "", one.until_ms, item
