"""Steps 1 and 2 of a batch: read ahead, decide, and keep one bad record from spoiling the others."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from workers.errors import Refused
from workers.stream.background import Done
from workers.stream.logic import record_of
from workers.stream.store import DiskFull, StoreBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.stream.background import Task
    from workers.stream.batch import TP
    from workers.stream.logic import PartitionLogic
    from workers.stream.store import Timer
    from workers.stream.view import View

log = structlog.get_logger(__name__)

ROW_MAX_BYTES = 900_000
"""A changelog record and an output have to fit Kafka's default limit of 1 MiB, with room for headers."""


TIMER_RETRY_MS = 3_600_000
"""When a timer that could not be decided is tried again: time to mend a bug, not to forget it."""


class Oversized(Refused):
    """A row or an output grew beyond what Kafka takes."""


def apply_items(logic: PartitionLogic, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
    """Let the logic decide ``items``; an item that raises is dead-lettered, and only that one.

    The items are decided together on a child view. Only when that fails are they decided one by one, so
    the price of safety is paid by batches that need it.
    """
    child = view.child()
    try:
        logic.apply(tp, items, child, now_ms)
        _check_sizes(child)
    except (StoreBroken, DiskFull):
        raise
    except Exception:  # noqa: BLE001 - whatever a record provokes must not stop the partition
        _apply_one_by_one(logic, tp, items, view, now_ms)
    else:
        view.absorb(child)


def _apply_one_by_one(logic: PartitionLogic, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
    for item in items:
        child = view.child()
        try:
            logic.apply(tp, (item,), child, now_ms)
            _check_sizes(child)
        except (StoreBroken, DiskFull):
            raise
        except Refused as refused:
            view.dead_letter(tp, record_of(item), refused.reason, refused.detail)
        except msgspec.DecodeError as error:
            view.dead_letter(tp, record_of(item), "unreadable", str(error))
        except Exception as error:  # noqa: BLE001 - a bug met by one record: put it aside, with its trace
            record = record_of(item)
            log.error(
                "record.handler_error",
                topic=tp.topic,
                partition=tp.partition,
                offset=record.offset,
                error=type(error).__name__,
                trace=traceback.format_exc(limit=-4),
            )
            view.dead_letter(tp, record, "handler_error", f"{type(error).__name__}: {error}"[:500])
        else:
            view.absorb(child)


def fire_timers(logic: PartitionLogic, timers: Sequence[Timer], view: View, now_ms: int) -> int:
    """Let the logic decide timers that are due; how many had to be put off.

    A timer whose decision raises is set again, :data:`TIMER_RETRY_MS` from now: it is no record that could be
    dead-lettered, and whoever waits on it must not be forgotten when the bug is mended.
    """
    put_off = 0

    def again(timer: Timer) -> None:
        nonlocal put_off
        put_off += 1
        view.set_timer(timer.timer_id, now_ms + TIMER_RETRY_MS, timer.payload)
        logic.put_off(timer)

    def fire(some: Sequence[Timer], child: View) -> None:
        for timer in some:
            child.cancel_timer(timer.timer_id)
        logic.fire(some, child, now_ms)

    _guarded(timers, fire, again, view, "timer.handler_error")
    return put_off


def take_notices(logic: PartitionLogic, notices: Sequence[Any], view: View, now_ms: int) -> None:
    """Let the logic decide notices.

    One that raises is dropped with an error in the log: what it tells of stays without an outcome, and the
    next owner of the partition finds it.
    """
    _guarded(
        notices,
        lambda some, child: logic.notices(some, child, now_ms),
        lambda _notice: None,
        view,
        "notice.handler_error",
    )


def do_task(logic: PartitionLogic, task: Task, most: int, view: View, now_ms: int) -> Done:
    """Let the logic do a slice of a task.

    One that raises is dropped with an error in the log: whoever opens the partition next begins it anew.
    """
    child = view.child()
    try:
        done = logic.work(task, most, child, now_ms)
        _check_sizes(child)
    except (StoreBroken, DiskFull):
        raise
    except Exception as error:  # noqa: BLE001 - no exception may leave the decisions
        log.error(
            "task.handler_error",
            task=type(task).__name__,
            error=type(error).__name__,
            trace=traceback.format_exc(limit=-4),
        )
        return Done(most, None)
    view.absorb(child)
    return done


def _guarded(
    inputs: Sequence[Any],
    decide: Callable[[Sequence[Any], View], None],
    failed: Callable[[Any], None],
    view: View,
    event: str,
) -> None:
    """Decide all inputs together; when that raises, one by one, with ``failed`` for those that raise."""
    for attempt in ([inputs], [(one,) for one in inputs]):
        for some in attempt:
            child = view.child()
            try:
                decide(some, child)
                _check_sizes(child)
            except (StoreBroken, DiskFull):
                raise
            except Exception as error:  # noqa: BLE001 - no exception may leave the decisions
                if len(attempt) == 1 and len(inputs) > 1:
                    break
                log.error(event, error=type(error).__name__, trace=traceback.format_exc(limit=-4))
                failed(some[0])
            else:
                view.absorb(child)
        else:
            return


def _check_sizes(view: View) -> None:
    changes = view.changes()
    largest = max(map(len, filter(None, changes.values())), default=0)
    if largest > ROW_MAX_BYTES:
        key = next(key for key, row in changes.items() if row is not None and len(row) == largest)
        raise Oversized(
            "too_large", f"the row {key[:64]!r} would take {largest} bytes, above {ROW_MAX_BYTES}"
        )
    for output in view.outputs:
        if output.value is not None and len(output.value) > ROW_MAX_BYTES:
            raise Oversized(
                "too_large",
                f"a record for {output.topic} would take {len(output.value)} bytes, above {ROW_MAX_BYTES}",
            )
