"""The engine of the only partition, on a store of its own; what it sends itself comes back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.workspace import Workspace
from tests.unit.signals.kit import NOW, event, record
from tests.unit.stream.kit import Rec, Waiting
from workers.core.compile import compile_workspace
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.shell import EngineParts
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items, fire_timers
from workers.stream.store import PartitionStore
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BANNER: dict[str, Any] = {"send": {"in_app": "banner"}}


class WholeEngine:
    """One partition under virtual time. ``looped`` False keeps what it sends to itself in ``kept``."""

    def __init__(self, folder: Path, **workspace: Any) -> None:
        self.now_ms = NOW
        self.store = PartitionStore(folder / "db")
        self.looped = True
        self.kept: list[tuple[str, Rec]] = []
        self.eligible: list[tuple[wire.Eligible, int]] = []
        self.decisions: list[wire.Decision] = []
        self.messages: list[wire.Message] = []
        self.standing: dict[tuple[str, str], int] = {}
        self._offset = 0
        self.waiting = Waiting()
        self.publish(**workspace)

    def publish(self, *, swept: bool = True, **workspace: Any) -> None:
        """Begin anew with a workspace, as after a restart; without ``swept`` nothing is swept yet."""
        self.workspace = workspace
        plan = compile_workspace(Workspace.model_validate({"name": "w", **workspace}))
        self.registry = CollectorRegistry()
        metrics = SignalMetrics(self.registry)
        self.logic = EngineLogic(0, EngineParts(plan, 1, lambda name: name, metrics))
        self.waiting.begin(self.logic.opened(self.store))
        if swept:
            self._work()

    def restart(self) -> None:
        """The worker dies and another takes over, with the same workspace."""
        self.publish(**self.workspace)

    def events(self, *events: dict[str, Any]) -> None:
        """These events arrive."""
        self.run("product-events", [record(one, at) for at, one in enumerate(events)])

    def hears(self, told: Any) -> None:
        """A record of the scheduler topic arrives."""
        self.run("scheduler", [Rec(0, wire.encode(told), b"")])

    def waits(self, until_ms: int) -> None:
        """Time passes; what falls due acts at its instant."""
        while (due_ms := self.store.next_due_ms()) is not None and due_ms <= until_ms:
            self.now_ms = max(self.now_ms, due_ms)
            view = View(self.store.get)
            fire_timers(self.logic, self.store.due(self.now_ms, 100), view, self.now_ms)
            self._commit(view)
            self._work()
        self.now_ms = max(self.now_ms, until_ms)

    def sleeps(self, until_ms: int) -> None:
        """No worker is up until then."""
        self.now_ms = until_ms

    def run(self, topic: str, records: Sequence[Rec]) -> None:
        """One transaction of these records."""
        view, tp = View(self.store.get), TP(topic, 0)
        items, _ = self.logic.prepare(Batch(tp, records, 0, len(records)), view, self.now_ms)
        apply_items(self.logic, tp, items, view, self.now_ms)
        assert view.dead == []
        self._commit(view)

    def loop(self) -> None:
        """What was kept arrives now."""
        kept, self.kept = self.kept, []
        for topic, one in kept:
            self.run(topic, [one])

    def candidates(self) -> list[str]:
        """Whose eligible records were written, in order."""
        return [one.subject for one, _ in self.eligible]

    def enrolled(self) -> list[str]:
        """Who was enrolled, in order."""
        return [one.subject for one in self.decisions if one.kind == "entry" and one.outcome == "enrolled"]

    def declined(self) -> list[tuple[str, str | None]]:
        """Who was declined, and why."""
        return [
            (one.subject, one.reason)
            for one in self.decisions
            if one.kind == "entry" and one.outcome == "declined"
        ]

    def _work(self) -> None:
        while self.waiting:
            view = View(self.store.get)
            self.waiting.turn(self.logic, view, self.now_ms)
            self._commit(view)

    def _commit(self, view: View) -> None:
        self._offset += 1
        self.logic.finish(view, self.now_ms)
        self.store.write(view.changes(), changelog_next=self._offset, now_ms=self.now_ms)
        self.waiting.more(view.effects)
        again: list[tuple[str, Rec]] = []
        for output in view.outputs:
            value = output.value or b""
            if output.topic == "step-counts":
                told = wire.decode_step_count(value)
                self.standing[told.journey, told.step] = told.number
            elif output.topic == "decisions":
                self.decisions.append(wire.decode_decision(value))
            elif output.topic.startswith("messages.") and output.value is not None:
                self.messages.append(wire.decode_message(value))
            elif output.topic in ("scheduler", "account-events"):
                again.append((output.topic, Rec(0, value, output.key)))
                asked = wire.decode_scheduler(value) if output.topic == "scheduler" else None
                if isinstance(asked, wire.Eligible):
                    self.eligible.append((asked, self.now_ms))
        view.close()
        if not self.looped:
            self.kept += again
            return
        for topic, one in again:
            self.run(topic, [one])


def identify(user: str, **traits: Any) -> dict[str, Any]:
    """An identify call."""
    return event(user=user, type="identify", event=None, traits=traits)


def group(user: str, account: str, **traits: Any) -> dict[str, Any]:
    """A group call."""
    return event(user=user, type="group", event=None, groupId=account, traits=traits)


def entered_on(on: Any, name: str = "play", **fields: Any) -> dict[str, Any]:
    """A journey of users that is entered on something and waits a day; ``fields`` replace, ``entry`` adds."""
    entry = {"on": on, "again": "always"} | fields.pop("entry", {})
    plain = {"journey": name, "subject": "user", "entry": entry, "steps": [BANNER, {"wait": "1d"}]}
    if fields.get("subject") == "account":
        plain["recipients"] = {"role": "owner"}
    return plain | fields
