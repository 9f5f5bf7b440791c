"""Product events as the engine takes them: decoded, checked, keyed by their subject, dated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from schemas import wire
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from schemas.wire import ProductEvent
    from workers.engine_metrics import SignalMetrics
    from workers.stream.batch import Batch
    from workers.stream.view import View
    from workers.tracking import TrackingPlanGuard

FUTURE_TOLERANCE_MS = 3_600_000
"""An event dated up to an hour ahead is a clock that is off; beyond, a mistake worth a person's look."""

Taken: TypeAlias = "tuple[Any, ProductEvent, bytes, int]"
"""One event that passed: its record, the event, its subject's key, and when it happened (ms). A plain tuple:
one is made for every event, and a named one costs three times as much."""


class Carried(NamedTuple):
    """An event that came inside another record, as the signals read records."""

    value: bytes


def take(
    batch: Batch,
    view: View,
    now_ms: int,
    metrics: SignalMetrics,
    tracking: TrackingPlanGuard | None = None,
) -> list[Taken]:
    """The usable events of a batch. What is not usable is dead-lettered or, with a wrong key, re-keyed.

    An event dated at most :data:`FUTURE_TOLERANCE_MS` ahead happened now. What the tracking plan refuses is
    dead-lettered too.
    """
    taken: list[Taken] = []
    append, decode, problem_of, to_ms = taken.append, wire.decode_product_event, wire.problem, wire.to_ms
    latest_ms = now_ms + FUTURE_TOLERANCE_MS
    check = None if tracking is None else tracking.check
    for record in batch.records:
        try:
            event = decode(record.value)
        except (msgspec.DecodeError, AttributeError) as error:
            _refuse(batch, record, error, view)
            continue
        problem = problem_of(event)
        if problem is not None:
            view.dead_letter(batch.tp, record, "invalid", problem)
            continue
        key = (event.user_id or event.anonymous_id).encode()  # type: ignore[union-attr]  # problem_of() saw to it
        if record.key != key:
            view.send(batch.tp.topic, key, record.value)
            metrics.rekeyed("key")
            continue
        at_ms = to_ms(event.timestamp)
        if at_ms > now_ms:
            if at_ms > latest_ms:
                ahead_s = (at_ms - now_ms) // 1000
                detail = f"timestamp is {ahead_s} s ahead of the engine's clock"
                view.dead_letter(batch.tp, record, "future", detail)
                continue
            at_ms = now_ms
        if check is not None and (violations := check(event)):
            refusal = tracking.refusal(event, record.value, violations)  # type: ignore[union-attr]  # as check
            if refusal is not None:
                view.dead_letter(batch.tp, record, "invalid", refusal)
                continue
        append((record, event, key, at_ms))
    return taken


def source_of(record: Any) -> str:
    """Who brought an event: what its header ``source`` says, else ``identify``; at most 64 characters."""
    for name, value in getattr(record, "headers", ()):
        if name == "source":
            return bytes(value[:64]).decode(errors="replace") or "identify"
    return "identify"


def is_misplaced(key: bytes, partition: int, partitions: int, topic: str, value: bytes, view: View) -> bool:
    """Whether a key belongs to another partition; its event is then sent there.

    Producers that hash keys otherwise (librdkafka's default is CRC32) spread a person over partitions. The
    check costs 2 us, so it is made when a subject is seen for the first time; afterwards its row vouches.
    """
    right = partition_of(key, partitions)
    if right == partition:
        return False
    view.send(topic, key, value, right)
    return True


def _refuse(batch: Batch, record: Any, error: Exception, view: View) -> None:
    if record.value is None:
        view.dead_letter(batch.tp, record, "unreadable", "the record has no value")
    elif isinstance(error, msgspec.ValidationError):
        view.dead_letter(batch.tp, record, "invalid", str(error))
    else:
        view.dead_letter(batch.tp, record, "unreadable", str(error))
