"""What decisions read of a person is read from disk at once, before they are made, and nothing besides."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from schemas.workspace import Workspace
from tests.unit.core.kit import journey
from tests.unit.signals.kit import NOW, event
from tests.unit.stream.kit import Rec
from workers.core.compile import compile_workspace
from workers.engine import EngineLogic
from workers.engine_metrics import SignalMetrics
from workers.shell import EngineParts
from workers.state import CONSENTS, ENGAGEMENT, ERASED, IDENTITIES, PERSONAL, USERS
from workers.stream.batch import TP, Batch
from workers.stream.store import DecodedRows, RowCache
from workers.stream.turn import Turn

PLAIN = {USERS.activity.prefix, USERS.profiles.prefix, USERS.progress.prefix}
ACTIVE = {"segment": "active", "require": [{"performed": "limit", "at_least": 1, "within": "14d"}]}
PQL = {
    "score": "pql",
    "subject": "user",
    "half_life": "7d",
    "contributions": [{"event": "limit", "points": 10}],
}


class Disk:
    """A store that caches nothing, and says what was asked of it row by row."""

    def __init__(self) -> None:
        self.cache = RowCache(0)
        self.decoded = DecodedRows(0)
        self.rows: dict[bytes, bytes] = {}
        self.singly: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """One row."""
        self.singly.append(key)
        return self.rows.get(key)


class Engine:
    """One partition; ``ahead`` is what it asked for before it decided last."""

    def __init__(self, **workspace: Any) -> None:
        plan = compile_workspace(
            Workspace.model_validate({"name": "w", "journeys": [journey()], **workspace})
        )
        parts = EngineParts(plan, 1, str, SignalMetrics(CollectorRegistry()))
        self.disk = Disk()
        self.ahead: set[bytes] = set()
        self._logic = EngineLogic(0, parts)

    def take(self, topic: str, value: bytes) -> dict[str, bytes]:
        """One transaction of one record; the last value that it wrote to each topic."""
        batch = Batch(TP(topic, 0), [Rec(0, value, b"u1")], 0, 1)
        turn = Turn(self._logic, self.disk, [batch], [], [], NOW)
        missing = turn.prepare()
        self.ahead = set(missing)
        turn.fill({key: self.disk.rows.get(key) for key in missing})
        turn.decide()
        assert turn.view.dead == []
        changes = turn.changes()
        self.disk.rows.update({key: row for key, row in changes.items() if row is not None})
        return {output.topic: output.value or b"" for output in turn.view.outputs}


@pytest.mark.parametrize(
    ("workspace", "more"),
    [
        ({}, set()),
        ({"segments": [ACTIVE]}, {USERS.memberships.prefix}),
        ({"scores": [PQL]}, {USERS.scores.prefix}),
    ],
)
def test_a_new_person_is_read_at_once_for_the_event_and_for_the_message(
    workspace: dict[str, Any], more: set[bytes]
) -> None:
    """Of a workspace without segments or scores nobody asks for a person's rows of those."""
    engine = Engine(**workspace)
    value = msgspec.json.encode(event("limit", "u1"))
    eligible = engine.take("product-events", value)["scheduler"]
    read = PLAIN | more
    assert {key[:1] for key in engine.ahead} == read | {IDENTITIES.prefix, ERASED.prefix}
    outputs = engine.take("scheduler", eligible)
    assert "messages.in_app" in outputs
    assert {key[:1] for key in engine.ahead} == read | {ENGAGEMENT.prefix, CONSENTS.prefix}
    of_people = {table.prefix for table in PERSONAL}
    assert [key for key in engine.disk.singly if key[:1] in of_people] == []
