"""The recorded history of accounts through the engine, and the stays in segments that it tells of."""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from schemas.workspace import Workspace
from tests.unit.identity.kit import Cluster
from workers.core.compile import compile_workspace
from workers.local.demo.mapping import demo_events
from workers.stream.store import TIMER, Timer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from workers.local.demo.history import History
    from workers.local.demo.mapping import DemoEvent
    from workers.stream.view import View

_DUE = Struct(">Q")


class Stay(NamedTuple):
    """A time that an account spent in a segment; ``left_ms`` is None where it is still in it."""

    segment: str
    account: str
    entered_ms: int
    left_ms: int | None


class _Recorder(Cluster):
    """One partition whose clock is the history's own: every timer fires at the instant it is due."""

    def __init__(self, segments: Sequence[dict[str, Any]]) -> None:
        plan = compile_workspace(Workspace.model_validate({"name": "replay", "segments": list(segments)}))
        super().__init__(partitions=1, plan=plan)
        self._agenda: list[tuple[int, bytes]] = []

    def due(self, number: int) -> list[Timer]:
        """The timers that are due; the kit would look through all rows for them, at every event."""
        found = []
        while self._agenda and self._agenda[0][0] <= self.now_ms:
            due_ms, key = heappop(self._agenda)
            row = self.rows[number].get(key)
            if row is not None and _DUE.unpack_from(row)[0] == due_ms:
                found.append(Timer(key[1:], due_ms, row[8:]))
        return found

    def _commit(self, number: int, view: View) -> None:
        super()._commit(number, view)
        for key, row in view.changes().items():
            if row is not None and key.startswith(TIMER):
                heappush(self._agenda, (_DUE.unpack_from(row)[0], key))

    def take(self, event: DemoEvent) -> None:
        """Let time pass to the event, and decide it."""
        self.until(event.at_ms)
        self.produce(event.message)
        self.settle()

    def until(self, now_ms: int) -> None:
        """Fire what is due on the way, each at its time."""
        while self._agenda and self._agenda[0][0] <= now_ms:
            self.now_ms = self._agenda[0][0]
            self.settle()
        self.now_ms = now_ms


def stays(history: History, segments: Sequence[dict[str, Any]]) -> set[Stay]:
    """The stays in segments that the engine tells of, event by event at the history's own times."""
    recorder = _Recorder(segments)
    for event in demo_events(history):
        recorder.take(event)
    recorder.until(history.end_ms - 1)
    assert not recorder.dead, f"events were not taken: {recorder.dead[:3]}"
    changes = [(told.segment, told.subject, told.change, told.at_ms) for told in recorder.of("segments")]
    return joined(changes)


def joined(changes: Iterable[tuple[str, str, str, int]]) -> set[Stay]:
    """Stays from entered and left, in order: one that was left and entered at one instant went on."""
    by_account: dict[tuple[str, str], list[list[int | None]]] = defaultdict(list)
    for segment, account, change, at_ms in changes:
        held = by_account[segment, account]
        if change == "left":
            held[-1][1] = at_ms
        elif held and held[-1][1] == at_ms:
            held[-1][1] = None
        else:
            held.append([at_ms, None])
    return {
        Stay(segment, account, entered_ms or 0, left_ms)
        for (segment, account), held in by_account.items()
        for entered_ms, left_ms in held
        if entered_ms != left_ms
    }
