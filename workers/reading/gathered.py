"""What subjects did, counted into the slots that want it, for ``brimful backfill``."""

from __future__ import annotations

import base64
from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from schemas import wire
from schemas.fields import SubjectType
from workers.core.activity import row as activities
from workers.core.activity.row import Activity
from workers.core.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    import msgspec

    from workers.core.activity.slots import MeasureSlot
    from workers.core.plan import Plan, Slot, SubjectPlan

Wanted: TypeAlias = dict[SubjectType, frozenset[int]]
"""The slots of each kind that lack something of their past in some partition."""

KINDS: tuple[SubjectType, ...] = ("user", "account")


class Gathered:
    """Rows of all subjects by their kind and id; ``now_ms`` decides what has left its window."""

    def __init__(self, plan: Plan, wanted: Wanted, now_ms: int) -> None:
        self.wanted = wanted
        self.counted = 0
        self._now_ms = now_ms
        self._plans: dict[SubjectType, SubjectPlan] = {"user": plan.user, "account": plan.account}
        self._rows: dict[SubjectType, dict[str, Activity]] = {"user": {}, "account": {}}
        self._by_event = {kind: _by_event(self._plans[kind], wanted[kind]) for kind in wanted}

    def asks(self, kind: SubjectType, event: str) -> bool:
        """Whether some slot wants events of this name."""
        return event in self._by_event[kind]

    def row(self, kind: SubjectType, subject: str) -> Activity:
        """A subject's row; an empty one begins here."""
        return self._rows[kind].setdefault(subject, Activity())

    def known(self, kind: SubjectType, subject: str) -> Activity | None:
        """A subject's row; None where none has begun."""
        return self._rows[kind].get(subject)

    def count(
        self,
        kind: SubjectType,
        subject: str,
        event: str,
        slot_ids: Iterable[int],
        at_ms: int,
        properties: msgspec.Raw,
        member: str | None,
    ) -> None:
        """Count an event in these slots, as the engine would; ``member`` is who did it, for an account."""
        row, plan, now_ms = self.row(kind, subject), self._plans[kind], self._now_ms
        values: dict[str, Any] | None = None
        for slot in self._by_event[kind].get(event, ()):
            if slot.id not in slot_ids:
                continue
            values = wire.values(properties) if values is None else values
            self.counted += 1
            if slot.id in plan.measures:
                activities.measure(row, (plan.measures[slot.id],), at_ms, now_ms, values, member)
            elif (slot.where is None or slot.where(values)) and at_ms > now_ms - plan.retentions_ms[slot.id]:
                activities.record(row, slot.id, at_ms, now_ms, plan.retentions_ms[slot.id])

    def last_accounts(self) -> Mapping[str, str]:
        """The account that each user acted for last, where one is known."""
        return {user: row.accounts[-1] for user, row in self._rows["user"].items() if row.accounts}

    def records(self, at_ms: int, *, archive: bool) -> Iterator[tuple[str, wire.Backfilled]]:
        """What to send, with the key: the subjects of each kind in the order of their ids."""
        for kind, rows in self._rows.items():
            for subject in sorted(rows):
                held = rows[subject].windows
                if held:
                    slots = {
                        str(slot_id): base64.b64encode(content).decode() for slot_id, content in held.items()
                    }
                    yield subject, record_of(kind, subject, slots, at_ms, archive=archive)


def record_of(
    kind: SubjectType, subject: str, slots: dict[str, str], at_ms: int, *, archive: bool, done: bool = False
) -> wire.Backfilled:
    """The record that brings slots; its id is the same for the same subject and slots."""
    return wire.Backfilled(
        id=stable_id("archived" if archive else "backfilled", kind, subject, *sorted(slots)),
        subject_type=kind,
        subject=subject,
        slots=slots,
        done=done or None,
        archive=archive or None,
        at_ms=at_ms,
    )


def _by_event(plan: SubjectPlan, slot_ids: frozenset[int]) -> dict[str, list[Slot | MeasureSlot]]:
    found: dict[str, list[Slot | MeasureSlot]] = defaultdict(list)
    for name, event in plan.events.items():
        slots: Sequence[Slot | MeasureSlot] = (*event.slots, *event.measures)
        for slot in slots:
            if slot.id in slot_ids:
                found[name].append(slot)
    return dict(found)
