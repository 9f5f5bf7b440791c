"""Traits of accounts from systems that know no person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.signals.kit import NOW, Engine, dead, event, sent
from tests.unit.stream.kit import Rec
from workers.signals.account_traits import SOURCES, SOURCES_MAX, AccountTraitSignals
from workers.stream.batch import TP
from workers.stream.partitioner import partition_of

if TYPE_CHECKING:
    from workers.stream.view import View

TRAITS = TP("account-traits", 0)
_ids = iter(range(10**9))


@pytest.fixture
def engine() -> Engine:
    """An engine that reads the topic."""
    return with_topic(Engine(journey()))


def with_topic(engine: Engine, partition: int = 0) -> Engine:
    """The engine, with the topic's handler."""
    parts = engine._handlers["product-events"]._parts
    engine._handlers[TRAITS.topic] = AccountTraitSignals(partition, parts)
    return engine


def told(traits: dict[str, Any], account: str = "acme", **more: Any) -> wire.AccountTraits:
    """A statement of a source."""
    said = {"id": f"t{next(_ids)}", "source": "stripe:sub_1", "at_ms": NOW, **more}
    return wire.AccountTraits(account=account, traits=traits, **said)


def tell(engine: Engine, *statements: wire.AccountTraits) -> View:
    """One transaction of these statements."""
    return engine.run(
        TRAITS, [Rec(at, wire.encode(one), one.account.encode()) for at, one in enumerate(statements)]
    )


def traits(engine: Engine) -> dict[str, Any]:
    """The account's traits."""
    return engine.profile("acme", account=True).traits


def test_an_account_without_members_has_traits(engine: Engine) -> None:
    """And no member appears by being spoken of; nobody is told."""
    view = tell(engine, told({"plan": "pro", "mrr": 240.5}))
    assert traits(engine) == {"plan": "pro", "mrr": 240.5}
    assert engine.profile("acme", account=True).members == {}
    assert sent(view, "scheduler") == []


def test_members_are_told_what_changed_and_only_then(engine: Engine) -> None:
    """So that their journeys read it."""
    engine.forward(engine.events(event(type="group", event=None, groupId="acme", user="u1")))
    view = tell(engine, told({"plan": "pro"}))
    (facts,) = (wire.decode_scheduler(value) for value in sent(view, "scheduler"))
    assert isinstance(facts, wire.AccountFacts)
    assert (facts.subject, facts.account, facts.facts) == ("u1", "acme", {"plan": "pro"})
    assert sent(tell(engine, told({"plan": "pro"})), "scheduler") == []


def test_a_null_removes_a_trait(engine: Engine) -> None:
    """As in an identify event."""
    tell(engine, told({"plan": "pro", "trial_end": "2026-04-01"}), told({"trial_end": None}))
    assert traits(engine) == {"plan": "pro"}


def test_an_older_statement_of_a_source_changes_nothing(engine: Engine) -> None:
    """Webhooks come in any order: the source's clock decides, and at the same moment who comes later."""
    tell(engine, told({"plan": "pro"}, at_ms=NOW))
    tell(engine, told({"plan": "starter"}, at_ms=NOW - 1))
    assert traits(engine) == {"plan": "pro"}
    assert engine.outcome("late") == 1
    tell(engine, told({"plan": "team"}, at_ms=NOW))
    assert traits(engine) == {"plan": "team"}


def test_sources_do_not_hold_up_each_other(engine: Engine) -> None:
    """Each has a clock of its own."""
    tell(engine, told({"plan": "pro"}, at_ms=NOW))
    tell(engine, told({"industry": "retail"}, source="import:crm", at_ms=NOW - 1_000))
    assert traits(engine) == {"plan": "pro", "industry": "retail"}


def test_a_repeat_is_dropped(engine: Engine) -> None:
    """Also when something else was said in between."""
    first = told({"plan": "pro"})
    tell(engine, first, told({"plan": "team"}), first)
    assert traits(engine) == {"plan": "team"}
    assert engine.outcome("duplicate") == 1


def test_the_row_of_sources_does_not_grow_without_end(engine: Engine) -> None:
    """Who said nothing for longest is forgotten."""
    for number in range(SOURCES_MAX + 1):
        tell(engine, told({"n": number}, source=f"s{number}"))
    known = SOURCES.decode(engine.rows[SOURCES.key(b"acme")]).at_ms
    assert len(known) == SOURCES_MAX
    assert "s0" not in known


def test_what_cannot_be_used_is_put_aside(engine: Engine) -> None:
    """Unreadable, of another shape, or dated so far ahead that it would silence its source."""
    far = told({"plan": "pro"}, at_ms=NOW + 3_600_001)
    view = engine.run(
        TRAITS,
        [Rec(0, b"\x80", b"acme"), Rec(1, b"{}", b"acme"), Rec(2, wire.encode(far), b"acme")],
    )
    assert dead(view) == [(0, "unreadable"), (1, "invalid"), (2, "future")]
    assert traits(engine) == {}


def test_what_a_step_sets_is_taken_also_from_a_worker_whose_clock_is_ahead() -> None:
    """Workers' clocks differ, and no record of our own is refused for it."""
    engine = with_topic(Engine(journey()))
    view = tell(engine, told({"asked": True}, source="journey:limits:e1", at_ms=NOW + 10_800_000))
    assert dead(view) == []
    assert traits(engine) == {"asked": True}


def test_a_record_in_the_wrong_partition_is_sent_on() -> None:
    """A producer with another partitioner."""
    engine = with_topic(Engine(journey(), partitions=4), partition=(partition_of(b"acme", 4) + 1) % 4)
    statement = told({"plan": "pro"})
    view = tell(engine, statement)
    (output,) = view.outputs
    assert (output.topic, output.partition) == ("account-traits", partition_of(b"acme", 4))
    assert msgspec.json.decode(output.value or b"")["id"] == statement.id
    assert engine.rekeyed("partition") == 1
    assert traits(engine) == {}
